"""Pinholes in the IPv6 firewall of a virtual router, and what goes wrong with them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path

import aiohttp
import pytest
import pytest_socket

from custom_components.port_forward.routers import ipv6
from custom_components.port_forward.routers.errors import (
    NotClosedError,
    NotMappedError,
    NotPermittedError,
    PortConflictError,
    Refusal,
    RouterError,
    RouterTimeoutError,
    TableFullError,
)
from custom_components.port_forward.routers.model import Forward, PortMapping, PortRange, Protocol
from custom_components.port_forward.routers.upnp import UpnpRouter
from lab.virtual_router import Fault, Quirk, VirtualRouter, free_port
from lab.virtual_router.pinhole import Ipv6

from ..forwards import forward
from .home import HOUR, add_foreign, until_asked

HERE = "::1"
BOTH = (Protocol.TCP, Protocol.UDP)
# As the kernel writes a default route by way of ::1, out of lo.
ROUTES = (
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000001 00000400 00000001 00000000 00000003 lo\n"
)


@pytest.fixture(autouse=True)
def _this_machine_is_the_gateway(
    _loopback_is_the_network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest_socket.socket_allow_hosts(
        ["127.0.0.0/8", "::1/128", "2000::1/128"], allow_unix_socket=True
    )
    table = tmp_path / "ipv6_route"
    table.write_text(ROUTES)
    monkeypatch.setattr(ipv6, "ROUTE_TABLE", table)


@pytest.fixture
async def router() -> AsyncIterator[VirtualRouter]:
    async with VirtualRouter(ipv6=Ipv6()) as router:
        router.age(86400)
        yield router


@pytest.fixture
def driver(session: aiohttp.ClientSession, router: VirtualRouter) -> UpnpRouter:
    return UpnpRouter(session, router.description_url, timeout=0.5)


def forward6(
    host: str = HERE,
    *,
    port: int | None = None,
    protocols: tuple[Protocol, ...] = (Protocol.TCP,),
    source: str | None = None,
    host4: str | None = None,
) -> Forward:
    ports = PortRange.single(free_port() if port is None else port)
    return Forward(
        id="here",
        name="Here",
        internal_host=IPv4Address(host4) if host4 else None,
        internal_host6=IPv6Address(host),
        protocols=protocols,
        external_ports=ports,
        internal_ports=ports,
        allowed_source=IPv6Network(source) if source else None,
    )


def remembered(*mappings: PortMapping) -> tuple[PortMapping, ...]:
    """What the ledger keeps of them."""
    return tuple(replace(mapping, description="", lease=None, hits=None) for mapping in mappings)


async def test_open_renew_and_close(router: VirtualRouter, driver: UpnpRouter) -> None:
    await driver.connect()
    assert driver.capabilities.ipv6
    assert driver.capabilities.hit_counters
    wanted = forward6(protocols=BOTH, source="2001:db8::7/128")
    opened = await driver.open(wanted, HOUR)
    assert [(row.protocol, row.remote_host, row.lease) for row in router.pinholes] == [
        (protocol, "2001:db8::7", 3600) for protocol in ("TCP", "UDP")
    ]
    router.count_packets(router.pinholes[0].unique_id, 7)
    assert [row.hits for row in (await driver.snapshot(opened)).mappings] == [7, 0]

    names = [row.unique_id for row in router.pinholes]
    renewed = await driver.open(wanted, timedelta(seconds=600), ours=remembered(*opened))
    assert [row.unique_id for row in router.pinholes] == names
    assert [row.lease for row in router.pinholes] == [600, 600]
    for mapping in renewed:
        await driver.close(mapping)
        await driver.close(mapping)
    assert not router.pinholes
    assert not (await driver.snapshot(renewed)).mappings


async def test_renewed_without_outliving_its_lease(
    router: VirtualRouter, driver: UpnpRouter
) -> None:
    router.quirks.add(Quirk.Q50_AGAIN)
    wanted = forward6()
    opened = await driver.open(wanted, HOUR)
    await driver.open(wanted, HOUR, ours=remembered(*opened))
    assert all(row.expires is not None for row in router.pinholes)
    # Nor where Home Assistant died before it knew the name of it.
    planned = driver.plan(wanted)
    await driver.open(wanted, HOUR, planned=planned, ours=remembered(*planned))
    assert [row.expires is not None for row in router.pinholes] == [True]


async def test_q50_only_from_the_targets_own_address(
    router: VirtualRouter, driver: UpnpRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    router.quirks.add(Quirk.Q50)
    monkeypatch.setattr(
        "custom_components.port_forward.routers.upnp.pinholes.own_address6",
        lambda: IPv6Address(HERE),
    )
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward6("2001:db8::5"), HOUR)
    assert error.value.reason is Refusal.SECURE_MODE
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward6(port=443), HOUR)
    assert error.value.reason is Refusal.LOW_PORT
    assert not router.pinholes
    assert await driver.open(forward6(), HOUR)


async def test_q50_402_what_is_gone(router: VirtualRouter, driver: UpnpRouter) -> None:
    router.quirks.add(Quirk.Q50_402)
    wanted = forward6()
    opened = await driver.open(wanted, HOUR)
    router.remove_pinhole(router.pinholes[0].unique_id)
    assert not (await driver.snapshot(opened)).mappings
    await driver.close(opened[0])
    [again] = await driver.open(wanted, HOUR, ours=opened)
    await driver.close(again)
    assert not router.pinholes


async def test_after_a_restart_its_name_is_anothers(
    router: VirtualRouter, driver: UpnpRouter
) -> None:
    [opened] = await driver.open(forward6(), HOUR)
    await router.restart(change_port=False)
    [others] = await driver.open(forward6(), HOUR)
    assert others.id.split()[0] == opened.id.split()[0]
    before = router.pinholes
    await driver.close(opened)
    assert router.pinholes == before
    assert (await driver.snapshot((opened, others))).mappings == (replace(others, hits=0),)


async def test_made_before_a_crash_of_ours(router: VirtualRouter, driver: UpnpRouter) -> None:
    wanted = forward6()
    planned = driver.plan(wanted)
    await driver.open(wanted, HOUR, planned=planned)
    await driver.close(remembered(*planned)[0])
    assert not router.pinholes


class Clock:
    """Ours; the leases of the router go by its own."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, router: VirtualRouter, *, hours: int) -> None:
        self.now += timedelta(hours=hours)
        router.age(3600 * hours)


async def test_what_outlives_its_lease_is_shown_and_closed(
    session: aiohttp.ClientSession, router: VirtualRouter
) -> None:
    clock = Clock()
    driver = UpnpRouter(session, router.description_url, clock=clock)
    [opened] = await driver.open(forward6(), HOUR)
    router._pinholes.keep(router.pinholes[0].unique_id)
    clock.wait(router, hours=2)
    assert [row.key for row in (await driver.snapshot([opened])).mappings] == [opened.key]
    await driver.close(opened)
    assert not router.pinholes


async def test_what_is_over_is_not_opened_to_be_closed(
    session: aiohttp.ClientSession, router: VirtualRouter
) -> None:
    clock = Clock()
    driver = UpnpRouter(session, router.description_url, clock=clock)
    [opened] = await driver.open(forward6(), HOUR)
    router.remove_pinhole(router.pinholes[0].unique_id)
    clock.wait(router, hours=2)
    assert not (await driver.snapshot([opened])).mappings
    await driver.close(opened)
    await router.restart(change_port=False)
    await driver.close(opened)
    assert router.requests["AddPinhole"] == 1


async def test_what_is_over_needs_no_way_to_ask(
    session: aiohttp.ClientSession, router: VirtualRouter
) -> None:
    """Home Assistant has lost its IPv6."""
    clock = Clock()
    driver = UpnpRouter(session, router.description_url, clock=clock)
    [opened] = await driver.open(forward6(), HOUR)
    driver._pinholes._services.clear()
    ipv6.ROUTE_TABLE.write_text("")
    with pytest.raises(NotPermittedError):
        await driver.close(opened)
    clock.wait(router, hours=2)
    await driver.close(opened)


async def test_a_connection_that_was_lost_is_no_restart(
    router: VirtualRouter, driver: UpnpRouter
) -> None:
    """The uptime is that of the connection (WANIPConnection:1): the firewall may have kept it."""
    router.quirks.add(Quirk.Q50_AGAIN)
    wanted = forward6()
    opened = await driver.open(wanted, HOUR)
    await router.reconnect_wan()
    opened = await driver.open(wanted, HOUR, ours=opened)
    assert [row.expires is not None for row in router.pinholes] == [True]
    router.age(86400)
    await driver.close(opened[0])
    assert not router.pinholes


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (Ipv6(firewall_enabled=False), Refusal.FIREWALL_OFF),
        (Ipv6(pinholes_allowed=False), Refusal.NO_IPV6),
    ],
)
async def test_not_allowed(session: aiohttp.ClientSession, options: Ipv6, reason: Refusal) -> None:
    async with VirtualRouter(ipv6=options) as router:
        with pytest.raises(NotPermittedError) as error:
            await UpnpRouter(session, router.description_url).open(forward6(), HOUR)
        assert error.value.reason is reason


async def test_no_room(session: aiohttp.ClientSession) -> None:
    async with VirtualRouter(ipv6=Ipv6(table_size=1)) as router:
        driver = UpnpRouter(session, router.description_url)
        with pytest.raises(TableFullError) as error:
            await driver.open(forward6(protocols=BOTH), HOUR)
        assert not error.value.left
        assert not router.pinholes


async def test_no_firewall(session: aiohttp.ClientSession) -> None:
    async with VirtualRouter() as router:
        driver = UpnpRouter(session, router.description_url)
        for _ in range(2):  # not knowing yet, and knowing
            with pytest.raises(NotPermittedError) as error:
                await driver.open(forward6(), HOUR)
            assert error.value.reason is Refusal.NO_IPV6
        assert driver.capabilities.ipv6 is False


async def test_another_router_is_the_way_to_the_ipv6_internet(
    session: aiohttp.ClientSession, router: VirtualRouter, driver: UpnpRouter
) -> None:
    """At the gateway of IPv6 answers one of another name: it is none of its business."""
    async with VirtualRouter(ipv6=Ipv6(), port=0) as other:
        mixed = UpnpRouter(session, other.description_url)
        await mixed.connect()
        wan = mixed._connection
        assert wan
        mixed._pinholes._url = router.description_url
        with pytest.raises(NotPermittedError) as error:
            await mixed.open(forward6(), HOUR)
        assert error.value.reason is Refusal.NO_IPV6
        assert not router.pinholes


async def test_one_source_only(driver: UpnpRouter) -> None:
    with pytest.raises(NotPermittedError) as error:
        driver.plan(forward6(source="2001:db8::/64"))
    assert error.value.reason is Refusal.ONE_SOURCE_ONLY


async def test_all_or_nothing_over_both_families(router: VirtualRouter, driver: UpnpRouter) -> None:
    wanted = forward6(host4="127.0.0.1")
    await add_foreign(router, forward(wanted.external_ports))
    with pytest.raises(PortConflictError) as error:
        await driver.open(wanted, HOUR)
    assert not error.value.left
    assert not router.pinholes
    assert len(router.mappings) == 1


async def test_says_yes_and_makes_none(
    router: VirtualRouter, driver: UpnpRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router._pinholes, "put", lambda pinhole: replace(pinhole, unique_id=99))
    with pytest.raises(NotMappedError):
        await driver.open(forward6(), HOUR)


async def test_says_gone_and_keeps_it(
    router: VirtualRouter, driver: UpnpRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    [opened] = await driver.open(forward6(), HOUR)
    with monkeypatch.context() as patched:
        patched.setattr(router._pinholes, "remove", lambda _: None)
        with pytest.raises(NotClosedError):
            await driver.close(opened)


async def test_no_answer_may_be_a_pinhole(router: VirtualRouter, driver: UpnpRouter) -> None:
    router.fault(Fault.SLOW, action="AddPinhole", delay=30)
    with pytest.raises(RouterTimeoutError):
        await driver.open(forward6(), HOUR)
    await until_asked(router, "AddPinhole")
    assert not router.pinholes


async def test_what_cannot_be_taken_back_is_told(router: VirtualRouter, driver: UpnpRouter) -> None:
    wanted = forward6(host4="127.0.0.1")
    await add_foreign(router, forward(wanted.external_ports))
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePinhole", times=None)
    with pytest.raises(PortConflictError) as error:
        await driver.open(wanted, HOUR)
    assert [mapping.is_pinhole for mapping in error.value.left] == [True]
    router.clear_faults()
    await driver.close(error.value.left[0])
    assert not router.pinholes


async def test_cannot_be_asked_for_a_moment(router: VirtualRouter, driver: UpnpRouter) -> None:
    """It has a lease, and stands until the router says otherwise."""
    opened = await driver.open(forward6(), HOUR)
    router.fault(Fault.HTTP_500_EMPTY, action="GetPinholePackets")
    assert (await driver.snapshot(opened)).mappings
    router.fault(Fault.HTTP_500_EMPTY, action="GetPinholePackets")
    with pytest.raises(RouterError):
        await driver.close(opened[0])
    assert router.pinholes
