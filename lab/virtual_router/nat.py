"""The router's NAT: listens on an external port and relays to the internal host."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import override

from .mapping import Key, VirtualMapping
from .streams import StreamServer, reset

# The mapping that a packet from this source address falls under, if any.
type Match = Callable[[str], VirtualMapping | None]

CONNECT_TIMEOUT = 10.0  # seconds
UDP_IDLE = 30.0  # seconds; Linux' nf_conntrack_udp_timeout
MAX_UDP_CLIENTS = 256
CHUNK = 65536  # bytes; also the most that a UDP packet can hold


class TcpRelay:
    """One external TCP port."""

    def __init__(self, match: Match) -> None:
        """Relay each connection as `match` says for its source."""
        self._match = match
        self._server = StreamServer(self._serve)
        self._relays: dict[asyncio.Task[None], Key] = {}

    async def open(self, host: str, port: int) -> None:
        """Listen. Raises OSError when the port cannot be bound."""
        await self._server.open(host, port)

    def drop(self, key: Key) -> None:
        """End what is relayed for this mapping."""
        for task, relayed in self._relays.items():
            if relayed == key:
                task.cancel()

    def close(self) -> None:
        """Stop listening and end every relay."""
        self._server.close()

    async def wait_closed(self) -> None:
        """Wait until no task and no socket is left."""
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source, port, *_ = writer.get_extra_info("peername")
        mapping = self._match(source)
        if mapping is None or not mapping.lets(source, port):
            reset(writer)
            return
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine of StreamServer always runs in one
        self._relays[task] = mapping.key
        try:
            await self._relay(reader, writer, mapping)
        finally:
            del self._relays[task]

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        mapping: VirtualMapping,
    ) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            inner_reader, inner_writer = await asyncio.open_connection(
                mapping.internal_host, mapping.internal_port
            )
        ended_well = False
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(reader, inner_writer))
                pumps.create_task(_pump(inner_reader, writer))
            ended_well = True
        except* OSError:
            reset(writer)  # one side hung up rudely, so we pass that on
        finally:
            if ended_well:
                inner_writer.close()
            else:
                reset(inner_writer)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    # Half closed: the other direction may still have much to say.
    writer.write_eof()


class UdpRelay(asyncio.DatagramProtocol):
    """One external UDP port, with one socket to the inside per client."""

    def __init__(self, match: Match, idle: float = UDP_IDLE) -> None:
        """Relay each packet as `match` says for its source; forget a client after `idle` s."""
        self._match = match
        self._idle = idle
        self._transport: asyncio.DatagramTransport | None = None
        self._clients: dict[tuple[str, int], _UdpClient] = {}

    async def open(self, host: str, port: int) -> None:
        """Listen. Raises OSError when the port cannot be bound."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(host, port)
        )

    def drop(self, key: Key) -> None:
        """End what is relayed for this mapping."""
        for client in [client for client in self._clients.values() if client.key == key]:
            client.close()

    def close(self) -> None:
        """Stop listening and end every relay."""
        if self._transport is not None:
            self._transport.abort()
        for client in list(self._clients.values()):
            client.close()

    async def wait_closed(self) -> None:
        """Let the transport close its socket."""
        await asyncio.sleep(0)

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        mapping = self._match(addr[0])
        if mapping is None or not mapping.lets(*addr):
            return
        # UDP promises nothing: a full buffer, a closed inside port or a host that
        # this machine has no way to loses the packet.
        with suppress(OSError):
            client = self._clients.get(addr)
            if client is None:
                if len(self._clients) >= MAX_UDP_CLIENTS:
                    return
                client = _UdpClient(mapping, self._idle, self._replier(addr), self._forgetter(addr))
                self._clients[addr] = client
            client.send(data)

    def _replier(self, addr: tuple[str, int]) -> Callable[[bytes], None]:
        def reply(data: bytes) -> None:
            if self._transport is not None and not self._transport.is_closing():
                self._transport.sendto(data, addr)

        return reply

    def _forgetter(self, addr: tuple[str, int]) -> Callable[[], None]:
        def forget() -> None:
            self._clients.pop(addr, None)

        return forget


class _UdpClient:
    """The inside socket of one outside client."""

    def __init__(
        self,
        mapping: VirtualMapping,
        idle: float,
        reply: Callable[[bytes], None],
        forget: Callable[[], None],
    ) -> None:
        self.key = mapping.key
        self._idle = idle
        self._reply = reply
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003  the standard library's own
        try:
            self._socket.connect((mapping.internal_host, mapping.internal_port))
        except OSError:
            self._socket.close()
            raise
        self._loop.add_reader(self._socket, self._readable)
        self._timer = self._loop.call_later(idle, self.close)

    def send(self, data: bytes) -> None:
        self._touch()
        self._socket.send(data)

    def close(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._forget()

    def _readable(self) -> None:
        try:
            data = self._socket.recv(CHUNK)
        except OSError:
            # Such as "refused", the inside host's ICMP answer to an earlier packet.
            return
        self._touch()
        self._reply(data)

    def _touch(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(self._idle, self.close)
