"""What a MAP request may wish for, whichever kind of host it is for (RFC 6887 §13, §15)."""

from collections.abc import Set as AbstractSet

from ..mapping import SourceFilter
from ..quirks import Quirk
from .packet import Address, MapRequest, PcpError, Result

PROTOCOLS = {6: "TCP", 17: "UDP"}
NUMBERS = {name: number for number, name in PROTOCOLS.items()}
SHORTEST_LEASE, LONGEST_LEASE = 120, 86400  # seconds, as §15 recommends (Q46)
MOST_FILTERS = 16


def lifetime(asked: MapRequest, quirks: AbstractSet[Quirk]) -> int:
    """Return the lifetime that is granted: as asked, or within limits."""
    if Quirk.Q46_ONE in quirks:
        return 1
    if Quirk.Q46 in quirks:
        return min(max(asked.lifetime, SHORTEST_LEASE), LONGEST_LEASE)
    return asked.lifetime


def check_wish(asked: MapRequest, address: Address, port: int | None) -> None:
    """Raise PcpError when PREFER_FAILURE asks for what cannot be had, §13.2.

    The external address is `address`, the port can only be `port` if there is one.
    """
    if not asked.prefer_failure:
        return
    any_address = asked.external_address.is_unspecified
    if any_address and asked.external_port == 0:
        raise PcpError(Result.MALFORMED_OPTION)
    other_port = port is not None and asked.external_port not in (0, port)
    if other_port or not (any_address or asked.external_address == address):
        raise PcpError(Result.CANNOT_PROVIDE_EXTERNAL)


def with_filters(asked: MapRequest, known: tuple[SourceFilter, ...]) -> tuple[SourceFilter, ...]:
    """Add the filters to those that are known, §13.3. Raises PcpError."""
    filters = list(known)
    for wanted in asked.filters:
        if wanted is None:
            filters.clear()
        elif wanted not in filters:
            filters.append(wanted)
    if len(filters) > MOST_FILTERS:
        raise PcpError(Result.EXCESSIVE_REMOTE_PEERS)
    return tuple(filters)
