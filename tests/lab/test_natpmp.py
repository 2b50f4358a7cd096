"""NAT-PMP as RFC 6886 has it, as a VPN provider has it, and which of both protocols is spoken."""

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

import pytest

from lab.virtual_router import Pcp, Quirk, VirtualRouter, free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import talk
from tests.lab.pcp_client import PcpClient, pcp_client, v4
from tests.lab.test_nat import ask

UDP, TCP = 1, 2


@pytest.fixture
async def router() -> AsyncIterator[VirtualRouter]:
    async with VirtualRouter(upnp=False, pcp=Pcp(speaks="natpmp")) as router:
        yield router


@pytest.fixture
async def client(router: VirtualRouter) -> AsyncIterator[PcpClient]:
    async with pcp_client(router) as client:
        yield client


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    result: int
    port: int
    lifetime: int


async def map_port(
    client: PcpClient,
    internal_port: int,
    external_port: int = 0,
    *,
    opcode: int = TCP,
    lifetime: int = 7200,
) -> Mapped:
    request = struct.pack("!BBHHHI", 0, opcode, 0, internal_port, external_port, lifetime)
    reply = await client.ask(request)
    assert len(reply) == 16
    version, answered, result, _, inner, port, granted = struct.unpack("!BBHIHHI", reply)
    assert (version, answered, inner) == (0, 128 + opcode, internal_port)
    return Mapped(result=result, port=port, lifetime=granted)


async def test_external_address(router: VirtualRouter, client: PcpClient) -> None:
    router.age(0xABCDE)
    reply = await client.ask(bytes.fromhex("0000"))
    assert reply == bytes.fromhex("0080 0000 000abcde") + bytes([203, 0, 113, 7])
    router.quirks.add(Quirk.Q14)
    assert await client.ask(b"\0\0") == bytes.fromhex("0080 0003 000abcde 00000000")
    assert router.requests == {"NAT-PMP ADDRESS": 2}


async def test_map_and_delete(router: VirtualRouter, client: PcpClient, inside: Inside) -> None:
    port = free_port()
    granted = Mapped(result=0, port=port, lifetime=7200)
    assert await map_port(client, inside.port, port) == granted
    assert await map_port(client, inside.port, port, opcode=UDP) == granted
    assert await talk(port, b"hello") == b"HELLO"
    assert await ask(port, b"hello") == b"HELLO"
    assert [row.description for row in router.mappings] == [
        f"NAT-PMP {port} tcp",
        f"NAT-PMP {port} udp",
    ]
    deleted = Mapped(result=0, port=0, lifetime=0)
    assert await map_port(client, inside.port, lifetime=0) == deleted
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")
    assert await ask(port, b"hello") == b"HELLO"
    assert await map_port(client, inside.port, lifetime=0) == deleted
    assert router.requests == {"NAT-PMP MAP TCP": 3, "NAT-PMP MAP UDP": 1}


async def test_delete_all_of_one_protocol(router: VirtualRouter, client: PcpClient) -> None:
    for internal_port in (8080, 8081):
        for opcode in (TCP, UDP):
            await map_port(client, internal_port, free_port(), opcode=opcode)
    async with pcp_client(router, "127.0.0.2") as other:
        await map_port(other, 8080, free_port())
    assert (await map_port(client, 0, lifetime=0)).result == 0
    left = [(row.protocol, row.internal_host) for row in router.mappings]
    assert left == [("UDP", "127.0.0.1"), ("UDP", "127.0.0.1"), ("TCP", "127.0.0.2")]


async def test_taken_port_gives_another_and_renewal_keeps_it(
    router: VirtualRouter, client: PcpClient
) -> None:
    port = free_port()
    async with pcp_client(router, "127.0.0.2") as other:
        await map_port(other, 8080, port)
    mapped = await map_port(client, 8080, port)
    assert mapped.port != port
    renewed = await map_port(client, 8080, port, lifetime=60)
    assert renewed == Mapped(result=0, port=mapped.port, lifetime=60)


@pytest.mark.parametrize(
    ("request_hex", "reply_hex"),
    [
        ("0003", "0083 0005 {epoch}"),
        ("0055 1234 01020304 0506", "00d5 0005 {epoch} 0506"),
        ("0101", "0000 0001 {epoch}"),
        ("0200 0000 00000000 {client}", "0000 0001 {epoch}"),
    ],
)
async def test_what_is_not_understood(
    router: VirtualRouter, client: PcpClient, request_hex: str, reply_hex: str
) -> None:
    router.age(0x10203)
    request = bytes.fromhex(request_hex.format(client=v4("127.0.0.1").hex()))
    expected = bytes.fromhex(reply_hex.format(epoch="00010203"))
    assert (await client.ask(request)).hex() == expected.hex()


@pytest.mark.parametrize("packet", [b"", b"\0", b"\0\x80", b"\0\x01", b"\0\x02" + bytes(9)])
async def test_not_answered(client: PcpClient, packet: bytes) -> None:
    client.send(packet)
    assert (await client.ask(b"\0\0"))[:2] == b"\0\x80"


async def test_refused() -> None:
    async with (
        VirtualRouter(upnp=False, pcp=Pcp(), table_size=1, quirks={Quirk.Q12}) as router,
        pcp_client(router) as client,
    ):
        assert (await map_port(client, 80, free_port())).result == 2
        assert (await map_port(client, 0, free_port())).result == 2
        assert (await map_port(client, 8080, free_port())).result == 0
        assert (await map_port(client, 8081, free_port())).result == 4
        router.quirks.add(Quirk.Q14_PRIVATE)
        assert (await map_port(client, 8080)).result == 3


@pytest.mark.parametrize(
    ("speaks", "to_version_2", "to_version_0"),
    [
        ("both", "02 80 00 00", "00 80 00 00"),
        ("pcp", "02 80 00 00", "02 80 00 01"),
        ("natpmp", "00 00 00 01", "00 80 00 00"),
        ("nothing", None, None),
    ],
)
async def test_who_speaks_what(
    speaks: Literal["both", "pcp", "natpmp", "nothing"],
    to_version_2: str | None,
    to_version_0: str | None,
) -> None:
    async with (
        VirtualRouter(upnp=False, pcp=Pcp(speaks=speaks)) as router,
        pcp_client(router) as client,
    ):
        requests = (bytes.fromhex("0200 0000 00000000") + v4("127.0.0.1"), bytes(2))
        for request, expected in zip(requests, (to_version_2, to_version_0), strict=True):
            if expected is None:
                client.send(request)
            else:
                assert (await client.ask(request))[:4] == bytes.fromhex(expected)
        async with asyncio.timeout(60):
            while router.requests.total() < len(requests):  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0)
        if speaks == "nothing":
            await asyncio.sleep(0.05)
            assert client.arrived.empty()
        assert router.requests == {"PCP ANNOUNCE": 1, "NAT-PMP ADDRESS": 1}


async def test_vpn_provider(inside: Inside) -> None:
    async with (
        VirtualRouter(upnp=False, pcp=Pcp(provider=True)) as router,
        pcp_client(router) as client,
    ):
        version_2 = bytes.fromhex("0200 0000 00000000") + v4("127.0.0.1")
        assert (await client.ask(version_2))[:4] == bytes.fromhex("0000 0001")
        asked = free_port()
        tcp = await map_port(client, inside.port, asked, lifetime=3600)
        udp = await map_port(client, inside.port, asked, opcode=UDP, lifetime=1)
        assert tcp.port != asked
        assert tcp == udp == Mapped(result=0, port=tcp.port, lifetime=60)
        assert await talk(tcp.port, b"hello") == b"HELLO"

        await router.change_external_ports()
        with pytest.raises(ConnectionRefusedError):
            await talk(tcp.port, b"hello")
        renewed = await map_port(client, inside.port, tcp.port)
        assert renewed.port != tcp.port
        assert (await map_port(client, inside.port, opcode=UDP)).port == renewed.port
        assert await talk(renewed.port, b"hello") == b"HELLO"
        assert await ask(renewed.port, b"hello") == b"HELLO"
        assert len(router.mappings) == 2
