"""The NAT really relays, to whom it should, for as long as it should."""

import asyncio
import socket
from typing import override

import pytest

from lab.virtual_router import VirtualMapping, VirtualRouter, free_port
from lab.virtual_router.nat import UdpRelay
from tests.lab.conftest import Inside
from tests.lab.control_point import ControlPoint, talk


async def test_tcp_is_relayed_while_mapped(igd: ControlPoint, inside: Inside) -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")
    await igd.add(port, InternalPort=inside.port)
    assert await talk(port, b"hello") == b"HELLO"
    assert await talk(port, b"x" * 300_000) == b"X" * 300_000
    await igd.delete(port)
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")


async def test_delete_cuts_connections(igd: ControlPoint, inside: Inside) -> None:
    port = free_port()
    await igd.add(port, InternalPort=inside.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"HELLO"
    await igd.delete(port)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    await inside.hung_up.wait()
    writer.close()


async def test_a_client_that_resets_ends_the_inner_connection(
    igd: ControlPoint, inside: Inside
) -> None:
    port = free_port()
    await igd.add(port, InternalPort=inside.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    await reader.readexactly(5)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" * 2)
    writer.transport.abort()
    async with asyncio.timeout(60):
        await inside.hung_up.wait()


async def test_renewal_keeps_connections_and_a_new_target_cuts_them(
    igd: ControlPoint, inside: Inside
) -> None:
    port = free_port()
    await igd.add(port, InternalPort=inside.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await igd.add(port, InternalPort=inside.port, LeaseDuration=60)
    writer.write(b"still")
    assert await reader.readexactly(5) == b"STILL"
    await igd.add(port, InternalPort=free_port())
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_nobody_inside_resets(igd: ControlPoint) -> None:
    port = free_port()
    await igd.add(port, InternalPort=free_port())
    with pytest.raises(ConnectionResetError):
        await talk(port, b"hello")


async def test_only_the_allowed_source_gets_through(igd: ControlPoint, inside: Inside) -> None:
    port = free_port()
    await igd.add(port, InternalPort=inside.port, RemoteHost="127.0.0.2")
    assert await talk(port, b"hello", source="127.0.0.2") == b"HELLO"
    with pytest.raises(ConnectionResetError):
        await talk(port, b"hello", source="127.0.0.3")
    assert inside.heard == [b"hello"]


async def test_the_mapping_for_the_source_comes_first(igd: ControlPoint, inside: Inside) -> None:
    port = free_port()
    await igd.add(port, InternalPort=free_port())
    await igd.add(port, InternalPort=inside.port, RemoteHost="127.0.0.2")
    assert await talk(port, b"hello", source="127.0.0.2") == b"HELLO"
    with pytest.raises(ConnectionResetError):
        await talk(port, b"hello", source="127.0.0.3")
    await igd.delete(port, remote_host="127.0.0.2")
    with pytest.raises(ConnectionResetError):
        await talk(port, b"hello", source="127.0.0.2")


async def test_disabled_mapping_does_not_relay(igd: ControlPoint, inside: Inside) -> None:
    port = free_port()
    await igd.add(port, InternalPort=inside.port, Enabled=0)
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")
    await igd.add(port, InternalPort=inside.port, Enabled=1)
    assert await talk(port, b"hello") == b"HELLO"
    await igd.add(port, InternalPort=inside.port, Enabled=0)
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")


class Packets(asyncio.DatagramProtocol):
    """A client of a UDP port."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    @override
    def datagram_received(self, data: bytes, addr: object) -> None:
        self.received.put_nowait(data)


async def ask(port: int, data: bytes, *, source: str = "127.0.0.1", wait: float = 60) -> bytes:
    """Send a packet and give back the answer. Raises TimeoutError."""
    transport, client = await asyncio.get_running_loop().create_datagram_endpoint(
        Packets, local_addr=(source, 0)
    )
    try:
        transport.sendto(data, ("127.0.0.1", port))
        async with asyncio.timeout(wait):
            return await client.received.get()
    finally:
        transport.abort()
        await asyncio.sleep(0)


async def test_udp_is_relayed_while_mapped_for_the_allowed_source(
    igd: ControlPoint, inside: Inside
) -> None:
    port = free_port()
    await igd.add(port, Protocol="UDP", InternalPort=inside.port, RemoteHost="127.0.0.2")
    answers = await asyncio.gather(
        *(ask(port, b"%d hello" % n, source="127.0.0.2") for n in range(5))
    )
    assert answers == [b"%d HELLO" % n for n in range(5)]
    inside.heard.clear()
    with pytest.raises(TimeoutError):
        await ask(port, b"hello", source="127.0.0.3", wait=0.05)
    await igd.delete(port, "UDP", "127.0.0.2")
    with pytest.raises(TimeoutError):
        await ask(port, b"hello", source="127.0.0.2", wait=0.05)
    assert inside.heard == []


async def test_udp_client_is_forgotten_when_idle(inside: Inside) -> None:
    mapping = VirtualMapping(
        protocol="UDP", external_port=1, internal_host="127.0.0.1", internal_port=inside.port
    )
    relay = UdpRelay(lambda _: mapping, idle=1)
    port = free_port()
    await relay.open("127.0.0.1", port)
    assert await ask(port, b"hello") == b"HELLO"
    assert len(relay._clients) == 1
    async with asyncio.timeout(60):
        while relay._clients:  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0.05)
    relay.close()
    await relay.wait_closed()


async def test_tcp_and_udp_are_apart(igd: ControlPoint, inside: Inside) -> None:
    port = free_port()
    await igd.add(port, Protocol="UDP", InternalPort=inside.port)
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")
    await igd.add(port, Protocol="TCP", InternalPort=inside.port)
    await igd.delete(port, "UDP")
    assert await talk(port, b"hello") == b"HELLO"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_port_taken_on_this_machine_cannot_be_mapped(
    router: VirtualRouter, igd: ControlPoint, kind: socket.SocketKind
) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        protocol = "TCP" if kind is socket.SOCK_STREAM else "UDP"
        assert (await igd.add(taken.getsockname()[1], Protocol=protocol)).code == 501
    assert router.mappings == ()


async def test_lease_ends_the_mapping_to_the_moment(
    router: VirtualRouter, igd: ControlPoint, inside: Inside
) -> None:
    loop = asyncio.get_running_loop()
    port = free_port()
    await igd.add(port, InternalPort=inside.port, LeaseDuration=60)
    start = loop.time()
    await igd.add(port, InternalPort=inside.port, LeaseDuration=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert 1 <= loop.time() - start < 1.9
    writer.close()
    assert router.mappings == ()
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")


async def test_added_and_removed_by_others(
    router: VirtualRouter, igd: ControlPoint, inside: Inside
) -> None:
    port = free_port()
    await router.add_foreign(
        protocol="TCP",
        external_port=port,
        internal_host="127.0.0.1",
        internal_port=inside.port,
        description="Xbox",
    )
    assert (await igd.specific(port))["NewPortMappingDescription"] == "Xbox"
    assert await talk(port, b"hello") == b"HELLO"
    await router.remove("TCP", port)
    assert (await igd.specific(port)).code == 714
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")
    with pytest.raises(KeyError):
        await router.remove("TCP", port)


async def test_udp_into_nowhere_is_lost_without_harm(
    router: VirtualRouter, inside: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    # Nobody listens at the first; to the second, the broadcast address, no socket may connect.
    for host, internal_port in (("127.0.0.1", free_port()), ("255.255.255.255", 9)):
        await router.add_foreign(
            protocol="UDP", external_port=port, internal_host=host, internal_port=internal_port
        )
        with pytest.raises(TimeoutError):
            await ask(port, b"hello", wait=0.05)
        await router.remove("UDP", port)
    await router.add_foreign(
        protocol="UDP", external_port=port, internal_host="127.0.0.1", internal_port=inside.port
    )
    assert await ask(port, b"hello") == b"HELLO"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
