"""What happened to a forward: for the event entities, the logbook and the triggers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from homeassistant.core import Context
from homeassistant.helpers.translation import async_get_exception_message
from homeassistant.util import dt as dt_util

from ..const import DOMAIN, LOGGER
from ..routers.errors import RouterError
from ..routers.model import Forward
from .journal import Journal, Source


class Kind(StrEnum):
    """What happened."""

    OPENED = "opened"
    EXTENDED = "extended"
    RESTORED = "restored"
    MOVED = "moved"
    CLOSED = "closed"
    OPEN_FAILED = "open_failed"
    CLOSE_FAILED = "close_failed"
    EXTERNAL_PORT_CHANGED = "external_port_changed"


class Reason(StrEnum):
    """Why it happened, where there is more than one reason for it."""

    # closed, close_failed
    TIME_UP = "time_up"
    TURNED_OFF = "turned_off"
    REMOVED_ELSEWHERE = "removed_elsewhere"
    FORWARD_EDITED = "forward_edited"
    SOURCE_CHANGED = "source_changed"
    FORWARD_DELETED = "forward_deleted"
    ROUTER_DISABLED = "router_disabled"
    ROUTER_DELETED = "router_deleted"
    WAN_CHANGED = "wan_changed"
    HOME_ASSISTANT_STOPPED = "home_assistant_stopped"
    NOT_RESTORED = "not_restored"
    LONG_AWAY = "long_away"
    NOT_SAVED = "not_saved"
    LOCKDOWN = "lockdown"
    ALL_CLOSED = "all_closed"
    ADDRESS_TAKEN = "address_taken"
    ADDRESS_UNSTEADY = "address_unsteady"
    DEVICE_GONE = "device_gone"
    TARGET_RISKY = "target_risky"
    TARGET_UNREACHABLE = "target_unreachable"
    IDLE = "idle"
    # opened
    TRIGGERED = "triggered"
    FOUND = "found"
    # moved
    DEVICE_MOVED = "device_moved"
    # restored
    ROUTER_RESTARTED = "router_restarted"
    LEASE_RAN_OUT = "lease_ran_out"
    # open_failed
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """One thing that happened to one forward.

    `external_ports` is where it can be reached from outside, None where it
    cannot. `deadline` is until when it is open (or was to be), None for until closed.
    `late` is how long after the deadline it was closed. `context` tells who,
    None for the integration itself. `error` is the English text of the
    error.
    """

    kind: Kind
    forward_id: str
    name: str
    at: datetime
    external_ports: str | None = None
    reason: Reason | None = None
    deadline: datetime | None = None
    late: timedelta | None = None
    context: Context | None = None
    error: str | None = None


class Teller:
    """Tells what happens, with the time at which it does."""

    def __init__(self, listener: Callable[[Activity], None], journal: Journal) -> None:
        """Take who is told, and where it is noted."""
        self._listener = listener
        self.journal = journal

    def tell(  # noqa: PLR0913  what an activity is made of
        self,
        kind: Kind,
        forward: Forward,
        *,
        external_ports: str | None = None,
        reason: Reason | None = None,
        deadline: datetime | None = None,
        context: Context | None = None,
        error: Exception | None = None,
    ) -> None:
        """Tell of one activity; how late it is follows from the deadline."""
        now = dt_util.utcnow()
        late = None
        if kind is Kind.CLOSED and reason is Reason.TIME_UP and deadline:
            late = max(now - deadline, timedelta(0))
        LOGGER.info("%s: %s%s", forward.name, kind, f" ({reason})" if reason else "")
        self.journal.note(forward.id, Source.ACTIVITY, kind, why=reason, error=error, late=late)
        self._listener(
            Activity(
                kind=kind,
                forward_id=forward.id,
                name=forward.name,
                at=now,
                external_ports=external_ports,
                reason=reason,
                deadline=deadline,
                late=late,
                context=context,
                error=_text_of(error) if error else None,
            )
        )


def _text_of(error: Exception) -> str:
    """Return what the user would read of it; the drivers' own text is for developers."""
    if isinstance(error, RouterError):
        return async_get_exception_message(DOMAIN, error.translation_key, error.placeholders)
    return str(error)
