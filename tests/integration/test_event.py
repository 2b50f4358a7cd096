"""The events *Activity* of the forwards and of the router."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.const import STATE_UNKNOWN
from homeassistant.core import Context, HomeAssistant, State
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_capture_events,
    mock_restore_cache_with_extra_data,
)

from custom_components.port_forward.announce import EVENT_ACTIVITY
from custom_components.port_forward.openings import Activity, Kind
from custom_components.port_forward.runtime import MOST_UNTOLD
from lab.virtual_router import Fault, VirtualRouter

from .automating import device_of, forward_id_of, open_for, pass_time
from .conftest import (
    add_forward,
    forward_data,
    make_entry,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)

EVENT = "event.camera_activity"
ROUTER_EVENT = "event.virtual_router_activity"


def event(hass: HomeAssistant, entity_id: str = EVENT) -> State:
    state = hass.states.get(entity_id)
    assert state
    return state


async def test_nothing_has_happened_to_what_is_new(
    hass: HomeAssistant, closed: MockConfigEntry
) -> None:
    for entity_id in (EVENT, ROUTER_EVENT):
        assert event(hass, entity_id).state == STATE_UNKNOWN
        assert event(hass, entity_id).attributes["event_types"] == [
            "opened",
            "extended",
            "restored",
            "moved",
            "closed",
            "open_failed",
            "close_failed",
            "external_port_changed",
        ]


async def test_opened_extended_and_closed(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    closed: MockConfigEntry,
    hass_admin_user: MockUser,
) -> None:
    context = Context(user_id=hass_admin_user.id)
    await hass.services.async_call(
        "switch", "turn_on", {"entity_id": "switch.camera"}, blocking=True, context=context
    )
    opened = event(hass)
    assert opened.attributes["event_type"] == "opened"
    assert opened.attributes["deadline"] is None
    assert opened.attributes["user_id"] == hass_admin_user.id
    assert opened.context is context
    since = dt_util.utcnow() - datetime.fromisoformat(opened.state)
    assert abs(since) < timedelta(seconds=5)

    await open_for(hass, minutes=10)
    extended = event(hass)
    deadline = dt_util.utcnow() + timedelta(minutes=10)
    assert extended.attributes["event_type"] == "extended"
    assert datetime.fromisoformat(extended.attributes["deadline"]) == deadline

    await pass_time(hass, freezer, minutes=10, seconds=2)
    closed_event = event(hass)
    assert closed_event.attributes["event_type"] == "closed"
    assert closed_event.attributes["reason"] == "time_up"
    assert closed_event.attributes["late"] == 2
    # The clock did it, and not the user who opened.
    assert closed_event.attributes["user_id"] is None
    assert closed_event.context.user_id is None


async def test_what_the_integration_does_is_not_put_down_to_the_last_user(
    hass: HomeAssistant,
    router: VirtualRouter,
    closed: MockConfigEntry,
    external_port: int,
    hass_admin_user: MockUser,
) -> None:
    context = Context(user_id=hass_admin_user.id)
    await hass.services.async_call(
        "switch", "turn_on", {"entity_id": "switch.camera"}, blocking=True, context=context
    )
    await router.remove("TCP", external_port)
    await refresh(hass, closed)
    assert event(hass).attributes["reason"] == "removed_elsewhere"
    assert event(hass).context.user_id is None


async def test_each_forward_shows_its_own_and_the_router_shows_all(
    hass: HomeAssistant, closed: MockConfigEntry
) -> None:
    await switch(hass, "turn_on", "switch.games")
    assert event(hass).state == STATE_UNKNOWN
    assert event(hass, "event.games_activity").attributes["event_type"] == "opened"
    shown = event(hass, ROUTER_EVENT).attributes
    assert shown["event_type"] == "opened"
    assert shown["forward"] == "Games"
    assert shown["forward_id"] == forward_id_of(closed, "Games")


async def test_two_routers_do_not_show_each_other(
    hass: HomeAssistant, closed: MockConfigEntry
) -> None:
    async with VirtualRouter(udn="uuid:5f2ad1c3-3f1c-4b38-9b3e-000000000002") as other:
        entry = await make_entry(hass, other)
        await set_up(hass, entry)
        await switch(hass, "turn_on")
        assert event(hass, ROUTER_EVENT).attributes["event_type"] == "opened"
        assert event(hass, f"{ROUTER_EVENT}_2").state == STATE_UNKNOWN
        await stop_home_assistant(hass, entry)


async def test_what_failed_is_told_in_words_even_while_the_router_is_away(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    router.fault(Fault.HTTP_500_EMPTY, times=None)
    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_off")
    await refresh(hass, closed)
    assert state_of(hass) == "unavailable"
    failed = event(hass)
    assert failed.attributes["event_type"] == "close_failed"
    assert failed.attributes["reason"] == "turned_off"
    assert failed.attributes["error"].startswith("The router")

    router.clear_faults()


async def test_an_opening_that_failed_is_told(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    router.fault(Fault.HTTP_500_EMPTY, action="AddPortMapping")
    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_on")
    assert event(hass).attributes["event_type"] == "open_failed"
    assert event(hass).attributes["reason"] == "refused"


async def test_a_host_that_is_not_found_is_an_opening_that_failed(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    external_port: int,
    name_server: dict[str, list[str]],
) -> None:
    add_forward(hass, entry, forward_data(external_port, internal_host="nowhere.invalid"))
    await set_up(hass, entry)
    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_on")
    assert event(hass).attributes["event_type"] == "open_failed"
    assert "nowhere.invalid" in event(hass).attributes["error"]


async def test_what_happened_before_there_were_entities_is_told_once(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    closed: MockConfigEntry,
) -> None:
    await open_for(hass, minutes=10)
    await stop_home_assistant(hass, closed)
    freezer.tick(timedelta(hours=1))
    told = async_capture_events(hass, EVENT_ACTIVITY)
    shown = async_capture_events(hass, "state_changed")
    await set_up(hass, closed)

    assert not router.mappings
    (activity,) = told
    assert activity.data["kind"] == "closed"
    assert activity.data["reason"] == "time_up"
    assert activity.data["late"] == pytest.approx(3000)
    for entity_id in (EVENT, ROUTER_EVENT):
        news = [
            change.data["new_state"].attributes["event_type"]
            for change in shown
            if change.data["entity_id"] == entity_id
            and change.data["new_state"].state != change.data["old_state"].state
        ]
        # First the entity remembers its last event, then it tells of the new one.
        assert news == ["opened", "closed"]

    await hass.config_entries.async_reload(closed.entry_id)
    await hass.async_block_till_done()
    assert len(told) == 1


async def test_a_start_is_no_news(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int
) -> None:
    then = "2026-11-01T10:00:00.000+00:00"
    mock_restore_cache_with_extra_data(
        hass,
        [
            (
                State(EVENT, then),
                {"last_event_type": "closed", "last_event_attributes": {"reason": "time_up"}},
            )
        ],
    )
    add_forward(hass, entry, forward_data(external_port))
    told = async_capture_events(hass, EVENT_ACTIVITY)
    await set_up(hass, entry)
    assert event(hass).state == then
    assert event(hass).attributes["reason"] == "time_up"
    assert not told


async def test_a_deleted_forward_is_told_of_by_its_router(
    hass: HomeAssistant, closed: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    router_device = device_of(hass, ROUTER_EVENT)
    told = async_capture_events(hass, EVENT_ACTIVITY)
    hass.config_entries.async_remove_subentry(closed, forward_id_of(closed))
    await hass.async_block_till_done()
    shown = event(hass, ROUTER_EVENT).attributes
    assert (shown["event_type"], shown["reason"]) == ("closed", "forward_deleted")
    assert shown["forward"] == "Camera"
    (activity,) = told
    assert activity.data["entity_id"] is None
    assert activity.data["device_id"] == router_device


@pytest.mark.parametrize("how", ["disabled", "deleted"])
async def test_what_a_router_that_goes_closes_is_told(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, how: str
) -> None:
    await switch(hass, "turn_on")
    told = async_capture_events(hass, EVENT_ACTIVITY)
    if how == "disabled":
        await hass.config_entries.async_set_disabled_by(closed.entry_id, ConfigEntryDisabler.USER)
    else:
        await hass.config_entries.async_remove(closed.entry_id)
    assert not router.mappings
    (activity,) = told
    assert activity.data["reason"] == f"router_{how}"
    assert activity.data["entity_id"] == "switch.camera"


async def test_more_than_a_start_can_tell_does_not_pile_up(
    hass: HomeAssistant, closed: MockConfigEntry
) -> None:
    runtime = closed.runtime_data.runtime
    runtime.async_hide()
    activity = Activity(
        kind=Kind.OPENED, forward_id=forward_id_of(closed), name="Camera", at=dt_util.utcnow()
    )
    for number in range(MOST_UNTOLD + 5):
        runtime.async_tell(replace(activity, name=f"Camera {number}"))
    shown: list[Activity] = []
    closed.runtime_data.async_listen(shown.append)
    runtime.async_show()
    assert len(shown) == MOST_UNTOLD
    assert shown[-1].name == f"Camera {MOST_UNTOLD + 4}"
