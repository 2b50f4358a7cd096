"""One thing at a time to a router: what comes too late, and what is broken off."""

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import Fault, VirtualRouter, free_port

from .conftest import (
    add_forward,
    arrived,
    forward_data,
    ledger_of,
    phases,
    set_up,
    state_of,
    switch,
    until_idle,
)


@pytest.fixture
async def two(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> MockConfigEntry:
    """An entry with `switch.camera` and `switch.plex`, both closed."""
    for name in ("Camera", "Plex"):
        add_forward(hass, entry, forward_data(free_port()), title=name)
    await set_up(hass, entry)
    return entry


async def test_what_waited_behind_a_reload_is_opened_and_known(
    hass: HomeAssistant, router: VirtualRouter, two: MockConfigEntry
) -> None:
    router.fault(Fault.SLOW_TO_ACT, action="AddPortMapping", delay=1)
    both = hass.async_create_task(
        hass.services.async_call(
            DOMAIN, "open", {"entity_id": ["switch.camera", "switch.plex"]}, blocking=True
        )
    )
    await arrived(router, "AddPortMapping", 1)
    await hass.config_entries.async_reload(two.entry_id)
    await both
    await hass.async_block_till_done()
    assert (state_of(hass), state_of(hass, "switch.plex")) == ("on", "on")
    assert len(router.mappings) == len(ledger_of(hass, two)["openings"]) == 2
    # There is one keeper, which knows all that there is.
    await switch(hass, "turn_off")
    await switch(hass, "turn_off", "switch.plex")
    assert not router.mappings
    assert phases(hass, two) == []


@pytest.mark.parametrize("action", ["open", "close"])
async def test_a_script_that_is_stopped_leaves_nothing_half_done(
    hass: HomeAssistant, router: VirtualRouter, two: MockConfigEntry, action: str
) -> None:
    if action == "close":
        await switch(hass, "turn_on")
    step = {"action": f"{DOMAIN}.{action}", "target": {"entity_id": "switch.camera"}}
    if action == "open":
        step["data"] = {"duration": {"minutes": 5}}
    assert await async_setup_component(hass, "script", {"script": {"run": {"sequence": [step]}}})
    asked = {"open": "AddPortMapping", "close": "DeletePortMapping"}[action]
    router.fault(Fault.SLOW_TO_ACT, action=asked, delay=0.3)
    await hass.services.async_call("script", "turn_on", {"entity_id": "script.run"})
    await arrived(router, asked, 1)
    await hass.services.async_call("script", "turn_off", {"entity_id": "script.run"}, blocking=True)
    await hass.async_block_till_done()
    await until_idle(two)
    if action == "open":
        assert phases(hass, two) == ["open"]
        assert state_of(hass) == "on"
        assert two.runtime_data.keeper._schedule._deadlines
    else:
        assert phases(hass, two) == []
        assert state_of(hass) == "off"
        assert not router.mappings
