"""What the router announces by itself."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from custom_components.port_forward.routers.pcp import PcpRouter
from lab.virtual_router import free_port

from .home import HOUR, forward
from .server import CAMERA, HOST, FakeServer, header


def pcp(epoch: int, result: int = 0) -> bytes:
    return header(0, result, epoch=epoch)


def natpmp(epoch: int, address: str = "203.0.113.7") -> bytes:
    return struct.pack("!BBHI", 0, 0x80, 0, epoch) + socket.inet_aton(address)


class Home:
    """A watching driver, and the packets that come to it."""

    def __init__(self, server: FakeServer, driver: PcpRouter, port: int) -> None:
        self.driver = driver
        self._server = server
        self._port = port
        self._told = asyncio.Event()

    def tell(self) -> None:
        self._told.set()

    def announce(self, packet: bytes) -> None:
        assert self._server.transport
        self._server.transport.sendto(packet, (HOST, self._port))

    async def hears(self, packet: bytes, *, within: float = 60) -> bool:
        """Announce it, and tell whether that is news."""
        self._told.clear()
        self.announce(packet)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await self._told.wait()
        return False

    async def ignores(self, packet: bytes) -> bool:
        return not await self.hears(packet, within=0.1)


@asynccontextmanager
async def watching(server: FakeServer) -> AsyncIterator[Home]:
    port = free_port(HOST)
    driver = PcpRouter(server.url, timeout=5, announcement_port=port)
    home = Home(server, driver, port)
    await driver.connect()
    async with driver.watch(home.tell):
        yield home


async def test_a_lost_epoch_is_news(server: FakeServer) -> None:
    async with watching(server) as home:
        held = await home.driver.open(forward(), HOUR)
        assert await home.ignores(pcp(server.epoch))
        assert await home.hears(pcp(0))
        assert await home.ignores(pcp(0)), "it is announced ten times"
        server.epoch = 0
        assert (await home.driver.snapshot(held)).mappings == ()


async def test_by_natpmp(server: FakeServer) -> None:
    server.speaks_pcp = False
    async with watching(server) as home:
        assert await home.ignores(natpmp(server.epoch))
        assert await home.hears(natpmp(0))
        assert await home.ignores(pcp(500)), "nobody speaks PCP here"


@pytest.mark.parametrize("speaks_pcp", [True, False])
async def test_a_new_external_address_is_news(server: FakeServer, *, speaks_pcp: bool) -> None:
    server.speaks_pcp = speaks_pcp
    async with watching(server) as home:
        held = await home.driver.open(forward(), HOUR)
        await home.driver.snapshot(held)
        assert await home.ignores(natpmp(server.epoch))
        assert await home.hears(natpmp(server.epoch, "203.0.113.99"))
        server.address = "203.0.113.99"
        assert (await home.driver.snapshot(held)).mappings == ()


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x02",
        b"nonsense",
        pcp(0, result=3),
        pcp(0)[:20],
        pcp(0) + bytes(1100),
        b"\x02\x00" + bytes(22),
        header(1, 0),
        natpmp(0)[:9],
        struct.pack("!BBHIHHI", 0, 0x81, 0, 0, 1, 1, 1),
    ],
)
async def test_what_is_no_announcement(server: FakeServer, packet: bytes) -> None:
    async with watching(server) as home:
        assert await home.ignores(packet)
        assert await home.hears(pcp(0))


async def test_only_the_router_is_listened_to(server: FakeServer) -> None:
    async with watching(server) as home:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((CAMERA, 0))
            stranger.sendto(pcp(0), (HOST, home._port))
        assert await home.ignores(b"")
        assert await home.hears(pcp(0))


async def test_not_any_more(server: FakeServer) -> None:
    async with watching(server) as home:
        pass
    assert await home.ignores(pcp(0))


async def test_two_drivers_share_the_port(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(server) as home:
        another = PcpRouter(server.url, timeout=5, announcement_port=home._port)
        await another.connect()
        async with another.watch(home.tell):
            assert await home.hears(pcp(0)), "whichever of them the kernel gives it to"
    assert "not heard" not in caplog.text


async def test_a_port_that_is_taken_is_logged_once_and_the_rest_works(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 0))
        port = taken.getsockname()[1]
        driver = PcpRouter(server.url, timeout=5, announcement_port=port)
        async with driver.watch(lambda: None):
            held = await driver.open(forward(), HOUR)
            assert len((await driver.snapshot(held)).mappings) == 1
    told = [record for record in caplog.records if "not heard" in record.message]
    assert len(told) == 1
