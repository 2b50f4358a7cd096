"""The condition *Port forward is open*, through automations that a user could have written."""

from typing import Any

import pytest
import voluptuous as vol
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.condition import async_validate_condition_config
from homeassistant.util.yaml.loader import parse_yaml
from pytest_homeassistant_custom_component.common import MockConfigEntry

from lab.virtual_router import Fault, VirtualRouter

from .automating import FOREIGN_SWITCH, automate, device_of, furnish, pass_time
from .conftest import refresh, state_of, switch

CAMERA = "switch.camera"
GAMES = "switch.games"

type Runs = list[Event[dict[str, Any]]]


async def whenever(hass: HomeAssistant, target: str, options: str = "{}") -> Runs:
    """Automate on an event that is asked for, while the condition holds."""
    return await automate(
        hass,
        f"""
        triggers:
          - trigger: event
            event_type: asked
        conditions:
          - condition: port_forward.is_open
            target: {target}
            options: {options}
        """,
    )


async def holds(hass: HomeAssistant, runs: Runs) -> bool:
    """Ask whether the condition holds now."""
    before = len(runs)
    hass.bus.async_fire("asked")
    await hass.async_block_till_done()
    return len(runs) > before


async def test_it_holds_while_the_router_has_the_port_open(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, external_port: int
) -> None:
    runs = await whenever(hass, f"{{entity_id: {CAMERA}}}")
    assert not await holds(hass, runs)
    await switch(hass, "turn_on", GAMES)
    assert not await holds(hass, runs)
    await switch(hass, "turn_on", CAMERA)
    assert await holds(hass, runs)
    await router.remove("TCP", external_port)
    await refresh(hass, closed)
    assert not await holds(hass, runs)


@pytest.mark.parametrize("by", ["entity", "device", "area"])
async def test_targets_match_our_switches_only(
    hass: HomeAssistant, closed: MockConfigEntry, by: str
) -> None:
    room = await furnish(hass, CAMERA)
    assert state_of(hass, FOREIGN_SWITCH) == "on"
    runs = await whenever(
        hass,
        {
            "entity": f"{{entity_id: [{FOREIGN_SWITCH}, {CAMERA}]}}",
            "device": f"{{device_id: {device_of(hass, CAMERA)}}}",
            "area": f"{{area_id: {room}}}",
        }[by],
    )
    assert not await holds(hass, runs)
    await switch(hass, "turn_on", CAMERA)
    assert await holds(hass, runs)
    # With `all`, the foreign switch would count too, and it is off now.
    await switch(hass, "turn_off", FOREIGN_SWITCH)
    assert await holds(hass, runs)


async def test_one_is_enough_or_all_have_to_be_open(
    hass: HomeAssistant, closed: MockConfigEntry
) -> None:
    both = f"{{entity_id: [{CAMERA}, {GAMES}]}}"
    runs = await whenever(hass, both, "{behavior: all}")
    await switch(hass, "turn_on", CAMERA)
    assert not await holds(hass, runs)
    await switch(hass, "turn_on", GAMES)
    assert await holds(hass, runs)


@pytest.mark.parametrize("behavior", ["any", "all"])
async def test_what_cannot_be_seen_is_not_open(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, behavior: str
) -> None:
    runs = await whenever(hass, f"{{entity_id: {CAMERA}}}", f"{{behavior: {behavior}}}")
    await switch(hass, "turn_on", CAMERA)
    router.fault(Fault.HTTP_500_EMPTY, times=None)
    await refresh(hass, closed)
    assert state_of(hass) == "unavailable"
    assert not await holds(hass, runs)
    router.clear_faults()


async def test_for_at_least(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, closed: MockConfigEntry
) -> None:
    runs = await whenever(hass, f"{{entity_id: {CAMERA}}}", "{for: '00:10:00'}")
    await switch(hass, "turn_on", CAMERA)
    await pass_time(hass, freezer, minutes=9, seconds=59)
    assert not await holds(hass, runs)
    await pass_time(hass, freezer, seconds=1)
    assert await holds(hass, runs)


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("is_open", "{}"),
        ("is_open", "{target: {entity_id: switch.a}, options: {behavior: most}}"),
        ("is_open", "{target: {entity_id: switch.a}, options: {for: -1}}"),
        ("is_ajar", "{target: {entity_id: switch.a}}"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    hass: HomeAssistant, closed: MockConfigEntry, key: str, more: str
) -> None:
    config = parse_yaml(more)
    assert isinstance(config, dict)
    checked = cv.CONDITION_SCHEMA({"condition": f"port_forward.{key}", **config})
    with pytest.raises(vol.Invalid):
        await async_validate_condition_config(hass, checked)
