"""A WAN connection at work: its mapping table, the leases, and the NAT behind it."""

import asyncio
import math
from collections.abc import Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Literal

from .mapping import Key, VirtualMapping, Wan
from .nat import TcpRelay, UdpRelay
from .quirks import Quirk

WILDCARDS = ("", "0.0.0.0")  # noqa: S104  the two spellings of "any source", nothing is bound
Q14_ADDRESSES = {Quirk.Q14: "", Quirk.Q14_PRIVATE: "10.0.0.2", Quirk.Q14_CGNAT: "100.64.0.2"}

SMALL_TABLE = 32  # rows: Linksys (Q08), and the small routers of Q09
LARGE_TABLE = 1024  # rows: more than any test or demo needs

type OnChange = Callable[[Literal["opened", "closed"], VirtualMapping], None]


class WanConnection:
    """A WAN connection with its port mappings, which really relay."""

    def __init__(
        self,
        wan: Wan,
        *,
        index: int,
        host: str,
        quirks: AbstractSet[Quirk],
        on_change: OnChange | None,
    ) -> None:
        """Let mappings listen on `host`; `on_change` hears of each that comes or goes."""
        self.index = index
        self.kind = wan.kind
        self.external_address = wan.external_address
        self.status = wan.status
        self.host = wan.host or host
        self._quirks = quirks
        self._on_change = on_change
        self._rows: dict[Key, VirtualMapping] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._relays: dict[tuple[str, int], TcpRelay | UdpRelay] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._up_since = 0.0

    @property
    def mappings(self) -> tuple[VirtualMapping, ...]:
        """The table, oldest first."""
        return tuple(self._rows.values())

    @property
    def connected(self) -> bool:
        """Whether the connection is up, by either name."""
        return self.status in ("Connected", "Up")

    @property
    def shown_address(self) -> str:
        """The external address that it tells of; "" for none."""
        for quirk, address in Q14_ADDRESSES.items():
            if quirk in self._quirks:
                return address
        return self.external_address

    @property
    def mappable(self) -> bool:
        """Whether a mapping can be reached from outside: not behind another NAT (Q14)."""
        return self.connected and not Q14_ADDRESSES.keys() & self._quirks

    @property
    def uptime(self) -> int:
        """Seconds since the connection came up."""
        return int(asyncio.get_running_loop().time() - self._up_since)

    def reconnect(self) -> None:
        """Count the uptime from now."""
        self._up_since = asyncio.get_running_loop().time()

    def age(self, seconds: float) -> None:
        """Count the uptime from so much earlier."""
        self._up_since -= seconds

    def find(self, key: Key) -> VirtualMapping | None:
        """Find the mapping of exactly this key."""
        return self._rows.get(key)

    def on_port(self, protocol: str, external_port: int) -> list[VirtualMapping]:
        """Find the mappings of this port, whatever their remote host."""
        return [row for row in self._rows.values() if row.key[:2] == (protocol, external_port)]

    def remaining(self, mapping: VirtualMapping) -> int:
        """Seconds of lease that the router reports; 0 is permanent."""
        if Quirk.Q05_ONE in self._quirks:
            return 1
        if mapping.expires is None:
            return 0
        left = mapping.expires - asyncio.get_running_loop().time()
        # Rounded up, because 0 would say "permanent" of one about to end.
        return max(0 if Quirk.Q06 in self._quirks else 1, math.ceil(left))

    async def put(self, mapping: VirtualMapping) -> None:
        """Add the mapping, or replace the one of its key, its lease counted from now.

        Raises OSError, and changes nothing, when its port cannot be bound.
        """
        await self._listen(mapping)
        old = self._rows.get(mapping.key)
        self._cancel_timer(mapping.key)
        if mapping.lease and not {Quirk.Q05, Quirk.Q05_ONE} & self._quirks:
            loop = asyncio.get_running_loop()
            mapping = replace(mapping, expires=loop.time() + mapping.lease)
            self._timers[mapping.key] = loop.call_later(mapping.lease, self._expire, mapping.key)
        self._rows[mapping.key] = mapping
        if old is None:
            self._report("opened", mapping)
        elif _way(old) != _way(mapping):
            self._stop_relays(mapping.key)

    def remove(self, key: Key) -> None:
        """Remove the mapping and stop what it relays. Raises KeyError when there is none."""
        mapping = self._rows.pop(key)
        self._cancel_timer(key)
        self._stop_relays(key)
        self._report("closed", mapping)

    def clear(self) -> None:
        """Forget every mapping."""
        for key in list(self._rows):
            self.remove(key)

    async def wait_closed(self) -> None:
        """Wait until what was closed has left no task and no socket."""
        if self._closing:
            await asyncio.wait(self._closing)

    def _expire(self, key: Key) -> None:
        if Quirk.Q06 not in self._quirks:
            self.remove(key)

    def _cancel_timer(self, key: Key) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()

    async def _listen(self, mapping: VirtualMapping) -> None:
        port = (mapping.protocol, mapping.external_port)
        if port in self._relays or not self._relayable(mapping):
            return
        await self.wait_closed()  # or a port just given up could not be bound again
        kind = TcpRelay if mapping.protocol == "TCP" else UdpRelay
        relay = kind(lambda source: self._match(*port, source))
        await relay.open(self.host, mapping.external_port)
        self._relays[port] = relay

    def _stop_relays(self, key: Key) -> None:
        """End what is relayed for this key, and the listener that nothing needs any more."""
        protocol, external_port, _ = key
        relay = self._relays.get((protocol, external_port))
        if relay is None:
            return
        relay.drop(key)
        if not any(map(self._relayable, self.on_port(protocol, external_port))):
            self._close((protocol, external_port))

    def _close(self, port: tuple[str, int]) -> None:
        relay = self._relays.pop(port)
        relay.close()
        task = asyncio.get_running_loop().create_task(relay.wait_closed())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _match(self, protocol: str, external_port: int, source: str) -> VirtualMapping | None:
        """Find the mapping that a packet falls under: one for its source before one for any."""
        for remote_host in (source, *WILDCARDS):
            row = self._rows.get((protocol, external_port, remote_host))
            if row is not None and self._relayable(row):
                return row
        return None

    def _relayable(self, mapping: VirtualMapping) -> bool:
        return (
            self.connected
            and mapping.enabled
            and is_ipv4(mapping.internal_host)
            # Where inside and outside are one address, it would relay to itself without end.
            and (mapping.internal_host, mapping.internal_port) != (self.host, mapping.external_port)
        )

    def _report(self, what: Literal["opened", "closed"], mapping: VirtualMapping) -> None:
        if self._on_change is not None:
            self._on_change(what, mapping)


def chosen_wans(wans: Sequence[Wan], quirks: Collection[Quirk]) -> Sequence[Wan]:
    """Give the WANs asked for, or those that a quirk makes of a single one."""
    if len(wans) != 1:
        return wans
    if Quirk.Q29 in quirks:
        return [wans[0], replace(wans[0], external_address="198.51.100.7")]
    if Quirk.Q30 in quirks:
        dead = Wan(kind="ip", external_address="", status="Disconnected")
        return [dead, replace(wans[0], kind="ppp")]
    return wans


def rows_at_most(table_size: int | None, quirks: AbstractSet[Quirk]) -> int:
    """Return how many mappings a WAN holds: so many, or what the quirks say."""
    if table_size is not None:
        return table_size
    small = {Quirk.Q08, Quirk.Q09, Quirk.Q09_402} & quirks
    return SMALL_TABLE if small else LARGE_TABLE


def is_ipv4(text: str) -> bool:
    """Whether the text is an IPv4 address."""
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _way(mapping: VirtualMapping) -> tuple[object, ...]:
    """Give what is not the same when the connections of before have no right to go on."""
    return (mapping.internal_host, mapping.internal_port, mapping.enabled, mapping.filters)
