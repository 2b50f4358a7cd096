"""IPv4 of this machine: the routers that lead to the internet."""

from ipaddress import IPv4Address
from pathlib import Path

# Linux only (Home Assistant OS and Container); elsewhere there is no such file.
# That of the thread, because that is what sockets are made in.
ROUTE_TABLE = Path("/proc/thread-self/net/route")

_FLAG_GATEWAY = 0x2


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
