"""The connections that the router's kernel keeps track of.

Source: `ct_seq_show` of the kernel's nf_conntrack_standalone.c. A line is,
broken in two here,

    ipv4 2 tcp 6 431999 ESTABLISHED src=… dst=… sport=… dport=… packets=… bytes=…
        src=… dst=… sport=… dport=… packets=… bytes=… [ASSURED] mark=0 zone=0 use=2

with both directions as seen on the wire. Counts are there only where the
router accounts, and an offloaded connection shows neither time nor state.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Final

from ..errors import MissingRightsError, ProtocolError
from ..model import PORT_MAX, Connection, Protocol
from .rights import CONNTRACK
from .ubus import Ubus

_NO_LINE = 1
"""What grep ends with when it has found nothing."""

_LONGEST_LINE: Final = 1000
_MOST_LINES: Final = int(CONNTRACK[2])
_PROTOCOLS: Final = {Protocol.TCP.value: Protocol.TCP, Protocol.UDP.value: Protocol.UDP}
# States in which nobody has anything more to say.
_OVER: Final = frozenset(("TIME_WAIT", "CLOSE", "LAST_ACK"))


async def list_connections(ubus: Ubus) -> tuple[Connection, ...]:
    """Return the connections of this moment; raises MissingRightsError and ProtocolError."""
    if not ubus.rights.connections:
        raise MissingRightsError(host=ubus.host, detail=f"file exec {' '.join(CONNTRACK)}")
    command, *params = CONNTRACK
    data = await ubus.read("file", "exec", command=command, params=params)
    match data:
        case {"code": 0, "stdout": str(text)}:
            return tuple(read_connections(text))
        case {"code": int(code)} if code == _NO_LINE:
            return ()
    raise ProtocolError(host=ubus.host, detail="its connections cannot be listed")


def read_connections(text: str) -> Iterator[Connection]:
    """Iterate over the connections of a listing; lines that make no sense are passed over."""
    for line in text.splitlines()[:_MOST_LINES]:
        if len(line) <= _LONGEST_LINE and (connection := _connection(line.split())):
            yield connection


def _connection(words: list[str]) -> Connection | None:
    """Return what the words of a line say; None for one that is over, or no TCP or UDP of IPv4."""
    if words[:1] != ["ipv4"] or not _OVER.isdisjoint(words):
        return None
    found: dict[str, list[str]] = {"src": [], "dst": [], "sport": [], "dport": []}
    for word in words:
        name, _, value = word.partition("=")
        if name in found:
            found[name].append(value)
    if any(len(values) != 2 for values in found.values()):  # noqa: PLR2004  the two directions
        return None
    try:
        return Connection(
            protocol=_PROTOCOLS[words[2]],
            source=IPv4Address(found["src"][0]),
            source_port=_port(found["sport"][0]),
            destination=IPv4Address(found["dst"][0]),
            destination_port=_port(found["dport"][0]),
            target=IPv4Address(found["src"][1]),
            target_port=_port(found["sport"][1]),
            answered="[UNREPLIED]" not in words,
        )
    except KeyError, ValueError:
        return None


def _port(text: str) -> int:
    """Read a port; raises ValueError for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(PORT_MAX))):
        raise ValueError(text[:8])
    if (port := int(text)) > PORT_MAX:
        raise ValueError(text)
    return port
