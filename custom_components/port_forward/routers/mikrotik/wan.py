"""Which side of the router is the internet, and which rules hear what comes from there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from ..addresses import is_public
from ..errors import UnsupportedError
from ..rule_texts import network_of
from .rest import Rest, RestError, Row
from .words import is_on

STOCK_LIST = "WAN"
"""The interface list of the stock configuration, which its own firewall goes by."""

# Built in, and nowhere said what is in them.
_VAGUE_LISTS = ("dynamic", "static")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wan:
    """The internet side of the router.

    `matcher` is what limits our rules to it. A rule without would take the
    port also from what the home itself sends to the internet. The interface
    list is the best of the three that RouterOS has: it follows when the
    connection fails over or the provider gives another address, and it is what
    the stock firewall decides by. Only where there is no list, the interface
    of the default route is named.
    """

    matcher: Mapping[str, str]
    interfaces: frozenset[str]
    lists: frozenset[str]
    address: IPv4Address | None
    connected: bool

    def hears(self, row: Row) -> bool:
        """Tell whether a rule can apply to packets from the internet; in doubt it does."""
        return (
            _covers(row.get("in-interface"), self.interfaces)
            and (
                row.get("in-interface-list", "").removeprefix("!") in _VAGUE_LISTS
                or _covers(row.get("in-interface-list"), self.lists | {"all"})
            )
            and self._is_addressed(row)
        )

    def _is_addressed(self, row: Row) -> bool:
        if row.get("dst-address-type", "local") == "!local":
            return False
        network = network_of(row.get("dst-address", ""))
        if network is None or network.version != 4 or self.address is None:  # noqa: PLR2004  IP
            return True
        return self.address in network


async def find_wan(rest: Rest, wanted: str = "") -> Wan:
    """Return the internet side of the router.

    `wanted` is the interface list or the interface that the user has chosen,
    "" for the stock one. Raises UnsupportedError where nothing tells.
    """
    members = [row for row in await rest.rows("interface/list/member") if _is_used(row)]
    routes = await rest.rows("ip/route", {"dst-address": "0.0.0.0/0"})
    default = [name for row in routes if is_on(row.get("active")) and (name := _interface_of(row))]
    name = wanted or STOCK_LIST
    interfaces = {row.get("interface", "") for row in members if row.get("list", "") == name}
    if interfaces:
        matcher = {"in-interface-list": name}
    elif wanted:
        matcher, interfaces = {"in-interface": wanted}, {wanted}
    elif default:
        matcher, interfaces = {"in-interface": default[0]}, {default[0]}
    else:
        detail = "neither an interface list WAN nor a default route"
        raise UnsupportedError(host=rest.host, detail=detail)
    return Wan(
        matcher=matcher,
        interfaces=frozenset(interfaces),
        lists=frozenset(
            row.get("list", "") for row in members if row.get("interface", "") in interfaces
        ),
        address=await _address(rest, interfaces, default),
        connected=any(interface in interfaces for interface in default),
    )


async def _address(rest: Rest, interfaces: set[str], default: Sequence[str]) -> IPv4Address | None:
    """Return the address on the WAN, that of the default route's interface before others."""
    rows = [
        row
        for row in await rest.rows("ip/address")
        if _is_used(row) and interfaces & {row.get("interface"), row.get("actual-interface")}
    ]
    rows.sort(key=lambda row: row.get("actual-interface", row.get("interface")) not in default)
    addresses = [address for row in rows if (address := _ipv4(row.get("address", "")))]
    return next(filter(is_public, addresses), None) or next(iter(addresses), None)


async def public_address(rest: Rest, wan: Wan) -> IPv4Address | None:
    """Return the address that the internet knows the router under, as far as it knows itself.

    Behind another router only MikroTik's cloud service can tell, where it is on.
    """
    if is_public(wan.address):
        return wan.address
    try:
        cloud = await rest.single("ip/cloud")
    except RestError:
        return wan.address
    return _ipv4(cloud.get("public-address", "")) or wan.address


def _is_used(row: Row) -> bool:
    return not (is_on(row.get("disabled")) or is_on(row.get("invalid")))


def _interface_of(route: Row) -> str:
    """Return the interface of a route: `203.0.113.1%ether1`, or the gateway is one itself."""
    gateway = route.get("immediate-gw") or route.get("gateway", "")
    return gateway.rpartition("%")[2]


def _ipv4(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text.partition("/")[0])
    except AddressValueError:
        return None


def _covers(matcher: str | None, names: frozenset[str]) -> bool:
    if matcher is None:
        return True
    return (matcher.removeprefix("!") in names) is not matcher.startswith("!")
