"""The blueprints that open for a while and for a certificate."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from lab.virtual_router import Fault, VirtualRouter, free_port

from .automating import pass_time
from .blueprints import AUTOMATION, automate_from, run_automation, settle, time_left
from .conftest import add_forward, forward_data, set_up, state_of

CAMERA = "switch.camera"
GAMES = "switch.games"
ON_EVENT = [{"trigger": "event", "event_type": "now"}]


@pytest.fixture(autouse=True)
async def home(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """A router with two closed forwards."""
    add_forward(hass, entry, forward_data(external_port))
    add_forward(hass, entry, forward_data(free_port()), "Games")
    await set_up(hass, entry)
    return entry


async def test_for_an_hour_at_six(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    evening = dt_util.now().replace(hour=17, minute=59, second=59, microsecond=0)
    freezer.move_to(evening + timedelta(days=1))
    await automate_from(
        hass,
        "open_for_a_while",
        forwards=[CAMERA, GAMES],
        triggers=[{"trigger": "time", "at": "18:00:00"}],
    )
    assert state_of(hass) == "off"
    await pass_time(hass, freezer, seconds=1)
    assert [state_of(hass, each) for each in (CAMERA, GAMES)] == ["on", "on"]
    assert time_left(hass, home) == [timedelta(hours=1)] * 2
    await pass_time(hass, freezer, hours=1)
    assert [state_of(hass, each) for each in (CAMERA, GAMES)] == ["off", "off"]
    await stop(hass)  # its alarm is set for tomorrow


async def test_on_any_trigger_and_condition(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    hass.states.async_set("input_boolean.allowed", "off")
    await automate_from(
        hass,
        "open_for_a_while",
        forwards=[CAMERA],
        triggers=ON_EVENT,
        conditions=[
            {"condition": "state", "entity_id": "input_boolean.allowed", "state": "on"},
        ],
        duration={"days": 1, "hours": 0, "minutes": 30, "seconds": 0},
    )
    hass.bus.async_fire("now")
    await settle(hass)
    assert state_of(hass) == "off"
    hass.states.async_set("input_boolean.allowed", "on")
    hass.bus.async_fire("now")
    await settle(hass)
    assert time_left(hass, home) == [timedelta(days=1, minutes=30)]


async def test_one_that_fails_does_not_keep_the_others_closed(
    hass: HomeAssistant, router: VirtualRouter
) -> None:
    await automate_from(hass, "open_for_a_while", forwards=[CAMERA, GAMES], triggers=ON_EVENT)
    router.fault(Fault.HTTP_500_EMPTY, action="AddPortMapping")
    hass.bus.async_fire("now")
    await settle(hass)
    assert [state_of(hass, each) for each in (CAMERA, GAMES)] == ["off", "on"]


async def until(happened: Callable[[], bool]) -> None:
    """Wait for it; while actions are waiting, Home Assistant is never done."""
    # Time stands still: only that of pytest-timeout goes on. How often the loop turns until a disk
    # has written depends on the machine.
    while not happened():  # noqa: ASYNC110  what happens sets no event
        await asyncio.sleep(0)


async def renew(hass: HomeAssistant, *actions: dict[str, Any]) -> list[Event[dict[str, Any]]]:
    """Automate the renewal of a certificate; return when the actions began."""
    begun = async_capture_events(hass, "begun")
    await automate_from(
        hass,
        "open_for_a_certificate",
        forward=CAMERA,
        triggers=ON_EVENT,
        actions=[{"event": "begun"}, *actions],
    )
    return begun


async def begin(hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
    """Begin to renew, and wait for the end of it."""
    begun = await renew(hass, {"wait_for_trigger": [{"trigger": "event", "event_type": "renewed"}]})
    hass.bus.async_fire("now")
    await until(lambda: len(begun) == 1)
    return begun


async def test_open_while_the_certificate_is_renewed(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    begun = await begin(hass)
    assert time_left(hass, home) == [timedelta(minutes=15)]
    freezer.tick(60)
    hass.bus.async_fire("now")  # which is once too often
    hass.bus.async_fire("renewed")
    await settle(hass)
    assert state_of(hass) == "off"
    assert len(begun) == 1
    hass.bus.async_fire("now")
    await until(lambda: len(begun) == 2)
    assert state_of(hass) == "on"
    hass.bus.async_fire("renewed")
    await settle(hass)
    assert state_of(hass) == "off"


async def test_the_port_is_open_when_the_actions_begin(
    hass: HomeAssistant, router: VirtualRouter
) -> None:
    begun = await renew(hass)
    seen: list[int] = []
    hass.bus.async_listen("begun", lambda _: seen.append(len(router.mappings)))
    hass.bus.async_fire("now")
    await settle(hass)
    assert len(begun) == 1
    assert seen == [1]
    assert not router.mappings


@pytest.mark.parametrize(
    "failing",
    [
        {"action": "no.such_action"},
        {"action": "switch.turn_on", "target": {"entity_id": "{{ 1 / 0 }}"}},
        {"action": "port_forward.close", "target": {"entity_id": "switch.nobody_knows"}},
        {"condition": "template", "value_template": "{{ false }}"},
        {"stop": "Enough"},
        {"stop": "Broken", "error": True},
        {"delay": "{{ 'nonsense' }}"},
        {"variables": {"oops": "{{ nothing.at.all }}"}},
    ],
    ids=lambda failing: next(iter(failing)),
)
async def test_closed_however_the_actions_end(
    hass: HomeAssistant, router: VirtualRouter, failing: dict[str, Any]
) -> None:
    begun = await renew(hass, failing, {"event": "begun"})
    hass.bus.async_fire("now")
    await settle(hass)
    assert len(begun) == 1, "they did not get any further"
    assert router.requests["AddPortMapping"] == 1
    assert state_of(hass) == "off"


async def test_nothing_is_renewed_through_a_port_that_is_closed(
    hass: HomeAssistant, router: VirtualRouter
) -> None:
    begun = await renew(hass)
    router.fault(Fault.HTTP_500_EMPTY, action="AddPortMapping")
    hass.bus.async_fire("now")
    await settle(hass)
    assert not begun
    assert state_of(hass) == "off"


async def test_actions_that_take_too_long(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    await begin(hass)
    freezer.tick(timedelta(minutes=15))
    async_fire_time_changed(hass)
    await until(lambda: state_of(hass) == "off")
    hass.bus.async_fire("renewed")
    await settle(hass)
    assert state_of(hass) == "off"


async def test_stopped_in_the_middle(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    await begin(hass)
    await stop(hass)
    await pass_time(hass, freezer, minutes=14)
    assert state_of(hass) == "on"
    await pass_time(hass, freezer, minutes=1)
    assert state_of(hass) == "off"


async def stop(hass: HomeAssistant) -> None:
    """Turn the automation off, which ends its runs."""
    await hass.services.async_call(
        "automation", "turn_off", {"entity_id": AUTOMATION}, blocking=True
    )


async def test_stopped_while_it_opens(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    home: MockConfigEntry,
) -> None:
    begun = await renew(hass)
    router.fault(Fault.SLOW, action="AddPortMapping", delay=0.5)
    hass.bus.async_fire("now")
    await until(lambda: len(router.mappings) == 1)
    await stop(hass)
    freezer.tick(1)  # for the router, which has not answered yet
    await settle(hass)
    assert not begun
    await pass_time(hass, freezer, minutes=15)
    assert state_of(hass) == "off"
    assert not router.mappings


async def test_run_by_hand(hass: HomeAssistant, router: VirtualRouter) -> None:
    begun = await renew(hass)
    await run_automation(hass)
    assert len(begun) == 1
    assert state_of(hass) == "off"
