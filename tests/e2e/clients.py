"""The two ends of a forwarded port: a server in the home, and clients on the internet."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import override

from lab.virtual_router import free_port

PAGE = b"the page of the camera"

# The two sides are the same machine, so an answer takes well under a millisecond.
ANSWERS_WITHIN = 5

FRIEND, STRANGER = "127.0.0.2", "127.0.0.3"
"""Addresses on the internet, as far as the router is concerned."""


@dataclass(kw_only=True, slots=True)
class Camera:
    """A host in the home with a web page on TCP and an echo on UDP, both on one port."""

    port: int
    heard: list[bytes] = field(default_factory=list)
    """What came by UDP."""


@asynccontextmanager
async def camera(address: str = "127.0.0.1") -> AsyncIterator[Camera]:
    """Run a camera on any port of `address` that is free."""
    server = await asyncio.start_server(_serve_page, address, 0)
    async with server:
        host = Camera(port=server.sockets[0].getsockname()[1])
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Echo(host.heard), local_addr=(address, host.port)
        )
        try:
            yield host
        finally:
            transport.close()


async def fetch(port: int, source: str = FRIEND) -> bytes:
    """Fetch the page behind an external port.

    Raises ConnectionRefusedError when the port is closed, ConnectionResetError
    when the router does not let `source` through.
    """
    async with asyncio.timeout(ANSWERS_WITHIN):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        try:
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            answer = await reader.read()
        finally:
            writer.close()
    return answer.partition(b"\r\n\r\n")[2]


async def echo(port: int, text: bytes, source: str = FRIEND) -> bytes:
    """Send `text` to an external port by UDP, and return the answer.

    Raises ConnectionRefusedError when the port is closed, TimeoutError when
    nothing comes back.
    """
    async with _sender(port, source) as (transport, answer), asyncio.timeout(ANSWERS_WITHIN):
        transport.sendto(text)
        return await answer


async def throw(port: int, text: bytes, source: str) -> None:
    """Send `text` to an external port by UDP, expecting nothing back."""
    async with _sender(port, source) as (transport, _):
        transport.sendto(text)


def free_range(length: int) -> int:
    """Return the first of so many external ports that nothing listens on."""
    while True:
        first = free_port()
        try:
            for port in range(first, first + length):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(socket.AF_INET, kind) as sock:
                        sock.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


async def is_closed(port: int) -> bool:
    """Tell whether nothing at all listens on the external port, neither for TCP nor for UDP."""
    for knock in (fetch(port), echo(port, b"anybody there?")):
        try:
            await knock
        except ConnectionRefusedError:
            continue
        else:
            return False
    return True


async def _serve_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE))
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def _sender(
    port: int, source: str
) -> AsyncIterator[tuple[asyncio.DatagramTransport, asyncio.Future[bytes]]]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Answer(answer), local_addr=(source, 0), remote_addr=("127.0.0.1", port)
    )
    try:
        yield transport, answer
    finally:
        transport.close()
        answer.cancel()


class _Answer(asyncio.DatagramProtocol):
    """Puts the first answer, or the ICMP error, into a future."""

    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self._answer = answer

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self._answer.done():
            self._answer.set_result(data)

    @override
    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


class _Echo(asyncio.DatagramProtocol):
    """Answers each packet in capitals."""

    def __init__(self, heard: list[bytes]) -> None:
        self._heard = heard
        self._transport: asyncio.DatagramTransport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._heard.append(data)
        assert self._transport is not None
        self._transport.sendto(data.upper(), addr)
