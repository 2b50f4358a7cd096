"""IPv6 of this machine: the address that the internet knows, and the router that leads there."""

import socket
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

GLOBAL = IPv6Network("2000::/3")
"""What the internet reaches by now (RFC 4291 section 2.4)."""

# Linux only (Home Assistant OS and Container); elsewhere there is no such file.
# That of the thread, because that is what sockets are made in.
ROUTE_TABLE = Path("/proc/thread-self/net/ipv6_route")

_FLAG_GATEWAY = 0x2


def own_address6() -> IPv6Address | None:
    """Return the address from which this machine speaks to the IPv6 internet.

    That is where it is reached, too: IPv6 translates nothing. Connecting a
    datagram socket sends nothing.
    """
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(GLOBAL[1]), 1))
        except OSError:
            return None
        own = IPv6Address(probe.getsockname()[0])
    return own if own in GLOBAL else None


def is_own(address: IPv6Address) -> bool:
    """Tell whether it is an address of this machine."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def default_gateways6() -> list[tuple[IPv6Address, str]]:
    """Return the default gateways and the interfaces that lead there, the preferred one first.

    An address has a scope where it needs one: `fe80::1%eth0`.
    Does blocking I/O. A line is: destination and its prefix length, source and
    its prefix length, next hop, metric, two counters, flags, interface; all
    but the last are hexadecimal numbers.
    """
    try:
        lines = ROUTE_TABLE.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return []
    found: list[tuple[int, IPv6Address, str]] = []
    for line in lines:
        _, length, _, _, next_hop, metric, _, _, flags, interface = line.split()
        if int(length, 16) or not int(flags, 16) & _FLAG_GATEWAY:
            continue
        gateway = IPv6Address(bytes.fromhex(next_hop))
        if gateway.is_link_local:
            gateway = IPv6Address(f"{gateway}%{interface}")
        found.append((int(metric, 16), gateway, interface))
    return [(gateway, interface) for _, gateway, interface in sorted(found)]
