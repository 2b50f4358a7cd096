"""The connections that the router keeps track of.

Source: the vendor's page on connection tracking. Addresses carry their ports.
"""

import asyncio
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import Final

from ..model import PORT_MAX, Connection, Protocol
from .rest import Rest, Row

TABLE: Final = "ip/firewall/connection"
_FIELDS: Final = (
    "protocol",
    "src-address",
    "dst-address",
    "reply-src-address",
    "repl-bytes",
    "tcp-state",
)
# Home Assistant has one loop for all, and a busy router thousands of connections.
_PIECE: Final = 500
_PROTOCOLS: Final = {Protocol.TCP.value: Protocol.TCP, Protocol.UDP.value: Protocol.UDP}
# States in which nobody has anything more to say.
_OVER: Final = frozenset(("time-wait", "close", "last-ack"))


async def list_connections(rest: Rest) -> tuple[Connection, ...]:
    """Return the connections of this moment; raises what `Rest.rows` raises."""
    rows = await rest.rows(TABLE, {".proplist": ",".join(_FIELDS)})
    found: list[Connection] = []
    for start in range(0, len(rows), _PIECE):
        await asyncio.sleep(0)
        found += read_connections(rows[start : start + _PIECE])
    return tuple(found)


def read_connections(rows: Sequence[Row]) -> Iterator[Connection]:
    """Iterate over the connections of rows; those that make no sense are passed over."""
    for row in rows:
        if row.get("tcp-state") in _OVER:
            continue
        try:
            source, source_port = _address(row["src-address"])
            destination, destination_port = _address(row["dst-address"])
            target, target_port = _address(row["reply-src-address"])
            yield Connection(
                protocol=_PROTOCOLS[row["protocol"]],
                source=source,
                source_port=source_port,
                destination=destination,
                destination_port=destination_port,
                target=target,
                target_port=target_port,
                # Older versions do not count.
                answered=row.get("repl-bytes") != "0",
            )
        except KeyError, ValueError:
            continue


def _address(text: str) -> tuple[IPv4Address, int]:
    """Read `192.168.88.10:51234`; raises ValueError for anything else, as ICMP without a port."""
    host, _, port = text.partition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= len(str(PORT_MAX))):
        raise ValueError(text[:8])
    if int(port) > PORT_MAX:
        raise ValueError(text)
    return IPv4Address(host), int(port)
