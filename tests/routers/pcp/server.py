"""A PCP and NAT-PMP server on loopback that does what a test tells it to."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import override

HOST = "127.0.0.1"
"""Ours too: the server sees our requests come from here."""
CAMERA = "127.0.0.2"

SUCCESS, UNSUPP_VERSION, NOT_AUTHORIZED, MALFORMED_OPTION = 0, 1, 2, 6
UNSUPP_OPTION, NETWORK_FAILURE, NO_RESOURCES, CANNOT_PROVIDE = 5, 7, 8, 11
ADDRESS_MISMATCH = 12
THIRD_PARTY, PREFER_FAILURE, FILTER = 1, 2, 3

_MAP = struct.Struct("!12sB3xHH16s")
_NATPMP_MAP = struct.Struct("!HHI")


def packed(address: str) -> bytes:
    if ":" in address:
        return IPv6Address(address).packed
    return bytes(10) + b"\xff\xff" + IPv4Address(address).packed


def unpacked(address: bytes) -> str:
    found = IPv6Address(address)
    return str(found.ipv4_mapped or found)


def header(opcode: int, result: int, *, lifetime: int = 0, epoch: int = 0) -> bytes:
    return struct.pack("!BBxBII12x", 2, 0x80 | opcode, result, lifetime, epoch)


def options(data: bytes) -> dict[int, list[bytes]]:
    """The options of a request, by code."""
    found: dict[int, list[bytes]] = {}
    while data:
        length = int.from_bytes(data[2:4])
        found.setdefault(data[0], []).append(data[4 : 4 + length])
        data = data[4 + length + -length % 4 :]
    return found


@dataclass
class Row:
    """A mapping that the server holds."""

    nonce: bytes
    host: str
    internal: int
    external: int
    lifetime: int
    filters: list[bytes] = field(default_factory=list)


class FakeServer(asyncio.DatagramProtocol):
    """Speaks both protocols by the book; each attribute is a way not to.

    `intercept` sees every request first; what it returns is sent in place of
    an answer, several packets in turn, and None leaves it to the server.
    """

    def __init__(self) -> None:
        self.speaks_pcp = True
        self.speaks_natpmp = True
        self.silent_on_pcp = False
        self.third_party = True
        self.knows_filter: bool | str = True
        self.knows_prefer_failure = True
        self.echoes_options = True
        self.shortest, self.longest = 1, 2**32 - 1
        self.address = "203.0.113.7"
        self.epoch = 1000
        self.ports: Iterator[int] = iter(())  # what a provider chooses
        self.error: int | None = None
        self.taken: set[int] = set()
        self.rows: dict[tuple[str, int, int], Row] = {}
        self.requests: list[bytes] = []
        self.intercept: Callable[[bytes], list[bytes] | None] = lambda _: None
        self.transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        assert self.transport
        return int(self.transport.get_extra_info("sockname")[1])

    @property
    def url(self) -> str:
        return f"{HOST}:{self.port}"

    def mapped(self) -> set[tuple[str, int, str, int]]:
        """Protocol, external port, host, internal port of all that is mapped."""
        names = {6: "tcp", 17: "udp"}
        return {
            (names[protocol], row.external, row.host, row.internal)
            for (_, protocol, _), row in self.rows.items()
        }

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self.transport = transport

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.requests.append(data)
        answers = self.intercept(data)
        if answers is None:
            answers = self.answer(data, addr[0])
        for answer in answers:
            assert self.transport
            self.transport.sendto(answer, addr)

    def answer(self, data: bytes, sender: str) -> list[bytes]:
        if data[0] == 0:
            if self.speaks_natpmp:
                return [self._natpmp(data, sender)]
            return [header(0, UNSUPP_VERSION, epoch=self.epoch)]
        if self.silent_on_pcp:
            return []
        if not self.speaks_pcp:
            return [struct.pack("!BBHI", 0, 0, 1, self.epoch)]
        if data[1] == 0:
            return [header(0, self.error or SUCCESS, epoch=self.epoch)]
        return [self._pcp_map(data, sender)]

    def refuse(self, data: bytes, result: int) -> bytes:
        return header(data[1], result, lifetime=30, epoch=self.epoch) + data[24:]

    def _pcp_map(self, data: bytes, sender: str) -> bytes:
        nonce, protocol, internal, external, _ = _MAP.unpack_from(data, 24)
        lifetime, asked = int.from_bytes(data[4:8]), options(data[60:])
        filters = asked.get(FILTER, []) if self.knows_filter is True else []
        if error := self.error or self._wrong_with(data, sender, asked, filters):
            return self.refuse(data, error)
        host = unpacked(asked[THIRD_PARTY][0]) if THIRD_PARTY in asked else sender
        if THIRD_PARTY in asked and not self.echoes_options:
            host = sender
        key = (host, protocol, internal)
        row = self.rows.get(key)
        if row and row.nonce != nonce:
            return self.refuse(data, NOT_AUTHORIZED)
        if not lifetime:
            self.rows.pop(key, None)
        else:
            wished = row.external if row else next(self.ports, external or internal)
            if not row and wished in self.taken:
                if PREFER_FAILURE in asked:
                    return self.refuse(data, CANNOT_PROVIDE)
                wished += 1
            external = wished
            lifetime = min(max(lifetime, self.shortest), self.longest)
            self.rows[key] = Row(nonce, host, internal, external, lifetime, filters)
        reply = header(1, SUCCESS, lifetime=lifetime, epoch=self.epoch)
        address = packed(self.address) if lifetime else bytes(16)
        body = _MAP.pack(nonce, protocol, internal, external, address)
        return reply + body + (data[60:] if self.echoes_options else b"")

    def _wrong_with(
        self, data: bytes, sender: str, asked: dict[int, list[bytes]], filters: list[bytes]
    ) -> int:
        if unpacked(data[8:24]) != sender:
            return ADDRESS_MISMATCH
        known = {
            THIRD_PARTY: self.third_party,
            FILTER: self.knows_filter,
            PREFER_FAILURE: self.knows_prefer_failure,
        }
        if not all(known.get(code) for code in asked):
            return UNSUPP_OPTION
        without_a_lifetime = filters and not any(data[4:8])
        if without_a_lifetime or any(one[1] > 128 for one in filters):
            return MALFORMED_OPTION
        return SUCCESS

    def _natpmp(self, data: bytes, sender: str) -> bytes:
        opcode, result = data[1], self.error or SUCCESS
        start = struct.pack("!BBHI", 0, 0x80 | opcode, result, self.epoch)
        if opcode == 0:
            return start + IPv4Address(self.address).packed
        internal, external, lifetime = _NATPMP_MAP.unpack_from(data, 4)
        key = (sender, {1: 17, 2: 6}[opcode], internal)
        row = self.rows.get(key)
        if result or not lifetime:
            if not result:
                self.rows.pop(key, None)
            return start + _NATPMP_MAP.pack(internal, 0, 0)
        external = row.external if row else next(self.ports, external or internal)
        while not row and external in self.taken:
            external += 1
        lifetime = min(max(lifetime, self.shortest), self.longest)
        self.rows[key] = Row(b"", sender, internal, external, lifetime)
        return start + _NATPMP_MAP.pack(internal, external, lifetime)


@asynccontextmanager
async def fake_server() -> AsyncIterator[FakeServer]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        FakeServer, local_addr=(HOST, 0)
    )
    try:
        yield server
    finally:
        transport.close()
