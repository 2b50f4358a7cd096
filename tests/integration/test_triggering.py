"""Forwards that open by themselves: by traffic from the home, or by an entity."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
)

from custom_components.port_forward.announce import SIGNAL_ACTIVITY
from custom_components.port_forward.const import CAUSING_DEVICE, DOMAIN
from custom_components.port_forward.openings import Activity
from lab.mikrotik import MikrotikRouter
from lab.openwrt import DEDICATED, LUCI, PASSWORD, USERNAME, Fault, OpenWrt
from lab.outbound import Passing
from lab.virtual_router import VirtualRouter, free_port
from tests.lab.control_point import talk
from tests.translations import rendered

from .adopt_home import home_of, users_router
from .conftest import (
    add_forward,
    forward_data,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)
from .test_forward_flow import TYPED, assert_form, edit, message, start, submit

CONSOLE, TABLET = "127.0.0.50", "127.0.0.51"
SERVICE = ("198.51.100.20", 3074)
LINGER = timedelta(minutes=5)
BY_TRAFFIC = {"internal_host": CAUSING_DEVICE, "trigger_protocol": "udp", "trigger_ports": "3074"}
LOGIN = {"username": USERNAME, "password": PASSWORD}


def playing(device: str = CONSOLE, **changes: Any) -> Passing:
    """What the router shows of a device that speaks to the service."""
    return Passing(
        **{"protocol": "udp", "source": (device, 3074), "destination": SERVICE, **changes}
    )


@dataclass(kw_only=True)
class Home:
    """Home Assistant with a router that shows its connections, and a forward."""

    hass: HomeAssistant
    router: OpenWrt
    freezer: FrozenDateTimeFactory
    entry: MockConfigEntry
    port: int
    told: list[Activity] = field(default_factory=list)

    async def add(self, **data: Any) -> None:
        """Add the forward *Camera*, and set all up."""
        add_forward(self.hass, self.entry, forward_data(self.port, **data))
        await set_up(self.hass, self.entry)
        async_dispatcher_connect(self.hass, SIGNAL_ACTIVITY, self._listen)
        await self.after(0)

    @callback
    def _listen(self, _entry_id: str, activity: Activity) -> None:
        self.told.append(activity)

    async def after(self, seconds: float) -> str:
        """Let time pass, 10 s at once, and return what the switch shows then."""
        # What is under way must not take as long as that.
        await self.hass.async_block_till_done(wait_background_tasks=True)
        while True:
            step = min(10.0, seconds)
            self.freezer.tick(step)
            async_fire_time_changed(self.hass)
            await self.hass.async_block_till_done(wait_background_tasks=True)
            seconds -= step
            if seconds <= 0:
                return state_of(self.hass)

    async def plays(self, *devices: str) -> str:
        """Let just these devices speak to the service, and look."""
        self.router.outbound.added[:] = [playing(device) for device in devices]
        return await self.after(10)

    @property
    def hosts(self) -> list[str]:
        """Where the open ports lead."""
        return [str(rule.host) for rule in self.router.rules if rule.redirect]

    @property
    def happened(self) -> list[tuple[str, str | None]]:
        """What was told since the last time: kind and reason."""
        told: list[tuple[str, str | None]] = [(a.kind.value, a.reason) for a in self.told]
        self.told.clear()
        return told

    async def restart(self) -> None:
        """Restart Home Assistant, as far as the integration can tell."""
        await self.hass.config_entries.async_reload(self.entry.entry_id)
        await self.after(0)


@pytest.fixture
async def home(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, hass_storage: dict[str, Any]
) -> AsyncGenerator[Home]:
    async with OpenWrt() as router:
        data = {"driver": "openwrt", "url": router.url, **LOGIN}
        entry = MockConfigEntry(domain=DOMAIN, title="Router", data=data)
        entry.add_to_hass(hass)
        yield Home(hass=hass, router=router, freezer=freezer, entry=entry, port=free_port())
        for left in hass.config_entries.async_entries(DOMAIN):
            await stop_home_assistant(hass, left)
        await hass.async_block_till_done()


async def test_traffic_opens_it_to_the_device_that_causes_it(home: Home) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while heard := await reader.read(100):
            writer.write(heard.upper())
        writer.close()

    async with (
        await asyncio.start_server(serve, CONSOLE, 0) as game,
        await asyncio.start_server(serve, "127.0.0.9", 0) as service,
    ):
        inside = game.sockets[0].getsockname()[1]
        await home.add(**BY_TRAFFIC | {"trigger_protocol": "tcp", "internal_ports": str(inside)})
        assert await home.after(20) == "off"
        way = await home.router.outbound.way_to(SERVICE, service.sockets[0].getsockname()[:2])
        reader, writer = await asyncio.open_connection("127.0.0.1", way, local_addr=(CONSOLE, 0))
        writer.write(b"play")
        assert await reader.readexactly(4) == b"PLAY"
        assert await home.after(10) == "on"
        assert home.hosts == [CONSOLE]
        assert home.happened == [("opened", "triggered")]
        assert await talk(home.port, b"hello", source="127.0.0.3") == b"HELLO"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert await home.after(LINGER.total_seconds() - 1) == "on"
        assert await home.after(21) == "off"
        assert home.happened == [("closed", "time_up")]
        with pytest.raises(ConnectionError):
            await talk(home.port, b"hello", source="127.0.0.3")


async def test_it_stays_open_as_long_as_the_traffic_lasts(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    assert await home.plays(CONSOLE) == "on"
    opened = dt_util.utcnow()
    assert await home.after(3600) == "on"
    assert [kind for kind, _ in home.happened] == ["opened"]
    now = dt_util.utcnow()
    [opening] = home.entry.runtime_data.keeper.openings.values()
    assert opening.deadline
    assert now + LINGER / 2 - timedelta(seconds=10) <= opening.deadline <= now + LINGER
    assert opening.opened_at == opened
    # The router closes it then, whatever becomes of Home Assistant.
    [rule] = home.router.rules
    assert rule.until
    assert rule.until <= opening.deadline
    assert await home.plays() == "on"
    assert await home.after(LINGER.total_seconds() - 1) == "on"
    assert await home.after(11) == "off"


async def test_one_request_a_look_and_none_without_such_a_forward(home: Home) -> None:
    await home.add(opened_by="input_boolean.door")
    home.router.calls.clear()
    await home.after(40)
    assert not home.router.calls
    data = {**forward_data(free_port()), **BY_TRAFFIC}
    add_forward(home.hass, home.entry, data, "Game")
    await home.restart()
    home.router.calls.clear()
    await home.after(40)
    assert home.router.calls == {"file exec": 4}


@pytest.mark.parametrize(
    "passing",
    [
        playing(destination=("198.51.100.20", 3075)),
        playing(protocol="tcp"),
        playing(destination=("192.168.1.20", 3074)),
        playing(destination=("127.0.0.9", 3074)),
        playing(destination=("203.0.113.7", 3074)),
        playing("127.0.0.1"),
        playing("192.0.2.9"),
        playing("127.0.0.0"),
        playing("224.0.0.1"),
    ],
    ids=[
        "another port",
        "another protocol",
        "another network of the home",
        "the home",
        "the home, by the address of the router outside",
        "the router itself",
        "not the home",
        "the network",
        "nobody",
    ],
)
async def test_what_is_not_meant_opens_nothing(home: Home, passing: Passing) -> None:
    await home.add(**BY_TRAFFIC)
    home.router.outbound.added.append(passing)
    assert await home.after(20) == "off"
    assert home.happened == []


async def test_only_the_traffic_of_its_own_host_counts(home: Home) -> None:
    await home.add(**BY_TRAFFIC | {"internal_host": CONSOLE, "trigger_ports": "3070-3079"})
    assert await home.plays(TABLET) == "off"
    assert await home.plays(TABLET, CONSOLE) == "on"
    assert home.hosts == [CONSOLE]
    assert await home.plays(TABLET) == "on"
    assert await home.after(310) == "off"


async def test_whoever_comes_first_has_it(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    assert await home.plays(CONSOLE) == "on"
    assert await home.plays(TABLET, CONSOLE) == "on"
    await home.after(600)
    await refresh(home.hass, home.entry)
    assert home.hosts == [CONSOLE]
    await home.plays(TABLET)
    assert await home.after(270) == "on"
    assert home.hosts == [CONSOLE]
    # Its time is up, and now somebody else comes first.
    assert await home.after(50) == "on"
    assert home.hosts == [TABLET]
    happened = ["opened", "closed", "opened"]
    assert [kind for kind, _ in home.happened] == happened


async def test_closed_is_closed_until_it_is_caused_anew(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    assert await home.plays(CONSOLE) == "on"
    await switch(home.hass, "turn_off")
    assert await home.after(600) == "off"
    # Another device changes nothing, and a restart neither.
    assert await home.plays(CONSOLE, TABLET) == "off"
    await home.restart()
    assert await home.after(60) == "off"
    assert await home.plays() == "off"
    assert await home.plays(CONSOLE) == "on"


async def test_closed_when_nobody_uses_it_though_its_cause_goes_on(home: Home) -> None:
    minute = {"minutes": 1}
    await home.add(**BY_TRAFFIC, linger=minute, close_when_idle=minute)
    assert await home.plays(CONSOLE) == "on"
    # It is looked at once a minute, and prolonged twice as often.
    assert await home.after(180) == "off"
    assert home.happened == [("opened", "triggered"), ("closed", "idle")]
    await home.plays()
    assert await home.plays(CONSOLE) == "on"


async def test_closed_right_after_a_restart(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    assert await home.plays(CONSOLE) == "on"
    home.router.fault(Fault.FAIL, "file exec", times=None)
    await home.restart()
    assert await home.after(20) == "on"
    await switch(home.hass, "turn_off")
    home.router.clear_faults()
    assert await home.after(400) == "off"


async def test_lockdown(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    assert await home.plays(CONSOLE) == "on"
    await switch(home.hass, "turn_on", "switch.openwrt_lockdown")
    assert await home.after(60) == "off"
    await switch(home.hass, "turn_off", "switch.openwrt_lockdown")
    assert await home.after(60) == "off"
    await home.plays()
    await switch(home.hass, "turn_on", "switch.openwrt_lockdown")
    assert home.happened
    assert await home.plays(CONSOLE) == "off"
    assert home.happened == [], "it does not even try"
    await switch(home.hass, "turn_off", "switch.openwrt_lockdown")
    assert await home.after(60) == "off", "turning lockdown off opens nothing"
    await home.plays()
    assert await home.plays(CONSOLE) == "on"


async def test_a_router_that_refuses_is_asked_again_gently_and_told_once(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    home.router.fault(Fault.FAIL, "uci add", times=None)
    assert await home.plays(CONSOLE) == "off"
    home.router.calls.clear()
    assert await home.after(600) == "off"
    assert 2 <= home.router.calls["uci add"] <= 4
    assert [kind for kind, _ in home.happened] == ["open_failed"]
    home.router.clear_faults()
    assert await home.after(300) == "on"
    assert home.happened == [("opened", "triggered")]


async def test_a_router_that_hides_its_connections(
    home: Home, issue_registry: ir.IssueRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    await home.add(**BY_TRAFFIC)
    assert await home.plays(CONSOLE) == "on"
    home.router.grant(LUCI)
    await home.restart()
    issue = issue_registry.async_get_issue(DOMAIN, f"connections_hidden_{home.entry.entry_id}")
    assert issue
    assert issue.translation_placeholders == {"router": "Router"}
    # It closes at its end: that it goes on is not known.
    assert await home.after(310) == "off"
    assert caplog.text.count("does not show its connections") == 1
    home.router.grant(DEDICATED)
    await home.restart()
    assert await home.after(10) == "on"
    assert not issue_registry.async_get_issue(DOMAIN, f"connections_hidden_{home.entry.entry_id}")


async def test_a_router_that_hides_its_connections_is_disabled(
    home: Home, issue_registry: ir.IssueRegistry
) -> None:
    await home.add(**BY_TRAFFIC)
    home.router.grant(LUCI)
    await home.restart()
    assert issue_registry.async_get_issue(DOMAIN, f"connections_hidden_{home.entry.entry_id}")
    await home.hass.config_entries.async_set_disabled_by(
        home.entry.entry_id, ConfigEntryDisabler.USER
    )
    assert not issue_registry.issues


async def test_a_router_that_is_silent_for_a_while(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    assert await home.plays(CONSOLE) == "on"
    home.router.fault(Fault.DROP_BEFORE, "file exec", times=2)
    assert await home.after(30) == "on"
    home.router.clear_faults()
    assert await home.after(600) == "on"


async def test_a_restart_goes_on_with_what_is_open(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    assert await home.plays(CONSOLE) == "on"
    await home.restart()
    assert state_of(home.hass) == "on"
    assert home.hosts == [CONSOLE]
    assert await home.after(600) == "on"
    home.router.outbound.added.clear()
    await home.restart()
    assert await home.after(310) == "off"


async def test_one_that_waits_cannot_be_turned_on_by_hand(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    with pytest.raises(HomeAssistantError) as error:
        await switch(home.hass, "turn_on")
    assert error.value.translation_key == "host_waits"
    assert [kind for kind, _ in home.happened] == ["open_failed"]
    assert state_of(home.hass) == "off"


async def test_opened_by_hand_it_is_never_closed_earlier(home: Home) -> None:
    await home.add(**BY_TRAFFIC | {"internal_host": CONSOLE})
    await switch(home.hass, "turn_on")  # until closed
    await home.plays(CONSOLE)
    await home.plays()
    assert await home.after(3600) == "on"


async def test_edited_while_open_it_leads_to_the_same_device(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    assert await home.plays(CONSOLE) == "on"
    [subentry] = home.entry.subentries.values()
    step = await edit(home.hass, home.entry, subentry)
    more = {key: value for key, value in BY_TRAFFIC.items() if key != "internal_host"}
    values = TYPED | BY_TRAFFIC | more | {"external_ports": str(free_port())}
    step = await submit(home.hass, step, values)
    assert step["type"] == "abort"
    await home.after(10)
    assert home.hosts == [CONSOLE]
    assert [str(rule.ports[0]) for rule in home.router.rules if rule.ports] == [
        values["external_ports"]
    ]
    await home.plays()
    assert await home.after(310) == "off"


async def test_edited_while_open_to_another_it_closes(home: Home) -> None:
    await home.add(internal_host=TABLET)
    await switch(home.hass, "turn_on")  # until closed
    [subentry] = home.entry.subentries.values()
    step = await edit(home.hass, home.entry, subentry)
    step = await submit(home.hass, step, TYPED | BY_TRAFFIC | {"external_ports": str(free_port())})
    assert step["type"] == "abort"
    assert await home.after(10) == "off"
    assert home.hosts == []
    assert ("closed", "forward_edited") in home.happened
    assert await home.plays(CONSOLE) == "on"
    assert home.hosts == [CONSOLE]


async def test_an_address_of_another_network_is_not_followed(home: Home) -> None:
    """What the router shows may be anything, as a device may send anything."""
    await home.add(**BY_TRAFFIC)
    addresses = ("0.0.0.1", "255.255.255.255", "10.1.2.3", "203.0.113.7", "127.255.255.255")
    assert await home.plays(*addresses) == "off"
    assert await home.plays(*addresses, CONSOLE) == "on"
    assert home.hosts == [CONSOLE]


async def test_thousands_of_connections(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    flood = [
        playing(f"127.0.{n // 250}.{n % 250 + 2}", destination=("8.8.8.8", n)) for n in range(900)
    ]
    home.router.outbound.added[:] = [*flood, playing()]
    assert await home.after(10) == "on"
    assert home.hosts == [CONSOLE]


async def test_mikrotik(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    async with MikrotikRouter() as router:
        user = router.users[0]
        data = {"driver": "mikrotik", "url": router.url, "username": user.name}
        entry = MockConfigEntry(
            domain=DOMAIN, title="Router", data=data | {"password": user.password}
        )
        entry.add_to_hass(hass)
        add_forward(hass, entry, forward_data(free_port(), **BY_TRAFFIC))
        await set_up(hass, entry)
        await hass.async_block_till_done(wait_background_tasks=True)
        router.outbound.added.append(playing())
        for seconds, state in ((10, "on"), (400, "on")):
            for _ in range(seconds // 10):
                freezer.tick(10)
                async_fire_time_changed(hass)
                await hass.async_block_till_done(wait_background_tasks=True)
            assert state_of(hass) == state
        [rule] = [row for row in router.items() if row["action"] == "dst-nat"]
        assert rule["to-addresses"] == CONSOLE
        await stop_home_assistant(hass, entry)


class TestEntity:
    async def test_while_it_is_on(self, home: Home) -> None:
        home.hass.states.async_set("input_boolean.door", "off")
        await home.add(opened_by="input_boolean.door")
        home.hass.states.async_set("input_boolean.door", "on")
        assert await home.after(0) == "on"
        assert home.happened == [("opened", "triggered")]
        assert await home.after(1200) == "on"
        home.hass.states.async_set("input_boolean.door", "off")
        assert await home.after(299) == "on"
        assert await home.after(2) == "off"
        assert home.happened == [("closed", "time_up")]

    @pytest.mark.parametrize("state", ["on", "home", "open", "unlocked", "playing", "active"])
    async def test_states_that_open(self, home: Home, state: str) -> None:
        await home.add(opened_by="sensor.any")
        home.hass.states.async_set("sensor.any", state)
        assert await home.after(0) == "on"

    @pytest.mark.parametrize("state", ["off", "not_home", "locked", "idle", "unavailable", ""])
    async def test_states_that_do_not(self, home: Home, state: str) -> None:
        await home.add(opened_by="sensor.any")
        home.hass.states.async_set("sensor.any", state)
        assert await home.after(0) == "off"

    async def test_unavailable_is_no_end(self, home: Home) -> None:
        await home.add(opened_by="input_boolean.door")
        home.hass.states.async_set("input_boolean.door", "on")
        assert await home.after(0) == "on"
        await switch(home.hass, "turn_off")
        for state in ("unavailable", "on", "unknown", "on"):
            home.hass.states.async_set("input_boolean.door", state)
            assert await home.after(10) == "off"
        home.hass.states.async_remove("input_boolean.door")
        assert await home.after(10) == "off"
        for state, shows in (("off", "off"), ("on", "on")):
            home.hass.states.async_set("input_boolean.door", state)
            assert await home.after(10) == shows
        home.hass.states.async_set("input_boolean.door", "unavailable")
        assert await home.after(310) == "off"

    async def test_an_adopted_rule(
        self, hass: HomeAssistant, freezer: FrozenDateTimeFactory
    ) -> None:
        async with users_router("openwrt") as router:
            home = await home_of(hass, router)
            await home.adopt(opened_by="input_boolean.door", linger={"minutes": 1})
            hass.states.async_set("input_boolean.door", "on")
            await hass.async_block_till_done(wait_background_tasks=True)
            assert (home.state, router.is_on) == ("on", True)
            hass.states.async_set("input_boolean.door", "off")
            await hass.async_block_till_done(wait_background_tasks=True)
            freezer.tick(61)
            async_fire_time_changed(hass)
            await hass.async_block_till_done(wait_background_tasks=True)
            assert (home.state, router.is_on) == ("off", False)
            await stop_home_assistant(hass, home.entry)

    async def test_a_host_that_is_not_known_is_told_once(self, home: Home) -> None:
        await home.add(opened_by="input_boolean.door", internal_host="192.0.2.1")
        home.hass.states.async_set("input_boolean.door", "on")
        assert await home.after(200) == "off"
        assert home.happened == [("open_failed", None)]


async def test_what_is_deleted_is_forgotten(home: Home, hass_storage: dict[str, Any]) -> None:
    await home.add(**BY_TRAFFIC)
    await home.plays(CONSOLE)
    await switch(home.hass, "turn_off")
    await home.after(10)
    key = f"{DOMAIN}_triggering.{home.entry.entry_id}"
    assert hass_storage[key]["data"]["blocked"]
    await home.hass.config_entries.async_remove(home.entry.entry_id)
    assert key not in hass_storage


ERRORS = [
    ({"opened_by": "sun.sun", "trigger_ports": "1"}, "more", "two_causes"),
    ({"internal_host": CAUSING_DEVICE}, "internal_host", "host_without_traffic"),
    (
        {"internal_host": CAUSING_DEVICE, "opened_by": "sun.sun"},
        "internal_host",
        "host_without_traffic",
    ),
    (BY_TRAFFIC | {"ip_version": "both"}, "ip_version", "traffic_of_ipv4_only"),
    (BY_TRAFFIC | {"trigger_ports": "games"}, "more", "invalid_trigger_ports"),
    (BY_TRAFFIC | {"linger": {"seconds": 59}}, "more", "linger_out_of_range"),
    (BY_TRAFFIC | {"linger": {"days": 1, "seconds": 1}}, "more", "linger_out_of_range"),
    (BY_TRAFFIC | {"linger": {"days": 10**12}}, "more", "linger_out_of_range"),
    ({"opened_by": "switch.camera"}, "more", "opened_by_ours"),
]


@pytest.mark.parametrize(("typed", "at", "error"), ERRORS)
async def test_errors(home: Home, typed: dict[str, Any], at: str, error: str) -> None:
    await home.add()
    assert er.async_get(home.hass).async_get("switch.camera")
    typed = TYPED | {"external_ports": "40001", "internal_ports": "40001"} | typed
    step = await submit(home.hass, await start(home.hass, home.entry), typed)
    assert_form(step, "user", {at: error})
    assert message(step)
    step = await submit(
        home.hass, step, TYPED | BY_TRAFFIC | {"linger": {"minutes": 1}, "external_ports": "40002"}
    )
    assert step["type"] == "create_entry"


async def test_traffic_is_refused_where_no_connections_are_shown(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await set_up(hass, entry)
    step = await submit(hass, await start(hass, entry), TYPED | BY_TRAFFIC)
    assert_form(step, "user", {"more": "no_connection_table"})
    assert message(step) == rendered("config_subentries.forward.error.no_connection_table")
    step = await submit(hass, step, TYPED | {"opened_by": "sun.sun"})
    assert step["type"] == "create_entry"


async def test_what_was_closed_is_not_prolonged(home: Home) -> None:
    await home.add(**BY_TRAFFIC)
    await home.plays(CONSOLE)
    keeper = home.entry.runtime_data.keeper
    [forward_id] = home.entry.subentries
    deadline = dt_util.utcnow() + timedelta(hours=1)
    await asyncio.gather(keeper.close(forward_id, None), keeper.prolong(forward_id, deadline))
    assert not keeper.openings
    assert not home.router.committed
