"""The switch shows what the router holds, and changes it."""

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from lab.virtual_router import Fault, Quirk, VirtualRouter, free_port

from .conftest import add_forward, forward_data, refresh, set_up, switch


def state_of(hass: HomeAssistant, entity_id: str = "switch.camera") -> str:
    state = hass.states.get(entity_id)
    assert state
    return state.state


async def test_on_opens_and_off_closes(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    assert state_of(hass) == "off"

    await switch(hass, "turn_on")
    assert state_of(hass) == "on"
    (mapping,) = router.mappings
    assert (mapping.protocol, mapping.external_port) == ("TCP", external_port)
    assert (mapping.internal_host, mapping.internal_port) == ("127.0.0.5", 8080)
    assert mapping.lease == 3600
    assert mapping.remote_host == ""

    await switch(hass, "turn_off")
    assert state_of(hass) == "off"
    assert router.mappings == ()
