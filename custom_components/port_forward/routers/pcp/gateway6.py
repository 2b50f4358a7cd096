"""The IPv6 address of a router that is known by its IPv4 address.

PCP maps ports of IPv6 only for who asks over IPv6. Where the default ways of
both families lead out of the same interface, and that of IPv4 over this very
router, the other one is its way too.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from .exchange import Server
from .packets import Address

# Linux only, as Home Assistant OS and Container are; elsewhere there are no such files.
# Those of the thread, because that is what sockets are made in.
_ROUTES = Path("/proc/thread-self/net/route")
_ROUTES6 = Path("/proc/thread-self/net/ipv6_route")

_FLAG_GATEWAY = 0x2
_ANYWHERE6 = ("0" * 32, "00")


def find_server6(server: Server) -> Server | None:
    """Return where the router is asked over IPv6, None where that is not known."""
    interfaces = set(_interfaces_to(server.host))
    for gateway, interface in _gateways6():
        if interface in interfaces:
            scope = f"%{interface}" if gateway.is_link_local else ""
            return Server(IPv6Address(f"{gateway}{scope}"), server.port)
    return None


def _interfaces_to(host: Address) -> Iterator[str]:
    """Iterate over the interfaces whose default gateway is `host`."""
    for interface, destination, gateway, flags, *_ in _rows(_ROUTES):
        # A number in the byte order of the machine, which is little-endian everywhere.
        leads_there = IPv4Address(bytes.fromhex(gateway)[::-1]) == host
        if leads_there and not destination.strip("0") and int(flags, 16) & _FLAG_GATEWAY:
            yield interface


def _gateways6() -> list[tuple[IPv6Address, str]]:
    """Return the default gateways of IPv6 and their interfaces, the preferred one first."""
    found = [
        (int(metric, 16), IPv6Address(bytes.fromhex(gateway)), interface)
        for to, length, _, _, gateway, metric, _, _, flags, interface in _rows(_ROUTES6)
        if (to, length) == _ANYWHERE6 and int(flags, 16) & _FLAG_GATEWAY
    ]
    return [(gateway, interface) for _, gateway, interface in sorted(found)]


def _rows(table: Path) -> Iterator[list[str]]:
    try:
        lines = table.read_text(encoding="ascii").splitlines()
    except OSError:
        return
    yield from (line.split() for line in lines if not line.startswith("Iface"))
