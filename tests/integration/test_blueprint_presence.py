"""The blueprint that opens while nobody is home."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Context, HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from lab.virtual_router import VirtualRouter, free_port

from .automating import open_for, pass_time
from .blueprints import (
    automate_from,
    edit_automation,
    go,
    people,
    run_automation,
    settle,
    start_with,
    time_left,
)
from .conftest import add_forward, forward_data, refresh, set_up, state_of, switch

NAME = "open_while_nobody_is_home"
CAMERA = "switch.camera"
GAMES = "switch.games"
FORWARDS = [CAMERA, GAMES]


@pytest.fixture
async def home(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """A router with two closed forwards, Camera and Games."""
    add_forward(hass, entry, forward_data(external_port))
    add_forward(hass, entry, forward_data(free_port()), "Games")
    await set_up(hass, entry)
    return entry


def states(hass: HomeAssistant) -> list[str]:
    return [state_of(hass, entity_id) for entity_id in FORWARDS]


async def test_open_while_the_house_is_empty(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: MockConfigEntry,
    router: VirtualRouter,
) -> None:
    await people(hass, anna="home", ben="home")
    await automate_from(hass, NAME, forwards=FORWARDS)
    await go(hass, anna="not_home")
    assert states(hass) == ["off", "off"], "Ben is still there"
    await go(hass, ben="Work")
    assert states(hass) == ["on", "on"]
    assert len(router.mappings) == 2
    assert time_left(hass, home) == [timedelta(hours=1)] * 2
    await pass_time(hass, freezer, minutes=20)
    await go(hass, ben="home")
    assert states(hass) == ["off", "off"]
    assert not router.mappings


async def test_only_some_people_count(hass: HomeAssistant, home: MockConfigEntry) -> None:
    await people(hass, anna="home", ben="home")
    await automate_from(hass, NAME, forwards=[CAMERA], people=["person.anna"])
    await go(hass, anna="not_home")
    assert states(hass) == ["on", "off"]
    await go(hass, ben="not_home")
    await go(hass, ben="home")
    assert states(hass) == ["on", "off"]
    await go(hass, anna="home")
    assert states(hass) == ["off", "off"]


async def test_the_deadline_does_not_end_it_while_the_automation_lives(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    await people(hass, anna="home")
    await automate_from(hass, NAME, forwards=FORWARDS)
    await go(hass, anna="not_home")
    for _ in range(15):
        await pass_time(hass, freezer, minutes=10)
        assert states(hass) == ["on", "on"]
        assert timedelta(0) < min(time_left(hass, home)) <= timedelta(hours=1)


async def test_it_closes_by_itself_when_the_automation_dies(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    await people(hass, anna="home")
    await automate_from(hass, NAME, forwards=FORWARDS)
    await go(hass, anna="not_home")
    await hass.services.async_call(
        "automation", "turn_off", {"entity_id": "automation.under_test"}, blocking=True
    )
    await pass_time(hass, freezer, minutes=59, seconds=59)
    assert states(hass) == ["on", "on"]
    await pass_time(hass, freezer, seconds=1)
    assert states(hass) == ["off", "off"]


async def test_nobody_knows_where_anna_is(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    await people(hass, anna="unavailable", ben="home")
    await start_with(hass, NAME, forwards=FORWARDS)
    await go(hass, ben="not_home")
    assert states(hass) == ["off", "off"], "she may be in the bath"
    await go(hass, anna="not_home")
    assert states(hass) == ["on", "on"]
    await go(hass, anna="unavailable")
    assert states(hass) == ["on", "on"]
    await pass_time(hass, freezer, minutes=55)
    await pass_time(hass, freezer, minutes=5)
    assert states(hass) == ["off", "off"], "not for longer without knowing"
    await go(hass, anna="not_home")
    assert states(hass) == ["on", "on"]


@pytest.mark.parametrize("begin", [start_with, edit_automation])
async def test_the_last_one_left_meanwhile(
    hass: HomeAssistant, home: MockConfigEntry, begin: Callable[..., Awaitable[None]]
) -> None:
    await people(hass, anna="not_home")
    if begin is edit_automation:
        await automate_from(hass, NAME, forwards=[GAMES])
    await begin(hass, NAME, forwards=[CAMERA])
    assert state_of(hass) == "on"
    assert time_left(hass, home) == [timedelta(hours=1)]


@pytest.mark.parametrize("begin", [start_with, edit_automation])
async def test_somebody_came_back_meanwhile(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: MockConfigEntry,
    begin: Callable[..., Awaitable[None]],
) -> None:
    await people(hass, anna="not_home")
    if begin is edit_automation:
        await automate_from(hass, NAME, forwards=[])
    await open_for(hass, CAMERA, hours=1)
    await pass_time(hass, freezer, minutes=1)
    await go(hass, anna="home")
    assert state_of(hass) == "on"
    await begin(hass, NAME, forwards=[CAMERA])
    assert state_of(hass) == "off"


@pytest.mark.parametrize("begin", [start_with, edit_automation])
async def test_what_was_open_goes_on(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: MockConfigEntry,
    begin: Callable[..., Awaitable[None]],
) -> None:
    await people(hass, anna="not_home")
    if begin is edit_automation:
        await automate_from(hass, NAME, forwards=[])
    await open_for(hass, CAMERA, minutes=5)
    await pass_time(hass, freezer, minutes=1)
    await begin(hass, NAME, forwards=[CAMERA])
    assert time_left(hass, home) == [timedelta(hours=1)]


@pytest.mark.parametrize("begin", [start_with, edit_automation])
@pytest.mark.parametrize(
    ("place", "service", "stays"),
    [
        ("not_home", "turn_off", "off"),
        ("home", "turn_on", "on"),
    ],
)
async def test_what_a_user_decided_stays(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: MockConfigEntry,
    hass_admin_user: MockUser,
    begin: Callable[..., Awaitable[None]],
    place: str,
    service: str,
    stays: str,
) -> None:
    await people(hass, anna=place)
    if begin is edit_automation:
        await automate_from(hass, NAME, forwards=[])
    await open_for(hass, CAMERA, minutes=30)
    await hass.services.async_call(
        "switch",
        service,
        {"entity_id": CAMERA},
        blocking=True,
        context=Context(user_id=hass_admin_user.id),
    )
    await hass.async_block_till_done()
    await begin(hass, NAME, forwards=[CAMERA])
    assert state_of(hass) == stays


async def test_closed_by_hand_until_the_next_one_leaves(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: MockConfigEntry
) -> None:
    await people(hass, anna="home")
    await automate_from(hass, NAME, forwards=FORWARDS)
    await go(hass, anna="not_home")
    await pass_time(hass, freezer, minutes=1)
    await switch(hass, "turn_off")  # by another automation, say: no user did it
    await pass_time(hass, freezer, minutes=51)
    assert states(hass) == ["off", "on"], "that the other one goes on does not open it again"
    await edit_automation(hass, NAME, forwards=FORWARDS, people=["person.anna"])
    assert states(hass) == ["off", "on"]
    await go(hass, anna="home")
    await go(hass, anna="not_home")
    assert states(hass) == ["on", "on"]


async def test_removed_at_the_router_stays_removed(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: MockConfigEntry,
    router: VirtualRouter,
    external_port: int,
) -> None:
    await people(hass, anna="home")
    await automate_from(hass, NAME, forwards=FORWARDS)
    await go(hass, anna="not_home")
    await router.remove("TCP", external_port)
    await refresh(hass, home)
    await pass_time(hass, freezer, minutes=51)
    await go(hass, anna="Work")
    await edit_automation(hass, NAME, forwards=FORWARDS, people=["person.anna"])
    assert states(hass) == ["off", "on"]


async def test_the_router_was_away_when_the_last_one_left(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: MockConfigEntry,
    router: VirtualRouter,
) -> None:
    await people(hass, anna="home")
    await automate_from(hass, NAME, forwards=FORWARDS)
    await router.stop()
    await refresh(hass, home)
    await go(hass, anna="not_home")
    assert states(hass) == ["unavailable", "unavailable"]
    await router.start()
    await refresh(hass, home)
    await settle(hass)
    assert states(hass) == ["on", "on"]


async def test_the_router_was_away_when_somebody_came_back(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: MockConfigEntry,
    router: VirtualRouter,
) -> None:
    await people(hass, anna="home")
    await automate_from(hass, NAME, forwards=FORWARDS)
    await go(hass, anna="not_home")
    await pass_time(hass, freezer, minutes=1)
    await router.stop()
    await refresh(hass, home)
    await go(hass, anna="home")
    assert states(hass) == ["unavailable", "unavailable"]
    await router.start()
    await refresh(hass, home)
    await settle(hass)
    assert states(hass) == ["off", "off"]


async def test_the_router_was_away_when_the_hour_was_nearly_over(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: MockConfigEntry,
    router: VirtualRouter,
) -> None:
    await people(hass, anna="home")
    await automate_from(hass, NAME, forwards=FORWARDS)
    await go(hass, anna="not_home")
    await pass_time(hass, freezer, minutes=45)
    await router.stop()
    await refresh(hass, home)
    await pass_time(hass, freezer, minutes=6)
    await pass_time(hass, freezer, minutes=10)
    await router.start()
    await refresh(hass, home)
    await pass_time(hass, freezer, minutes=1)
    assert states(hass) == ["on", "on"]
    assert min(time_left(hass, home)) > timedelta(minutes=50)


async def test_run_by_hand(hass: HomeAssistant, home: MockConfigEntry) -> None:
    await people(hass, anna="home")
    await automate_from(hass, NAME, forwards=FORWARDS)
    await run_automation(hass)
    assert states(hass) == ["off", "off"]
    await open_for(hass, CAMERA, hours=1)
    await run_automation(hass)
    assert states(hass) == ["on", "off"]
