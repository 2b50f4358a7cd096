"""The router's HTTP server: small enough that it can go wrong in every way on the wire."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from .streams import StreamServer

XML = 'text/xml; charset="utf-8"'
MAX_BODY = 65536  # bytes of a request


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    peer: str
    """The client's address."""
    number: int
    """1 for the first request of its connection."""


@dataclass(slots=True, kw_only=True)
class Response:
    """What the router sends, right or wrong."""

    body: bytes = b""
    status: int = HTTPStatus.OK
    content_type: str = XML
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False
    stream: Iterable[bytes] | None = None
    """In place of `body`: sent chunk by chunk as it is made."""
    raw: bytes | None = None
    """In place of everything: sent as it is, then the connection closes."""
    send_only: int | None = None
    """Bytes of the body that are really sent before the connection closes."""
    hang_up: bool = False
    """Close the connection after this reply, not having announced it."""


# None closes the connection without a reply.
type Handler = Callable[[Request], Awaitable[Response | None]]


class HttpServer:
    """HTTP/1.1 with keep-alive; every connection can be cut at any moment."""

    def __init__(self, handler: Handler) -> None:
        """Answer each request with what `handler` returns."""
        self._handler = handler
        self._server = StreamServer(self._serve)
        self.port = 0

    @property
    def accepted(self) -> int:
        """TCP connections accepted so far."""
        return self._server.accepted

    async def open(self, host: str, port: int) -> None:
        """Listen. Raises OSError when the port cannot be bound."""
        self.port = await self._server.open(host, port)

    def close(self) -> None:
        """Stop listening and cut every connection but the one that calls."""
        self._server.close()

    async def wait_closed(self) -> None:
        """Wait until no task and no socket is left."""
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[0]
        number = 0
        keep_alive = True
        while keep_alive:
            number += 1
            try:
                request = await _read(reader, peer, number)
            except asyncio.IncompleteReadError:
                return  # the client closed the connection, as it may
            except (ValueError, asyncio.LimitOverrunError) as error:
                bad = Response(status=HTTPStatus.BAD_REQUEST, body=f"{error}\n".encode())
                await _write(writer, bad, keep_alive=False)
                return
            keep_alive = request.headers.get("connection", "").lower() != "close"
            response = await self._handler(request)
            if response is None:
                return
            await _write(writer, response, keep_alive=keep_alive)
            if response.hang_up or response.raw is not None or response.send_only is not None:
                return


async def _read(reader: asyncio.StreamReader, peer: str, number: int) -> Request:
    """Read one request. Raises ValueError saying what is wrong with it."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *lines = head.rstrip("\r\n").split("\r\n")
    try:
        method, path, version = request_line.split(" ")
    except ValueError:
        raise ValueError("The request line is not METHOD PATH VERSION") from None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            # Also a value folded into a second line (RFC 9112 §5.2), which routers refuse.
            raise ValueError("A header line is not NAME: VALUE")
        headers[name.lower()] = value.strip()
    if version == "HTTP/1.0":
        headers["connection"] = "close"
    if "transfer-encoding" in headers:
        raise ValueError("Bodies of requests need a Content-Length")
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= MAX_BODY:
        raise ValueError("The body is too long")
    body = await reader.readexactly(length)
    return Request(method=method, path=path, headers=headers, body=body, peer=peer, number=number)


async def _write(writer: asyncio.StreamWriter, response: Response, *, keep_alive: bool) -> None:
    if response.raw is not None:
        writer.write(response.raw)
        await writer.drain()
        return
    chunked = response.chunked or response.stream is not None
    headers = {"Content-Type": response.content_type, "Server": "Linux UPnP/1.1 VirtualRouter/1"}
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
    else:
        headers["Content-Length"] = str(len(response.body))
    if not keep_alive:
        headers["Connection"] = "close"
    headers |= response.headers
    status = HTTPStatus(response.status)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    if chunked:
        for chunk in response.stream if response.stream is not None else [response.body]:
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    else:
        writer.write(response.body[: response.send_only])
    await writer.drain()
