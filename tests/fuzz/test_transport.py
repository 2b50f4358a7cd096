"""HTTP that is none, over real connections: an answer or an error of ours comes out, and soon."""

import asyncio
import gzip
import time
import zlib
from collections.abc import AsyncIterator
from compression import zstd
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.routers.errors import RouterError
from custom_components.port_forward.routers.transport import MAX_BODY, Transport
from custom_components.port_forward.routers.upnp.description import WanService
from custom_components.port_forward.routers.upnp.soap import call

from .checks import check_error
from .documents import bodies, elements, row_fields, soap
from .effort import bounded, inputs
from .wire import service

TIMEOUT = 0.1
"""Seconds that a request may take."""
TIMEOUT_OF_ENDLESS = 0.2
LATE = 2.0
"""Seconds that it may take longer, on a machine that is busy."""
MIB = 1024 * 1024

_STATUS = (
    *["HTTP/1.1 200 OK\r\n"] * 12,
    *("HTTP/1.1 500 Internal Server Error\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 204 No\r\n"),
    *(
        "HTTP/1.1 304 Same\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 101 S\r\n",
    ),
    *(
        "HTTP/1.1 99999 x\r\n",
        "HTTP/1.1 -1 x\r\n",
        "HTTP/1.1 \u0662\u0660\u0660 OK\r\n",
        "HTTP/1.1\r\n",
    ),
    *("HTTP/2.0 200 OK\r\n", "ICY 200 OK\r\n", "\r\n\r\n", "200\r\n", "HTTP/1.1 000 x\r\n"),
    *("HTTP/1.1 200 " + "x" * 9000 + "\r\n", "HTTP/1.1 200 OK\n", "\x16\x03\x01\x02\x00", ""),
    *("HTTP/1.1 301 Moved\r\n", "HTTP/1.1 302 F\r\n", "HTTP/1.1 307 T\r\n", "HTTP/1.1 399 O\r\n"),
    *("SSH-2.0-dropbear\r\n", "220 ftp\r\n", "HTTP/1.1 200 \x00\r\n", "HTTP/1.1 200 \xff\r\n"),
)
_HEADERS = (
    *("Content-Length: 0", "Content-Length: 5", "Content-Length: 100000", "Content-Length: -1"),
    *("Content-Length: 18446744073709551616", "Content-Length: 1_0", "Content-Length: 5, 5"),
    *("Content-Length: \u0665", "Content-Length:", "Content-Length: 9" + "9" * 4000),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: CHUNKED", "Transfer-Encoding: gzip"),
    *("Transfer-Encoding: chunked, chunked", "Transfer-Encoding: identity, chunked"),
    *("Content-Encoding: gzip", "Content-Encoding: deflate", "Content-Encoding: br"),
    *("Content-Encoding: zstd", "Content-Encoding: gzip, gzip", "Content-Encoding: nonsense"),
    *("Connection: close", "Connection: keep-alive", "Connection: upgrade", "Upgrade: h2c"),
    *("Content-Type: text/xml", "Content-Type: ;;;", "Content-Type: a/b; charset=\x00"),
    *("Set-Cookie: a=b; expires=nonsense; max-age=\u0665", "Set-Cookie: " + "=;," * 500),
    *("X: " + "y" * 9000, "X" * 9000 + ": y", " folded", "\tfolded", "no colon", ": no name"),
    *("\x00: \x00", "X: \xff\xfe", "X: \r", "Trailer: X", "Date: never", "Link: <", "Refresh: 0;"),
)
_CHUNKS = (
    *(b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\n", b"0\r\nX: y\r\n\r\n", b"5;ext=1\r\nhello\r\n"),
    *(
        b"-1\r\n",
        b"FFFFFFFFFFFFFFFF1\r\n",
        b"\r\n",
        b"5\nhello\n",
        b"5\r\nhello",
        b"z\r\n",
        b"1\r\na",
    ),
    *(b"5;" + b"x" * 20_000 + b"\r\nhello\r\n", b"1\r\na\r\n" * 3000, b"0" * 20_000),
)
_ODDITIES = (b"", b"\x00" * 100, b"<", b"x" * 70_000, b"HTTP/1.1 200 OK\r\n\r\n", b"\r\n")

soap_bodies = bodies(row_fields(in_list=False).map(lambda row: soap("Get", elements(row))))


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    """The bytes that come over a connection; much like HTTP, or not."""
    headers = draw(st.lists(st.sampled_from(_HEADERS), max_size=5))
    if draw(st.integers(0, 3)) == 0:
        where = draw(
            st.sampled_from(("http://127.0.0.1:{trap}/", "//127.0.0.1:{trap}", "", "\x00"))
        )
        headers.append(f"Location: {where}")
    head = draw(st.sampled_from(_STATUS)) + "".join(f"{header}\r\n" for header in headers)
    match draw(st.integers(0, 3)):
        case 0:
            body = b"".join(draw(st.lists(st.sampled_from(_CHUNKS), max_size=6)))
        case 1:
            body = draw(st.sampled_from(_ODDITIES))
        case 2:
            body = gzip.compress(draw(soap_bodies), 1)
        case _:
            body = draw(soap_bodies)
    return head.encode("latin-1", "replace") + b"\r\n" + body


class Server:
    """Says `reply` to whoever connects, and then closes the connection, or not; asks nothing."""

    def __init__(self) -> None:
        self.reply = b""
        self.closes = True
        self.forever = b""
        self.trapped = 0
        self.tokens = 0
        self.port = 0
        self.trap = 0
        self._good = False
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ctl"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b" /token/" in head:
                    token = head.split(b" ")[1]
                    length = f"Content-Length: {len(token)}\r\n\r\n".encode()
                    writer.write(b"HTTP/1.1 200 OK\r\n" + length + token)
                    continue
                writer.write(self.reply.replace(b"{trap}", str(self.trap).encode()))
                while self.forever:
                    writer.write(self.forever)
                    await writer.drain()
                if self.closes:
                    return
        except OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def spring(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Nobody may come here."""
        self.trapped += 1
        writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """Start the server, and the trap that it sends everybody to."""
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    trap = await asyncio.start_server(server.spring, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    server.trap = trap.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.forever = b""
        for each in (listening, trap):
            each.close()
            each.abort_clients()
            await each.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as started:
        yield started


@inputs(50)
@given(reply=replies(), closes=st.sampled_from((True, True, True, True, True, False)))
async def test_any_reply(
    session: aiohttp.ClientSession, server: Server, reply: bytes, *, closes: bool
) -> None:
    server.reply, server.closes = reply, closes
    transport = Transport(session, timeout=TIMEOUT)
    started = time.monotonic()
    with bounded(MIB + len(reply)):
        try:
            status, body = await transport.request("POST", server.url, body=b"<a/>")
        except RouterError as error:
            check_error(error)
        else:
            assert 0 <= status <= 999
            assert status // 100 != 3
            assert len(body) <= MAX_BODY
    assert time.monotonic() - started < TIMEOUT + LATE
    assert not server.trapped
    await _check_turn(transport, server)


async def _check_turn(transport: Transport, server: Server) -> None:
    """Make sure that no request gets what was left over of another one.

    The first may fail, and so find the connection out; the second has a new one.
    """
    server.tokens += 2
    for token, may_fail in ((server.tokens, True), (server.tokens + 1, False)):
        path = f"/token/{token}"
        with suppress(*[RouterError] * may_fail):
            url = server.url.replace("/ctl", path)
            answer = await transport.request("POST", url, body=b"<a/>", timeout=10)
            assert answer == (200, path.encode())


@inputs(25)
@given(body=soap_bodies, version=st.sampled_from((1, 2)), status=st.sampled_from((200, 500)))
async def test_any_body_as_the_answer_to_a_call(
    session: aiohttp.ClientSession, server: Server, body: bytes, version: int, status: int
) -> None:
    head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n\r\n"
    server.reply, server.closes = head.encode() + body, False
    with bounded(MIB + len(body)):
        try:
            answer = await call(
                Transport(session, timeout=5), _at(server.url, version), "Get", {"NewA": "1"}
            )
        except RouterError as error:
            check_error(error)
            return
    assert all(isinstance(value, str) for value in answer.values())


def _at(url: str, version: int) -> WanService:
    return replace(service(version), control_url=url)


ENDLESS = {
    "body": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    "long body": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65536),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n%s\r\n" % (b"x" * 65536),
    ),
    "small chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n" * 9000,
    ),
    "chunk extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 65536),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 9000),
    "one trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"y" * 65536),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 9000),
    "one header": (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65536),
    "status": (b"HTTP/1.1 200 ", b"O" * 65536),
    "spaces": (b"", b" " * 65536),
    "line ends": (b"", b"\r\n" * 32768),
    "to be continued": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 2000),
    "answers": (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2000),
    "redirect": (b"HTTP/1.1 302 F\r\nLocation: /\r\n\r\n", b"x" * 65536),
    "upgrade": (b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", b"x" * 65536),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_what_never_ends(session: aiohttp.ClientSession, server: Server, kind: str) -> None:
    """It is given up when it is too long or its time is up, and takes no memory until then."""
    server.reply, server.forever = ENDLESS[kind]
    started = time.monotonic()
    with bounded(0, seconds=TIMEOUT_OF_ENDLESS + LATE, memory=8 * MIB):
        try:
            status, body = await Transport(session, timeout=TIMEOUT_OF_ENDLESS).request(
                "GET", server.url
            )
        except RouterError as error:
            check_error(error)
        else:
            assert kind in ("answers", "upgrade")
            assert (status, len(body)) in ((200, 0), (101, 0))
    assert time.monotonic() - started < TIMEOUT_OF_ENDLESS + LATE
    assert not server.trapped


def _zstd_bomb(size: int) -> bytes:
    """Blocks of 128 KiB in four bytes each; no compressor writes one so dense."""
    block = 128 * 1024
    header = b"\x28\xb5\x2f\xfd\x00\x38"
    body = b"".join(
        (last | 1 << 1 | block << 3).to_bytes(3, "little") + b"\0"
        for last in [0] * (size // block - 1) + [1]
    )
    return header + body


BOMBS = {
    "gzip": lambda: gzip.compress(bytes(32 * MIB), 9),
    "deflate": lambda: zlib.compress(bytes(32 * MIB), 9),
    "zstd": lambda: _zstd_bomb(512 * MIB),
}


@pytest.mark.parametrize("encoding", BOMBS)
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_cap_holds_for_what_is_decompressed(
    session: aiohttp.ClientSession, server: Server, encoding: str, *, chunked: bool
) -> None:
    bomb = BOMBS[encoding]()
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(bomb)}"
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n{length}\r\n\r\n".encode()
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(bomb), bomb) if chunked else bomb
    server.reply = head + body
    with bounded(0, seconds=1, memory=8 * MIB), pytest.raises(RouterError):
        await Transport(session, timeout=5).request("GET", server.url)


def test_the_bombs_are_some() -> None:
    assert len(zstd.decompress(_zstd_bomb(MIB))) == MIB
    assert len(_zstd_bomb(512 * MIB)) < 20_000


@pytest.mark.parametrize(
    "extra",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nextra",
        b"HTTP/1.1 200 OK\r\n",
        b"\r\n\r\n",
        b"nonsense",
    ],
)
async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(
    session: aiohttp.ClientSession, server: Server, extra: bytes
) -> None:
    """A router that answers twice would else be one question behind for ever."""
    server.closes = False
    server.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
    transport = Transport(session, timeout=5)
    assert await transport.request("POST", server.url, body=b"<a/>") == (200, b"first")
    for writer in tuple(server._writers):
        writer.write(extra)
        await writer.drain()
    await asyncio.sleep(0.05)  # no event tells that it has come
    await _check_turn(transport, server)
    await _check_turn(transport, server)
