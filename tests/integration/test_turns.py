"""One thing at a time to a router: what comes too late."""

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
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


async def test_what_waited_behind_a_reload_is_not_opened_by_the_old_keeper(
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
    with pytest.raises(HomeAssistantError, match="set up anew"):
        await both
    await hass.async_block_till_done()
    assert (state_of(hass), state_of(hass, "switch.plex")) == ("on", "off")
    assert len(router.mappings) == len(ledger_of(hass, two)["openings"]) == 1
    # The new keeper knows all that there is.
    await switch(hass, "turn_off")
    assert not router.mappings
    assert phases(hass, two) == []
