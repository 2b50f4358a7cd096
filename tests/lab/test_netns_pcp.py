"""The namespace lab by PCP and NAT-PMP: the real router maps, in ways of its own."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from lab.netns import HomeNetwork, Namespace, RealRouter
from lab.netns.network import (
    CAMERA,
    CAMERA6,
    FRIEND,
    HOME_ASSISTANT,
    ROUTER,
    ROUTER6,
    STRANGER,
    WAN_ADDRESS,
)
from lab.netns.witness import kernel_pinholes, kernel_rows
from tests.home_network import home_network, let_through

from .pcp_client import ANY, NONCE, PREFER_FAILURE, allowing, third_party, v4
from .test_netns_ipv6 import read_all

PORT = 8080
NOT_AUTHORIZED, UNSUPP_OPTION, NO_RESOURCES = 2, 5, 8


@pytest.fixture
async def network(socket_enabled: None) -> AsyncIterator[HomeNetwork]:
    let_through()
    async with home_network() as network:
        yield network


@pytest.fixture
async def router(network: HomeNetwork) -> AsyncIterator[RealRouter]:
    async with RealRouter(network) as router:
        yield router


async def ask(namespace: Namespace, data: bytes, server: str = ROUTER) -> bytes:
    """Send a packet to the router, and give back the answer. Raises TimeoutError."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    loop = asyncio.get_running_loop()
    with closing(namespace.socket(socket.SOCK_DGRAM, family)) as sock:
        await loop.sock_connect(sock, (server, 5351))
        await loop.sock_sendall(sock, data)
        async with asyncio.timeout(60):
            return await loop.sock_recv(sock, 2048)


async def pcp_map(
    namespace: Namespace,
    internal_port: int,
    external_port: int,
    *,
    client: bytes = v4(HOME_ASSISTANT),
    server: str = ROUTER,
    external: bytes = ANY,
    lifetime: int = 600,
    nonce: bytes = NONCE,
    options: bytes = b"",
) -> tuple[int, int, int]:
    """Map a TCP port by PCP; return the result, the external port and the lifetime."""
    request = struct.pack("!BBHI", 2, 1, 0, lifetime) + client + nonce
    request += struct.pack("!BxxxHH", 6, internal_port, external_port) + external + options
    reply = await ask(namespace, request, server)
    assert reply[:2] == bytes.fromhex("0281")
    assert reply[24:36] == nonce
    return reply[3], int.from_bytes(reply[42:44]), int.from_bytes(reply[4:8])


async def test_natpmp(network: HomeNetwork, router: RealRouter) -> None:
    reply = await ask(network.home_assistant, bytes(2))
    assert reply[:4] == bytes.fromhex("0080 0000")
    assert socket.inet_ntoa(reply[8:]) == WAN_ADDRESS
    reply = await ask(network.home_assistant, bytes.fromhex("0002 0000 1f90 2329 00000e10"))
    assert (reply[:4], reply[8:]) == (bytes.fromhex("0082 0000"), bytes.fromhex("1f90232900000e10"))
    assert await kernel_rows(router) == [("TCP", 9001, HOME_ASSISTANT, 8080)]
    reply = await ask(network.home_assistant, bytes.fromhex("0002 0000 1f90 0000 00000000"))
    assert (reply[:4], reply[8:]) == (bytes.fromhex("0082 0000"), bytes.fromhex("1f90000000000000"))
    assert await kernel_rows(router) == []


async def test_pcp_reaches_the_camera(network: HomeNetwork, router: RealRouter) -> None:
    async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    listening = network.camera.socket(socket.SOCK_STREAM)
    listening.bind((CAMERA, PORT))
    server = await asyncio.start_server(hello, sock=listening)
    option = third_party(CAMERA)
    ha = network.home_assistant
    with pytest.raises(ConnectionRefusedError):
        await read_all(network.internet, WAN_ADDRESS, 9001)
    assert await pcp_map(ha, PORT, 9001, options=option) == (0, 9001, 600)
    assert await kernel_rows(router) == [("TCP", 9001, CAMERA, PORT)]
    assert await read_all(network.internet, WAN_ADDRESS, 9001) == "hello"
    assert await pcp_map(ha, PORT, 9001, lifetime=0, options=option) == (0, 9001, 0)
    with pytest.raises(ConnectionRefusedError):
        await read_all(network.internet, WAN_ADDRESS, 9001)
    server.close()
    await server.wait_closed()


async def test_what_231_does_otherwise(network: HomeNetwork, router: RealRouter) -> None:
    """Nothing of this is good; whoever speaks to this router has to know it."""
    ha = network.home_assistant
    # Q46
    assert await pcp_map(ha, 8081, 9001, lifetime=1) == (0, 9001, 120)
    assert await pcp_map(ha, 8081, 9001, lifetime=2**32 - 1) == (0, 9001, 86400)
    # The filter is sent back, as if it held.
    only_friend = allowing(FRIEND, 32)
    assert await pcp_map(ha, 8080, 9002, options=only_friend) == (0, 9002, 600)
    listening = ha.socket(socket.SOCK_STREAM)
    listening.bind((HOME_ASSISTANT, 8080))
    server = await asyncio.start_server(lambda _, writer: writer.close(), sock=listening)
    assert await read_all(network.internet, WAN_ADDRESS, 9002, source=STRANGER) == ""
    server.close()
    await server.wait_closed()
    # Another nonce takes a mapping over, another external port makes a second one.
    assert await pcp_map(ha, 8081, 9001, nonce=b"another one!") == (0, 9001, 600)
    assert (await pcp_map(ha, 8081, 9001, lifetime=0))[0] == NOT_AUTHORIZED
    assert await pcp_map(ha, 8080, 9003) == (0, 9003, 600)
    # What is taken is not refused.
    assert await pcp_map(ha, 8085, 9003, options=PREFER_FAILURE) == (0, 9004, 600)
    assert await kernel_rows(router) == [
        ("TCP", 9001, HOME_ASSISTANT, 8081),
        ("TCP", 9002, HOME_ASSISTANT, 8080),
        ("TCP", 9003, HOME_ASSISTANT, 8080),
        ("TCP", 9004, HOME_ASSISTANT, 8085),
    ]
    assert (await pcp_map(ha, 8099, 9099, lifetime=0))[0] == NO_RESOURCES


async def test_pcp_pinholes(network: HomeNetwork, router: RealRouter) -> None:
    me = socket.inet_pton(socket.AF_INET6, CAMERA6)

    async def pinhole(port: int, lifetime: int = 600) -> tuple[int, int, int]:
        return await pcp_map(
            network.camera,
            port,
            port,
            client=me,
            server=ROUTER6,
            external=bytes(16),
            lifetime=lifetime,
        )

    assert await pinhole(8080) == (0, 8080, 600)
    assert await kernel_pinholes(network.router) == [("TCP", CAMERA6, 8080, "", 0)]
    assert (await pinhole(8080, lifetime=0))[0] == 0
    assert await kernel_pinholes(network.router) == []
    # 2.3.1 forgets at the renewal whose it is.
    await pinhole(8081)
    assert await pinhole(8081) == (0, 8081, 600)
    assert (await pinhole(8081, lifetime=0))[0] == NOT_AUTHORIZED
    assert await kernel_pinholes(network.router) == [("TCP", CAMERA6, 8081, "", 0)]


async def test_q47_no_third_party(network: HomeNetwork) -> None:
    async with RealRouter(network, third_party=False) as router:
        ha = network.home_assistant
        refused = await pcp_map(ha, PORT, 9001, options=third_party(CAMERA))
        assert refused[0] == UNSUPP_OPTION
        assert await kernel_rows(router) == []
        assert await pcp_map(ha, PORT, 9001) == (0, 9001, 600)


async def test_epoch(network: HomeNetwork, router: RealRouter) -> None:
    """2.3.1 resets it with the address (it did not always, Q49), and keeps the mappings."""

    async def epoch() -> int:
        return int.from_bytes((await ask(network.home_assistant, bytes(2)))[4:8])

    loop = asyncio.get_running_loop()

    async def began() -> float:
        asked = loop.time()
        return asked - await epoch()

    await pcp_map(network.home_assistant, 8080, 9001)
    await router.until_up_for(5.1)
    first = await began()
    await network.set_wan_address("11.22.33.77")
    async with asyncio.timeout(60):
        # It counts whole seconds, so that either may be off by one, and more on a busy machine.
        while await began() - first < 3:  # noqa: ASYNC110  nobody tells us
            await asyncio.sleep(0.1)
    reply = await ask(network.home_assistant, bytes(2))
    assert socket.inet_ntoa(reply[8:]) == "11.22.33.77"
    assert await kernel_rows(router) == [("TCP", 9001, HOME_ASSISTANT, 8080)]
    restarting = loop.time()
    await router.restart()
    assert await epoch() <= loop.time() - restarting
    assert await kernel_rows(router) == []


async def test_behind_another_nat(network: HomeNetwork) -> None:
    await network.set_wan_address("10.9.8.7")
    async with RealRouter(network):
        ha = network.home_assistant
        assert (await pcp_map(ha, 8080, 9001))[::2] == (NO_RESOURCES, 30)
        assert (await ask(ha, bytes(2)))[:4] == bytes.fromhex("0080 0003")
        reply = await ask(ha, bytes.fromhex("0002 0000 1f90 2329 00000e10"))
        assert reply[:4] == bytes.fromhex("0082 0003")


async def test_without_pcp(network: HomeNetwork) -> None:
    async with RealRouter(network, pcp=False):
        with pytest.raises(ConnectionRefusedError):
            await ask(network.home_assistant, bytes(2))
