"""A wire tap between a client and a router: what was said, in how many connections."""

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK = 65536  # bytes


@dataclass(slots=True)
class Conversation:
    """What was said over one connection since the recording began."""

    kept: bool = False
    """Whether it was there already."""
    sent: bytearray = field(default_factory=bytearray)
    """By the client."""
    received: int = 0
    """Bytes of the router."""
    over: bool = False
    """Whether a side has hung up."""

    @property
    def requests(self) -> list[bytes]:
        """The requests, each with its body. Raises ValueError for what is not HTTP/1.1."""
        requests = []
        rest = bytes(self.sent)
        while rest:
            head, end, _ = rest.partition(b"\r\n\r\n")
            if not end:
                raise ValueError(f"half a request: {rest!r}")
            length = len(head) + len(end) + content_length(head)
            requests.append(rest[:length])
            rest = rest[length:]
        return requests


def content_length(head: bytes) -> int:
    """Return the length of the body that the head of a message announces, 0 without one."""
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


class Tap:
    """Passes everything on, as a context manager with a thread of its own.

    A client that blocks, or is another program, is heard as well as one that
    shares our event loop. Clients are slower through it: it is for counting.
    """

    def __init__(self, url: str) -> None:
        """Stand before the router with this description."""
        parts = urlsplit(url)
        self._router = (parts.hostname, parts.port)
        self._path = parts.path
        self._port = 0
        self._conversations: list[Conversation] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    @property
    def url(self) -> str:
        """The description as seen through the tap."""
        return f"http://127.0.0.1:{self._port}{self._path}"

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cut all connections."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def forget(self) -> None:
        """Let the recording begin now; the connections that stand are kept."""
        self._conversations = [c for c in self._conversations if not c.over]
        for conversation in self._conversations:
            conversation.kept = True
            conversation.sent.clear()
            conversation.received = 0

    def heard(self) -> list[Conversation]:
        """Return all connections over which something was said, oldest first."""
        return [conversation for conversation in self._conversations if conversation.sent]

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        server.abort_clients()
        await server.wait_closed()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation()
        self._conversations.append(conversation)
        router_reader, router_writer = await asyncio.open_connection(*self._router)

        async def to_the_router() -> None:
            while data := await reader.read(CHUNK):
                conversation.sent += data
                router_writer.write(data)
            conversation.over = True
            router_writer.write_eof()

        async def to_the_client() -> None:
            while data := await router_reader.read(CHUNK):
                conversation.received += len(data)
                writer.write(data)
            conversation.over = True
            writer.write_eof()

        with suppress(OSError):  # Either side may go at any time.
            await asyncio.gather(to_the_router(), to_the_client())
        writer.close()
        router_writer.close()
