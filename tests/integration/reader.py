"""A reader over the user's shoulder: fails when something shown has no text, or a broken one."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any
from unittest.mock import patch

import probatio
from homeassistant.components.event import EventEntity
from homeassistant.components.repairs import RepairsFlow
from homeassistant.config_entries import ConfigFlow, ConfigSubentryFlow, OptionsFlow
from homeassistant.data_entry_flow import FlowHandler, FlowManager, FlowResultType, section
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.issue_registry import IssueRegistry
from homeassistant.helpers.issue_registry import async_get as async_get_issues
from homeassistant.helpers.json import json_bytes
from homeassistant.helpers.selector import SelectSelector

from custom_components.port_forward.const import DOMAIN
from tests.translations import rendered, texts

# What each issue was, by its id.
_SEEN: dict[str, str] = {}

type AnyFlow = FlowHandler[Any, Any, Any]
type AnyManager = FlowManager[Any, Any, Any]


@contextmanager
def reading_along() -> Iterator[None]:
    """Read all that flows, errors, issues and events of the integration show meanwhile."""
    broken: list[str] = []

    def read(check: Callable[..., object], *args: object) -> None:
        try:
            check(*args)
        except AssertionError as error:
            broken.append(str(error))

    step = FlowManager._async_handle_step
    make_error = HomeAssistantError.__init__
    make_event = EventEntity._trigger_event
    make_issue = IssueRegistry.async_get_or_create

    async def handle_step(
        manager: AnyManager, flow: AnyFlow, step_id: str, user_input: dict[str, Any] | None
    ) -> Mapping[str, Any]:
        result: Mapping[str, Any] = await step(manager, flow, step_id, user_input)
        read(_read_flow, flow, result)
        return result

    def init_error(error: HomeAssistantError, *args: object, **kwargs: Any) -> None:
        make_error(error, *args, **kwargs)
        read(_read_error, error)

    def get_or_create(registry: IssueRegistry, domain: str, issue_id: str, **kwargs: Any) -> object:
        if domain == DOMAIN:
            read(_read_issue, kwargs["translation_key"], kwargs.get("translation_placeholders"))
        return make_issue(registry, domain, issue_id, **kwargs)

    def trigger_event(
        entity: EventEntity, event_type: str, attributes: dict[str, Any] | None = None
    ) -> None:
        read(_read_event, entity, event_type, attributes or {})
        make_event(entity, event_type, attributes)

    with (
        patch.object(FlowManager, "_async_handle_step", handle_step),
        patch.object(HomeAssistantError, "__init__", init_error),
        patch.object(IssueRegistry, "async_get_or_create", get_or_create),
        patch.object(EventEntity, "_trigger_event", trigger_event),
    ):
        yield
    assert not broken, "\n".join(broken)


def _is_ours(shown: object) -> bool:
    return type(shown).__module__.startswith("custom_components.port_forward")


def _read_error(error: HomeAssistantError) -> None:
    """Read an error, if it has a text of ours."""
    if error.translation_domain == DOMAIN:
        key = f"exceptions.{error.translation_key}.message"
        rendered(key, error.translation_placeholders)


def _read_issue(key: str, values: Mapping[str, str] | None) -> None:
    """Read what an issue of ours says; what can be fixed is described by its flow."""
    is_fixed = any(name.startswith(f"issues.{key}.fix_flow.") for name in texts())
    for part in ("title",) if is_fixed else ("title", "description"):
        rendered(f"issues.{key}.{part}", values)


def _read_event(entity: EventEntity, event_type: str, attributes: Mapping[str, Any]) -> None:
    """Read what an event shows, if it is of ours."""
    if not _is_ours(entity):
        return
    shown = f"entity.event.{entity.translation_key}.state_attributes"
    rendered(f"{shown}.event_type.state.{event_type}")
    for name, value in attributes.items():
        rendered(f"{shown}.{name}.name")
        if isinstance(value, Enum):
            rendered(f"{shown}.{name}.state.{value}")


def _read_flow(flow: AnyFlow, result: Mapping[str, Any]) -> None:
    """Read what a step of a flow shows, if it is of ours."""
    if not _is_ours(flow):
        return
    prefix = _prefix(flow)
    values = result.get("description_placeholders")
    if isinstance(flow, ConfigFlow) and "title_placeholders" in flow.context:
        rendered("config.flow_title", flow.context["title_placeholders"])
    if result["type"] is FlowResultType.FORM:
        _read_form(prefix, result, values)
    elif result["type"] is FlowResultType.MENU:
        step = f"{prefix}.step.{result['step_id']}"
        for part in ("title", "description"):
            rendered(f"{step}.{part}", values)
        for option in result["menu_options"]:
            rendered(f"{step}.menu_options.{option}", values)
    # Home Assistant has texts of its own for what all flows do.
    elif result["type"] is FlowResultType.ABORT and not result.get("translation_domain"):
        rendered(f"{prefix}.abort.{result['reason']}", values)


def _prefix(flow: AnyFlow) -> str:
    """Return where its texts are."""
    match flow:
        case ConfigFlow():
            return "config"
        case OptionsFlow():
            return "options"
        case ConfigSubentryFlow():
            return f"config_subentries.{flow._subentry_type}"
        case RepairsFlow():
            issue = async_get_issues(flow.hass).async_get_issue(DOMAIN, flow.issue_id)
            # It may be done with by now, in another way.
            key = issue.translation_key if issue else _SEEN[flow.issue_id]
            assert key
            _SEEN[flow.issue_id] = key
            return f"issues.{key}.fix_flow"
        case _:
            raise AssertionError(f"unknown flow {flow}")


def _read_form(prefix: str, result: Mapping[str, Any], values: Mapping[str, str] | None) -> None:
    step = f"{prefix}.step.{result['step_id']}."
    assert f"{step}title" in texts(), f"no title at {step}"
    for key in texts():
        if key.startswith(step):
            rendered(key, values)
    schema = result["data_schema"].schema if result["data_schema"] else {}
    _read_fields(step, schema, values)
    for field, error in (result["errors"] or {}).items():
        assert field == "base" or field in schema, f"an error at the unknown field {field}"
        rendered(f"{prefix}.error.{error}", values)
    # As the frontend is given it.
    fields = probatio.to_field_list(probatio.Schema(schema), custom_serializer=cv.custom_serializer)
    for field in fields:
        assert isinstance(field, dict)
        shown = field["schema"] if field.get("type") == "expandable" else [field]
        assert all("selector" in each for each in shown), fields
    json_bytes(fields)


def _read_fields(step: str, schema: Mapping[Any, object], values: Mapping[str, str] | None) -> None:
    for field, validator in schema.items():
        if isinstance(validator, section):
            rendered(f"{step}sections.{field}.name", values)
            _read_fields(f"{step}sections.{field}.", validator.schema.schema, values)
        else:
            rendered(f"{step}data.{field}", values)
            rendered(f"{step}data_description.{field}", values)
            _read_options(validator)


def _read_options(validator: object) -> None:
    """Read the options of a selector; one with a label of its own needs no text."""
    if not isinstance(validator, SelectSelector):
        return
    if validator.config.get("custom_value"):
        # The frontend shows the values themselves in a list that takes others.
        for option in validator.config["options"]:
            assert isinstance(option, dict), option
            assert option["value"] == option["label"], option
            assert re.fullmatch(r"[A-Z][A-Za-z ]+", option["value"]), option
        return
    key = validator.config.get("translation_key")
    for option in validator.config["options"]:
        value, label = (
            (option, option) if isinstance(option, str) else (option["value"], option["label"])
        )
        if value == label:
            assert key, f"no text for the option {value}"
            rendered(f"selector.{key}.options.{value}")
