"""The blueprint that opens while something is on."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Context, HomeAssistant
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from .automating import open_for, pass_time
from .blueprints import automate_from, edit_automation, settle, start_with, time_left
from .conftest import add_forward, forward_data, set_up, state_of, switch

NAME = "open_while_something_is_on"
SERVER = "input_boolean.server"
INPUTS = {"forwards": ["switch.camera"], "thing": SERVER}


@pytest.fixture(autouse=True)
async def home(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """A router with a closed forward, and a game server that is off."""
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    assert await async_setup_component(hass, "input_boolean", {"input_boolean": {"server": {}}})
    await hass.async_block_till_done()
    return entry


async def turn(hass: HomeAssistant, service: str) -> None:
    """Turn the game server on or off."""
    await hass.services.async_call(
        "input_boolean", f"turn_{service}", {"entity_id": SERVER}, blocking=True
    )
    await settle(hass)


async def test_open_while_it_is_on_and_five_minutes_more(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    await automate_from(hass, NAME, **INPUTS)
    await turn(hass, "on")
    assert time_left(hass, home) == [timedelta(hours=1)]
    for _ in range(12):
        await pass_time(hass, freezer, minutes=10)
        (left,) = time_left(hass, home)
        assert timedelta(0) < left <= timedelta(hours=1)
    await turn(hass, "off")
    assert time_left(hass, home) == [timedelta(minutes=5)]
    await pass_time(hass, freezer, minutes=5)
    assert state_of(hass) == "off"
    await pass_time(hass, freezer, hours=1)
    assert state_of(hass) == "off"


async def test_closed_at_once(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    await automate_from(hass, NAME, **INPUTS, minutes=0)
    await turn(hass, "on")
    assert state_of(hass) == "on"
    await turn(hass, "off")
    assert state_of(hass) == "off"


async def test_it_turns_on_again_before_it_is_closed(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    await automate_from(hass, NAME, **INPUTS)
    await turn(hass, "on")
    await turn(hass, "off")
    await pass_time(hass, freezer, minutes=4)
    await turn(hass, "on")
    assert time_left(hass, home) == [timedelta(hours=1)]


async def test_it_closes_by_itself_when_the_automation_dies(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    await automate_from(hass, NAME, **INPUTS)
    await turn(hass, "on")
    await hass.services.async_call(
        "automation", "turn_off", {"entity_id": "automation.under_test"}, blocking=True
    )
    await pass_time(hass, freezer, hours=1)
    assert state_of(hass) == "off"


async def test_nobody_knows_whether_it_is_on(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    await automate_from(hass, NAME, **INPUTS)
    await turn(hass, "on")
    hass.states.async_set(SERVER, "unavailable")
    await pass_time(hass, freezer, minutes=55)
    assert time_left(hass, home) == [timedelta(minutes=5)]
    await pass_time(hass, freezer, minutes=5)
    assert state_of(hass) == "off"
    hass.states.async_set(SERVER, "on")
    await settle(hass)
    assert state_of(hass) == "on"


@pytest.mark.parametrize("begin", [start_with, edit_automation])
async def test_it_was_turned_on_meanwhile(
    hass: HomeAssistant, home: MockConfigEntry, begin: Callable[..., Awaitable[None]]
) -> None:
    if begin is edit_automation:
        await automate_from(hass, NAME, forwards=[], thing=SERVER)
    await turn(hass, "on")
    await begin(hass, NAME, **INPUTS)
    assert time_left(hass, home) == [timedelta(hours=1)]


@pytest.mark.parametrize("begin", [start_with, edit_automation])
async def test_it_was_turned_off_meanwhile(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: MockConfigEntry,
    begin: Callable[..., Awaitable[None]],
) -> None:
    if begin is edit_automation:
        await automate_from(hass, NAME, forwards=[], thing=SERVER)
    await turn(hass, "on")
    await open_for(hass, hours=1)
    await pass_time(hass, freezer, minutes=1)
    await turn(hass, "off")
    await begin(hass, NAME, **INPUTS)
    assert time_left(hass, home) == [timedelta(minutes=5)]


async def test_starting_again_and_again_does_not_keep_it_open(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    await open_for(hass, minutes=2)
    await start_with(hass, NAME, **INPUTS)
    assert time_left(hass, home) == [timedelta(minutes=2)]


async def test_what_a_user_opened_stays_open(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: MockConfigEntry,
    hass_admin_user: MockUser,
) -> None:
    await hass.services.async_call(
        "port_forward",
        "open",
        {"entity_id": "switch.camera", "duration": {"hours": 3}},
        blocking=True,
        context=Context(user_id=hass_admin_user.id),
    )
    await start_with(hass, NAME, **INPUTS)
    assert time_left(hass, home) == [timedelta(hours=3)]


async def test_closed_by_hand_until_it_turns_on_the_next_time(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    await automate_from(hass, NAME, **INPUTS)
    await turn(hass, "on")
    await pass_time(hass, freezer, minutes=1)
    await switch(hass, "turn_off")
    await pass_time(hass, freezer, hours=2)
    await edit_automation(hass, NAME, **INPUTS, minutes=6)
    assert state_of(hass) == "off"
    await turn(hass, "off")
    await turn(hass, "on")
    assert state_of(hass) == "on"
