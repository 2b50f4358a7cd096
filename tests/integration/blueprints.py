"""Our blueprints in a Home Assistant, and people who come and go."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from homeassistant.const import EVENT_HOMEASSISTANT_STARTED
from homeassistant.core import CoreState, HomeAssistant
from homeassistant.helpers.json import json_dumps
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from .conftest import ledger_of

FOLDER = Path(__file__).parents[2] / "blueprints" / "automation" / "port_forward"
BLUEPRINTS = sorted(path.stem for path in FOLDER.glob("*.yaml"))

AUTOMATION = "automation.under_test"


async def automate_from(hass: HomeAssistant, blueprint: str, **inputs: Any) -> None:
    """Make an automation from one of our blueprints, in the configuration of Home Assistant."""
    _configure(hass, blueprint, inputs)
    # It is in the file, where a reload will find it.
    config = {"automation": [_automation(blueprint, inputs)]}
    assert await async_setup_component(hass, "automation", config)
    await hass.async_block_till_done()
    state = hass.states.get(AUTOMATION)
    assert state
    assert state.state == "on", state.attributes


def _configure(hass: HomeAssistant, blueprint: str, inputs: dict[str, Any]) -> None:
    folder = Path(hass.config.path("blueprints", "automation"))
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "port_forward").symlink_to(FOLDER)
    # What is JSON is YAML, too.
    config = {"automation": [_automation(blueprint, inputs)]}
    Path(hass.config.path("configuration.yaml")).write_text(json_dumps(config))


def _automation(blueprint: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "under_test",
        "alias": "Under test",
        "use_blueprint": {"path": f"port_forward/{blueprint}.yaml", "input": inputs},
    }


async def edit_automation(hass: HomeAssistant, blueprint: str, **inputs: Any) -> None:
    """Change the automation and let Home Assistant load it again."""
    _configure(hass, blueprint, inputs)
    await hass.services.async_call("automation", "reload", blocking=True)
    await hass.async_block_till_done()


async def start_with(hass: HomeAssistant, blueprint: str, **inputs: Any) -> None:
    """Let Home Assistant start with an automation, all the rest being set up."""
    hass.set_state(CoreState.starting)
    await automate_from(hass, blueprint, **inputs)
    hass.set_state(CoreState.running)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STARTED)
    await hass.async_block_till_done(wait_background_tasks=True)


async def run_automation(hass: HomeAssistant) -> None:
    """Run it by hand, as its menu does."""
    await hass.services.async_call(
        "automation", "trigger", {"entity_id": AUTOMATION}, blocking=True
    )
    await hass.async_block_till_done()


async def settle(hass: HomeAssistant) -> None:
    """Wait until the automation has done all that there is to do."""
    await hass.async_block_till_done(wait_background_tasks=True)


async def people(hass: HomeAssistant, **where: str) -> None:
    """Let these people live here, each with a phone that tells where they are."""
    for name, place in where.items():
        hass.states.async_set(f"device_tracker.{name}", place)
    persons = [
        {"id": name, "name": name.title(), "device_trackers": [f"device_tracker.{name}"]}
        for name in where
    ]
    # Somebody without a phone, as who installed Home Assistant often is.
    persons.append({"id": "installer", "name": "Installer", "device_trackers": []})
    assert await async_setup_component(hass, "person", {"person": persons})
    await hass.async_block_till_done()


async def go(hass: HomeAssistant, **where: str) -> None:
    """Let people go where they want."""
    for name, place in where.items():
        hass.states.async_set(f"device_tracker.{name}", place)
        await settle(hass)


def time_left(hass: HomeAssistant, entry: MockConfigEntry) -> list[timedelta]:
    """Return how long each forward stays open that is, as the disk has it."""
    deadlines = [datetime.fromisoformat(o["deadline"]) for o in ledger_of(hass, entry)["openings"]]
    return [deadline - dt_util.utcnow() for deadline in deadlines]
