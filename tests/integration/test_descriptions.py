"""What users read in the automation editor and the history is there, all of it and no more."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import condition, trigger
from homeassistant.helpers.condition import async_validate_condition_config
from homeassistant.helpers.trigger import async_validate_trigger_config
from homeassistant.helpers.trigger.descriptions import _TRIGGERS_DESCRIPTION_SCHEMA
from homeassistant.util.yaml.loader import load_yaml_dict
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.condition import CONDITIONS
from custom_components.port_forward.openings import Kind, Reason
from custom_components.port_forward.trigger import CLOSE_REASONS, TRIGGERS

from .conftest import set_up

INTEGRATION = Path("custom_components/port_forward")

DESCRIBED = [
    ("trigger", "triggers", TRIGGERS, _TRIGGERS_DESCRIPTION_SCHEMA),
    ("condition", "conditions", CONDITIONS, condition._CONDITIONS_DESCRIPTION_SCHEMA),
]
described = pytest.mark.parametrize(("one", "many", "offered", "schema"), DESCRIBED)


def read(name: str) -> dict[str, Any]:
    text: dict[str, Any] = json.loads((INTEGRATION / name).read_text())
    return text


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
    for description in checked.values():
        assert description["target"]["entity"] == [
            {"domain": ["switch"], "integration": "port_forward"}
        ]


@described
def test_each_has_a_name_a_description_and_an_icon(
    one: str, many: str, offered: dict[str, type], schema: Callable[[Any], dict[str, Any]]
) -> None:
    texts, icons = read("translations/en.json")[many], read("icons.json")[many]
    assert set(texts) == set(icons) == set(offered)
    for key, text in texts.items():
        assert icons[key][one].startswith("mdi:")
        assert set(text.get("fields", {})) == set(fields(many, key))
        for described_thing in (text, *text.get("fields", {}).values()):
            assert described_thing["name"]
            assert described_thing["description"]


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


def test_every_reason_that_can_be_chosen_has_a_name() -> None:
    chosen = fields("triggers", "closed")["reason"]["selector"]["select"]["options"]
    assert chosen == list(CLOSE_REASONS)
    assert list(read("translations/en.json")["selector"]["close_reason"]["options"]) == chosen


def test_every_event_has_a_name_and_an_icon() -> None:
    texts = read("translations/en.json")["entity"]["event"]["activity"]
    icons = read("icons.json")["entity"]["event"]["activity"]["state_attributes"]["event_type"]
    assert texts["name"]
    assert list(texts["state_attributes"]["event_type"]["state"]) == list(Kind)
    assert list(icons["state"]) == list(Kind)
    assert set(texts["state_attributes"]["reason"]["state"]) == set(Reason)
    assert set(texts["state_attributes"]) == {
        "event_type",
        "forward",
        "forward_id",
        "reason",
        "deadline",
        "late",
        "user_id",
        "error",
    }
