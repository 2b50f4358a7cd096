"""Forwards over IPv6, or over both: mappings and pinholes come and go together."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Network
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import pytest_socket
from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.devices import hosts
from custom_components.port_forward.routers import ipv4, ipv6
from lab.virtual_router import Ipv6, Pcp, VirtualRouter, free_port

from .automating import pass_time
from .conftest import (
    add_forward,
    forward_data,
    ledger_of,
    make_entry,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
    up_for_a_day,
)
from .routes import HEADER, route
from .test_forward_flow import TYPED, assert_form, message, start, submit

HERE = "here.lan"
FIREWALL = Ipv6()

# As the kernel writes a default route by way of ::1, out of lo.
ROUTE6 = (
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000001 00000400 00000001 00000000 00000003 lo\n"
)


@dataclass(kw_only=True)
class Home6:
    """A router with a firewall for IPv6, and its entry."""

    hass: HomeAssistant
    router: VirtualRouter
    entry: MockConfigEntry

    async def add(self, port: int, ip_version: str, **changes: Any) -> None:
        """Add the forward *Camera* of this machine, and set the entry up."""
        data = forward_data(port, internal_host=HERE, internal_ports=str(port))
        add_forward(self.hass, self.entry, data | {"ip_version": ip_version} | changes)
        await set_up(self.hass, self.entry)

    @property
    def open(self) -> tuple[int, int]:
        """How many mappings there are, and how many pinholes."""
        return len(self.router.mappings), len(self.router.pinholes)


type MakeHome = Callable[..., AbstractAsyncContextManager[Home6]]


@pytest.fixture(autouse=True)
def _loopback_is_the_internet(
    _loopback_is_the_network: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name_server: dict[str, list[str]],
) -> None:
    """::1 is all that there is of IPv6 on every machine; let it be known to the internet."""
    _allow("::1/128", "2000::1/128")  # the latter to find out which way it is: nothing is sent
    for module in (ipv6, hosts):
        monkeypatch.setattr(module, "GLOBAL", IPv6Network("::/0"))
    routes, routes6 = tmp_path / "route", tmp_path / "ipv6_route"
    routes.write_text(HEADER + route("lo", "127.0.0.1"))
    routes6.write_text(ROUTE6)
    monkeypatch.setattr(ipv4, "ROUTE_TABLE", routes)
    monkeypatch.setattr(ipv6, "ROUTE_TABLE", routes6)
    ips = [
        Mock(is_IPv6=False, ip="127.0.0.1", network_prefix=8),
        Mock(is_IPv6=True, ip=("::1", 0, 0), network_prefix=128),
    ]
    monkeypatch.setattr(
        "homeassistant.components.network.util.ifaddr.get_adapters",
        lambda: [Mock(nice_name="lo", ips=ips, index=1)],
    )
    name_server[HERE] = ["127.0.0.1", "::1"]
    name_server["camera.lan"] = ["127.0.0.5"]


def _allow(*hosts: str) -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.0/8", *hosts], allow_unix_socket=True)


def by_upnp(hass: HomeAssistant) -> MakeHome:
    @asynccontextmanager
    async def make(settings: Ipv6 | None = FIREWALL) -> AsyncGenerator[Home6]:
        async with VirtualRouter(ipv6=settings) as router:
            up_for_a_day(router)
            yield Home6(hass=hass, router=router, entry=await make_entry(hass, router))

    return make


def by_pcp(hass: HomeAssistant) -> MakeHome:
    @asynccontextmanager
    async def make(settings: Ipv6 | None = FIREWALL) -> AsyncGenerator[Home6]:
        async with VirtualRouter(upnp=False, ipv6=settings, pcp=Pcp()) as router:
            router.age(86400)
            entry = MockConfigEntry(
                domain=DOMAIN,
                title="Virtual Router",
                unique_id="pcp-127.0.0.1",
                data={"driver": "pcp", CONF_URL: f"pcp://127.0.0.1:{router.pcp_port}"},
            )
            entry.add_to_hass(hass)
            yield Home6(hass=hass, router=router, entry=entry)

    return make


@pytest.fixture(params=[by_upnp, by_pcp], ids=["UPnP", "PCP"])
def make_home(request: pytest.FixtureRequest, hass: HomeAssistant) -> MakeHome:
    make: MakeHome = request.param(hass)
    return make


@pytest.fixture
async def home(make_home: MakeHome) -> AsyncGenerator[Home6]:
    async with make_home() as home:
        yield home


@pytest.mark.parametrize(("ip_version", "opened"), [("both", (1, 1)), ("ipv6", (0, 1))])
async def test_opened_and_closed(home: Home6, ip_version: str, opened: tuple[int, int]) -> None:
    port = free_port()
    await home.add(port, ip_version)
    assert state_of(home.hass) == "off"
    await switch(home.hass, "turn_on")
    assert (home.open, state_of(home.hass)) == (opened, "on")
    [pinhole] = home.router.pinholes
    assert (pinhole.internal_host, pinhole.internal_port) == ("::1", port)
    assert (pinhole.remote_host, pinhole.filters) == ("", ())
    await refresh(home.hass, home.entry)
    assert state_of(home.hass) == "on"

    await switch(home.hass, "turn_off")
    assert (home.open, state_of(home.hass)) == ((0, 0), "off")
    assert ledger_of(home.hass, home.entry)["openings"] == []


async def test_restart_of_home_assistant_keeps_both(home: Home6) -> None:
    await home.add(free_port(), "both")
    await switch(home.hass, "turn_on")
    [before] = home.router.pinholes
    await stop_home_assistant(home.hass, home.entry)
    await set_up(home.hass, home.entry)
    assert (home.open, state_of(home.hass)) == ((1, 1), "on")
    assert home.router.pinholes[0].unique_id == before.unique_id

    await home.hass.config_entries.async_remove(home.entry.entry_id)
    assert home.open == (0, 0)


async def test_restart_of_the_router_loses_both(home: Home6) -> None:
    await home.add(free_port(), "both")
    await switch(home.hass, "turn_on")
    await home.router.restart(change_port=False)
    assert home.open == (0, 0)
    await refresh(home.hass, home.entry)
    assert (home.open, state_of(home.hass)) == ((1, 1), "on")
    event = home.hass.states.get("event.camera_activity")
    assert event
    assert event.attributes["reason"] == "router_restarted"


async def test_allowed_source(home: Home6) -> None:
    await home.add(free_port(), "ipv6", allowed_source="2001:db8::7")
    await switch(home.hass, "turn_on")
    [pinhole] = home.router.pinholes
    sources = [pinhole.remote_host, *map(str, pinhole.filters)]
    assert any(source.startswith("2001:db8::7") for source in sources)


async def test_no_pinhole_no_mapping(make_home: MakeHome) -> None:
    """A forward over both is open over both, or not at all."""
    async with make_home(Ipv6(pinholes_allowed=False)) as home:
        await home.add(free_port(), "both")
        with pytest.raises(HomeAssistantError):
            await switch(home.hass, "turn_on")
        assert (home.open, state_of(home.hass)) == ((0, 0), "off")
        assert ledger_of(home.hass, home.entry)["openings"] == []


async def test_no_mapping_no_pinhole(home: Home6) -> None:
    port = free_port()
    await home.router.add_foreign(
        protocol="TCP", external_port=port, internal_host="127.0.0.9", internal_port=3074
    )
    await home.add(port, "both")
    with pytest.raises(HomeAssistantError):
        await switch(home.hass, "turn_on")
    assert (home.open, state_of(home.hass)) == ((1, 0), "off")


async def test_external_address(home: Home6) -> None:
    await home.add(free_port(), "ipv4")
    sensors = home.hass.states.async_entity_ids("sensor")
    [sensor] = [entity_id for entity_id in sensors if entity_id.endswith("_ipv6_address")]
    # PCP has only what the whole internet knows, which ::1 is not.
    if home.entry.data["driver"] == "upnp":
        assert state_of(home.hass, sensor) == "::1"


async def test_no_firewall_no_sensor(hass: HomeAssistant) -> None:
    async with by_upnp(hass)(None) as home:
        await home.add(free_port(), "ipv4")
        ids = hass.states.async_entity_ids("sensor")
        assert any(entity_id.endswith("_external_ip_address") for entity_id in ids)
        assert not any(entity_id.endswith("_external_ipv6_address") for entity_id in ids)


class TestForm:
    """What cannot be is said at the field, before there is a forward."""

    async def test_host_without_an_address(self, hass: HomeAssistant) -> None:
        async with by_upnp(hass)() as home:
            await set_up(hass, home.entry)
            typed = TYPED | {"internal_host": "camera.lan", "ip_version": "both"}
            step = await submit(hass, await start(hass, home.entry), typed)
            assert_form(step, "user", {"internal_host": "host_no_ipv6"})
            assert "“camera.lan”" in message(step)

    async def test_home_assistant_without_an_address(
        self, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _allow("::1/128", "fe80::/10")
        # No way leads there without an interface.
        monkeypatch.setattr(ipv6, "GLOBAL", IPv6Network("fe80::/10"))
        async with by_upnp(hass)() as home:
            await set_up(hass, home.entry)
            typed = TYPED | {"internal_host": "This Home Assistant", "ip_version": "ipv6"}
            step = await submit(hass, await start(hass, home.entry), typed)
            assert_form(step, "user", {"internal_host": "own_address6_unknown"})

    async def test_router_without_a_firewall(self, hass: HomeAssistant) -> None:
        async with by_upnp(hass)(None) as home:
            await set_up(hass, home.entry)
            typed = TYPED | {"internal_host": HERE, "ip_version": "ipv6"}
            step = await submit(hass, await start(hass, home.entry), typed)
            assert_form(step, "user", {"ip_version": "not_permitted_no_ipv6"})
            assert "IPv4" in message(step)

    async def test_natpmp_knows_no_ipv6(self, hass: HomeAssistant) -> None:
        async with VirtualRouter(upnp=False, pcp=Pcp(speaks="natpmp")) as router:
            entry = MockConfigEntry(
                domain=DOMAIN,
                title="NAT-PMP router",
                unique_id="pcp-127.0.0.1",
                data={"driver": "pcp", CONF_URL: f"pcp://127.0.0.1:{router.pcp_port}"},
            )
            entry.add_to_hass(hass)
            await set_up(hass, entry)
            typed = TYPED | {"internal_host": HERE, "ip_version": "ipv6"}
            step = await submit(hass, await start(hass, entry), typed)
            assert_form(step, "user", {"ip_version": "not_permitted_no_ipv6"})

    async def test_added(self, hass: HomeAssistant) -> None:
        async with by_upnp(hass)() as home:
            await set_up(hass, home.entry)
            typed = TYPED | {"internal_host": HERE, "ip_version": "both"}
            await submit(hass, await start(hass, home.entry), typed)
            [subentry] = home.entry.subentries.values()
            assert subentry.data["ip_version"] == "both"


async def test_router_on_the_ipv6_internet_alone(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    """Only forwards for IPv4 are missing something, if that lasts."""
    issues = ir.async_get(hass).issues
    async with by_upnp(hass)() as home:
        home.router.wans[0].external_address = ""
        await home.add(free_port(), "ipv6")
        state = hass.states.get("binary_sensor.virtual_router_reachable_from_the_internet")
        assert state
        assert (state.state, state.attributes["reason"]) == ("on", "ipv6_only")
        for _ in range(11):
            await pass_time(hass, freezer, seconds=65)
        assert not [issue for _, issue in issues if issue.startswith("not_reachable")]

        add_forward(hass, home.entry, forward_data(free_port()), title="Plex")
        await hass.async_block_till_done()
        for _ in range(11):
            await pass_time(hass, freezer, seconds=65)
        found = [issue for (_, key), issue in issues.items() if key.startswith("not_reachable")]
        assert [issue.translation_key for issue in found] == ["not_reachable_ipv6_only"]


async def test_target_answers_over_ipv6(home: Home6) -> None:
    """Of both, one is enough."""
    async with await asyncio.start_server(lambda _, writer: writer.close(), "::1", 0) as server:
        await home.add(server.sockets[0].getsockname()[1], "both")
        await home.hass.async_block_till_done(wait_background_tasks=True)
        assert state_of(home.hass, "binary_sensor.camera_target_reachable") == "on"
