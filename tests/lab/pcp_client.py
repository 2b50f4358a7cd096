"""A client of PCP and NAT-PMP whose packets are written out by hand, to be sure of the wire."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import override

from lab.virtual_router import VirtualRouter

NONCE = b"twelve bytes"
TCP, UDP = 6, 17


def v4(address: str) -> bytes:
    """An IPv4 address as PCP writes it."""
    return bytes.fromhex("00000000 00000000 0000ffff") + socket.inet_aton(address)


ANY = v4("0.0.0.0")  # noqa: S104  the wildcard, nothing is bound


@dataclass(slots=True, kw_only=True)
class PcpClient(asyncio.DatagramProtocol):
    """A host of the home with one UDP socket."""

    host: str
    server: tuple[str, int]
    arrived: asyncio.Queue[tuple[bytes, tuple[str, int]]] = field(default_factory=asyncio.Queue)
    transport: asyncio.DatagramTransport | None = None

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.arrived.put_nowait((data, addr))

    def send(self, data: bytes) -> None:
        assert self.transport
        self.transport.sendto(data, self.server)

    async def receive(self) -> bytes:
        async with asyncio.timeout(5):
            data, sender = await self.arrived.get()
        assert sender == self.server
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
        request = struct.pack("!BBHI", 2, 1, 0, lifetime) + v4(self.host) + nonce
        request += struct.pack("!BxxxHH", protocol, internal_port, external_port) + external
        reply = await self.ask(request + options)
        assert reply[:3] == bytes.fromhex("02 81 00")
        result, granted, _ = struct.unpack("!BII", reply[3:12])
        assert reply[12:24] == bytes(12)
        assert reply[24:36] == nonce
        assert struct.unpack("!BxxxH", reply[36:42]) == (protocol, internal_port)
        assert reply[44:56] == bytes.fromhex("00000000 00000000 0000ffff")
        return Mapped(
            result=result,
            lifetime=granted,
            port=int.from_bytes(reply[42:44]),
            address=str(IPv4Address(reply[56:60])),
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
    return bytes.fromhex("0100 0010") + v4(host)


def allowing(address: str, length: int, port: int = 0) -> bytes:
    """A FILTER option for an IPv4 prefix of so many bits."""
    return bytes.fromhex("0300 0014 00") + struct.pack("!BH", 96 + length, port) + v4(address)


PREFER_FAILURE = bytes.fromhex("0200 0000")
NO_FILTER = bytes.fromhex("0300 0014 00 00 0000") + bytes(16)


@asynccontextmanager
async def pcp_client(
    router: VirtualRouter, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[PcpClient]:
    client = PcpClient(host=host, server=(router.lan_host, router.pcp_port))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: client, local_addr=(host, port)
    )
    client.transport = transport
    yield client
    transport.abort()
    await asyncio.sleep(0)
