"""The default gateway: the router that a home is most likely behind."""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

# Linux only (Home Assistant OS and Container); elsewhere there is no such file.
ROUTE_TABLE = Path("/proc/net/route")
ROUTE_TABLE6 = Path("/proc/net/ipv6_route")

_FLAG_GATEWAY = 0x2


def default_gateways(interfaces: Collection[str]) -> list[IPv4Address]:
    """Return the default gateways behind these interfaces; does blocking I/O.

    The kernel writes addresses as hexadecimal numbers in the byte order of
    the machine, which is little-endian on all that Home Assistant runs on.
    """
    gateways = []
    for line in _lines(ROUTE_TABLE)[1:]:
        interface, destination, gateway, flags, *_ = line.split()
        if interface in interfaces and not int(destination, 16) and int(flags, 16) & _FLAG_GATEWAY:
            gateways.append(IPv4Address(bytes.fromhex(gateway)[::-1]))
    return gateways


def default_gateways6(interfaces: Collection[str]) -> list[str]:
    """Return the same for IPv6, such as `fe80::1%eth0`; does blocking I/O."""
    gateways = []
    for line in _lines(ROUTE_TABLE6):
        destination, prefix, _, _, gateway, _, _, _, flags, interface = line.split()
        is_default = not int(destination, 16) and not int(prefix, 16)
        if interface in interfaces and is_default and int(flags, 16) & _FLAG_GATEWAY:
            address = IPv6Address(bytes.fromhex(gateway))
            gateways.append(f"{address}%{interface}" if address.is_link_local else str(address))
    return gateways


def _lines(table: Path) -> list[str]:
    try:
        return table.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return []
