"""TCP listeners whose connections can be ended at any moment, leaving nothing behind."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

type Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

# More connections than this at once are reset: a test gone wild shall not eat the machine.
MAX_CONNECTIONS = 512


class StreamServer:
    """A listener that owns one task per connection."""

    def __init__(self, serve: Serve) -> None:
        """Serve each connection with `serve`; it is closed when that returns."""
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.accepted = 0

    async def open(self, host: str, port: int) -> int:
        """Listen, and return the port. Raises OSError when it cannot be bound."""
        self._server = await asyncio.start_server(self._connected, host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def close(self) -> None:
        """Stop listening and end every connection but the one that calls."""
        self._closed = True
        if self._server is not None:
            self._server.close()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    async def wait_closed(self) -> None:
        """Wait until no task and no socket is left."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._server is not None:
            self._server.abort_clients()
            await self._server.wait_closed()

    # A plain function, not a coroutine: asyncio would keep the task to itself,
    # and one that has not begun yet could not be cancelled.
    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._closed or len(self._tasks) >= MAX_CONNECTIONS:
            reset(writer)
            return
        task = asyncio.get_running_loop().create_task(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task cancelled before its first step never reaches its own clean-up.
        task.add_done_callback(lambda _: writer.close())

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except OSError:
            # The other side hung up, which is how many a TCP connection ends.
            reset(writer)
        except asyncio.CancelledError:
            reset(writer)
            raise


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a firewall's reject does: nobody is here."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() != -1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
