"""What is remembered of the openings of a router, and for how long."""

from datetime import timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.port_forward.history import async_history
from custom_components.port_forward.openings.journal import Journal, Source
from custom_components.port_forward.routers.errors import RouterTimeoutError
from lab.virtual_router import Fault, VirtualRouter

from .conftest import add_forward, forward_data, refresh, set_up, switch


@pytest.fixture
async def camera(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> str:
    """The id of the one forward, `switch.camera`, which closes after an hour."""
    data = forward_data(external_port, until_closed=False, close_after={"hours": 1})
    subentry = add_forward(hass, entry, data)
    await set_up(hass, entry)
    return subentry.subentry_id


def told(hass: HomeAssistant, entry: MockConfigEntry) -> list[tuple[str, str, str, str | None]]:
    """Return who says what, of which forward and why."""
    lines = async_history(hass, entry.entry_id).journal.lines
    return [(line.forward_id, line.source, line.what, line.why) for line in lines]


async def test_a_life(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    camera: str,
    external_port: int,
) -> None:
    await switch(hass, "turn_on")
    await router.restart(change_port=False)
    await refresh(hass, entry)
    await router.remove("TCP", external_port)
    await refresh(hass, entry)
    assert told(hass, entry) == [
        (camera, "command", "open", None),
        (camera, "activity", "opened", None),
        (camera, "verdict", "restore", None),
        (camera, "activity", "restored", "router_restarted"),
        (camera, "verdict", "removed_elsewhere", None),
        (camera, "activity", "closed", "removed_elsewhere"),
    ]


async def test_what_goes_wrong_again_and_again_is_one_line_each(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    camera: str,
    freezer: FrozenDateTimeFactory,
) -> None:
    await switch(hass, "turn_on")
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=None)
    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_off")
    for _ in range(3):
        freezer.tick(timedelta(seconds=0.1))  # It is tried again after a second.
        await refresh(hass, entry)
    router.clear_faults()
    freezer.tick(timedelta(seconds=0.1))
    await refresh(hass, entry)
    assert told(hass, entry)[2:] == [
        (camera, "command", "close", "turned_off"),
        (camera, "activity", "close_failed", "turned_off"),
        (camera, "verdict", "close", "turned_off"),
        (camera, "activity", "closed", "turned_off"),
    ]
    failed, judged = list(async_history(hass, entry.entry_id).journal.lines)[3:5]
    assert failed.error == "protocol_error"
    assert judged.times == 4
    assert judged.last - judged.first == timedelta(seconds=0.3)


async def test_how_late(
    hass: HomeAssistant, entry: MockConfigEntry, camera: str, freezer: FrozenDateTimeFactory
) -> None:
    await switch(hass, "turn_on")
    freezer.tick(timedelta(hours=1, seconds=7))
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    line = async_history(hass, entry.entry_id).journal.lines[-1]
    assert (line.what, line.why, line.late) == ("closed", "time_up", timedelta(seconds=7))


async def test_a_renewal_that_fails(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    freezer: FrozenDateTimeFactory,
) -> None:
    subentry = add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    router.fault(Fault.HTTP_500_EMPTY, action="AddPortMapping", times=None)
    freezer.tick(timedelta(minutes=31))
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert told(hass, entry)[-1] == (subentry.subentry_id, "activity", "renewal_failed", None)


async def test_outlives_a_reload_and_a_router_that_is_away_but_not_its_entry(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, camera: str
) -> None:
    await switch(hass, "turn_on")
    router.fault(Fault.DROP_BEFORE, times=None)
    await hass.config_entries.async_reload(entry.entry_id)
    history = async_history(hass, entry.entry_id)
    assert told(hass, entry)[0] == (camera, "command", "open", None)
    assert ("connect", "unreachable", "") in history.observations.troubles
    router.clear_faults()
    await hass.config_entries.async_remove(entry.entry_id)
    assert async_history(hass, entry.entry_id) is not history
    assert told(hass, entry) == []


def test_is_bounded() -> None:
    journal = Journal()
    for number in range(5000):
        journal.note(f"forward{number}", Source.COMMAND, "open", error=RouterTimeoutError(host="a"))
    assert len(journal.lines) == len(journal._newest) == 200
    assert {line.error for line in journal.lines} == {"timed_out"}
