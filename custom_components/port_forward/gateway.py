"""The default gateway: the router that a home is most likely behind."""

from collections.abc import Collection
from ipaddress import IPv4Address
from pathlib import Path

# Linux only (Home Assistant OS and Container); elsewhere there is no such file.
ROUTE_TABLE = Path("/proc/net/route")

_FLAG_GATEWAY = 0x2


def default_gateways(interfaces: Collection[str]) -> list[IPv4Address]:
    """Return the default gateways behind these interfaces; does blocking I/O.

    The kernel writes addresses as hexadecimal numbers in the byte order of
    the machine, which is little-endian on all that Home Assistant runs on.
    """
    try:
        lines = ROUTE_TABLE.read_text(encoding="ascii").splitlines()[1:]
    except FileNotFoundError:
        return []
    gateways = []
    for line in lines:
        interface, destination, gateway, flags, *_ = line.split()
        if interface in interfaces and not int(destination, 16) and int(flags, 16) & _FLAG_GATEWAY:
            gateways.append(IPv4Address(bytes.fromhex(gateway)[::-1]))
    return gateways
