"""PCP and NAT-PMP in time: the epoch, announcements, restarts; and what may go wrong by UDP."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from typing import override

import pytest

from lab.virtual_router import ANNOUNCE_GROUP, Pcp, Quirk, UdpFault, VirtualRouter, free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import talk
from tests.lab.pcp_client import ANY, PcpClient, pcp_client, v4

ANNOUNCE = bytes.fromhex("0200 0000 00000000") + v4("127.0.0.1")
ADDRESS = bytes(2)


@pytest.fixture
async def router() -> AsyncIterator[VirtualRouter]:
    async with VirtualRouter(upnp=False, pcp=Pcp()) as router:
        yield router


@pytest.fixture
async def client(router: VirtualRouter) -> AsyncIterator[PcpClient]:
    async with pcp_client(router) as client:
        yield client


async def epochs(client: PcpClient) -> tuple[int, int]:
    by_pcp, by_natpmp = await client.ask(ANNOUNCE), await client.ask(ADDRESS)
    return int.from_bytes(by_pcp[8:12]), int.from_bytes(by_natpmp[4:8])


async def test_restart_forgets_and_counts_from_zero(
    router: VirtualRouter, client: PcpClient, inside: Inside
) -> None:
    port = free_port()
    await client.map(inside.port, external_port=port)
    router.age(5000)
    assert await epochs(client) == (5000, 5000)
    assert router.epoch == 5000
    await router.restart()
    assert await epochs(client) == (0, 0)
    assert router.mappings == ()
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")


async def test_away_and_back_on_the_same_port(router: VirtualRouter, client: PcpClient) -> None:
    router.age(5000)
    port = router.pcp_port
    await router.stop()
    assert not router.running
    client.send(ADDRESS)
    await router.start()
    assert router.running
    assert router.pcp_port == port
    assert await epochs(client) == (0, 0)
    assert client.arrived.empty()


async def test_q49_epoch_and_address(router: VirtualRouter, client: PcpClient) -> None:
    await client.map(8080, external_port=free_port())
    router.age(5000)
    await router.reconnect_wan(new_address="198.51.100.1")
    assert await epochs(client) == (0, 0)
    router.quirks.add(Quirk.Q49)
    router.age(5000)
    await router.reconnect_wan(new_address="198.51.100.2")
    assert await epochs(client) == (5000, 5000)
    assert (await client.map(8080)).address == "198.51.100.2"
    assert (await client.ask(ADDRESS))[8:] == bytes([198, 51, 100, 2])


class Listener(asyncio.DatagramProtocol):
    """A host of the home that hears announcements."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.put_nowait((data, addr))


async def test_announcements() -> None:
    transport, listener = await asyncio.get_running_loop().create_datagram_endpoint(
        Listener, local_addr=("127.0.0.1", 0)
    )
    target = transport.get_extra_info("sockname")
    async with (
        asyncio.timeout(60),
        VirtualRouter(upnp=False, pcp=Pcp(announce_to=target)) as router,
    ):

        async def hear_both(octet: int) -> None:
            sender = ("127.0.0.1", router.pcp_port)
            pcp = bytes.fromhex("0280 0000 00000000 00000000") + bytes(12)
            assert await listener.heard.get() == (pcp, sender)
            natpmp = bytes.fromhex("0080 0000 00000000") + bytes([203, 0, 113, octet])
            assert await listener.heard.get() == (natpmp, sender)

        await hear_both(7)
        await hear_both(7)  # again, for a packet may be lost
        router.age(100)
        await router.restart()
        await hear_both(7)
        router.age(100)
        await router.reconnect_wan(new_address="203.0.113.8")
        await hear_both(8)
        await router.reconnect_wan(new_address="203.0.113.8")
    transport.close()
    assert listener.heard.empty()


async def test_announcements_by_multicast() -> None:
    group, interface = ANNOUNCE_GROUP[0], socket.inet_aton("127.0.0.1")
    # Of any port but the right one, on which other programs of this machine may listen.
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)  # noqa: FBT003  the standard library's own
    sock.bind((group, 0))
    sock.setsockopt(
        socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + interface
    )
    target = sock.getsockname()
    transport, listener = await asyncio.get_running_loop().create_datagram_endpoint(
        Listener, sock=sock
    )
    async with (
        asyncio.timeout(60),
        VirtualRouter(upnp=False, pcp=Pcp(announce_to=target)) as router,
    ):
        sender = ("127.0.0.1", router.pcp_port)
        assert await listener.heard.get() == (bytes.fromhex("0280") + bytes(22), sender)
    transport.close()


async def test_nonsense_is_survived(caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(6887)  # noqa: S311  the same nonsense every time
    valid = [map_request(), ANNOUNCE, ADDRESS, bytes.fromhex("0002 0000 1f90 0000 00001c20")]
    async with (
        # On an address of its own: who knows which ports it is asked for.
        VirtualRouter(upnp=False, pcp=Pcp(third_party=True), wan_host="127.0.0.3") as router,
        pcp_client(router) as client,
        pcp_client(router, "127.0.0.2") as sane,
    ):
        for _ in range(1000):
            packet = bytearray(chance.choice(valid) + chance.randbytes(chance.choice((0, 4, 24))))
            for _ in range(chance.randrange(4)):
                packet[chance.randrange(len(packet))] = chance.randrange(256)
            client.send(bytes(packet[: chance.choice((2, 12, 24, 60, 1200))]))
            await asyncio.sleep(0)
        assert (await sane.map(8080, lifetime=60)).result == 0
        assert not client.arrived.empty()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (UdpFault.SHORT, "0281 0000 00000e10 00000000 00000000 00000000 00000000 747765 6c7665"),
        (UdpFault.UNKNOWN_RESULT, "0281 0063 00000e10 00000000"),
        (UdpFault.NO_LIFETIME, "0281 0000 00000000 00000000"),
        (UdpFault.ENDLESS_LIFETIME, "0281 0000 ffffffff 00000000"),
        (UdpFault.EPOCH_AHEAD, "0281 0000 00000e10 000f4240"),
        (UdpFault.OTHER_OPCODE, "0280 0000 00000e10 00000000"),
        (
            UdpFault.OTHER_NONCE,
            "0281 0000 00000e10 00000000 00000000 00000000 00000000 7477656c7665206279746572",
        ),
        (
            UdpFault.OTHER_REQUEST,
            "0281000000000e1000000000000000000000000000000000 7477656c7665206279746573060000001f91",
        ),
    ],
)
async def test_damaged_replies(
    router: VirtualRouter, client: PcpClient, fault: UdpFault, expected: str
) -> None:
    router.fault(fault, action="PCP MAP")
    reply = await client.ask(map_request())
    assert reply.startswith(bytes.fromhex(expected))
    if fault is UdpFault.SHORT:
        assert len(reply) == 30
    # It was done all the same, and the next reply is right.
    assert len(router.mappings) == 1
    assert (await client.ask(map_request())).startswith(bytes.fromhex("0281 0000 00000e10"))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (UdpFault.UNKNOWN_RESULT, "0082 0063 00000000 1f90"),
        (UdpFault.NO_LIFETIME, "0082 0000 00000000 1f90 {port} 00000000"),
        (UdpFault.ENDLESS_LIFETIME, "0082 0000 00000000 1f90 {port} ffffffff"),
        (UdpFault.EPOCH_AHEAD, "0082 0000 000f4240 1f90"),
        (UdpFault.OTHER_OPCODE, "0083 0000 00000000 1f90"),
        (UdpFault.OTHER_REQUEST, "0082 0000 00000000 1f91 {port} 00001c20"),
        (UdpFault.OTHER_NONCE, "0082 0000 00000000 1f90 {port} 00001c20"),
    ],
)
async def test_damaged_replies_of_natpmp(
    router: VirtualRouter, client: PcpClient, fault: UdpFault, expected: str
) -> None:
    port = f"{free_port():04x}"
    router.fault(fault, action="NAT-PMP MAP TCP")
    reply = await client.ask(bytes.fromhex(f"0002 0000 1f90 {port} 00001c20"))
    assert reply.startswith(bytes.fromhex(expected.format(port=port)))


async def test_epoch_back(router: VirtualRouter, client: PcpClient) -> None:
    router.age(5000)
    router.fault(UdpFault.EPOCH_BACK, times=2)
    assert await epochs(client) == (0, 0)
    assert await epochs(client) == (5000, 5000)


async def test_long(router: VirtualRouter, client: PcpClient) -> None:
    router.fault(UdpFault.LONG)
    assert len(await client.ask(ANNOUNCE)) == 1104


async def test_lost_requests_and_replies(router: VirtualRouter, client: PcpClient) -> None:
    router.fault(UdpFault.DROP_REQUEST, times=2)
    client.send(map_request())
    client.send(map_request())
    await client.ask(ADDRESS)
    assert router.mappings == ()
    router.fault(UdpFault.DROP_REPLY, action="PCP MAP")
    client.send(map_request())
    await client.ask(ADDRESS)
    assert len(router.mappings) == 1
    assert router.requests == {"PCP MAP": 3, "NAT-PMP ADDRESS": 2}
    assert client.arrived.empty()


async def test_twice(router: VirtualRouter, client: PcpClient) -> None:
    router.fault(UdpFault.TWICE)
    assert await client.ask(ADDRESS) == await client.receive()


async def test_late(router: VirtualRouter, client: PcpClient) -> None:
    router.fault(UdpFault.LATE, delay=0.1)
    client.send(ANNOUNCE)
    client.send(ADDRESS)
    # The one that was asked for later comes first.
    assert (await client.receive())[0] == 0
    assert (await client.receive())[0] == 2


async def test_from_elsewhere(router: VirtualRouter, client: PcpClient) -> None:
    router.fault(UdpFault.ELSEWHERE)
    client.send(ADDRESS)
    async with asyncio.timeout(60):
        data, sender = await client.arrived.get()
    assert data[:4] == bytes.fromhex("0080 0000")
    assert sender == ("127.0.0.77", router.pcp_port)


async def test_faults_until_cleared(router: VirtualRouter, client: PcpClient) -> None:
    router.fault(UdpFault.DROP_REPLY, times=None)
    for _ in range(3):
        client.send(ADDRESS)
    router.clear_faults()
    await client.ask(ANNOUNCE)
    await client.ask(ADDRESS)
    assert client.arrived.empty()


async def test_stop_in_the_middle(router: VirtualRouter, client: PcpClient) -> None:
    """Every task ends; the test would fail on one that lingers."""
    router.fault(UdpFault.LATE, delay=60)
    client.send(ANNOUNCE)
    await client.ask(ADDRESS)
    await router.stop()


async def test_no_pcp_and_port_taken(router: VirtualRouter) -> None:
    without = VirtualRouter()
    with pytest.raises(RuntimeError, match="does not speak PCP"):
        without.fault(UdpFault.TWICE)
    second = VirtualRouter(pcp=Pcp(), pcp_port=router.pcp_port)
    with pytest.raises(OSError, match="in use"):
        await second.start()
    assert not second.running


def map_request() -> bytes:
    """TCP 8080 for an hour, with NONCE."""
    return (
        bytes.fromhex("0201 0000 00000e10")
        + v4("127.0.0.1")
        + b"twelve bytes"
        + bytes.fromhex("06000000 1f90 0000")
        + ANY
    )
