"""The NAT behind a simulated router's API: real relays for the rules that it holds."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import override

from lab.virtual_router.mapping import VirtualMapping
from lab.virtual_router.nat import Match, TcpRelay, UdpRelay

type Port = tuple[str, int]
"""Protocol ("TCP" or "UDP") and external port."""

type Decide = Callable[[str, int, str], VirtualMapping | None]
"""Protocol, external port and source address of a new connection: where it leads, if anywhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """A connection that is being relayed, as a router's connection table shows it."""

    source: tuple[str, int]
    mapping: VirtualMapping


class Relays:
    """Listens on the external ports and asks for each connection where it leads.

    As in a real router, a connection that stands outlives the rule that let it
    in: its listener stays, and resets whoever comes anew, until the next
    `listen` without such a connection.
    """

    def __init__(self, host: str, decide: Decide) -> None:
        """Listen on `host`; `decide` is asked once for each new connection."""
        self._host = host
        self._decide = decide
        self._relays: dict[Port, FlowingRelay | UdpRelay] = {}
        self._lock = asyncio.Lock()
        self.unbound: set[Port] = set()
        """Ports that something else on this machine has: their rules have no relay."""

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The TCP connections of this moment."""
        relays = [relay for relay in self._relays.values() if isinstance(relay, FlowingRelay)]
        return tuple(flow for relay in relays for flow in relay.flows)

    async def listen(self, ports: Collection[Port]) -> None:
        """Listen on just these ports, once for each."""
        async with self._lock:
            self.unbound.clear()
            for port in set(self._relays) - set(ports):
                relay = self._relays[port]
                if not (isinstance(relay, FlowingRelay) and relay.flows):
                    await self._close(port)
            for port in set(ports) - set(self._relays):
                await self._open(port)

    async def close(self) -> None:
        """End every connection and leave nothing behind."""
        async with self._lock:
            for port in list(self._relays):
                await self._close(port)

    async def _open(self, port: Port) -> None:
        protocol, number = port

        def match(source: str, _: int = 0) -> VirtualMapping | None:
            return self._decide(protocol, number, source)

        relay = FlowingRelay(match) if protocol == "TCP" else UdpRelay(match)
        try:
            await relay.open(self._host, number)
        except OSError:
            self.unbound.add(port)
        else:
            self._relays[port] = relay

    async def _close(self, port: Port) -> None:
        relay = self._relays.pop(port)
        relay.close()
        await relay.wait_closed()


class FlowingRelay(TcpRelay):
    """A relay that knows its connections."""

    def __init__(self, match: Match) -> None:
        super().__init__(match)
        self.flows: set[Flow] = set()

    @override
    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        mapping: VirtualMapping,
    ) -> None:
        flow = Flow(source=writer.get_extra_info("peername")[:2], mapping=mapping)
        self.flows.add(flow)
        try:
            await super()._relay(reader, writer, mapping)
        finally:
            self.flows.discard(flow)
