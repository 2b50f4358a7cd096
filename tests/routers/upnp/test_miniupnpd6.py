"""IPv6 pinholes of the real miniupnpd, which the kernel and a client on the internet witness."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import NotPermittedError, Refusal
from custom_components.port_forward.routers.model import Forward, PortRange, Protocol
from custom_components.port_forward.routers.upnp import UpnpRouter
from lab.netns import HomeNetwork, RealRouter
from lab.netns.network import CAMERA6, FRIEND6, HOME_ASSISTANT, HOME_ASSISTANT6, STRANGER6
from tests.home_network import home_network, let_through

from .home import HOUR

PORT = 8080


@pytest.fixture(autouse=True)
def _lab_is_the_network(_loopback_is_the_network: None) -> None:
    let_through()


@pytest.fixture
async def network() -> AsyncIterator[HomeNetwork]:
    """The lab, with the test itself on the computer of Home Assistant."""
    async with home_network() as network:
        with network.home_assistant.entered():
            yield network


@pytest.fixture
async def router(network: HomeNetwork) -> AsyncIterator[RealRouter]:
    async with RealRouter(network) as router:
        yield router


@pytest.fixture
async def driver(session: aiohttp.ClientSession, router: RealRouter) -> UpnpRouter:
    driver = UpnpRouter(session, router.description_url)
    await driver.connect()
    return driver


@pytest.fixture
async def _server(network: HomeNetwork) -> AsyncIterator[None]:
    """Something that answers on the port, over both families."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(answer, [HOME_ASSISTANT, HOME_ASSISTANT6], PORT)
    async with server:
        yield


def forward6(host: str = HOME_ASSISTANT6, port: int = PORT, source: str | None = None) -> Forward:
    return Forward(
        id="here",
        name="Here",
        internal_host=None,
        internal_host6=IPv6Address(host),
        protocols=(Protocol.TCP,),
        external_ports=PortRange.single(port),
        internal_ports=PortRange.single(port),
        allowed_source=IPv6Network(source) if source else None,
    )


async def is_reached(network: HomeNetwork, source: str = FRIEND6) -> bool:
    """Tell whether a client on the internet is answered."""
    with network.internet.socket(socket.SOCK_STREAM, socket.AF_INET6) as client:
        client.bind((source, 0))
        try:
            async with asyncio.timeout(60):
                await asyncio.get_running_loop().sock_connect(client, (HOME_ASSISTANT6, PORT))
        except OSError:
            return False
        return True


@pytest.mark.usefixtures("_server")
async def test_open_renew_and_close(network: HomeNetwork, driver: UpnpRouter) -> None:
    assert driver.capabilities.ipv6
    assert not await is_reached(network)
    opened = await driver.open(forward6(), timedelta(minutes=10))
    assert [mapping.lease for mapping in opened] == [timedelta(minutes=10)]
    assert await is_reached(network)

    snapshot = await driver.snapshot(opened)
    assert snapshot.external_address6 == IPv6Address(HOME_ASSISTANT6)
    [standing] = snapshot.mappings
    assert standing.same_rule(opened[0])
    assert standing.hits == 0  # 2.3.1 on nftables answers, but does not count

    renewed = await driver.open(forward6(), HOUR, ours=opened)
    assert len((await driver.snapshot(renewed)).mappings) == 1
    await driver.close(renewed[0])
    assert not await is_reached(network)
    assert not (await driver.snapshot(renewed)).mappings
    await driver.close(renewed[0])


@pytest.mark.usefixtures("_server")
async def test_both_families(network: HomeNetwork, driver: UpnpRouter) -> None:
    both = Forward(
        id="here",
        name="Here",
        internal_host=IPv4Address(HOME_ASSISTANT),
        internal_host6=IPv6Address(HOME_ASSISTANT6),
        protocols=(Protocol.TCP,),
        external_ports=PortRange.single(PORT),
        internal_ports=PortRange.single(PORT),
    )
    opened = await driver.open(both, HOUR)
    assert {mapping.is_pinhole for mapping in opened} == {True, False}
    assert len((await driver.snapshot(opened)).mappings) == 2
    assert await is_reached(network)
    for mapping in opened:
        await driver.close(mapping)
    assert not (await driver.snapshot(opened)).mappings
    assert not await is_reached(network)


@pytest.mark.usefixtures("_server")
async def test_allowed_source(network: HomeNetwork, driver: UpnpRouter) -> None:
    [opened] = await driver.open(forward6(source=f"{FRIEND6}/128"), HOUR)
    assert await is_reached(network, FRIEND6)
    assert not await is_reached(network, STRANGER6)
    await driver.close(opened)
    assert not await is_reached(network, FRIEND6)


async def test_q50_only_from_the_targets_own_address(driver: UpnpRouter) -> None:
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward6(CAMERA6), HOUR)
    assert error.value.reason is Refusal.SECURE_MODE


async def test_q50_no_low_ports(driver: UpnpRouter) -> None:
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward6(port=443), HOUR)
    assert error.value.reason is Refusal.LOW_PORT


@pytest.mark.usefixtures("_server")
async def test_made_before_a_crash_of_ours(network: HomeNetwork, driver: UpnpRouter) -> None:
    """Its id is not known then: only what was planned is in the ledger."""
    planned = driver.plan(forward6())
    await driver.open(forward6(), HOUR, planned=planned)
    await driver.close(planned[0])
    assert not await is_reached(network)


@pytest.mark.usefixtures("_server")
async def test_lease_ends_at_the_router(
    network: HomeNetwork, driver: UpnpRouter, session: aiohttp.ClientSession, router: RealRouter
) -> None:
    opened = await driver.open(forward6(), timedelta(seconds=1))
    async with asyncio.timeout(60):
        while await is_reached(network):  # noqa: ASYNC110  the kernel does not tell
            await asyncio.sleep(0.1)
    later = UpnpRouter(
        session, router.description_url, clock=lambda: datetime.now(UTC) + timedelta(seconds=2)
    )
    assert not (await later.snapshot(opened)).mappings
    await later.close(opened[0])


async def test_restarted(router: RealRouter, driver: UpnpRouter) -> None:
    opened = await driver.open(forward6(), HOUR)
    await router.restart()
    assert not (await driver.snapshot(opened)).mappings
    await driver.close(opened[0])
