"""A router under test: our driver for it, what witnesses it, and who may connect."""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from custom_components.port_forward.routers.model import Forward, PortRange, Protocol
from custom_components.port_forward.routers.router import Router
from lab.virtual_router import free_port, free_range

from ..forwards import forward

HOUR = timedelta(hours=1)
BOTH = (Protocol.TCP, Protocol.UDP)
GREETING = b"camera"

type Row = tuple[str, int, str, int]
"""Protocol in lower case, external port, internal host, internal port."""


class Subject(ABC):
    """One router, and whatever a test does to it behind the driver's back.

    `target` is a host that the router maps to, `friend` and `stranger` are
    addresses on the internet; `network` holds `friend`, and not `far`. What a
    subject cannot do is None or False.
    """

    driver: Router
    target: str
    friend: str
    stranger: str
    network: str
    far: str
    forgets = True
    """Whether a restart of the router loses its mappings."""

    @abstractmethod
    def another_driver(self) -> Router:
        """Return the driver as it is after a restart of Home Assistant."""

    @abstractmethod
    async def rows(self) -> set[Row]:
        """Return what the router holds for IPv4, by a witness that is not our driver."""

    @abstractmethod
    async def add_foreign(self, port: int, protocol: str = "tcp") -> None:
        """Let somebody else hold an external port, for another host than `target`."""

    async def until_a_restart_shows(self) -> None:  # noqa: B027  many show it at once
        """Let the router be up for long enough, or look so."""

    @abstractmethod
    async def switch_off(self) -> None:
        """Let the router fall silent."""

    @abstractmethod
    async def restart(self) -> None:
        """Restart the router."""

    @abstractmethod
    def client(self) -> socket.socket:
        """Return a TCP socket on the internet."""

    @abstractmethod
    def server(self, port: int) -> socket.socket:
        """Return a TCP socket that is bound to this port of `target`."""

    @abstractmethod
    def outside(self, port: int) -> tuple[str, int]:
        """Return where an external port is reached from the internet."""

    def free_port(self) -> int:
        """Return a port that nobody has, neither outside nor inside."""
        return free_port()

    def free_range(self, length: int) -> int:
        """Return the first of so many such ports in a row."""
        return free_range(length)

    def forward(
        self,
        external: int | PortRange | None = None,
        *,
        forward_id: str = "camera1",
        internal: int | PortRange | None = None,
        host: str | None = None,
        protocols: tuple[Protocol, ...] = (Protocol.TCP,),
        source: str | None = None,
        any_external_port: bool = False,
    ) -> Forward:
        """Return a forward to `target`, of a port that is free."""
        return forward(
            self.free_port() if external is None else external,
            forward_id=forward_id,
            host=host or self.target,
            internal=internal,
            protocols=protocols,
            source=source,
            any_external_port=any_external_port,
        )

    @asynccontextmanager
    async def answering(self, port: int) -> AsyncIterator[None]:
        """Let `target` answer on a port."""

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(GREETING)
            writer.close()

        async with await asyncio.start_server(greet, sock=self.server(port)):
            yield

    async def is_reached(self, port: int, source: str | None = None) -> bool:
        """Tell whether somebody on the internet gets an answer through an external port."""
        with self.client() as client:
            client.setblocking(False)  # noqa: FBT003  the name of it in the library
            client.bind((source or self.friend, 0))
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(60):
                    await loop.sock_connect(client, self.outside(port))
                    return await loop.sock_recv(client, 16) == GREETING
            except OSError:
                return False


def rows_of(forward: Forward) -> set[Row]:
    """Return the rows that a forward makes where nothing else is granted."""
    return {
        (protocol.value, external, str(forward.internal_host), internal)
        for protocol in forward.protocols
        for external, internal in zip(forward.external_ports, forward.internal_ports, strict=True)
    }
