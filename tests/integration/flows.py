"""Going through flows as the frontend does."""

from collections.abc import Mapping
from typing import Any

from homeassistant.components.repairs import RepairsFlowResult
from homeassistant.components.repairs.const import DOMAIN as REPAIRS
from homeassistant.config_entries import (
    SOURCE_USER,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlowResult,
)
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType, section
from homeassistant.setup import async_setup_component

from custom_components.port_forward.const import DOMAIN


async def start(hass: HomeAssistant) -> ConfigFlowResult:
    """Choose Port Forward under "Add integration"."""
    return await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})


async def start_typing(hass: HomeAssistant) -> ConfigFlowResult:
    """Go on to the form that asks for an address."""
    step = await submit(hass, await start(hass), url="typed_in")
    assert_form(step, "url")
    return step


async def submit(hass: HomeAssistant, step: ConfigFlowResult, **values: Any) -> ConfigFlowResult:
    """Submit a form."""
    result = await hass.config_entries.flow.async_configure(step["flow_id"], values)
    await hass.async_block_till_done()
    return result


def assert_form(step: ConfigFlowResult, step_id: str, errors: dict[str, str] | None = None) -> None:
    assert (step["type"], step["step_id"]) == (FlowResultType.FORM, step_id)
    assert (step["errors"] or {}) == (errors or {})


def assert_abort(step: ConfigFlowResult, reason: str) -> None:
    assert (step["type"], step["reason"]) == (FlowResultType.ABORT, reason)


def nested(step: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat values as the frontend sends them: those of a section within it."""
    sent = dict(values)
    schema = step["data_schema"].schema if step.get("data_schema") else {}
    for key, part in schema.items():
        if isinstance(part, section):
            sent[str(key)] = {str(k): sent.pop(k) for k in part.schema.schema if k in sent}
    return sent


def added(hass: HomeAssistant, step: ConfigFlowResult) -> ConfigEntry:
    """Return the entry that a flow has made."""
    assert step["type"] is FlowResultType.CREATE_ENTRY
    entry = step["result"]
    assert entry.state is ConfigEntryState.LOADED
    assert hass.config_entries.async_entries(DOMAIN) == [entry]
    return entry


def options(step: ConfigFlowResult, field: str) -> dict[str, str]:
    """Return the options of a field with their labels."""
    schema = step["data_schema"]
    assert schema
    return {o["value"]: o["label"] for o in schema.schema[field].config["options"]}


def default(step: ConfigFlowResult, field: str) -> str:
    """Return what is chosen in a field at first."""
    schema = step["data_schema"]
    assert schema
    return str(next(key for key in schema.schema if key == field).default())


async def fix(hass: HomeAssistant, issue_id: str, option: str) -> RepairsFlowResult:
    """Choose a way out of what a repair tells of."""
    assert await async_setup_component(hass, REPAIRS, {})
    manager = hass.data[REPAIRS]["flow_manager"]
    step = await manager.async_init(DOMAIN, context={"issue_id": issue_id})
    assert step["type"] is FlowResultType.MENU
    result: RepairsFlowResult = await manager.async_configure(
        step["flow_id"], {"next_step_id": option}
    )
    await hass.async_block_till_done()
    return result
