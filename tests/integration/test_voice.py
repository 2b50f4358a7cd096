"""Assist turns forwards on and off by itself."""

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.intent import IntentResponseType
from pytest_homeassistant_custom_component.common import MockConfigEntry

from lab.virtual_router import VirtualRouter

from .conftest import add_forward, forward_data, set_up, state_of
from .talking import Camera, say, set_up_assist, spoken

LOCKDOWN = "switch.virtual_router_lockdown"


@pytest.fixture
async def camera(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int, own_loopback: str
) -> Camera:
    """A camera, the forward that leads to it, and Assist."""
    await set_up_assist(hass)
    add_forward(
        hass,
        entry,
        forward_data(external_port, internal_host=own_loopback),
        title="Front door camera",
    )
    await set_up(hass, entry)
    return Camera(own_loopback, external_port)


async def test_on_opens_and_off_closes(
    hass: HomeAssistant, router: VirtualRouter, camera: Camera
) -> None:
    async with camera:
        assert not await camera.is_reached()

        response = await say(hass, "turn on front door camera")
        assert response.response_type is IntentResponseType.ACTION_DONE
        assert spoken(response) == "Turned on the switch"
        assert await camera.is_reached()

        response = await say(hass, "turn off the front door camera")
        assert response.response_type is IntentResponseType.ACTION_DONE
        assert not await camera.is_reached()
        assert not router.mappings


async def test_asked_for_its_state(hass: HomeAssistant, camera: Camera) -> None:
    assert spoken(await say(hass, "is the front door camera on?")) == "No, off"
    await say(hass, "turn on front door camera")
    assert spoken(await say(hass, "is the front door camera on?")) == "Yes"


async def test_lockdown(hass: HomeAssistant, router: VirtualRouter, camera: Camera) -> None:
    async with camera:
        await say(hass, "turn on front door camera")
        assert await camera.is_reached()

        response = await say(hass, "turn on lockdown")
        assert spoken(response) == "Turned on the switch"
        assert state_of(hass, LOCKDOWN) == "on"
        assert not await camera.is_reached()
        assert spoken(await say(hass, "is lockdown on?")) == "Yes"

        response = await say(hass, "turn on front door camera")
        assert response.response_type is IntentResponseType.ERROR
        assert not await camera.is_reached()

        assert spoken(await say(hass, "turn off the lockdown")) == "Turned off the switch"
        assert state_of(hass, LOCKDOWN) == "off"
        await say(hass, "turn on Virtual Router lockdown")
        assert state_of(hass, LOCKDOWN) == "on"


async def test_with_two_routers_it_is_told_which_are_meant(
    hass: HomeAssistant, camera: Camera, neighbour: VirtualRouter
) -> None:
    response = await say(hass, "turn on lockdown")
    assert spoken(response) == "Sorry, there are multiple devices called Lockdown"
    assert len(neighbour.mappings) == 1


async def test_what_the_user_calls_it_stays(
    hass: HomeAssistant, entity_registry: er.EntityRegistry, entry: MockConfigEntry, camera: Camera
) -> None:
    entity_registry.async_update_entity(LOCKDOWN, aliases=[er.COMPUTED_NAME, "siege"])
    await hass.config_entries.async_reload(entry.entry_id)
    await say(hass, "turn on lockdown")
    assert state_of(hass, LOCKDOWN) == "off"
    await say(hass, "turn on siege")
    assert state_of(hass, LOCKDOWN) == "on"
