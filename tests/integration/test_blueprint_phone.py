"""The blueprint that tells a phone, through the app's own push service and webhook."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from lab.virtual_router import VirtualRouter, free_port

from .automating import open_for, pass_time
from .blueprints import (
    automate_from,
    edit_automation,
    run_automation,
    settle,
    start_with,
    time_left,
)
from .conftest import add_forward, forward_data, refresh, set_up, state_of, switch
from .phone import Phone, push_service

NAME = "notify_a_phone"
CAMERA = "switch.camera"
GAMES = "switch.games"


@pytest.fixture
def phone() -> Phone:
    """The phone that is told."""
    return Phone("Annas phone")


@pytest.fixture
async def inputs(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    entry: MockConfigEntry,
    external_port: int,
    phone: Phone,
    hass_admin_user: MockUser,
    hass_client: ClientSessionGenerator,
) -> AsyncIterator[dict[str, Any]]:
    """Two closed forwards and a phone that is to be told of the first."""
    freezer.move_to(dt_util.now().replace(hour=12, minute=0, second=0, microsecond=0))
    add_forward(hass, entry, forward_data(external_port))
    add_forward(hass, entry, forward_data(free_port()), "Games")
    await set_up(hass, entry)
    async with push_service(phone) as url:
        device = await phone.register(hass, hass_admin_user, hass_client, url)
        yield {"forwards": [CAMERA], "phone": device}


def told(phone: Phone) -> list[tuple[str, str]]:
    """Return title and message of each notification."""
    return [(each["title"], each["message"]) for each in phone.shown]


async def test_what_the_phone_shows(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    phone: Phone,
    inputs: dict[str, Any],
) -> None:
    await automate_from(hass, NAME, **inputs)
    await open_for(hass, hours=1)
    await open_for(hass, GAMES, hours=1)
    await pass_time(hass, freezer, minutes=55)
    await pass_time(hass, freezer, minutes=5)
    await switch(hass, "turn_on")  # until closed
    await settle(hass)
    await switch(hass, "turn_off")
    await settle(hass)
    assert told(phone) == [
        ("Camera", "Open until 13:00."),
        ("Camera", "Closes at 13:00."),
        ("Camera", "Closed: its time was up."),
        ("Camera", "Open until you close it."),
        ("Camera", "Closed: it was turned off."),
    ]
    assert len({each["data"]["tag"] for each in phone.shown}) == 1
    buttons = [
        [action["title"] for action in each["data"].get("actions", [])] for each in phone.shown
    ]
    both = ["Keep open 1 h", "Close now"]
    assert buttons == [both, both, [], both, []]


async def test_another_day(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, phone: Phone, inputs: dict[str, Any]
) -> None:
    await automate_from(hass, NAME, **inputs)
    await open_for(hass, days=1, hours=6)
    tomorrow = (dt_util.now() + timedelta(days=1)).date()
    assert told(phone) == [("Camera", f"Open until {tomorrow} 18:00.")]


async def test_only_what_is_wanted(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, phone: Phone, inputs: dict[str, Any]
) -> None:
    await automate_from(
        hass,
        NAME,
        **inputs,
        tell_opened=False,
        tell_closed=False,
        before={"minutes": 10},
        hours=2,
    )
    await open_for(hass, hours=1)
    await pass_time(hass, freezer, minutes=50)
    assert told(phone) == [("Camera", "Closes at 13:00.")]
    await phone.press(hass, phone.button("Keep open 2 h"))
    assert told(phone)[1:] == [("Camera", "Open until 14:50.")]
    await switch(hass, "turn_off")
    await settle(hass)
    assert len(phone.shown) == 2


async def test_keep_open(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    entry: MockConfigEntry,
    phone: Phone,
    inputs: dict[str, Any],
) -> None:
    await automate_from(hass, NAME, **inputs)
    await open_for(hass, hours=1)
    await pass_time(hass, freezer, minutes=56)
    await phone.press(hass, phone.button("Keep open 1 h"))
    assert time_left(hass, entry) == [timedelta(hours=1)]
    assert told(phone)[-1] == ("Camera", "Open until 13:56.")
    await pass_time(hass, freezer, minutes=55)
    assert told(phone)[-1] == ("Camera", "Closes at 13:56.")
    await pass_time(hass, freezer, minutes=5)
    assert state_of(hass) == "off"


async def test_close_now(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, phone: Phone, inputs: dict[str, Any]
) -> None:
    await automate_from(hass, NAME, **inputs)
    await open_for(hass, hours=1)
    await open_for(hass, GAMES, hours=1)
    await phone.press(hass, phone.button("Close now"))
    assert [state_of(hass, each) for each in (CAMERA, GAMES)] == ["off", "on"]
    assert told(phone)[-1] == ("Camera", "Closed: it was turned off.")


async def test_each_forward_has_its_own_buttons(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    phone: Phone,
    inputs: dict[str, Any],
) -> None:
    await automate_from(hass, NAME, **inputs | {"forwards": [CAMERA, GAMES]})
    await open_for(hass, CAMERA, hours=1)
    close_camera = phone.button("Close now")
    await open_for(hass, GAMES, hours=1)
    close_games = phone.button("Close now")
    assert [each["title"] for each in phone.shown] == ["Camera", "Games"]
    await phone.press(hass, close_camera)
    assert [state_of(hass, each) for each in (CAMERA, GAMES)] == ["off", "on"]
    await phone.press(hass, close_games)
    assert [state_of(hass, each) for each in (CAMERA, GAMES)] == ["off", "off"]


async def test_the_buttons_work_after_a_restart(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, phone: Phone, inputs: dict[str, Any]
) -> None:
    await automate_from(hass, NAME, **inputs)
    await open_for(hass, hours=1)
    button = phone.button("Close now")
    await hass.services.async_call("automation", "reload", blocking=True)
    await phone.press(hass, button)
    assert state_of(hass) == "off"


@pytest.mark.parametrize(
    "button",
    [
        "Close now",
        "CLOSE",
        "port_forward_close_",
        "port_forward_close_switch.camera",
        "port_forward_keep_",
        "",
    ],
)
async def test_the_buttons_of_other_notifications_do_nothing(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    entry: MockConfigEntry,
    phone: Phone,
    inputs: dict[str, Any],
    button: str,
) -> None:
    await automate_from(hass, NAME, **inputs)
    await open_for(hass, hours=1)
    await pass_time(hass, freezer, minutes=1)
    await phone.press(hass, button)
    assert time_left(hass, entry) == [timedelta(minutes=59)]
    assert len(phone.shown) == 1


async def test_the_buttons_on_another_phone_do_nothing(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    phone: Phone,
    inputs: dict[str, Any],
    hass_admin_user: MockUser,
    hass_client: ClientSessionGenerator,
) -> None:
    other = Phone("Bens phone")
    async with push_service(other) as url:
        device = await other.register(hass, hass_admin_user, hass_client, url)
        await automate_from(hass, NAME, **inputs | {"phone": device})
        await open_for(hass, hours=1)
        close_on_other = other.button("Close now")
        await edit_automation(hass, NAME, **inputs)
        await other.press(hass, close_on_other)
    assert state_of(hass) == "on"
    assert not phone.shown


async def test_keep_open_does_not_open_again_what_is_closed(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, phone: Phone, inputs: dict[str, Any]
) -> None:
    await automate_from(hass, NAME, **inputs)
    await open_for(hass, hours=1)
    keep = phone.button("Keep open 1 h")
    await pass_time(hass, freezer, hours=1)
    await phone.press(hass, keep)
    assert state_of(hass) == "off"
    assert told(phone)[-1] == ("Camera", "It is closed already.")


async def test_keep_open_that_fails(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    entry: MockConfigEntry,
    router: VirtualRouter,
    phone: Phone,
    inputs: dict[str, Any],
) -> None:
    await automate_from(hass, NAME, **inputs)
    await open_for(hass, hours=1)
    keep = phone.button("Keep open 1 h")
    await router.stop()
    await phone.press(hass, keep)
    assert told(phone)[-1] == ("Camera", "It could not be kept open for longer.")
    await refresh(hass, entry)
    await phone.press(hass, keep)
    assert told(phone)[-1] == ("Camera", "It could not be kept open for longer.")


async def test_closed_with_its_router(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    entry: MockConfigEntry,
    phone: Phone,
    inputs: dict[str, Any],
) -> None:
    await start_with(hass, NAME, **inputs)
    await open_for(hass, hours=1)
    await hass.config_entries.async_remove(entry.entry_id)
    await settle(hass)
    assert told(phone)[-1] == ("Camera", "Closed: the router was deleted.")


async def test_run_by_hand(hass: HomeAssistant, phone: Phone, inputs: dict[str, Any]) -> None:
    await automate_from(hass, NAME, **inputs)
    await run_automation(hass)
    assert not phone.shown
