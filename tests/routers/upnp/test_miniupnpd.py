"""Our driver and the real miniupnpd; nft and upnpc are the witnesses of what it holds."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import IPv4Address

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    NotPermittedError,
    PortConflictError,
    Refusal,
)
from custom_components.port_forward.routers.model import Leases, PortMapping, PortRange, Protocol
from custom_components.port_forward.routers.upnp import UpnpRouter, survey
from lab.netns import HomeNetwork, RealRouter, lease_row
from lab.netns.network import CAMERA, FRIEND, HOME_ASSISTANT, STRANGER
from lab.netns.witness import Row, kernel_rows, upnpc, upnpc_rows
from tests.home_network import home_network, let_through

from ..forwards import forward, lasts
from .home import HOUR

BOTH = (Protocol.TCP, Protocol.UDP)
PRIVATE = "192.168.100.2"


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
def driver(session: aiohttp.ClientSession, router: RealRouter) -> UpnpRouter:
    return UpnpRouter(session, router.description_url)


def rows_of(mappings: tuple[PortMapping, ...]) -> list[Row]:
    """What our driver read, as the witnesses tell it."""
    rows: list[Row] = []
    for mapping in mappings:
        [protocol] = mapping.protocols
        assert mapping.internal_ports
        internal = mapping.internal_ports.first
        rows.append(
            (protocol.upper(), mapping.external_ports.first, mapping.internal_host, internal)
        )
    return sorted(rows)


async def agreed_rows(driver: UpnpRouter, router: RealRouter) -> list[Row]:
    """What the router holds, on which our driver, upnpc and the kernel must agree."""
    rows = await kernel_rows(router)
    assert rows_of((await driver.snapshot()).mappings) == rows
    assert await upnpc_rows(router) == rows
    return rows


async def test_connect(
    router: RealRouter, driver: UpnpRouter, session: aiohttp.ClientSession
) -> None:
    info = await driver.connect()
    assert info.name == "Real Router"
    assert info.unique_id.startswith("uuid:")
    [wan] = await survey(session, router.description_url)
    assert wan.connected
    assert wan.external_address == IPv4Address("11.22.33.2")


async def test_open_and_close(router: RealRouter, driver: UpnpRouter) -> None:
    camera = forward(8443, internal=443, host=CAMERA)
    games = forward(
        PortRange(first=27015, last=27018),
        forward_id="games01",
        host=HOME_ASSISTANT,
        protocols=BOTH,
    )
    await upnpc(router, "-e", "Xbox", "-a", CAMERA, "3074", "3074", "UDP", "0")
    opened = [mapping for each in (camera, games) for mapping in await driver.open(each, HOUR)]
    assert all(lasts(mapping, HOUR) for mapping in opened)
    assert driver.capabilities.leases is Leases.KEPT
    assert await agreed_rows(driver, router) == sorted(
        [
            ("TCP", 8443, CAMERA, 443),
            *(
                (protocol, port, HOME_ASSISTANT, port)
                for protocol in ("TCP", "UDP")
                for port in range(27015, 27019)
            ),
            ("UDP", 3074, CAMERA, 3074),
        ]
    )

    for mapping in opened:
        await driver.close(mapping)
    assert await agreed_rows(driver, router) == [("UDP", 3074, CAMERA, 3074)]


async def test_lease_ends_at_the_router(router: RealRouter, driver: UpnpRouter) -> None:
    short = timedelta(seconds=3)
    [mapping] = await driver.open(forward(8080, host=CAMERA), short)
    assert lasts(mapping, short)
    async with asyncio.timeout(60):
        while await kernel_rows(router):  # noqa: ASYNC110  the kernel does not tell
            await asyncio.sleep(0.1)
    assert await agreed_rows(driver, router) == []
    await driver.close(mapping)


async def test_renewed(router: RealRouter, driver: UpnpRouter) -> None:
    wanted = forward(8080, host=CAMERA)
    first = await driver.open(wanted, timedelta(seconds=60))
    [renewed] = await driver.open(wanted, HOUR, ours=first)
    assert lasts(renewed, HOUR)
    assert await agreed_rows(driver, router) == [("TCP", 8080, CAMERA, 8080)]


async def test_another_clients_mapping_in_the_way(router: RealRouter, driver: UpnpRouter) -> None:
    await upnpc(router, "-e", "Xbox", "-a", CAMERA, "3074", "8080", "TCP", "0")
    with pytest.raises(PortConflictError) as error:
        await driver.open(forward(8080, host=HOME_ASSISTANT), HOUR)
    assert error.value.placeholders["holder"] == f"{CAMERA}:3074 (Xbox)"
    assert await agreed_rows(driver, router) == [("TCP", 8080, CAMERA, 3074)]


async def test_secure_mode(router: RealRouter, driver: UpnpRouter) -> None:
    router.secure_mode = True
    await router.restart()
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward(8080, host=CAMERA), HOUR)
    assert error.value.reason is Refusal.SECURE_MODE
    assert await agreed_rows(driver, router) == []

    await driver.open(forward(8080, host=HOME_ASSISTANT), HOUR)
    assert await agreed_rows(driver, router) == [("TCP", 8080, HOME_ASSISTANT, 8080)]


async def test_private_external_address(
    network: HomeNetwork, router: RealRouter, driver: UpnpRouter
) -> None:
    await network.set_wan_address(PRIVATE)
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward(8080, host=CAMERA), HOUR)
    assert error.value.reason is Refusal.DOUBLE_NAT
    assert "#AddPortMapping" not in router.log
    assert "#GetExternalIPAddress" in router.log


async def test_external_address_changes(
    network: HomeNetwork, router: RealRouter, driver: UpnpRouter
) -> None:
    await driver.open(forward(8080, host=CAMERA), HOUR)
    await network.set_wan_address("11.22.33.77")
    assert (await driver.snapshot()).external_address == IPv4Address("11.22.33.77")
    assert await agreed_rows(driver, router) == [("TCP", 8080, CAMERA, 8080)]


async def test_restarted(router: RealRouter, driver: UpnpRouter) -> None:
    granted = await driver.open(forward(8080, host=CAMERA), HOUR)
    await router.restart()
    assert await agreed_rows(driver, router) == []
    for mapping in granted:
        await driver.close(mapping)


async def test_crashed(router: RealRouter, driver: UpnpRouter) -> None:
    """The kernel still forwards, but the leases are forgotten: only we close it in time."""
    wanted = forward(8080, host=CAMERA)
    granted = await driver.open(wanted, HOUR)
    await router.kill()
    await router.start()
    assert await agreed_rows(driver, router) == [("TCP", 8080, CAMERA, 8080)]
    [mapping] = (await driver.snapshot()).mappings
    assert mapping.lease is None

    [renewed] = await driver.open(wanted, HOUR, ours=granted)
    assert lasts(renewed, HOUR)
    await driver.close(renewed)
    assert await agreed_rows(driver, router) == []


async def test_q23_daemon_survives_our_list_of_more_than_128(
    network: HomeNetwork, session: aiohttp.ClientSession
) -> None:
    until = time.time() + 3600
    full = [lease_row(port, CAMERA, until, f"row {port}") for port in range(20001, 20141)]
    async with RealRouter(network, lease_file=full) as router:
        driver = UpnpRouter(session, router.description_url)
        expected = [("TCP", port, CAMERA, port) for port in range(20001, 20141)]
        [mapping] = await driver.open(forward(8080, host=CAMERA), HOUR)
        rows = [("TCP", 8080, CAMERA, 8080), *expected]
        assert rows_of((await driver.snapshot()).mappings) == await kernel_rows(router) == rows
        await driver.close(mapping)
        assert await kernel_rows(router) == expected
        assert router.running
        assert "#GetListOfPortMappings" not in router.log


async def test_allowed_source_is_used_only_where_the_list_shows_it(
    router: RealRouter, driver: UpnpRouter
) -> None:
    """2.3.1 limits the source, but lists the mapping as open to all: who would know?"""
    await upnpc(router, "-e", "?", "-a", CAMERA, "80", "8081", "TCP", "0", STRANGER)
    [strangers] = (await driver.snapshot()).mappings
    wanted = forward(8080, host=CAMERA, source=f"{FRIEND}/32")
    if strangers.allowed_source:
        [granted] = await driver.open(wanted, HOUR)
        assert granted.allowed_source == FRIEND
        return
    with pytest.raises(NotPermittedError) as error:
        await driver.open(wanted, HOUR)
    assert error.value.reason is Refusal.SOURCE_IGNORED
    assert await agreed_rows(driver, router) == [("TCP", 8081, CAMERA, 80)]
