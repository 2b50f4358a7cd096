"""The gateway: what it was last provisioned with, and the relays behind that."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network

from lab.relays import Relays
from lab.virtual_router.mapping import VirtualMapping

from .documents import Document, interfaces, protocols, ranges

MOST_PORTS = 64
"""Ports of one range that get a relay."""


class Gateway:
    """A gateway with one WAN that really relays; the others are just names."""

    def __init__(self, host: str, *, wan: str = "wan") -> None:
        """Let the forwards of `wan` listen on `host`."""
        self._wan = wan
        self._live: Sequence[Document] = ()
        self._relays = Relays(host, self._decide)
        self.packets: Counter[str] = Counter()
        """Connections that a forward has let in, by its id."""

    async def provision(self, documents: Sequence[Document]) -> None:
        """Put the forwards into force."""
        self._live = [dict(document) for document in documents if document.get("enabled")]
        await self._relays.listen(set(self._ports()))

    async def close(self) -> None:
        """End every connection."""
        await self._relays.close()

    def _ports(self) -> Iterator[tuple[str, int]]:
        for document in self._live:
            if self._wan not in interfaces(document):
                continue
            for first, last in ranges(document["dst_port"]):
                if last - first < MOST_PORTS:
                    for port in range(first, last + 1):
                        for protocol in protocols(document):
                            yield protocol.upper(), port

    def _decide(self, protocol: str, port: int, source: str) -> VirtualMapping | None:
        for document in self._live:
            taken = any(first <= port <= last for first, last in ranges(document["dst_port"]))
            if not taken or protocol.lower() not in protocols(document):
                continue
            if self._wan in interfaces(document) and _lets_in(document, source):
                self.packets[str(document["_id"])] += 1
                return VirtualMapping(
                    protocol=protocol,
                    external_port=port,
                    internal_host=str(document["fwd"]),
                    internal_port=_inside(document, port),
                    description=str(document["name"]),
                )
        return None


def _lets_in(document: Mapping[str, object], source: str) -> bool:
    """Tell whether a source gets in. The field `src` alone limits nobody."""
    if not document.get("src_limiting_enabled"):
        return True
    if document.get("src_limiting_type") != "ip":
        return False  # No group has a member here.
    text = str(document.get("src", "any"))
    if text == "any":
        return True
    bare = text.removeprefix("!")
    if "-" in bare:
        first, last = (ip_address(part) for part in bare.split("-"))
        found = int(first) <= int(ip_address(source)) <= int(last)
    else:
        found = ip_address(source) in ip_network(bare, strict=False)
    return found is not text.startswith("!")


def _inside(document: Mapping[str, object], port: int) -> int:
    """Return the internal port: the same one unless a single other is named."""
    inside = str(document["fwd_port"])
    return int(inside) if inside.isdigit() else port
