"""A service that tells who asks, or something worse."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


def plain(body: str | bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer of HTTP."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join((*lines, "", "")).encode() + body


def redirect(to: str) -> bytes:
    """Return an answer that leads elsewhere."""
    return plain("", "302 Found", f"Location: {to}")


@dataclass(kw_only=True, slots=True)
class CheckServer:
    """What it answers to which path, and what it was asked."""

    url: str
    answer: bytes | Callable[[str], bytes]
    """All of the answer; it may end in the middle."""
    hangs: bool = False
    """Whether it never ends its answer."""
    asked: list[str] = field(default_factory=list)
    """The path of each request."""


@asynccontextmanager
async def check_server(
    answer: bytes | Callable[[str], bytes], host: str = "127.0.0.1"
) -> AsyncIterator[CheckServer]:
    """Run one on a free port."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        running.asked.append(path)
        writer.write(running.answer(path) if callable(running.answer) else running.answer)
        if running.hangs:
            await over.wait()
        writer.close()

    async with await asyncio.start_server(serve, host, 0) as server:
        port = server.sockets[0].getsockname()[1]
        running = CheckServer(url=f"http://{host}:{port}/", answer=answer)
        yield running
        over.set()
