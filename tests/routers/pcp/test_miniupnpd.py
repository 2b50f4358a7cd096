"""Our driver and the real miniupnpd, by PCP and by NAT-PMP; nft is the witness."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

import pytest
import pytest_socket

from custom_components.port_forward.routers.errors import (
    NotClosedError,
    NotPermittedError,
    PortConflictError,
    Refusal,
    RouterUnreachableError,
)
from custom_components.port_forward.routers.model import PortMapping
from custom_components.port_forward.routers.pcp import PcpRouter
from lab.netns import HomeNetwork, RealRouter
from lab.netns.network import (
    CAMERA,
    CAMERA6,
    FORWARD_CHAIN,
    HOME_ASSISTANT,
    HOME_ASSISTANT6,
    ROUTER,
    ROUTER6,
    TABLE,
)
from lab.netns.witness import kernel_rows, upnpc
from tests.home_network import home_network

from .home import BOTH, HOUR, forward

NATPMP = {"version": "0"}
"""What makes the driver speak NAT-PMP to a server that speaks PCP as well."""


@pytest.fixture(autouse=True)
def _lab_is_the_network(_loopback_is_the_network: None) -> None:
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(
        # The last one is never sent to, see `Client.own_address6`.
        ["127.0.0.0/8", "192.168.77.0/24", "2a11:2233:77::/64", "2000::1"],
        allow_unix_socket=True,
    )


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
def driver(router: RealRouter) -> PcpRouter:
    return PcpRouter(ROUTER)


async def pinholes(router: RealRouter) -> int:
    listed = await router.network.nft("list", "chain", "inet", TABLE, FORWARD_CHAIN)
    return sum("@nh,192,128" in line for line in listed.splitlines())


async def shown(driver: PcpRouter, *ours: PortMapping) -> list[str]:
    return [mapping.key for mapping in (await driver.snapshot(ours)).mappings]


async def test_connect(driver: PcpRouter) -> None:
    info = await driver.connect()
    assert (info.unique_id, info.name) == (f"pcp-{ROUTER}", f"PCP router {ROUTER}")
    snapshot = await driver.snapshot()
    assert snapshot.external_address == IPv4Address("11.22.33.2")
    assert snapshot.external_address6 == IPv6Address(HOME_ASSISTANT6)
    assert snapshot.connected


@pytest.mark.parametrize("learned", [{}, NATPMP])
async def test_open_renew_and_close(router: RealRouter, learned: dict[str, str]) -> None:
    driver = PcpRouter(ROUTER, learned=learned)
    await upnpc(router, "-e", "Xbox", "-a", CAMERA, "3074", "3074", "UDP", "0")
    wanted = forward(8443, internal=443, internal_host=HOME_ASSISTANT, protocols=BOTH)
    held = await driver.open(wanted, HOUR, planned=driver.plan(wanted))
    rows = [("TCP", 8443, HOME_ASSISTANT, 443), ("UDP", 8443, HOME_ASSISTANT, 443)]
    foreign = ("UDP", 3074, CAMERA, 3074)
    assert await kernel_rows(router) == sorted([*rows, foreign])
    assert {mapping.lease for mapping in held} == {HOUR}

    held = await driver.open(wanted, HOUR, planned=held, ours=held)
    assert await kernel_rows(router) == sorted([*rows, foreign])
    assert await shown(driver, *held) == ["tcp/8443/", "udp/8443/"]

    restarted = PcpRouter(ROUTER, learned=driver.learned)
    assert await shown(restarted, *held) == ["tcp/8443/", "udp/8443/"]
    for mapping in held:
        await restarted.close(mapping)
        await restarted.close(mapping)
    assert await kernel_rows(router) == [foreign]


async def test_another_host(router: RealRouter, driver: PcpRouter) -> None:
    [mapping] = await driver.open(forward(8080, internal_host=CAMERA), HOUR)
    assert await kernel_rows(router) == [("TCP", 8080, CAMERA, 8080)]
    assert driver.capabilities.other_hosts is True
    await driver.close(mapping)
    assert await kernel_rows(router) == []


@pytest.mark.parametrize("learned", [{}, NATPMP])
async def test_another_clients_mapping_in_the_way(
    router: RealRouter, learned: dict[str, str]
) -> None:
    """2.3.1 does not heed PREFER_FAILURE and gives the next port, which we give back."""
    driver = PcpRouter(ROUTER, learned=learned)
    await upnpc(router, "-e", "Xbox", "-a", CAMERA, "3074", "8080", "TCP", "0")
    with pytest.raises(PortConflictError) as error:
        await driver.open(forward(8080, internal_host=HOME_ASSISTANT), HOUR)
    assert error.value.left == ()
    assert await kernel_rows(router) == [("TCP", 8080, CAMERA, 3074)]

    wanted = forward(8080, internal_host=HOME_ASSISTANT, any_external_port=True, protocols=BOTH)
    held = await driver.open(wanted, HOUR)
    assert {mapping.external_ports.first for mapping in held} == {8081}
    for mapping in held:
        await driver.close(mapping)
    assert await kernel_rows(router) == [("TCP", 8080, CAMERA, 3074)]


async def test_allowed_source_is_ignored_so_nothing_is_opened(
    router: RealRouter, driver: PcpRouter
) -> None:
    """Its reply says that it has heeded FILTER; it has not ("TODO fully implement filter")."""
    for _ in range(2):
        with pytest.raises(NotPermittedError) as error:
            await driver.open(forward(internal_host=CAMERA, source="11.22.33.10/32"), HOUR)
        assert error.value.reason is Refusal.SOURCE_IGNORED
        assert await kernel_rows(router) == []
    assert driver.capabilities.allowed_source is False
    assert "added mapping" not in router.log


async def test_q46_the_granted_lease_rules(driver: PcpRouter) -> None:
    wanted = forward(internal_host=CAMERA)
    [short] = await driver.open(wanted, timedelta(seconds=30))
    assert short.lease == timedelta(seconds=120)
    [long] = await driver.open(wanted, timedelta(days=30), ours=[short])
    assert long.lease == timedelta(days=1)


async def test_q48_only_our_nonce_removes_our_mapping(
    router: RealRouter, driver: PcpRouter
) -> None:
    [mapping] = await driver.open(forward(internal_host=CAMERA), HOUR)
    [other] = driver.plan(forward(internal_host=CAMERA))
    await driver.close(other)
    assert await kernel_rows(router) == [("TCP", 8080, CAMERA, 8080)]
    await PcpRouter(ROUTER).close(mapping)
    assert await kernel_rows(router) == []


@pytest.mark.parametrize("learned", [{}, NATPMP])
async def test_q49_external_address_changes(
    network: HomeNetwork, router: RealRouter, learned: dict[str, str]
) -> None:
    driver = PcpRouter(ROUTER, learned=learned)
    wanted = forward(internal_host=HOME_ASSISTANT)
    held = await driver.open(wanted, HOUR)
    before = await driver.snapshot(held)
    await network.set_wan_address("11.22.33.77")
    after = await driver.snapshot(held)
    assert after.external_address == IPv4Address("11.22.33.77")
    assert after.restarted_since(before)
    held = await driver.open(wanted, HOUR, planned=held, ours=held)
    assert await shown(driver, *held) == ["tcp/8080/"]
    await driver.close(held[0])
    assert await kernel_rows(router) == []


@pytest.mark.parametrize("learned", [{}, NATPMP])
async def test_private_external_address(
    network: HomeNetwork, router: RealRouter, learned: dict[str, str]
) -> None:
    await network.set_wan_address("192.168.100.2")
    driver = PcpRouter(ROUTER, learned=learned)
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward(internal_host=HOME_ASSISTANT), HOUR)
    assert error.value.reason is Refusal.DOUBLE_NAT
    assert error.value.left == ()
    assert await kernel_rows(router) == []


async def test_restarted_and_announced(router: RealRouter, driver: PcpRouter) -> None:
    """It says so by multicast at once, and we need not wait for the next look."""
    wanted = forward(internal_host=CAMERA)
    await router.until_up_for(3)  # whole seconds, of which the epoch may go back by one
    held = await driver.open(wanted, HOUR)
    before = await driver.snapshot(held)
    told = asyncio.Event()
    async with driver.watch(told.set):
        await router.restart()
        async with asyncio.timeout(60):
            await told.wait()
    after = await driver.snapshot(held)
    assert after.restarted_since(before)
    assert after.mappings == ()
    assert await kernel_rows(router) == []

    held = await driver.open(wanted, HOUR, planned=held, ours=held)
    assert await kernel_rows(router) == [("TCP", 8080, CAMERA, 8080)]
    assert await shown(driver, *held) == ["tcp/8080/"]
    await driver.close(held[0])
    assert await kernel_rows(router) == []


async def test_crashed(router: RealRouter, driver: PcpRouter) -> None:
    """The kernel still forwards, and the nonce still closes it."""
    [mapping] = await driver.open(forward(internal_host=CAMERA), HOUR)
    await router.kill()
    with pytest.raises(RouterUnreachableError):
        await PcpRouter(ROUTER, timeout=5).snapshot()
    await router.start()
    await driver.close(mapping)
    assert await kernel_rows(router) == []


async def test_ipv6(router: RealRouter, driver: PcpRouter) -> None:
    """From our own address to the router's, which is found by itself."""
    wanted = forward(8443, internal_host=None, internal_host6=HOME_ASSISTANT6, protocols=BOTH)
    await driver.connect()
    assert driver.capabilities.ipv6 is None
    held = await driver.open(wanted, HOUR)
    assert await pinholes(router) == 2
    assert driver.capabilities.ipv6 is True
    assert await shown(driver, *held) == [
        f"tcp/8443//{HOME_ASSISTANT6}",
        f"udp/8443//{HOME_ASSISTANT6}",
    ]
    for mapping in held:
        await driver.close(mapping)
    assert await pinholes(router) == 0


async def test_ipv4_and_ipv6_of_another_host(router: RealRouter) -> None:
    driver = PcpRouter(ROUTER, host6=ROUTER6)
    wanted = forward(8443, internal_host=CAMERA, internal_host6=CAMERA6)
    held = await driver.open(wanted, HOUR)
    assert await kernel_rows(router) == [("TCP", 8443, CAMERA, 8443)]
    assert await pinholes(router) == 1
    for mapping in held:
        await driver.close(mapping)
    assert await kernel_rows(router) == []
    assert await pinholes(router) == 0


async def test_a_pinhole_that_was_renewed_is_closed_by_its_lease(router: RealRouter) -> None:
    """2.3.1 forgets its nonce then, and does not remove it: it is told as open until it is not."""
    now = datetime.now(UTC)
    driver = PcpRouter(ROUTER, clock=lambda: now)
    wanted = forward(8443, internal_host=None, internal_host6=HOME_ASSISTANT6)
    first = await driver.open(wanted, HOUR)
    [held] = await driver.open(wanted, HOUR, planned=first, ours=first)
    for _ in range(2):
        with pytest.raises(NotClosedError):
            await driver.close(held)
        assert await pinholes(router) == 1
        assert await shown(driver, held) == [held.key]
        now += timedelta(seconds=60)
    assert router.log.count("updating pinhole") == 2, "once to renew it, once to shorten it"
    now += timedelta(seconds=1)
    await driver.close(held)
    assert await shown(driver, held) == []


async def test_what_is_mapped_lets_the_internet_in(
    network: HomeNetwork, router: RealRouter, driver: PcpRouter
) -> None:
    with network.camera.socket(socket.SOCK_DGRAM) as camera:
        camera.bind((CAMERA, 5000))
        wanted = forward(8080, internal=5000, internal_host=CAMERA, protocols=BOTH)
        await driver.open(wanted, HOUR)
        with network.internet.socket(socket.SOCK_DGRAM) as friend:
            friend.sendto(b"hello", ("11.22.33.2", 8080))
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(60):
                data, _ = await loop.sock_recvfrom(camera, 100)
        assert data == b"hello"
