"""A way into a namespace for the programs of this computer, such as a browser."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from .namespace import Namespace

LOOPBACK = "127.0.0.1"
CHUNK = 65536  # bytes


@asynccontextmanager
async def relay(
    port: int, namespace: Namespace, host: str, target_port: int
) -> AsyncIterator[None]:
    """Let 127.0.0.1:`port` lead where `host`:`target_port` leads from within the namespace.

    TCP only. Whoever comes while nothing answers there is hung up on.
    """
    serve = partial(_serve, namespace, host, target_port)
    server = await asyncio.start_server(serve, LOOPBACK, port)
    try:
        yield
    finally:
        server.close()
        server.abort_clients()
        await server.wait_closed()


async def _serve(
    namespace: Namespace,
    host: str,
    port: int,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    sock = namespace.socket(socket.SOCK_STREAM)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except OSError:
        sock.close()
        writer.transport.abort()
        return
    target_reader, target_writer = await asyncio.open_connection(sock=sock)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, target_writer))
            both.create_task(_pump(target_reader, writer))
    finally:
        target_writer.transport.abort()
        writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes, and its end."""
    # Either side may go at any time.
    with suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
