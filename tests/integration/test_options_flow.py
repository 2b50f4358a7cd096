"""The options, and that they are kept to."""

from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigFlowResult
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType, InvalidData
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
)

from lab.virtual_router import VirtualRouter

from .conftest import add_forward, forward_data, set_up, state_of, switch
from .flows import default


async def change(hass: HomeAssistant, entry: MockConfigEntry, **values: Any) -> ConfigFlowResult:
    """Open the options and submit them."""
    step = await hass.config_entries.options.async_init(entry.entry_id)
    result = await hass.config_entries.options.async_configure(step["flow_id"], values)
    await hass.async_block_till_done()
    return result


async def test_defaults(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await set_up(hass, entry)
    step = await hass.config_entries.options.async_init(entry.entry_id)
    assert (step["type"], step["step_id"]) == (FlowResultType.FORM, "init")
    assert default(step, "refresh_interval") == "60.0"
    assert default(step, "lease") == "3600.0"
    assert default(step, "close_on_stop") == "False"
    assert entry.runtime_data.update_interval == timedelta(seconds=60)


async def test_changed(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    freezer: FrozenDateTimeFactory,
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    result = await change(hass, entry, refresh_interval=30.0, lease=600.0)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert dict(entry.options) == {
        "refresh_interval": 30,
        "lease": 600,
        "close_on_stop": False,
        "admins_only": False,
    }
    assert [type(value) for value in entry.options.values()] == [int, int, bool, bool]

    await switch(hass, "turn_on")
    assert [mapping.lease for mapping in router.mappings] == [600]

    looks = router.requests["GetExternalIPAddress"]
    freezer.tick(25)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert router.requests["GetExternalIPAddress"] == looks
    freezer.tick(6)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert router.requests["GetExternalIPAddress"] == looks + 1


async def test_shown_again(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await set_up(hass, entry)
    await change(hass, entry, refresh_interval=30, lease=600, close_on_stop=True, admins_only=True)
    # The check URL is tried when it is typed in, see test_reachable.py.
    options = {**entry.options, "check_url": "http://127.0.0.1:1/"}
    hass.config_entries.async_update_entry(entry, options=options)
    await hass.async_block_till_done()
    step = await hass.config_entries.options.async_init(entry.entry_id)
    schema = step["data_schema"]
    assert schema
    assert {str(key): key.description["suggested_value"] for key in schema.schema} == {
        "refresh_interval": 30,
        "lease": 600,
        "close_on_stop": True,
        "admins_only": True,
        "check_url": "http://127.0.0.1:1/",
    }


async def test_open_port_stays_open(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await change(hass, entry, refresh_interval=30, lease=600)
    assert state_of(hass) == "on"
    assert len(router.mappings) == 1


@pytest.mark.parametrize("close_on_stop", [True, False])
async def test_closed_when_home_assistant_stops_if_chosen(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    close_on_stop: bool,  # noqa: FBT001
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    # The choice before must not count any more.
    await change(hass, entry, close_on_stop=not close_on_stop)
    await switch(hass, "turn_on")
    await change(hass, entry, close_on_stop=close_on_stop)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()
    assert len(router.mappings) == (0 if close_on_stop else 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("refresh_interval", 9),
        ("refresh_interval", 3601),
        ("lease", 0),
        ("lease", 119),
        ("lease", 86401),
        ("lease", "an hour"),
    ],
)
async def test_out_of_bounds(
    hass: HomeAssistant, entry: MockConfigEntry, field: str, value: object
) -> None:
    await set_up(hass, entry)
    with pytest.raises(InvalidData) as raised:
        await change(hass, entry, **{"refresh_interval": 60, "lease": 3600} | {field: value})
    assert list(raised.value.schema_errors) == [field]
    assert dict(entry.options) == {}
