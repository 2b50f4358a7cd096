"""The examples of README and docs are automations that Home Assistant takes."""

import re
from pathlib import Path
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util.yaml.loader import parse_yaml
from pytest_homeassistant_custom_component.common import MockConfigEntry

from .conftest import set_up

REPOSITORY = Path(__file__).parents[2]
PAGES = ("README.md", "docs/automations.md")
EXAMPLES = [
    pytest.param(text, id=f"{page}-{number}")
    for page in PAGES
    for number, text in enumerate(
        re.findall(r"```yaml\n(.*?)```", (REPOSITORY / page).read_text(encoding="utf-8"), re.DOTALL)
    )
    if "action" in text
]


def commands(node: Any) -> list[dict[str, Any]]:  # noqa: ANN401  any branch of a tree
    """Return every call of an action of ours."""
    if isinstance(node, list):
        return [command for branch in node for command in commands(branch)]
    if not isinstance(node, dict):
        return []
    below = [command for branch in node.values() for command in commands(branch)]
    ours = str(node.get("action", "")).startswith("port_forward.")
    return [node, *below] if ours else below


@pytest.mark.parametrize("text", EXAMPLES)
async def test_examples(hass: HomeAssistant, entry: MockConfigEntry, text: str) -> None:
    await set_up(hass, entry)
    written = parse_yaml(text)
    # Some show the actions alone.
    example = written if isinstance(written, dict) else {"triggers": [], "actions": written}
    assert await async_setup_component(hass, "automation", {"automation": [example]})
    [automation] = hass.states.async_all("automation")
    assert automation.state == "on"  # and not unavailable, as what is refused

    for command in commands(example):
        action = hass.services.async_services_for_domain("port_forward")[command["action"][13:]]
        assert action.schema
        data = {
            key: value
            for key, value in command.get("data", {}).items()
            if "{{" not in str(value)  # filled in when it runs
        }
        action.schema(command.get("target", {}) | data)
    # Some wait for the clock.
    await hass.services.async_call(
        "automation", "turn_off", {"entity_id": automation.entity_id}, blocking=True
    )


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    targets = re.findall(r"""(?:\]\(|(?:src|srcset|href)=")([^)"#]*)(?:#([\w-]+))?[)"]""", text)
    for target, heading in targets:
        if "://" in target:
            continue
        file = REPOSITORY / (Path(page).parent / target if target else page)
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, f"{target}#{heading}"
