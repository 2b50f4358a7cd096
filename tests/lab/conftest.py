"""What the tests of the lab share."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import override

import pytest
import pytest_socket

from lab.virtual_router import VirtualRouter, free_port
from tests.lab.control_point import ControlPoint

HOSTS = [
    "::1",
    "127.0.0.1",
    "127.0.0.2",
    "127.0.0.3",
    "127.0.0.77",
    "255.255.255.255",
    "239.255.255.250",
]


@pytest.fixture(autouse=True)
def _allow_loopback(socket_enabled: None) -> None:
    """Let the tests talk to loopback addresses: these are several hosts to the router."""
    pytest_socket.socket_allow_hosts(HOSTS, allow_unix_socket=True)


@pytest.fixture
async def router() -> AsyncIterator[VirtualRouter]:
    """A router of the second generation without quirks."""
    async with VirtualRouter() as router:
        yield router


@pytest.fixture
async def igd(router: VirtualRouter) -> AsyncIterator[ControlPoint]:
    """A control point of `router`."""
    async with ControlPoint.of(router) as control_point:
        yield control_point


@dataclass(slots=True, kw_only=True)
class Inside(asyncio.DatagramProtocol):
    """A host inside the home: answers what it hears in capitals, over TCP and UDP."""

    port: int = 0
    heard: list[bytes] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    transport: asyncio.DatagramTransport | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.heard.append(data)
                writer.write(data.upper())
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.hung_up.set()
            writer.close()

    @override
    def connection_made(  # type: ignore[override]  # typeshed's DatagramProtocol narrows it too
        self, transport: asyncio.DatagramTransport
    ) -> None:
        self.transport = transport

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.append(data)
        assert self.transport is not None
        self.transport.sendto(data.upper(), addr)


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    """A host inside the home."""
    host = Inside()
    host.port = free_port()  # for both: what is free for TCP may be somebody's for UDP
    server = await asyncio.start_server(host.serve, "127.0.0.1", host.port)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: host, local_addr=("127.0.0.1", host.port)
    )
    yield host
    transport.abort()
    server.close()
    server.close_clients()
    await server.wait_closed()
    await asyncio.sleep(0)
