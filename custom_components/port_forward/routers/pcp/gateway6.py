"""The IPv6 address of a router that is known by its IPv4 address.

PCP maps ports of IPv6 only for who asks over IPv6. Where the default ways of
both families lead out of the same interface, and that of IPv4 over this very
router, the other one is its way too.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from ..ipv6 import default_gateways6
from .exchange import Server
from .packets import Address

# Linux only, as Home Assistant OS and Container are; elsewhere there is no such file.
# That of the thread, because that is what sockets are made in.
_ROUTES = Path("/proc/thread-self/net/route")

_FLAG_GATEWAY = 0x2


def find_server6(server: Server) -> Server | None:
    """Return where the router is asked over IPv6, None where that is not known."""
    interfaces = set(_interfaces_to(server.host))
    found = (gateway for gateway, interface in default_gateways6() if interface in interfaces)
    gateway = next(found, None)
    return Server(gateway, server.port) if gateway else None


def _interfaces_to(host: Address) -> Iterator[str]:
    """Iterate over the interfaces whose default gateway is `host`."""
    try:
        rows = _ROUTES.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    for interface, destination, gateway, flags, *_ in map(str.split, rows):
        # A number in the byte order of the machine, which is little-endian everywhere.
        leads_there = IPv4Address(bytes.fromhex(gateway)[::-1]) == host
        if leads_there and not destination.strip("0") and int(flags, 16) & _FLAG_GATEWAY:
            yield interface
