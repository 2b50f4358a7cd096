"""What a router's error code means for the user."""

from ..errors import (
    InvalidForwardError,
    Refusal,
    RouterError,
    TableFullError,
)
from ..model import PortMapping
from ..refusals import conflict, named, not_permitted
from .soap import UpnpFault

CONFLICT_CODES = (718, 729)
"""The port is held by another client, or by another part of the router."""

INVALID_ARGS = 402
NOT_AUTHORIZED = 606

_LOWEST_FREE_PORT = 1024
_TABLE_FULL = 728
_REASONS = {
    724: Refusal.SAME_PORT_ONLY,
    726: Refusal.ANY_SOURCE_ONLY,
    727: Refusal.ALL_PORTS_ONLY,
}


def explain(
    fault: UpnpFault,
    wanted: PortMapping,
    *,
    other_host: bool,
    holder: PortMapping | None,
    full: bool,
) -> RouterError:
    """Return why the router refused to add `wanted`.

    `other_host`: the mapping is for another host than this one. `holder`: what
    stands on that port. `full`: the router shows as many rows as small routers
    can hold.
    """
    port, host = str(wanted.external_ports), wanted.internal_host
    detail = fault.placeholders["detail"]
    if fault.code in CONFLICT_CODES:
        # In secure mode IGD:1 knows no other code for a host that is not the caller, and
        # miniupnpd 2.3.1 answers it on IGD:2 too (Q11).
        if holder is None and other_host:
            return not_permitted(Refusal.SECURE_MODE, wanted, detail)
        return conflict(wanted, named(holder.target, holder.description) if holder else "?")
    if fault.code == NOT_AUTHORIZED:
        if wanted.external_ports.first < _LOWEST_FREE_PORT:
            # OpenWrt's miniupnpd allows 1024 to 65535 and nothing else (Q12).
            reason = Refusal.LOW_PORT
        elif other_host:
            # Secure mode (Q11), or FRITZ!Box, which knows nothing else (Q13).
            reason = Refusal.SECURE_MODE
        else:
            # FRITZ!Box: this device lacks the permission (fritzconnection#161, Q13).
            reason = Refusal.REFUSED
        return not_permitted(reason, wanted, detail)
    if fault.code == _TABLE_FULL or (fault.code == INVALID_ARGS and full):
        return TableFullError(port=port)
    if fault.code == INVALID_ARGS:
        return InvalidForwardError(port=port, host=host, detail=detail)
    return not_permitted(_REASONS.get(fault.code, Refusal.REFUSED), wanted, detail)
