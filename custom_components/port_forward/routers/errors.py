"""The one exception tree of all drivers.

Each leaf carries a translation key and its placeholders, so that whoever
shows it needs to know nothing but the leaf. The English text of the exception
is for developers; users read `exceptions.<translation_key>` of the
translations.
"""

from enum import StrEnum

from .model import PortMapping
from .shown import clean

# Characters of what a router said.
_LONGEST = 200


class RouterError(Exception):
    """Anything that keeps a router from doing what was asked.

    `left` holds the mappings that a failed `Router.open` made and could not
    take back: they may be open and have to be closed later.
    """

    translation_key = "router_error"
    left: tuple[PortMapping, ...] = ()

    def __init__(self, **placeholders: str) -> None:
        """Take the placeholders of the translation, all of them text.

        Some tell what a router said, or who holds a port: they go to the
        screen and to the log as they are.
        """
        placeholders = {key: clean(value, _LONGEST) for key, value in placeholders.items()}
        details = ", ".join(f"{key}={value}" for key, value in placeholders.items())
        super().__init__(f"{self.translation_key}: {details}" if details else self.translation_key)
        self.placeholders = placeholders


class RouterUnreachableError(RouterError):
    """No connection, or one that broke before an answer (placeholder: host)."""

    translation_key = "unreachable"


class RouterTimeoutError(RouterUnreachableError):
    """No answer in time (host)."""

    translation_key = "timed_out"


class Refusal(StrEnum):
    """Why a router does not permit what was asked; each has its own message."""

    REFUSED = "refused"
    SECURE_MODE = "secure_mode"
    LOW_PORT = "low_port"
    DOUBLE_NAT = "double_nat"
    SAME_PORT_ONLY = "same_port_only"
    ANY_SOURCE_ONLY = "any_source_only"
    ONE_SOURCE_ONLY = "one_source_only"
    ALL_PORTS_ONLY = "all_ports_only"
    SOURCE_IGNORED = "source_ignored"
    NO_IPV6 = "no_ipv6"
    FIREWALL_OFF = "firewall_off"
    OWN_HOST_ONLY = "own_host_only"
    FRITZBOX_OWN_HOST = "fritzbox_own_host"
    FRITZBOX_NOT_TICKED = "fritzbox_not_ticked"


class NotPermittedError(RouterError):
    """The router will not, and `reason` says why (placeholders: port, host, detail).

    `host` is the internal host that was asked for; `detail` is what the router
    said, in short ASCII text, "" where it was not asked.
    """

    def __init__(self, reason: Refusal, **placeholders: str) -> None:
        """Take the reason, which picks the message."""
        self.reason = reason
        self.translation_key = f"not_permitted_{reason}"
        super().__init__(**placeholders)


class PortConflictError(RouterError):
    """The external port is somebody else's (port, protocol, holder)."""

    translation_key = "port_conflict"


class PortNotGivenError(PortConflictError):
    """The router would give another external port than that (port, protocol, holder, offered)."""

    translation_key = "port_not_given"


class TableFullError(RouterError):
    """The router has no room for another mapping (port)."""

    translation_key = "table_full"


class NotMappedError(RouterError):
    """The router said yes, and did not do it (port)."""

    translation_key = "not_mapped"


class LeaseTooShortError(RouterError):
    """The router closes the port again too soon to keep it open (port, seconds)."""

    translation_key = "lease_too_short"


class NotClosedError(RouterError):
    """The router said that the mapping is gone, and still shows it (port)."""

    translation_key = "not_closed"


class UnsupportedError(RouterError):
    """What answers is no router that this driver can speak to (host, detail)."""

    translation_key = "unsupported"


class UnconfirmedRouterError(RouterError):
    """A router answers there that may be another one than before, as only the user knows (host)."""

    translation_key = "unconfirmed_router"


class InvalidForwardError(RouterError):
    """The router calls the values of the forward invalid (port, host, detail)."""

    translation_key = "invalid_forward"


class ProtocolError(RouterError):
    """An answer that makes no sense (host, detail: a short ASCII text)."""

    translation_key = "protocol_error"


class CertificateError(RouterError):
    """The certificate of the router is not the one that is trusted (host)."""

    translation_key = "certificate"


class AuthenticationFailedError(RouterError):
    """The router does not accept the credentials (host). Trying again without others is no use."""

    translation_key = "authentication_failed"


class LockedOutError(AuthenticationFailedError):
    """The router refuses every log in for a while, after too many that failed (host).

    Each further one may prolong it: whoever polls has to stop.
    """

    translation_key = "locked_out"


class SecondFactorError(AuthenticationFailedError):
    """The account needs a second factor to log in (host)."""

    translation_key = "second_factor"


class MissingRightsError(RouterError):
    """The account may log in, but not do what is needed (host, detail: the missing right)."""

    translation_key = "missing_rights"


class TooOldError(UnsupportedError):
    """The software of the router is too old for its driver (host, version, needed)."""

    translation_key = "too_old"


class RuleChangedError(RouterError):
    """The rule is not the one any more that it was: nothing was done to it (port)."""

    translation_key = "rule_changed"


class NotAppliedError(RouterError):
    """The router saved a change and did not put it into force (host, detail)."""

    translation_key = "not_applied"


class ClockWrongError(RouterError):
    """The clock by which the router would close is not right (host, off: by how much)."""

    translation_key = "clock_wrong"


class RouterBusyError(RouterError):
    """Somebody else is about to change the same settings, and has not finished (host)."""

    translation_key = "router_busy"


class StoppedError(RouterError):
    """It was closed while it was being opened: the request was not sent."""

    translation_key = "stopped"
