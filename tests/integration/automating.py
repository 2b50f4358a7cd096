"""Time that passes, rooms with other switches in them, and automations that take notes."""

from datetime import timedelta
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import area_registry as ar
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from homeassistant.util.yaml.loader import parse_yaml
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.port_forward.const import DOMAIN

FOREIGN_SWITCH = "switch.lamp"


async def pass_time(hass: HomeAssistant, freezer: FrozenDateTimeFactory, **ahead: float) -> None:
    """Let this much time pass at once."""
    freezer.tick(timedelta(**ahead))
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)


async def open_for(hass: HomeAssistant, entity_id: str = "switch.camera", **duration: int) -> None:
    """Open a forward for a time that is not its own."""
    await hass.services.async_call(
        DOMAIN, "open", {"entity_id": entity_id, "duration": duration}, blocking=True
    )
    await hass.async_block_till_done()


async def automate(hass: HomeAssistant, text: str) -> list[Event[dict[str, Any]]]:
    """Set up one automation from what a user would write; return what it noted down.

    It notes what the trigger told it.
    """
    config = parse_yaml(text)
    assert isinstance(config, dict)
    config |= {
        "id": "under_test",
        "mode": "queued",
        "actions": [
            {
                "event": "automation_ran",
                "event_data": {
                    key: f"{{{{ trigger.{key} | default('nothing') }}}}"
                    for key in ("entity_id", "forward", "reason", "deadline", "late", "error")
                },
            }
        ],
    }
    runs = async_capture_events(hass, "automation_ran")
    assert await async_setup_component(hass, "automation", {"automation": [config]})
    await hass.async_block_till_done()
    state = hass.states.get("automation.automation_0")
    assert state
    assert state.state == "on"
    return runs


def device_of(hass: HomeAssistant, entity_id: str) -> str:
    """Return the id of the entity's device."""
    entity = er.async_get(hass).async_get(entity_id)
    assert entity
    assert entity.device_id
    return entity.device_id


async def furnish(hass: HomeAssistant, *switches: str) -> str:
    """Put the devices of these switches and a foreign switch, which is on, into one room."""
    room = ar.async_get(hass).async_create("Hall").id
    assert await async_setup_component(
        hass,
        "template",
        {
            "template": {
                "switch": {
                    "name": "Lamp",
                    "unique_id": "lamp",
                    "state": "{{ is_state('input_boolean.lamp', 'on') }}",
                    "turn_on": [
                        {
                            "action": "input_boolean.turn_on",
                            "target": {"entity_id": "input_boolean.lamp"},
                        }
                    ],
                    "turn_off": [
                        {
                            "action": "input_boolean.turn_off",
                            "target": {"entity_id": "input_boolean.lamp"},
                        }
                    ],
                }
            }
        },
    )
    assert await async_setup_component(
        hass, "input_boolean", {"input_boolean": {"lamp": {"initial": True}}}
    )
    await hass.async_block_till_done()
    er.async_get(hass).async_update_entity(FOREIGN_SWITCH, area_id=room)
    for entity_id in switches:
        dr.async_get(hass).async_update_device(device_of(hass, entity_id), area_id=room)
    state = hass.states.get(FOREIGN_SWITCH)
    assert state
    assert state.state == "on"
    return room


def forward_id_of(entry: MockConfigEntry, title: str = "Camera") -> str:
    """Return the id of the forward of that name."""
    return next(s.subentry_id for s in entry.subentries.values() if s.title == title)
