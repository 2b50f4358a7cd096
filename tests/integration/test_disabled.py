"""What the user has switched off, by disabling its switch, is opened by nothing."""

from typing import Any

import pytest
from homeassistant.components.repairs.const import DOMAIN as REPAIRS
from homeassistant.core import HomeAssistant, callback
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import area_registry as ar
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.automatic.causes import Caused
from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import VirtualRouter

from .conftest import add_forward, forward_data, refresh, set_up, switch

CAMERA = "switch.camera"


async def disable(hass: HomeAssistant, by: str = "entity") -> None:
    registry = er.async_get(hass)
    if by == "entity":
        registry.async_update_entity(CAMERA, disabled_by=er.RegistryEntryDisabler.USER)
    else:
        device_id = registry.entities[CAMERA].device_id
        assert device_id
        dr.async_get(hass).async_update_device(device_id, disabled_by=dr.DeviceEntryDisabler.USER)
    await hass.async_block_till_done()


async def call(hass: HomeAssistant, service: str, **target: Any) -> None:
    await hass.services.async_call(DOMAIN, service, target or {"entity_id": CAMERA}, blocking=True)


def told(hass: HomeAssistant) -> list[ir.IssueEntry]:
    return [
        issue
        for (domain, _), issue in ir.async_get(hass).issues.items()
        if domain == DOMAIN and issue.active and issue.translation_key == "open_without_switch"
    ]


@pytest.mark.parametrize("by", ["entity", "device"])
async def test_it_is_not_opened(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, by: str
) -> None:
    await disable(hass, by)
    with pytest.raises(ServiceValidationError) as raised:
        await call(hass, "open")
    assert raised.value.translation_key == "switch_disabled"
    assert raised.value.translation_placeholders == {"forward": "Camera"}
    # Whatever asks for it.
    forward_id = next(iter(closed.subentries))
    for cause in (None, Caused(host=None, was_told=False)):
        with pytest.raises(ServiceValidationError):
            await closed.runtime_data.async_open(forward_id, cause=cause)
    assert router.requests["AddPortMapping"] == 0


async def test_one_of_several_opens_none(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    await disable(hass)
    with pytest.raises(ServiceValidationError):
        await call(hass, "open", entity_id=["switch.games", CAMERA])
    assert router.mappings == ()


async def test_an_area_opens_the_others(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    area = ar.async_get(hass).async_create("Hall")
    for entity_id in (CAMERA, "switch.games"):
        device_id = er.async_get(hass).entities[entity_id].device_id
        assert device_id
        dr.async_get(hass).async_update_device(device_id, area_id=area.id)
    await disable(hass)
    await call(hass, "open", area_id=area.id)
    assert len(router.mappings) == 1


async def test_port_triggering_leaves_it_alone(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port, opened_by="input_boolean.door"))
    await set_up(hass, entry)
    heard: list[str] = []
    entry.runtime_data.async_listen(callback(lambda activity: heard.append(activity.kind)))
    await disable(hass)
    hass.states.async_set("input_boolean.door", "on")
    await hass.async_block_till_done(wait_background_tasks=True)
    assert (router.mappings, heard) == ((), [])


async def test_open_until_closed_it_is_told_and_can_be_closed(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    assert await async_setup_component(hass, REPAIRS, {})
    await switch(hass, "turn_on")
    assert told(hass) == []
    await disable(hass)
    [issue] = told(hass)
    await refresh(hass, closed)
    assert len(router.mappings) == 1, "disabling closes nothing by itself"
    manager = hass.data[REPAIRS]["flow_manager"]
    step = await manager.async_init(DOMAIN, context={"issue_id": issue.issue_id})
    assert (step["type"], step["step_id"]) == (FlowResultType.FORM, "close")
    step = await manager.async_configure(step["flow_id"], {})
    assert step["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert list(router.mappings) == []
    assert told(hass) == []


async def test_with_a_deadline_it_has_an_end_and_closes_by_the_action(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    await call(hass, "open", entity_id=CAMERA, duration={"hours": 1})
    await disable(hass)
    await refresh(hass, closed)
    assert (len(router.mappings), told(hass)) == (1, [])
    await call(hass, "close")
    assert router.mappings == ()


async def test_over_a_restart(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    await disable(hass)
    await hass.config_entries.async_reload(closed.entry_id)
    await hass.async_block_till_done()
    assert (len(router.mappings), len(told(hass))) == (1, 1)
    er.async_get(hass).async_update_entity(CAMERA, disabled_by=None)
    await hass.config_entries.async_reload(closed.entry_id)
    await hass.async_block_till_done()
    assert told(hass) == []
    await switch(hass, "turn_off")
    assert router.mappings == ()
