"""The rows that PCP and NAT-PMP clients have in the router's table."""

from collections.abc import Iterable, Iterator
from typing import Literal

from ..call import HIGHEST_PORT
from ..mapping import VirtualMapping
from ..wan import WanConnection

LOWEST_CHOICE = 1024  # the router itself chooses no lower port


class NoPortError(Exception):
    """No external port is free."""


def held(
    wan: WanConnection,
    made_by: Literal["PCP", "NAT-PMP"],
    host: str,
    protocol: str,
    internal_port: int,
) -> list[VirtualMapping]:
    """Find the mappings of this port of the host that were made by this protocol."""
    meant = (made_by, host, protocol, internal_port)
    return [
        row
        for row in wan.mappings
        if (row.made_by, row.internal_host, row.protocol, row.internal_port) == meant
    ]


def from_here(port: int) -> Iterator[int]:
    """Yield the port, then those above it, then those below."""
    yield from range(port, HIGHEST_PORT + 1)
    yield from range(port - 1, LOWEST_CHOICE - 1, -1)


async def place(wan: WanConnection, row: VirtualMapping, ports: Iterable[int]) -> VirtualMapping:
    """Add the row at the first of the ports that is free. Raises NoPortError when none is."""
    for port in ports:
        if wan.on_port(row.protocol, port):
            continue
        placed = row.at(port)
        try:
            await wan.put(placed)
        except OSError:
            continue  # another program of this machine has the port
        return placed
    raise NoPortError
