"""The triggers, each through an automation that a user could have written."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
import voluptuous as vol
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Context, Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import area_registry as ar
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import floor_registry as fr
from homeassistant.helpers import label_registry as lr
from homeassistant.helpers.trigger import async_initialize_triggers, async_validate_trigger_config
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml.loader import parse_yaml
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.port_forward.announce import EVENT_ACTIVITY
from custom_components.port_forward.const import CONF_CLOSE_ON_STOP
from lab.virtual_router import Fault, Quirk, VirtualRouter

from .automating import FOREIGN_SWITCH, automate, device_of, furnish, open_for, pass_time
from .conftest import refresh, set_up, state_of, stop_home_assistant, switch

CAMERA = "switch.camera"
GAMES = "switch.games"


async def on(
    hass: HomeAssistant, key: str, options: str = "{}", target: str = CAMERA
) -> list[Event[dict[str, Any]]]:
    """Automate on one trigger of one entity."""
    return await automate(
        hass,
        f"""
        triggers:
          - trigger: port_forward.{key}
            target:
              entity_id: {target}
            options: {options}
        """,
    )


async def test_opened_and_closed(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    closed: MockConfigEntry,
) -> None:
    runs = await automate(
        hass,
        f"""
        triggers:
          - trigger: port_forward.opened
            target:
              entity_id: {CAMERA}
          - trigger: port_forward.closed
            target:
              entity_id: {CAMERA}
        """,
    )
    await open_for(hass, CAMERA, minutes=10)
    (opened,) = runs
    assert opened.data["entity_id"] == CAMERA
    assert opened.data["forward"] == "Camera"
    assert opened.data["reason"] is None
    deadline = dt_util.utcnow() + timedelta(minutes=10)
    assert datetime.fromisoformat(opened.data["deadline"]) == deadline

    await open_for(hass, CAMERA, minutes=20)
    await switch(hass, "turn_on", GAMES)
    await hass.async_block_till_done()
    assert len(runs) == 1, "to move the deadline is not to open, and Games is not meant"

    await pass_time(hass, freezer, minutes=20, seconds=3)
    (_, closed_run) = runs
    assert closed_run.data["reason"] == "time_up"
    assert closed_run.data["late"] == 3


async def test_the_run_knows_who_opened(
    hass: HomeAssistant, closed: MockConfigEntry, hass_admin_user: MockUser
) -> None:
    await on(hass, "opened")
    triggered = async_capture_events(hass, "automation_triggered")
    context = Context(user_id=hass_admin_user.id)
    await hass.services.async_call(
        "switch", "turn_on", {"entity_id": CAMERA}, blocking=True, context=context
    )
    await hass.async_block_till_done()
    (run,) = triggered
    assert run.context.parent_id == context.id
    assert run.data["source"] == "opened of switch.camera"


@pytest.mark.parametrize("by", ["device", "area", "floor", "label"])
async def test_targets_match_our_switches_only(
    hass: HomeAssistant, closed: MockConfigEntry, by: str
) -> None:
    room = await furnish(hass, CAMERA, GAMES)
    target = f"area_id: {room}"
    if by == "device":
        target = f"device_id: {device_of(hass, CAMERA)}"
    elif by == "floor":
        floor = fr.async_get(hass).async_create("Ground").floor_id
        ar.async_get(hass).async_update(room, floor_id=floor)
        target = f"floor_id: {floor}"
    elif by == "label":
        label = lr.async_get(hass).async_create("Ports").label_id
        for entity_id in (CAMERA, FOREIGN_SWITCH):
            er.async_get(hass).async_update_entity(entity_id, labels={label})
        target = f"label_id: {label}"
    runs = await automate(
        hass,
        f"""
        triggers:
          - trigger: port_forward.opened
            target:
              {target}
          - trigger: port_forward.closed
            target:
              {target}
        """,
    )
    for service in ("turn_off", "turn_on"):
        await switch(hass, service, FOREIGN_SWITCH)
        await hass.async_block_till_done()
        assert state_of(hass, FOREIGN_SWITCH) == service.removeprefix("turn_")
    assert not runs
    for entity_id in (CAMERA, GAMES):
        await switch(hass, "turn_on", entity_id)
        await hass.async_block_till_done()
    meant = [CAMERA, GAMES] if by in ("area", "floor") else [CAMERA]
    assert [run.data["entity_id"] for run in runs] == meant


async def test_a_forward_that_moves_into_the_room_is_meant_from_then_on(
    hass: HomeAssistant, closed: MockConfigEntry
) -> None:
    room = await furnish(hass, GAMES)
    runs = await automate(
        hass,
        f"""
        triggers:
          - trigger: port_forward.opened
            target:
              area_id: {room}
        """,
    )
    await switch(hass, "turn_on")
    await switch(hass, "turn_off")
    dr.async_get(hass).async_update_device(device_of(hass, CAMERA), area_id=room)
    await switch(hass, "turn_on")
    await hass.async_block_till_done()
    assert [run.data["entity_id"] for run in runs] == [CAMERA]


async def test_closed_for_some_reasons_only(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    closed: MockConfigEntry,
    external_port: int,
) -> None:
    runs = await on(hass, "closed", "{reason: [time_up, removed_elsewhere]}")
    await switch(hass, "turn_on")
    await switch(hass, "turn_off")
    await hass.async_block_till_done()
    assert not runs

    await open_for(hass, minutes=1)
    await pass_time(hass, freezer, minutes=1)
    assert [run.data["reason"] for run in runs] == ["time_up"]

    await switch(hass, "turn_on")
    await router.remove("TCP", external_port)
    await refresh(hass, closed)
    assert [run.data["reason"] for run in runs] == ["time_up", "removed_elsewhere"]


async def test_a_single_reason_needs_no_list(hass: HomeAssistant, closed: MockConfigEntry) -> None:
    runs = await on(hass, "closed", "{reason: turned_off}")
    await switch(hass, "turn_on")
    await switch(hass, "turn_off")
    await hass.async_block_till_done()
    assert len(runs) == 1


@pytest.mark.parametrize("how", ["disabled", "deleted"])
async def test_closed_because_its_router_went(
    hass: HomeAssistant, closed: MockConfigEntry, how: str
) -> None:
    runs = await on(hass, "closed", f"{{reason: router_{how}}}")
    await switch(hass, "turn_on")
    if how == "disabled":
        await hass.config_entries.async_set_disabled_by(closed.entry_id, ConfigEntryDisabler.USER)
    else:
        await hass.config_entries.async_remove(closed.entry_id)
    await hass.async_block_till_done()
    assert [run.data["entity_id"] for run in runs] == [CAMERA]


async def test_closed_because_home_assistant_stops(
    hass: HomeAssistant, closed: MockConfigEntry
) -> None:
    hass.config_entries.async_update_entry(closed, options={CONF_CLOSE_ON_STOP: True})
    await hass.async_block_till_done()
    runs = await on(hass, "closed", "{reason: home_assistant_stopped}")
    await switch(hass, "turn_on")
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()
    assert [run.data["entity_id"] for run in runs] == [CAMERA]


async def test_about_to_close_may_be_detached_by_its_own_action(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, closed: MockConfigEntry
) -> None:
    ran: list[str] = []

    async def once(run_variables: dict[str, Any], context: Context | None = None) -> None:
        ran.append(run_variables["trigger"]["entity_id"])
        detach()

    checked = cv.TRIGGER_SCHEMA(
        {"trigger": "port_forward.about_to_close", "target": {"entity_id": [CAMERA, GAMES]}}
    )
    remove = await async_initialize_triggers(
        hass,
        await async_validate_trigger_config(hass, checked),
        once,
        "test",
        "once",
        lambda *_: None,
    )
    assert remove
    detach = remove
    await open_for(hass, CAMERA, minutes=20)
    await open_for(hass, GAMES, minutes=40)
    await pass_time(hass, freezer, minutes=15)
    await pass_time(hass, freezer, minutes=20)
    assert ran == [CAMERA]


async def test_what_the_router_lost_and_got_back_was_neither_closed_nor_opened(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    runs = await automate(
        hass,
        f"""
        triggers:
          - trigger: port_forward.opened
            target:
              entity_id: {CAMERA}
          - trigger: port_forward.closed
            target:
              entity_id: {CAMERA}
        """,
    )
    await router.restart(change_port=False)
    router.quirks.add(Quirk.Q14)  # no external address yet
    await refresh(hass, closed)
    assert state_of(hass) == "off"
    router.quirks.clear()
    await refresh(hass, closed)
    assert state_of(hass) == "on"
    assert not runs


async def test_a_mapping_of_somebody_else_is_no_opening(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, external_port: int
) -> None:
    runs = await on(hass, "opened")
    await router.add_foreign(
        protocol="TCP",
        external_port=external_port,
        internal_host="127.0.0.5",
        internal_port=8080,
    )
    await refresh(hass, closed)
    assert state_of(hass) == "on", "it leads where the forward would"
    assert not runs


async def test_nobody_can_forge_an_opening(hass: HomeAssistant, closed: MockConfigEntry) -> None:
    await switch(hass, "turn_on")
    told = async_capture_events(hass, EVENT_ACTIVITY)
    await switch(hass, "turn_off")
    (real,) = told
    runs = await on(hass, "closed")
    hass.bus.async_fire(EVENT_ACTIVITY, real.data)
    await hass.async_block_till_done()
    assert not runs


async def test_opening_failed(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    runs = await on(hass, "opening_failed")
    router.fault(Fault.HTTP_500_EMPTY, action="AddPortMapping")
    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_on")
    await hass.async_block_till_done()
    (run,) = runs
    assert run.data["entity_id"] == CAMERA
    assert run.data["reason"] == "refused"
    assert run.data["error"].startswith("The router")
    await switch(hass, "turn_on")
    await hass.async_block_till_done()
    assert len(runs) == 1


async def test_about_to_close_comes_once_and_in_time(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, closed: MockConfigEntry
) -> None:
    runs = await on(hass, "about_to_close")
    await open_for(hass, minutes=30)
    await open_for(hass, GAMES, minutes=30)
    deadline = dt_util.utcnow() + timedelta(minutes=30)
    await pass_time(hass, freezer, minutes=24, seconds=59)
    assert not runs
    await pass_time(hass, freezer, seconds=1)
    (run,) = runs
    assert run.data["entity_id"] == CAMERA
    assert run.data["forward"] == "Camera"
    assert datetime.fromisoformat(run.data["deadline"]) == deadline
    await pass_time(hass, freezer, minutes=4, seconds=59)
    await pass_time(hass, freezer, seconds=1)
    assert state_of(hass) == "off"
    assert len(runs) == 1


async def test_about_to_close_comes_again_when_the_deadline_was_moved(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, closed: MockConfigEntry
) -> None:
    runs = await on(hass, "about_to_close", "{before: '00:10:00'}")
    await open_for(hass, minutes=30)
    await pass_time(hass, freezer, minutes=15)
    await open_for(hass, minutes=30)
    await pass_time(hass, freezer, minutes=5)
    assert not runs, "the old deadline is no more"
    await pass_time(hass, freezer, minutes=15)
    assert len(runs) == 1
    await open_for(hass, minutes=30)
    await pass_time(hass, freezer, minutes=20)
    assert len(runs) == 2


async def test_about_to_close_is_silent_where_nobody_waits_for_it(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, closed: MockConfigEntry
) -> None:
    runs = await on(hass, "about_to_close")
    await open_for(hass, minutes=4)  # never farther away than the five minutes
    await pass_time(hass, freezer, minutes=2)
    await open_for(hass, minutes=3)  # as an automation might that answers by opening
    await pass_time(hass, freezer, minutes=1)
    await switch(hass, "turn_off")
    await open_for(hass, minutes=30)
    await switch(hass, "turn_on")  # until closed
    await pass_time(hass, freezer, minutes=26)
    await open_for(hass, minutes=30)
    await switch(hass, "turn_off")
    await pass_time(hass, freezer, minutes=26)
    assert not runs


async def test_about_to_close_of_what_was_open_before(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, closed: MockConfigEntry
) -> None:
    await open_for(hass, minutes=30)
    runs = await on(hass, "about_to_close")
    await stop_home_assistant(hass, closed)
    await pass_time(hass, freezer, minutes=10)
    await set_up(hass, closed)
    await pass_time(hass, freezer, minutes=15)
    assert len(runs) == 1


async def test_about_to_close_while_its_router_was_being_reloaded(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, closed: MockConfigEntry
) -> None:
    await open_for(hass, minutes=30)
    runs = await on(hass, "about_to_close")
    await stop_home_assistant(hass, closed)
    await pass_time(hass, freezer, minutes=26)
    assert not runs
    await set_up(hass, closed)
    assert len(runs) == 1


async def test_about_to_close_when_the_clock_jumps(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, closed: MockConfigEntry
) -> None:
    runs = await on(hass, "about_to_close")
    await open_for(hass, minutes=30)
    later = dt_util.utcnow() + timedelta(minutes=26)
    # The clock of the wall is set forward; for the timers just ten seconds pass.
    with patch("homeassistant.util.dt.utcnow", return_value=later):
        async_fire_time_changed(hass, datetime.now(UTC) + timedelta(seconds=10))
        await hass.async_block_till_done()
    assert len(runs) == 1


async def test_a_trigger_that_is_switched_off_stays_silent(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, closed: MockConfigEntry
) -> None:
    runs = await automate(
        hass,
        f"""
        triggers:
          - trigger: port_forward.about_to_close
            target:
              entity_id: {CAMERA}
          - trigger: port_forward.closed
            target:
              entity_id: {CAMERA}
        """,
    )
    await open_for(hass, minutes=30)
    await hass.services.async_call(
        "automation", "turn_off", {"entity_id": "automation.automation_0"}, blocking=True
    )
    await pass_time(hass, freezer, minutes=26)
    await switch(hass, "turn_off")
    await hass.async_block_till_done()
    assert not runs


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("opened", "{}"),
        ("opened", "{target: {entity_id: switch.a}, options: {reason: time_up}}"),
        ("closed", "{target: {entity_id: switch.a}, options: {reason: [for_fun]}}"),
        ("closed", "{target: {entity_id: switch.a}, options: {reason: [forward_deleted]}}"),
        ("about_to_close", "{target: {entity_id: switch.a}, options: {before: 0}}"),
        ("about_to_close", "{target: {entity_id: switch.a}, options: {before: -5}}"),
        ("unheard_of", "{target: {entity_id: switch.a}}"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    hass: HomeAssistant, closed: MockConfigEntry, key: str, more: str
) -> None:
    config = parse_yaml(more)
    assert isinstance(config, dict)
    checked = cv.TRIGGER_SCHEMA({"trigger": f"port_forward.{key}", **config})
    with pytest.raises(vol.Invalid):
        await async_validate_trigger_config(hass, checked)
