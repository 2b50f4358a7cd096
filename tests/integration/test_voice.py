"""Assist turns forwards on and off by itself."""

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers.intent import IntentResponseType
from pytest_homeassistant_custom_component.common import MockConfigEntry

from lab.virtual_router import VirtualRouter

from .conftest import add_forward, forward_data, set_up
from .talking import Camera, say, set_up_assist, spoken


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
