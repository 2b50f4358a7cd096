"""Setting up, losing and finding the router again, renewing."""

from datetime import datetime, timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.port_forward.const import CONF_LEASE, DOMAIN
from lab.virtual_router import Fault, Quirk, VirtualRouter, free_port

from .conftest import add_forward, forward_data, refresh, set_up, state_of, switch

LOGGER_NAME = "custom_components.port_forward"


def ahead(seconds: float) -> datetime:
    return dt_util.utcnow() + timedelta(seconds=seconds)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what a user would find in the log of this integration."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(LOGGER_NAME) and record.levelname in ("WARNING", "ERROR")
    ]


async def test_devices_and_entities(
    hass: HomeAssistant,
    device_registry: dr.DeviceRegistry,
    entity_registry: er.EntityRegistry,
    router: VirtualRouter,
    entry: MockConfigEntry,
) -> None:
    subentry = add_forward(hass, entry, forward_data(8443))
    await set_up(hass, entry)

    hub = device_registry.async_get_device_by_identifier((DOMAIN, entry.entry_id), entry.entry_id)
    assert hub
    assert hub.name == "Virtual Router"
    forward = device_registry.async_get_device_by_identifier(
        (DOMAIN, subentry.subentry_id), entry.entry_id
    )
    assert forward
    assert (forward.name, forward.model, forward.via_device_id) == ("Camera", "TCP 8443", hub.id)
    assert {
        entity.entity_id: entity.config_subentry_id
        for entity in er.async_entries_for_config_entry(entity_registry, entry.entry_id)
    } == {
        "switch.camera": subentry.subentry_id,
        "binary_sensor.camera_target_reachable": subentry.subentry_id,
        "binary_sensor.virtual_router_reachable_from_the_internet": None,
        "event.camera_activity": subentry.subentry_id,
        "event.virtual_router_activity": None,
        "button.virtual_router_close_all": None,
        "switch.virtual_router_lockdown": None,
        "sensor.camera_closes_at": subentry.subentry_id,
        "sensor.virtual_router_external_ip_address": None,
        "sensor.virtual_router_open_forwards": None,
        "sensor.virtual_router_foreign_mappings": None,
        "event.virtual_router_foreign_mappings": None,
    }
    assert state_of(hass, "sensor.virtual_router_external_ip_address") == "203.0.113.7"


@pytest.mark.parametrize("igd", [1, 2])
async def test_an_added_forward_appears_by_itself(
    hass: HomeAssistant, entry: MockConfigEntry, igd: int
) -> None:
    await set_up(hass, entry)
    assert hass.states.get("switch.camera") is None
    add_forward(hass, entry, forward_data(8443))
    await hass.async_block_till_done()
    assert state_of(hass) == "off"


async def test_no_setup_without_the_router(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await router.stop()
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "unreachable"


async def test_away_and_back_with_one_line_each(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_forward(hass, entry, forward_data(free_port()))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    caplog.clear()

    router.fault(Fault.DROP_BEFORE, times=None)
    for _ in range(3):
        await refresh(hass, entry)
    assert state_of(hass) == "unavailable"
    assert state_of(hass, "sensor.virtual_router_open_forwards") == "unavailable"
    assert len(warnings(caplog)) == 1

    router.clear_faults()
    await refresh(hass, entry)
    assert state_of(hass) == "on"
    back = [r.getMessage() for r in caplog.records if "recovered" in r.getMessage()]
    assert len(back) == 1
    assert len(warnings(caplog)) == 1


async def test_a_restart_to_another_control_port_is_followed(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    router.quirks.add(Quirk.Q35)
    await router.restart(change_port=False)
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await router.restart(change_port=False)  # the port of the description stays
    await switch(hass, "turn_on")
    assert [row.external_port for row in router.mappings] == [external_port]


async def test_openings_are_renewed_at_half_of_the_lease(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
) -> None:
    hass.config_entries.async_update_entry(entry, options={CONF_LEASE: 600})
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    assert router.mappings[0].lease == 600

    for renewals in range(1, 4):
        freezer.tick(301)
        async_fire_time_changed(hass)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert router.requests["AddPortMapping"] == 1 + renewals
    assert len(router.mappings) == 1

    await switch(hass, "turn_off")
    freezer.tick(601)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert router.requests["AddPortMapping"] == 4
    assert not router.mappings


async def test_a_failed_renewal_is_tried_again_and_logged_once(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    caplog.clear()
    router.fault(Fault.HTTP_500_EMPTY, action="AddPortMapping", times=3)

    for seconds in (1801, 16, 31):
        freezer.tick(seconds)
        async_fire_time_changed(hass)
        await hass.async_block_till_done(wait_background_tasks=True)
    assert state_of(hass) == "on"
    assert [line for line in warnings(caplog) if "Could not renew Camera" in line] == warnings(
        caplog
    )
    assert len(warnings(caplog)) == 1

    freezer.tick(61)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert "Camera is renewed again" in caplog.text
    assert router.requests["AddPortMapping"] == 5


async def test_a_permanent_mapping_needs_no_renewal(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
) -> None:
    router.quirks.add(Quirk.Q01)
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    asked = router.requests["AddPortMapping"]
    freezer.tick(3601)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert router.requests["AddPortMapping"] == asked
    await switch(hass, "turn_off")
    assert not router.mappings


async def test_what_was_learned_of_the_router_survives_a_restart(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    router.quirks.add(Quirk.Q01)
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    assert router.requests["AddPortMapping"] == 2  # with a lease, then without
    await switch(hass, "turn_off")
    await hass.config_entries.async_reload(entry.entry_id)
    await switch(hass, "turn_on")
    assert router.requests["AddPortMapping"] == 3
