"""Forwards opened for a spoken time, with the sentences that the documentation gives."""

import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.auth.const import GROUP_ID_READ_ONLY
from homeassistant.components.homeassistant.exposed_entities import async_expose_entity
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import area_registry as ar
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import intent
from homeassistant.helpers.intent import IntentResponseErrorCode, IntentResponseType
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from lab.virtual_router import Fault, VirtualRouter, free_port
from tests.translations import rendered

from .automating import FOREIGN_SWITCH, device_of, furnish, pass_time
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
from .talking import Camera, say, set_up_assist, spoken

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "voice.md"
SWITCH = "switch.front_door_camera"


@pytest.fixture
def sentences(tmp_path: Path) -> None:
    """The custom sentences, where the documentation says to put them."""
    (block,) = re.findall(
        r"^```yaml\n(.*?)^```$", DOCUMENTATION.read_text(), re.DOTALL | re.MULTILINE
    )
    folder = tmp_path / "custom_sentences" / "en"
    folder.mkdir(parents=True)
    (folder / "port_forward.yaml").write_text(block)


@pytest.fixture
async def camera(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    sentences: None,
    entry: MockConfigEntry,
    external_port: int,
    own_loopback: str,
) -> Camera:
    """A camera, the forward that leads to it for half an hour, and Assist, at noon."""
    await hass.config.async_set_time_zone("UTC")
    freezer.move_to("2026-11-22 12:00:00+00:00")
    await set_up_assist(hass)
    data = forward_data(
        external_port,
        internal_host=own_loopback,
        until_closed=False,
        close_after={"hours": 0, "minutes": 30, "seconds": 0},
    )
    add_forward(hass, entry, data, title="Front door camera")
    await set_up(hass, entry)
    return Camera(own_loopback, external_port)


def open_for(entry: MockConfigEntry) -> timedelta | None:
    """Return how long the only open forward stays open from now on."""
    (opening,) = entry.runtime_data.keeper.openings.values()
    return opening.deadline - dt_util.utcnow() if opening.deadline else None


async def test_open_for_20_minutes(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    camera: Camera,
) -> None:
    async with camera:
        response = await say(hass, "open the front door camera for 20 minutes")

        assert response.response_type is IntentResponseType.ACTION_DONE
        assert spoken(response) == "Front door camera is open until 12:20."
        assert open_for(entry) == timedelta(minutes=20)
        assert router.mappings[0].lease == 20 * 60
        assert await camera.is_reached()

        await pass_time(hass, freezer, minutes=19, seconds=59)
        assert await camera.is_reached()
        await pass_time(hass, freezer, seconds=1)
        assert not await camera.is_reached()
        assert not router.mappings


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("open front door camera for 1 hour", {"hours": 1}),
        ("Open the front door camera for an hour.", {"hours": 1}),
        ("open port front door camera for 2 hours and 15 minutes", {"hours": 2, "minutes": 15}),
        ("open the port forward front door camera for half an hour", {"minutes": 30}),
        ("please open front door camera for a minute", {"minutes": 1}),
        ("open front door camera for twenty minutes", {"minutes": 20}),
        ("open front door camera for 90 seconds", {"seconds": 90}),
        ("keep the front door camera open for 3 hours", {"hours": 3}),
        ("open the port forward front door camera", {"minutes": 30}),
        ("open front door camera for 720 hours", {"days": 30}),
    ],
)
async def test_ways_to_say_it(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    camera: Camera,
    sentence: str,
    expected: dict[str, int],
) -> None:
    response = await say(hass, sentence)
    assert response.response_type is IntentResponseType.ACTION_DONE, spoken(response)
    assert open_for(entry) == timedelta(**expected)


async def test_said_while_open_it_moves_the_end(
    hass: HomeAssistant, entry: MockConfigEntry, camera: Camera
) -> None:
    await say(hass, "open front door camera for 20 minutes")
    response = await say(hass, "keep front door camera open for 5 minutes")
    assert spoken(response) == "Front door camera is open until 12:05."
    assert open_for(entry) == timedelta(minutes=5)


async def test_close(hass: HomeAssistant, router: VirtualRouter, camera: Camera) -> None:
    await say(hass, "open front door camera for 20 minutes")
    response = await say(hass, "close the port forward front door camera")
    assert spoken(response) == "Front door camera is closed."
    assert response.success_results[0].id == SWITCH
    assert [state.state for state in response.matched_states] == ["off"]
    assert not router.mappings


async def test_the_answer_is_in_local_time_and_names_another_day(
    hass: HomeAssistant, camera: Camera
) -> None:
    await hass.config.async_set_time_zone("Europe/Berlin")  # one o'clock in the afternoon
    assert (
        spoken(await say(hass, "open front door camera for 10 hours"))
        == "Front door camera is open until 23:00."
    )
    assert (
        spoken(await say(hass, "open front door camera for 11 hours"))
        == "Front door camera is open until 00:00 on 2026-11-23."
    )


async def test_open_until_closed(
    hass: HomeAssistant, entry: MockConfigEntry, camera: Camera
) -> None:
    add_forward(hass, entry, forward_data(free_port()), title="Plex")
    await hass.async_block_till_done()
    response = await say(hass, "open port plex")
    assert spoken(response) == "Plex is open until you close it."
    assert open_for(entry) is None


@pytest.mark.parametrize(
    ("sentence", "answer"),
    [
        ("open the fridge for 5 minutes", "Sorry, I am not aware of any device called fridge"),
        ("open lamp for 5 minutes", "Sorry, I am not aware of any device called Lamp"),
        ("close port lamp", "Sorry, I am not aware of any device called Lamp"),
    ],
)
async def test_what_is_no_forward_is_left_alone(
    hass: HomeAssistant, router: VirtualRouter, camera: Camera, sentence: str, answer: str
) -> None:
    await furnish(hass, SWITCH)
    response = await say(hass, sentence)
    assert response.error_code is IntentResponseErrorCode.NO_VALID_TARGETS
    assert spoken(response) == answer
    assert not router.mappings
    assert state_of(hass, FOREIGN_SWITCH) == "on"


async def test_without_any_forward_no_switch_of_others_is_taken(
    hass: HomeAssistant, sentences: None, entry: MockConfigEntry
) -> None:
    await set_up_assist(hass)
    await set_up(hass, entry)
    await template_lamp(hass)
    response = await say(hass, "close port lamp")
    assert response.error_code is IntentResponseErrorCode.NO_VALID_TARGETS
    assert state_of(hass, FOREIGN_SWITCH) == "on"


async def template_lamp(hass: HomeAssistant) -> None:
    """Add a switch of another integration."""
    switch = {"name": "Lamp", "state": "{{ true }}", "turn_on": [], "turn_off": []}
    assert await async_setup_component(hass, "template", {"template": {"switch": switch}})
    await hass.async_block_till_done()


async def test_two_of_a_name_need_an_area(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, camera: Camera
) -> None:
    port = free_port()
    add_forward(hass, entry, forward_data(port), title="Front door camera")
    await hass.async_block_till_done()
    response = await say(hass, "open front door camera for 5 minutes")
    assert response.error_code is IntentResponseErrorCode.NO_VALID_TARGETS
    assert spoken(response) == "Sorry, there are multiple devices called Front door camera"
    assert not router.mappings

    hall = ar.async_get(hass).async_create("Hall").id
    dr.async_get(hass).async_update_device(device_of(hass, f"{SWITCH}_2"), area_id=hall)
    slots = {"name": {"value": "front door camera"}, "area": {"value": "hall"}}
    await intent.async_handle(hass, "test", "PortForwardOpen", slots)
    assert [row.external_port for row in router.mappings] == [port]
    del slots["area"]
    await intent.async_handle(
        hass, "test", "PortForwardClose", slots | {"preferred_area_id": {"value": hall}}
    )
    assert not router.mappings


async def test_not_exposed(hass: HomeAssistant, router: VirtualRouter, camera: Camera) -> None:
    async_expose_entity(hass, "conversation", SWITCH, should_expose=False)
    response = await say(hass, "open front door camera for 5 minutes")
    assert response.error_code is IntentResponseErrorCode.NO_VALID_TARGETS
    assert spoken(response) == "Sorry, Front door camera is not exposed"
    # Not by naming no assistant either.
    with pytest.raises(intent.MatchFailedError):
        await intent.async_handle(hass, "test", "PortForwardOpen", {"name": {"value": SWITCH}})
    assert not router.mappings


async def refused(hass: HomeAssistant, sentence: str, key: str, **values: str) -> None:
    """Say something that fails, and expect to be told why."""
    response = await say(hass, sentence)
    assert response.error_code is IntentResponseErrorCode.FAILED_TO_HANDLE
    assert spoken(response) == rendered(f"exceptions.{key}.message", values)


async def test_too_long(hass: HomeAssistant, router: VirtualRouter, camera: Camera) -> None:
    await refused(hass, "open front door camera for 721 hours", "too_long", days="30")
    assert not router.mappings


@pytest.mark.parametrize(
    ("hours", "key"), [(0, "in_the_past"), (10**8, "too_long"), (10**30, "too_long")]
)
async def test_impossible_times(
    hass: HomeAssistant, router: VirtualRouter, camera: Camera, hours: int, key: str
) -> None:
    slots = {"name": {"value": "Front door camera"}, "hours": {"value": hours}}
    response = await intent.async_handle(hass, "test", "PortForwardOpen", slots)
    assert spoken(response) == rendered(f"exceptions.{key}.message", {"days": "30"})
    assert not router.mappings


async def test_what_is_no_time(hass: HomeAssistant, router: VirtualRouter, camera: Camera) -> None:
    for said in (-1, "soon"):
        slots = {"name": {"value": "Front door camera"}, "minutes": {"value": said}}
        with pytest.raises(intent.InvalidSlotInfo):
            await intent.async_handle(hass, "test", "PortForwardOpen", slots)
    assert not router.mappings


async def test_router_away(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, camera: Camera
) -> None:
    await router.stop()
    await refresh(hass, entry)
    for sentence in ("open front door camera for 5 minutes", "close port front door camera"):
        await refused(
            hass,
            sentence,
            "router_away",
            forward="Front door camera",
            router="Virtual Router",
        )


async def test_router_refuses(
    hass: HomeAssistant, router: VirtualRouter, camera: Camera, external_port: int
) -> None:
    await router.add_foreign(
        protocol="TCP", external_port=external_port, internal_host="127.0.0.9", internal_port=3074
    )
    response = await say(hass, "open front door camera for 5 minutes")
    assert response.error_code is IntentResponseErrorCode.FAILED_TO_HANDLE
    assert f"External port {external_port} (TCP) is already in use" in spoken(response)
    assert "127.0.0.9:3074" in spoken(response)


async def test_a_user_without_rights(
    hass: HomeAssistant, router: VirtualRouter, camera: Camera
) -> None:
    user = MockUser(groups=[await guests(hass)]).add_to_hass(hass)
    for sentence in ("open front door camera for 5 minutes", "close port front door camera"):
        response = await say(hass, sentence, by=Context(user_id=user.id))
        assert response.error_code is IntentResponseErrorCode.FAILED_TO_HANDLE
        assert spoken(response) == rendered(
            "exceptions.not_allowed.message", {"forward": "Front door camera"}
        )
    assert not router.mappings


async def guests(hass: HomeAssistant) -> Any:  # noqa: ANN401  Home Assistant's Group
    """Return the group of those who may only look."""
    group = await hass.auth.async_get_group(GROUP_ID_READ_ONLY)
    assert group
    return group


async def test_the_user_is_remembered(
    hass: HomeAssistant, entry: MockConfigEntry, camera: Camera, hass_admin_user: MockUser
) -> None:
    await say(hass, "open front door camera for 5 minutes", by=Context(user_id=hass_admin_user.id))
    (opening,) = entry.runtime_data.keeper.openings.values()
    assert opening.opened_by == hass_admin_user.id


async def test_a_language_without_texts_gets_the_english_ones(
    hass: HomeAssistant, camera: Camera
) -> None:
    slots = {"name": {"value": "Front door camera"}, "minutes": {"value": 5}}
    response = await intent.async_handle(hass, "test", "PortForwardOpen", slots, language="eo")
    assert response.language == "eo"
    assert spoken(response) == "Front door camera is open until 12:05."


async def test_a_full_disk(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, camera: Camera
) -> None:
    path = entry.runtime_data.keeper._ledger._path
    path.unlink()
    path.mkdir()
    response = await say(hass, "open front door camera for 5 minutes")
    assert response.error_code is IntentResponseErrorCode.FAILED_TO_HANDLE
    assert "Is a directory" in spoken(response)
    assert not router.requests["AddPortMapping"]


LOCKDOWN = "switch.virtual_router_lockdown"


@pytest.fixture
async def neighbour(hass: HomeAssistant, camera: Camera) -> AsyncGenerator[VirtualRouter]:
    """Another router with one forward, *Attic*, open, beside that of the camera, which is open."""
    async with VirtualRouter() as other:
        entry = await make_entry(hass, other)
        add_forward(hass, entry, forward_data(free_port()), title="Attic")
        await set_up(hass, entry)
        await switch(hass, "turn_on", "switch.attic")
        await switch(hass, "turn_on", SWITCH)
        yield other


class TestLockdown:
    @pytest.mark.parametrize("text", ["turn on lockdown", "lock down my ports"])
    async def test_all_routers(
        self, hass: HomeAssistant, router: VirtualRouter, neighbour: VirtualRouter, text: str
    ) -> None:
        response = await say(hass, text)
        assert spoken(response) == rendered("common.locked")
        assert not router.mappings
        assert not neighbour.mappings
        for lockdown in (LOCKDOWN, f"{LOCKDOWN}_2"):
            assert state_of(hass, lockdown) == "on"

    async def test_a_router_that_is_away_is_told_and_the_other_locked(
        self,
        hass: HomeAssistant,
        router: VirtualRouter,
        entry: MockConfigEntry,
        neighbour: VirtualRouter,
    ) -> None:
        router.fault(Fault.DROP_BEFORE, times=None)
        response = await say(hass, "turn on lockdown")
        assert response.response_type is IntentResponseType.ERROR
        assert spoken(response) == rendered("exceptions.unreachable.message", {"host": "127.0.0.1"})
        assert not neighbour.mappings
        assert state_of(hass, LOCKDOWN) == state_of(hass, f"{LOCKDOWN}_2") == "on"

        await stop_home_assistant(hass, entry)
        response = await say(hass, "turn on lockdown")
        assert spoken(response) == rendered(
            "exceptions.not_all_closed.message", {"router": "Virtual Router"}
        )

    async def test_only_what_is_exposed(
        self, hass: HomeAssistant, router: VirtualRouter, neighbour: VirtualRouter
    ) -> None:
        async_expose_entity(hass, "conversation", LOCKDOWN, should_expose=False)
        await say(hass, "turn on lockdown")
        assert len(router.mappings) == 1
        assert not neighbour.mappings
        async_expose_entity(hass, "conversation", f"{LOCKDOWN}_2", should_expose=False)
        response = await say(hass, "turn on lockdown")
        assert spoken(response) == rendered("exceptions.no_lockdown_exposed.message")

    async def test_who_may_not(
        self, hass: HomeAssistant, router: VirtualRouter, neighbour: VirtualRouter
    ) -> None:
        group = await hass.auth.async_get_group(GROUP_ID_READ_ONLY)
        assert group
        user = MockUser(groups=[group]).add_to_hass(hass)
        response = await say(hass, "turn on lockdown", by=Context(user_id=user.id))
        assert spoken(response) == rendered(
            "exceptions.not_allowed_to_lock.message", {"router": "Virtual Router"}
        )
        assert len(router.mappings) == len(neighbour.mappings) == 1
