"""What the integration says about itself to Home Assistant, its store and its readers is true."""

import ast
import json
import re
import struct
import tomllib
from typing import Any

import pytest
from homeassistant.const import Platform
from homeassistant.util.yaml import load_yaml_dict

import custom_components.port_forward as integration
from custom_components.port_forward import config_flow
from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.forward_flow.flow import ForwardSubentryFlow
from custom_components.port_forward.openings import Kind

from .translations import FOLDER, texts

REPOSITORY = FOLDER.parent.parent
MANIFEST: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")

# https://developers.home-assistant.io/docs/core/integration-quality-scale/
RULES = """
    action-setup appropriate-polling brands common-modules config-flow config-flow-test-coverage
    dependency-transparency docs-actions docs-conditions docs-high-level-description
    docs-installation-instructions docs-removal-instructions docs-triggers entity-event-setup
    entity-unique-id has-entity-name runtime-data test-before-configure test-before-setup
    unique-config-entry action-exceptions config-entry-unloading docs-configuration-parameters
    docs-installation-parameters entity-unavailable integration-owner log-when-unavailable
    parallel-updates reauthentication-flow test-coverage devices diagnostics discovery
    discovery-update-info docs-data-update docs-examples docs-known-limitations
    docs-supported-devices docs-supported-functions docs-troubleshooting docs-use-cases
    dynamic-devices entity-category entity-device-class entity-disabled-by-default
    entity-translations exception-translations icon-translations reconfiguration-flow
    repair-issues stale-devices async-dependency inject-websession strict-typing
"""


def source(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def all_sources() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.py"))


def status(rule: str) -> str:
    """Return what the quality scale says of a rule."""
    entry = quality_scale()[rule]
    return entry if isinstance(entry, str) else str(entry["status"])


def quality_scale() -> dict[str, Any]:
    rules: dict[str, Any] = load_yaml_dict(str(FOLDER / "quality_scale.yaml"))["rules"]
    return rules


def test_manifest_is_as_hassfest_wants_it() -> None:
    keys = list(MANIFEST)
    assert keys == ["domain", "name", *sorted(keys[2:])]
    assert MANIFEST["domain"] == DOMAIN == FOLDER.name
    assert MANIFEST["config_flow"] is True
    assert MANIFEST["integration_type"] == "hub"
    assert MANIFEST["iot_class"] == "local_polling"
    assert all(re.fullmatch(r"@[\w/-]+", owner) for owner in MANIFEST["codeowners"])
    for link in ("documentation", "issue_tracker"):
        assert MANIFEST[link].startswith("https://github.com/")
    # That of custom integrations is nobody's to give.
    assert "quality_scale" not in MANIFEST


def test_one_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST["version"])
    assert MANIFEST["version"] == PROJECT["project"]["version"]


def test_nothing_is_required_that_home_assistant_does_not_bring() -> None:
    assert MANIFEST["requirements"] == []


def test_components_that_are_used_are_depended_on() -> None:
    """As hassfest sees it: neither what Home Assistant always loads, nor for whom a file is."""
    component = re.compile(r"^from homeassistant\.components(?:\.| import )(\w+)", re.MULTILINE)
    always = {*map(str, Platform), "conversation", "homeassistant"}
    used = {
        name
        for path in FOLDER.rglob("*.py")
        for name in component.findall(path.read_text(encoding="utf-8"))
        if name != path.stem
    }
    assert used - always == set(MANIFEST["dependencies"])


def test_platforms() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} & {str(platform) for platform in Platform}
    assert files == set(integration.PLATFORMS)


def test_store() -> None:
    hacs = json.loads((REPOSITORY / "hacs.json").read_text(encoding="utf-8"))
    assert hacs.keys() <= {
        "content_in_root",
        "country",
        "filename",
        "hacs",
        "hide_default_branch",
        "homeassistant",
        "name",
        "persistent_directory",
        "render_readme",
        "zip_release",
    }
    assert hacs["name"] == MANIFEST["name"]
    assert hacs["homeassistant"] == "2026.10.0"
    # The tests run on the oldest version that the store offers it for.
    assert "homeassistant==2026.10.4" in PROJECT["dependency-groups"]["dev"]
    assert "2026.10" in README


@pytest.mark.parametrize("size", [1, 2], ids=["normal", "hDPI"])
@pytest.mark.parametrize("name", ["icon", "logo", "dark_logo"])
def test_brand(name: str, size: int) -> None:
    """The rules of home-assistant/brands."""
    image = (FOLDER / "brand" / f"{name}{'@2x' if size == 2 else ''}.png").read_bytes()
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, _, color_type = struct.unpack(">IIBB", image[16:26])
    assert color_type == 6, "no transparency"
    if name == "icon":
        assert (width, height) == (256 * size, 256 * size)
    else:
        assert 128 * size <= min(width, height) <= 256 * size


def test_quality_scale_is_complete() -> None:
    assert sorted(quality_scale()) == sorted(RULES.split())
    assert len(quality_scale()) == 54
    for rule, entry in quality_scale().items():
        if entry != "done":
            assert entry["status"] in ("exempt", "todo"), rule
            assert entry["comment"].strip(), rule


@pytest.mark.parametrize(
    ("rule", "file"),
    [
        ("brands", "brand/icon.png"),
        ("common-modules", "coordinator.py"),
        ("common-modules", "entity.py"),
        ("config-flow", "config_flow.py"),
        ("diagnostics", "diagnostics.py"),
        ("icon-translations", "icons.json"),
        ("action-setup", "services.yaml"),
        ("docs-actions", "services.yaml"),
        ("docs-conditions", "conditions.yaml"),
        ("docs-triggers", "triggers.yaml"),
    ],
)
def test_done_where_the_file_is(rule: str, file: str) -> None:
    assert (FOLDER / file).exists() == (status(rule) == "done")


@pytest.mark.parametrize(
    ("rule", "step"),
    [
        ("config-flow", "async_step_user"),
        ("discovery", "async_step_ssdp"),
        ("discovery-update-info", "async_step_ssdp"),
        ("reauthentication-flow", "async_step_reauth"),
        ("reconfiguration-flow", "async_step_reconfigure"),
    ],
)
def test_done_where_the_step_is(rule: str, step: str) -> None:
    # ConfigFlow has a step for SSDP of its own, which only aborts.
    assert (step in vars(config_flow.PortForwardConfigFlow)) == (status(rule) == "done")


def test_forwards_can_be_reconfigured_too() -> None:
    assert "async_step_reconfigure" in vars(ForwardSubentryFlow)


def test_discovery() -> None:
    assert status("discovery") == "done"
    searched = {matcher["st"] for matcher in MANIFEST["ssdp"] if "st" in matcher}
    assert searched == {matcher["nt"] for matcher in MANIFEST["ssdp"] if "nt" in matcher}
    assert searched == {
        "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
        "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
        "urn:schemas-upnp-org:device:fritzbox:1",
    }
    described = [matcher for matcher in MANIFEST["ssdp"] if not {"st", "nt"} & matcher.keys()]
    assert all(matcher.keys() == {"manufacturer", "modelDescription"} for matcher in described)
    assert {matcher["manufacturer"] for matcher in described} == {"Ubiquiti Networks"}


def test_parallel_updates() -> None:
    assert status("parallel-updates") == "done"
    for platform in integration.PLATFORMS:
        names = {
            target.id
            for node in ast.parse(source(f"{platform}.py")).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert "PARALLEL_UPDATES" in names, platform


def test_strict_typing() -> None:
    assert status("strict-typing") == "done"
    assert PROJECT["tool"]["mypy"]["strict"] is True


def test_coverage() -> None:
    assert status("test-coverage") == "done"
    assert PROJECT["tool"]["coverage"]["run"]["branch"] is True
    assert PROJECT["tool"]["coverage"]["report"]["fail_under"] >= 95


def test_fixable_issues_have_repairs() -> None:
    fixable = "is_fixable=True" in all_sources()
    assert fixable == (FOLDER / "repairs.py").exists() == (status("repair-issues") == "done")


@pytest.mark.parametrize(
    ("rule", "heading"),
    [
        ("docs-installation-instructions", "Installation"),
        ("docs-installation-parameters", "Set up the router"),
        ("docs-configuration-parameters", "Options"),
        ("docs-removal-instructions", "Removal"),
        ("docs-data-update", "How data is updated"),
        ("docs-examples", "Examples"),
        ("docs-known-limitations", "Known limitations"),
        ("docs-supported-devices", "Supported routers"),
        ("docs-supported-functions", "What you get"),
        ("docs-troubleshooting", "Troubleshooting"),
        ("docs-use-cases", "What it is good for"),
        ("docs-actions", "Actions"),
        ("docs-triggers", "Triggers"),
        ("docs-conditions", "Conditions"),
    ],
)
def test_readme_has_what_is_done(rule: str, heading: str) -> None:
    assert status(rule) == "done"
    assert re.search(rf"^##+ {heading}$", README, re.MULTILINE)


@pytest.mark.parametrize(
    "key",
    [key for key in texts() if re.search(r"\.step\.\w+(\.sections\.\w+)?\.data\.\w+$", key)],
)
def test_readme_explains_each_field(key: str) -> None:
    """As the installation and configuration parameters of the quality scale."""
    assert f"| {texts()[key]} |" in README


@pytest.mark.parametrize("many", ["services", "triggers", "conditions"])
def test_readme_explains_what_automations_use(many: str) -> None:
    described = load_yaml_dict(str(FOLDER / f"{many}.yaml"))
    for key, description in described.items():
        if not key.startswith("."):
            assert f"`{DOMAIN}.{key}`" in README
            assert texts()[f"{many}.{key}.name"] in README
            for field in description.get("fields", {}):
                assert f"`{field}`" in README, field


def test_readme_names_the_entities() -> None:
    names = [text for key, text in texts().items() if re.fullmatch(r"entity\.\w+\.\w+\.name", key)]
    assert len(names) == 12
    assert all(f"*{name}*" in README for name in names)
    assert all(f"| `{kind}` |" in README for kind in Kind)


def test_actions_exist_before_any_router() -> None:
    assert status("action-setup") == "done"
    [setup] = [
        node
        for node in ast.parse(source("__init__.py")).body
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "async_setup"
    ]
    assert "async_setup_services(hass)" in ast.unparse(setup)
    assert "async_register" in source("services.py")
    assert "async_register" not in source("__init__.py")


def test_errors_of_actions_are_raised() -> None:
    assert status("action-exceptions") == "done"
    assert re.search(r"raise ServiceValidationError\(\s+translation_domain", all_sources())
    assert re.search(r"raise HomeAssistantError\(\s+translation_domain", all_sources())


def test_entities_listen_from_when_they_are_added() -> None:
    assert status("entity-event-setup") == "done"
    # Whatever an entity subscribes to ends with it.
    for platform in integration.PLATFORMS:
        text = source(f"{platform}.py")
        assert text.count("async_listen(") == text.count("async_on_remove(")
        assert "async_dispatcher_connect" not in text
    assert "self.async_on_remove(self.coordinator.async_listen(" in source("event.py")


def test_device_class() -> None:
    assert status("entity-device-class") == "done"
    assert "SensorDeviceClass.TIMESTAMP" in source("sensor.py")
