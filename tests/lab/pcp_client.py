"""A client of PCP and NAT-PMP whose packets are written out by hand, to be sure of the wire."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import override

from lab.virtual_router import VirtualRouter

NONCE = b"twelve bytes"
TCP, UDP = 6, 17


def v4(host: str) -> bytes:
    """An IPv4 address as PCP writes it."""
    return bytes.fromhex("00000000 00000000 0000ffff") + socket.inet_aton(host)


def address(host: str) -> bytes:
    """An address of either kind as PCP writes it."""
    return socket.inet_pton(socket.AF_INET6, host) if ":" in host else v4(host)


def shown(packed: bytes) -> str:
    if packed.startswith(ANY[:12]):
        return socket.inet_ntoa(packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


ANY = v4("0.0.0.0")  # noqa: S104  the wildcard, nothing is bound


@dataclass(slots=True, kw_only=True)
class PcpClient(asyncio.DatagramProtocol):
    """A host of the home with one UDP socket."""

    host: str
    server: tuple[str, int]
    """Where its packets go, and where alone answers may come from."""
    arrived: asyncio.Queue[tuple[bytes, tuple[str | int, ...]]] = field(
        default_factory=asyncio.Queue
    )
    transport: asyncio.DatagramTransport | None = None

    @override
    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        self.arrived.put_nowait((data, addr))

    def send(self, data: bytes) -> None:
        assert self.transport
        self.transport.sendto(data, self.server)

    async def receive(self) -> bytes:
        async with asyncio.timeout(60):
            data, sender = await self.arrived.get()
        assert sender[:2] == self.server
        return data

    async def ask(self, data: bytes) -> bytes:
        self.send(data)
        return await self.receive()

    async def silence(self, data: bytes) -> None:
        """Send what is not to be answered: the answer to the next packet comes first."""
        self.send(data)
        self.send(bytes.fromhex("0203 0000 0000 0000") + bytes(16))
        assert (await self.receive())[:4] == bytes.fromhex("0283 0004")

    async def map(
        self,
        internal_port: int,
        *,
        external_port: int = 0,
        lifetime: int = 3600,
        nonce: bytes = NONCE,
        protocol: int = TCP,
        external: bytes = ANY,
        options: bytes = b"",
    ) -> Mapped:
        """Send a MAP request and read its reply."""
        request = struct.pack("!BBHI", 2, 1, 0, lifetime) + address(self.host) + nonce
        request += struct.pack("!BxxxHH", protocol, internal_port, external_port) + external
        reply = await self.ask(request + options)
        assert reply[:3] == bytes.fromhex("02 81 00")
        result, granted, _ = struct.unpack("!BII", reply[3:12])
        assert reply[12:24] == bytes(12)
        assert reply[24:36] == nonce
        assert struct.unpack("!BxxxH", reply[36:42]) == (protocol, internal_port)
        return Mapped(
            result=result,
            lifetime=granted,
            port=int.from_bytes(reply[42:44]),
            address=shown(reply[44:60]),
            options=reply[60:],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    result: int
    lifetime: int
    port: int
    address: str
    options: bytes


def third_party(host: str) -> bytes:
    return bytes.fromhex("0100 0010") + address(host)


def allowing(host: str, length: int, port: int = 0) -> bytes:
    """A FILTER option for a prefix of so many bits."""
    bits = length if ":" in host else 96 + length
    return bytes.fromhex("0300 0014 00") + struct.pack("!BH", bits, port) + address(host)


PREFER_FAILURE = bytes.fromhex("0200 0000")
NO_FILTER = bytes.fromhex("0300 0014 00 00 0000") + bytes(16)


@asynccontextmanager
async def pcp_client(
    router: VirtualRouter, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[PcpClient]:
    lan_host = host if ":" in host else router.lan_host
    client = PcpClient(host=host, server=(lan_host, router.pcp_port))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: client, local_addr=(host, port)
    )
    client.transport = transport
    yield client
    transport.abort()
    await asyncio.sleep(0)
