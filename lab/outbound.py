"""What hosts in the home do on the internet: real connections through a simulated router."""

from dataclasses import dataclass

from lab.relays import FlowingRelay
from lab.virtual_router import free_port
from lab.virtual_router.mapping import VirtualMapping

type Address = tuple[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Passing:
    """A connection from the home to the internet, as a router's connection table shows it.

    `protocol` is in lower case. `state` is that of TCP, in the router's words.
    """

    protocol: str
    source: Address
    destination: Address
    state: str = "ESTABLISHED"
    answered: bool = True


class Outbound:
    """The way out. Whoever connects to a way is shown as connected to its destination.

    `added` is what tests put into the table by hand: UDP, noise.
    """

    def __init__(self) -> None:
        """Start without a way."""
        self.added: list[Passing] = []
        self._ways: dict[Address, FlowingRelay] = {}

    @property
    def passing(self) -> tuple[Passing, ...]:
        """The connections of this moment."""
        relayed = (
            Passing(protocol="tcp", source=flow.source, destination=destination)
            for destination, relay in self._ways.items()
            for flow in relay.flows
        )
        return (*self.added, *relayed)

    async def way_to(self, destination: Address, server: Address) -> int:
        """Let hosts connect to a port of 127.0.0.1, which is returned, instead of `destination`.

        `server` is who really answers there.
        """
        mapping = VirtualMapping(
            protocol="TCP",
            external_port=destination[1],
            internal_host=server[0],
            internal_port=server[1],
        )
        relay = FlowingRelay(lambda _source: mapping)
        port = free_port()
        await relay.open("127.0.0.1", port)
        self._ways[destination] = relay
        return port

    async def close(self) -> None:
        """End all connections."""
        for relay in self._ways.values():
            relay.close()
            await relay.wait_closed()
        self._ways.clear()
