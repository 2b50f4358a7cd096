"""What holds for all blueprints, by Home Assistant's own account of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from homeassistant.components.automation.config import AUTOMATION_BLUEPRINT_SCHEMA
from homeassistant.components.blueprint.importer import _get_github_import_url
from homeassistant.components.blueprint.models import Blueprint
from homeassistant.util.yaml.input import extract_inputs
from homeassistant.util.yaml.loader import load_yaml_dict

from custom_components.port_forward.const import DOMAIN
from tests.test_manifest import MANIFEST

from .blueprints import BLUEPRINTS, FOLDER

REPOSITORY = FOLDER.parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.fixture(params=BLUEPRINTS)
def blueprint(request: pytest.FixtureRequest) -> Blueprint:
    """Each of them, as Home Assistant loads it."""
    path = FOLDER / f"{request.param}.yaml"
    return Blueprint(
        load_yaml_dict(path),
        path=path.name,
        expected_domain="automation",
        schema=AUTOMATION_BLUEPRINT_SCHEMA,
    )


def path_of(blueprint: Blueprint) -> Path:
    """Return where its `source_url` says that it is, from the root of the repository."""
    url = blueprint.metadata["source_url"]
    _, _, path = url.partition("/blob/main/")
    assert url == f"{MANIFEST['documentation']}/blob/main/{path}"
    return Path(path)


def steps(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  any branch of a tree
    """Return every mapping in what the blueprint is made of, at any depth."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from steps(inner)


def test_there_are_some() -> None:
    assert len(BLUEPRINTS) == 5


def test_it_can_be_imported(blueprint: Blueprint) -> None:
    path = path_of(blueprint)
    assert (REPOSITORY / path).parent == FOLDER
    assert (REPOSITORY / path).is_file()
    url = _get_github_import_url(blueprint.metadata["source_url"])
    assert url.startswith("https://raw.githubusercontent.com/")
    assert url.endswith(str(path))


def test_it_asks_for_what_it_uses(blueprint: Blueprint) -> None:
    used = extract_inputs({k: v for k, v in blueprint.data.items() if k != "blueprint"})
    assert used == set(blueprint.inputs)


def test_it_says_what_it_is(blueprint: Blueprint) -> None:
    assert blueprint.metadata["homeassistant"]["min_version"] == "2026.10.0"
    assert blueprint.validate() is None
    assert blueprint.metadata["description"]
    for name, asked in blueprint.inputs.items():
        assert asked["name"], name
        assert asked["selector"], name


def test_it_offers_port_forwards_only(blueprint: Blueprint) -> None:
    asked = blueprint.inputs.get("forwards") or blueprint.inputs["forward"]
    selector = asked["selector"]["entity"]
    assert selector["filter"] == [{"integration": DOMAIN, "domain": ["switch"]}]
    assert "default" not in asked


def test_what_it_opens_has_an_end(blueprint: Blueprint) -> None:
    actions = [step for step in steps(blueprint.data) if "action" in step]
    opened = [step for step in actions if step["action"] == f"{DOMAIN}.open"]
    assert opened
    assert all(step["data"]["duration"] for step in opened)
    assert not [step for step in actions if str(step["action"]).startswith("switch.")]


def test_the_readme_has_it(blueprint: Blueprint) -> None:
    url = quote(blueprint.metadata["source_url"], safe="")
    link = f"https://my.home-assistant.io/redirect/blueprint_import/?blueprint_url={url}"
    assert f"({link})" in README
    picture = f"docs/images/blueprint-{path_of(blueprint).stem.replace('_', '-')}.svg"
    assert re.search(rf"!\[[^]]+\]\({re.escape(picture)}\)", README)
    assert (REPOSITORY / picture).is_file()
