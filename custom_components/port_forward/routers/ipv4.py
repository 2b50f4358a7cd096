"""IPv4 of this machine: the routers that lead to the internet, and the neighbours it has."""

from ipaddress import IPv4Address
from pathlib import Path

# Linux only (Home Assistant OS and Container); elsewhere there is no such file.
# That of the thread, because that is what sockets are made in.
ROUTE_TABLE = Path("/proc/thread-self/net/route")
ARP_TABLE = Path("/proc/thread-self/net/arp")

_FLAG_GATEWAY = 0x2
_FLAG_COMPLETE = 0x2


def default_gateways4() -> list[tuple[IPv4Address, str]]:
    """Return the default gateways and the interfaces that lead there; does blocking I/O.

    The kernel writes addresses as hexadecimal numbers in the byte order of
    the machine, which is little-endian on all that Home Assistant runs on.
    """
    try:
        lines = ROUTE_TABLE.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    found = []
    for line in lines:
        interface, destination, gateway, flags, *_ = line.split()
        if not int(destination, 16) and int(flags, 16) & _FLAG_GATEWAY:
            found.append((IPv4Address(bytes.fromhex(gateway)[::-1]), interface))
    return found


def mac_of(address: IPv4Address) -> str | None:
    """Return the MAC by which this host is reached, None where it is not known; blocking I/O.

    A host behind another router has none here, nor has one that has not been
    spoken to lately.
    """
    return _neighbours().get(address)


def own_mac_of(address: IPv4Address) -> str | None:
    """Return the MAC of this host, None as well where several have it; does blocking I/O.

    A repeater answers for all that are behind it: its MAC tells them apart
    from nothing.
    """
    neighbours = _neighbours()
    mac = neighbours.get(address)
    return mac if list(neighbours.values()).count(mac or "") == 1 else None


def _neighbours() -> dict[IPv4Address, str]:
    """Return the MAC of each host that was spoken to lately, as the kernel knows it."""
    try:
        lines = ARP_TABLE.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        address, _, flags, mac, *_ = line.split()
        if int(flags, 16) & _FLAG_COMPLETE and mac.strip("0:"):
            found[IPv4Address(address)] = mac.lower()
    return found
