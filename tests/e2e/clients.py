"""The two ends of a forwarded port: a server in the home, and clients on the internet."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import override

from lab.virtual_router import free_port

PAGE = b"the page of the camera"

# The two sides are the same machine: an answer takes well under a millisecond, unless that is busy.
ANSWERS_WITHIN = 30

FRIEND, STRANGER = "127.0.0.2", "127.0.0.3"
"""Addresses on the internet, as far as the router is concerned."""

type SocketMaker = Callable[[socket.SocketKind], socket.socket]
"""Makes a non-blocking socket of a kind, in the network that it shall speak in."""


def loopback(kind: socket.SocketKind) -> socket.socket:
    """Make a socket in the network of this process."""
    made = socket.socket(socket.AF_INET, kind)
    made.settimeout(0)
    return made


@dataclass(frozen=True, kw_only=True, slots=True)
class Internet:
    """Where clients stand, and where they see the router."""

    router: str
    """Its external address; over IPv6 that of the host behind it."""
    friend: str
    """Who asks, unless somebody else is named."""
    make_socket: SocketMaker


LOOPBACK = Internet(router="127.0.0.1", friend=FRIEND, make_socket=loopback)
"""The internet of the virtual router."""


@dataclass(kw_only=True, slots=True)
class Camera:
    """A host in the home with a web page on TCP and an echo on UDP, both on one port."""

    port: int
    heard: list[bytes] = field(default_factory=list)
    """What came by UDP."""


@asynccontextmanager
async def camera(
    address: str = "127.0.0.1", make_socket: SocketMaker = loopback, port: int = 0
) -> AsyncIterator[Camera]:
    """Run a camera on `port` of `address`, 0 for any that is free."""
    tcp, udp = make_socket(socket.SOCK_STREAM), make_socket(socket.SOCK_DGRAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # where one was a moment ago
    tcp.bind((address, port or free_port()))
    server = await asyncio.start_server(_serve_page, sock=tcp)
    async with server:
        host = Camera(port=server.sockets[0].getsockname()[1])
        udp.bind((address, host.port))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Echo(host.heard), sock=udp
        )
        try:
            yield host
        finally:
            transport.close()


async def fetch(port: int, source: str | None = None, on: Internet = LOOPBACK) -> bytes:
    """Fetch the page behind an external port.

    Raises ConnectionRefusedError when the port is closed, ConnectionResetError
    when the router does not let `source` through.
    """
    sock = on.make_socket(socket.SOCK_STREAM)
    async with asyncio.timeout(ANSWERS_WITHIN):
        try:
            sock.bind((source or on.friend, 0))
            await asyncio.get_running_loop().sock_connect(sock, (on.router, port))
        except BaseException:
            sock.close()
            raise
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            answer = await reader.read()
        finally:
            writer.close()
    return answer.partition(b"\r\n\r\n")[2]


async def echo(port: int, text: bytes, source: str | None = None, on: Internet = LOOPBACK) -> bytes:
    """Send `text` to an external port by UDP, and return the answer.

    Raises ConnectionRefusedError when the port is closed, TimeoutError when
    nothing comes back.
    """
    async with _sender(port, source, on) as (transport, answer), asyncio.timeout(ANSWERS_WITHIN):
        transport.sendto(text)
        return await answer


async def throw(port: int, text: bytes, source: str) -> None:
    """Send `text` to an external port by UDP, expecting nothing back."""
    async with _sender(port, source, LOOPBACK) as (transport, _):
        transport.sendto(text)


async def is_closed(port: int, on: Internet = LOOPBACK) -> bool:
    """Tell whether nothing at all listens on the external port, neither for TCP nor for UDP."""
    for knock in (partial(fetch, port, on=on), partial(echo, port, b"anybody there?", on=on)):
        try:
            await knock()
        except ConnectionRefusedError:
            continue
        else:
            return False
    return True


async def _serve_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # Home Assistant hangs up without a word: it only tries whether somebody answers.
    with suppress(asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE))
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def _sender(
    port: int, source: str | None, on: Internet
) -> AsyncIterator[tuple[asyncio.DatagramTransport, asyncio.Future[bytes]]]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    sock = on.make_socket(socket.SOCK_DGRAM)
    sock.bind((source or on.friend, 0))
    sock.connect((on.router, port))
    transport, _ = await loop.create_datagram_endpoint(lambda: _Answer(answer), sock=sock)
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
