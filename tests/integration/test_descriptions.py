"""What the automation editor offers is described as it wants it, and works as it fills it in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import voluptuous as vol
from homeassistant.core import HomeAssistant
from homeassistant.helpers import condition, trigger
from homeassistant.helpers.condition import async_validate_condition_config
from homeassistant.helpers.service import _SERVICES_SCHEMA
from homeassistant.helpers.trigger import async_validate_trigger_config
from homeassistant.helpers.trigger.descriptions import _TRIGGERS_DESCRIPTION_SCHEMA
from homeassistant.util.yaml.loader import load_yaml_dict
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.condition import CONDITIONS
from custom_components.port_forward.trigger import CLOSE_REASONS, TRIGGERS

from .conftest import set_up

INTEGRATION = Path("custom_components/port_forward")

DESCRIBED = [
    ("trigger", "triggers", TRIGGERS, _TRIGGERS_DESCRIPTION_SCHEMA),
    ("condition", "conditions", CONDITIONS, condition._CONDITIONS_DESCRIPTION_SCHEMA),
]
described = pytest.mark.parametrize(("one", "many", "offered", "schema"), DESCRIBED)


def fields(many: str, key: str) -> dict[str, Any]:
    description = load_yaml_dict(str(INTEGRATION / f"{many}.yaml"))[key]
    found: dict[str, Any] = description.get("fields", {})
    return found


@described
def test_each_is_described_for_the_editor(
    one: str, many: str, offered: dict[str, type], schema: Callable[[Any], dict[str, Any]]
) -> None:
    checked = schema(load_yaml_dict(str(INTEGRATION / f"{many}.yaml")))
    assert set(checked) == set(offered)
    for key, description in checked.items():
        domain = "event" if key.startswith("foreign_mapping") else "switch"
        assert description["target"]["entity"] == [
            {"domain": [domain], "integration": "port_forward"}
        ]


@described
async def test_what_the_editor_fills_in_is_accepted(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    one: str,
    many: str,
    offered: dict[str, type],
    schema: Callable[[Any], dict[str, Any]],
) -> None:
    await set_up(hass, entry)
    for key in offered:
        options = {
            name: field["default"]
            for name, field in fields(many, key).items()
            if "default" in field
        }
        config = {
            "target": {"entity_id": ["switch.camera"]},
            "options": options,
        }
        if one == "trigger":
            await async_validate_trigger_config(
                hass, [{"platform": f"port_forward.{key}", **config}]
            )
        else:
            await async_validate_condition_config(
                hass, {"condition": f"port_forward.{key}", **config}
            )


async def test_home_assistant_finds_the_descriptions(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    await set_up(hass, entry)
    triggers = await trigger.async_get_all_descriptions(hass)
    conditions = await condition.async_get_all_descriptions(hass)
    assert {key for key in triggers if key.startswith("port_forward.")} == {
        f"port_forward.{key}" for key in TRIGGERS
    }
    assert triggers["port_forward.closed"]
    assert conditions["port_forward.is_open"]


def test_every_reason_can_be_chosen() -> None:
    chosen = fields("triggers", "closed")["reason"]["selector"]["select"]["options"]
    assert chosen == list(CLOSE_REASONS)


def test_actions_are_described_for_the_editor() -> None:
    checked = _SERVICES_SCHEMA(load_yaml_dict(str(INTEGRATION / "services.yaml")))
    for action in ("open", "close"):
        assert checked[action]["target"]["entity"] == [
            {"domain": ["switch"], "integration": "port_forward"}
        ]


async def test_what_the_editor_fills_into_actions_is_accepted(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    """Each field by itself, with its example: open takes one time at a time."""
    await set_up(hass, entry)
    actions = hass.services.async_services_for_domain("port_forward")
    for key, action in actions.items():
        assert action.schema
        for_forwards = key in {"open", "close"}
        target = {"entity_id": "switch.camera"} if for_forwards else {}
        for name, field in fields("services", key).items():
            if field.get("required"):
                target[name] = field["example"]
        for name, field in fields("services", key).items():
            assert name in action.schema(target | {name: field["example"]})
        action.schema(target)
        with pytest.raises(vol.Invalid):
            action.schema(target | {"no_field": 1})
