"""Whether the internet can reach the router at all, as far as that can be told from inside."""

from enum import StrEnum
from ipaddress import IPv4Address
from typing import Final

from ..routers.addresses import CGNAT, PRIVATE, is_public
from ..routers.model import Snapshot


class Reachability(StrEnum):
    """Can it be reached, and if not, why."""

    REACHABLE = "reachable"
    # Over IPv4 it cannot.
    IPV6_ONLY = "ipv6_only"
    NOT_CONNECTED = "not_connected"
    NO_ADDRESS = "no_address"
    PRIVATE = "private"
    CGNAT = "cgnat"
    RESERVED = "reserved"
    DOUBLE_NAT = "double_nat"
    UNKNOWN = "unknown"

    @property
    def is_reachable(self) -> bool | None:
        """Tell whether the internet can reach it; None where nobody knows."""
        if self is Reachability.UNKNOWN:
            return None
        return self in (Reachability.REACHABLE, Reachability.IPV6_ONLY)


# What each connection goes through while it is built up.
PASSING: Final = frozenset(
    (Reachability.NOT_CONNECTED, Reachability.NO_ADDRESS, Reachability.IPV6_ONLY)
)


def reachability(snapshot: Snapshot, seen: IPv4Address | None = None) -> Reachability:
    """Return what a look at the router tells; `seen` is the address that the internet sees.

    None where nobody was asked, or did not answer. An external address of
    None says nothing by itself: some routers do not tell theirs.
    """
    address = snapshot.external_address
    if snapshot.connected is False:
        return Reachability.NOT_CONNECTED
    if address is None:
        if not snapshot.connected:
            return Reachability.UNKNOWN
        return Reachability.IPV6_ONLY if snapshot.external_address6 else Reachability.NO_ADDRESS
    if not is_public(address):
        return _unreachable(address)
    return Reachability.DOUBLE_NAT if seen not in (None, address) else Reachability.REACHABLE


def _unreachable(address: IPv4Address) -> Reachability:
    """Return why an address that is not public is not reached."""
    if address in CGNAT:
        return Reachability.CGNAT
    is_private = any(address in network for network in PRIVATE)
    return Reachability.PRIVATE if is_private else Reachability.RESERVED
