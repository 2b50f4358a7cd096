"""Everything that the code can show has a text, every text is shown, and reads well."""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers.translation import async_get_translations
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml import load_yaml_dict

from custom_components.port_forward.announce import details_of
from custom_components.port_forward.condition import CONDITIONS
from custom_components.port_forward.const import DOMAIN, PROTOCOL_BOTH
from custom_components.port_forward.devices import hosts
from custom_components.port_forward.foreign.sightings import (
    Sighting,
    SightingKind,
    details_of_sighting,
)
from custom_components.port_forward.forward_flow.flow import REFUSED_AT
from custom_components.port_forward.forward_flow.form import (
    ADOPTED_SCHEMA,
    CONFIRM_SCHEMA,
    MORE,
    SCHEMA,
)
from custom_components.port_forward.openings import Activity, Kind, Reason
from custom_components.port_forward.reach.reachability import Reachability
from custom_components.port_forward.router_flow.base import CONNECTING, NOT_TICKED
from custom_components.port_forward.router_flow.kinds import KINDS
from custom_components.port_forward.routers.errors import (
    NotPermittedError,
    Refusal,
    RouterError,
)
from custom_components.port_forward.routers.model import Protocol
from custom_components.port_forward.safety.target import Target
from custom_components.port_forward.services import async_setup_services
from custom_components.port_forward.trigger import CLOSE_REASONS, TRIGGERS

from .translations import FOLDER, placeholders, texts

FORWARD = "config_subentries.forward"


def leaves(kind: type[RouterError] = RouterError) -> Iterator[type[RouterError]]:
    """Iterate over all kinds of errors of a router."""
    for subclass in kind.__subclasses__():
        yield subclass
        yield from leaves(subclass)


def files_in(room: str) -> set[str]:
    """Return the files of a folder of the integration, as `calls` takes them."""
    return {path.relative_to(FOLDER).as_posix() for path in (FOLDER / room).glob("*.py")}


@cache
def calls(*files: str) -> list[tuple[str, ast.Call]]:
    """Return every call in the integration, or some files of it, with the name that is called."""
    found: list[tuple[str, ast.Call]] = []
    for path in FOLDER.rglob("*.py"):
        if files and path.relative_to(FOLDER).as_posix() not in files:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
                found.append((str(name), node))
    return found


def constant(node: ast.expr | None) -> Any:  # noqa: ANN401  of whatever type it is
    """Return the value of a literal, or of a constant of `hosts`."""
    if isinstance(node, ast.Name):
        return getattr(hosts, node.id, None)
    return node.value if isinstance(node, ast.Constant) else None


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((item.value for item in call.keywords if item.arg == name), None)


def keywords(call: ast.Call) -> set[str]:
    return {item.arg for item in call.keywords if item.arg}


def keys(prefix: str) -> set[str]:
    """Return the names right below a prefix."""
    below = (key[len(prefix) + 1 :] for key in texts() if key.startswith(f"{prefix}."))
    return {key.partition(".")[0] for key in below}


def field_errors() -> dict[str, set[str]]:
    """Return the placeholders of each error of a field."""
    return {
        constant(call.args[1]): keywords(call) for name, call in calls() if name == "FieldError"
    }


def host_errors() -> dict[str, set[str]]:
    """Return the placeholders of each error of a host."""
    return {constant(call.args[0]): keywords(call) for name, call in calls() if name == "HostError"}


def check_url_errors() -> set[str]:
    """Return the errors of a check URL."""
    return {constant(call.args[0]) for name, call in calls() if name == "CheckUrlError"}


def address_errors() -> set[str]:
    """Return the errors of what is typed in to say where a router is."""
    return {constant(call.args[0]) for name, call in calls() if name == "AddressError"}


def literal_errors() -> dict[str, set[str]]:
    """Return the placeholders of each error that names its text where it is raised."""
    found: dict[str, set[str]] = {}
    for _, call in calls():
        key = keyword(call, "translation_key")
        if keyword(call, "translation_domain") and isinstance(key, ast.Constant):
            given = keyword(call, "translation_placeholders") or ast.Dict()
            assert isinstance(given, ast.Dict), ast.unparse(call)
            names = {constant(name) for name in given.keys}
            assert found.setdefault(constant(key), names) == names, ast.unparse(call)
    return found


def described(many: str) -> dict[str, Any]:
    """Return the actions, triggers or conditions of their file."""
    stored = load_yaml_dict(str(FOLDER / f"{many}.yaml"))
    return {key: value for key, value in stored.items() if not key.startswith(".")}


def icons() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((FOLDER / "icons.json").read_text(encoding="utf-8"))
    return stored


def aborts(*files: str) -> set[str]:
    """Return the reasons for which a flow ends without a result."""
    found = {
        constant(keyword(call, "reason"))
        for name, call in calls(*files)
        if name in ("async_abort", "_abort_if_unique_id_mismatch")
    }
    found |= {constant(call.args[0]) for name, call in calls(*files) if name == "AbortFlow"}
    if any(name == "_abort_if_unique_id_configured" for name, _ in calls(*files)):
        found.add("already_configured")
    return found


def entity_keys() -> dict[str, set[str]]:
    """Return the translation keys of the entities by their platform."""
    found: dict[str, set[str]] = {}
    for path in FOLDER.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(
            isinstance(node, ast.AsyncFunctionDef) and node.name == "async_setup_entry"
            for node in tree.body
        ):
            named = {
                constant(node.value)
                for node in ast.walk(tree)
                if isinstance(node, ast.Assign)
                and getattr(node.targets[0], "id", "") == "_attr_translation_key"
            }
            described = {
                constant(keyword(call, "translation_key"))
                for name, call in calls(path.name)
                if name.endswith("EntityDescription")
            }
            if named | described:
                found[path.stem] = named | described
    return found


def test_errors_of_routers_have_texts() -> None:
    refusals = {f"not_permitted_{reason}" for reason in Refusal}
    others = {leaf.translation_key for leaf in leaves() if not issubclass(leaf, NotPermittedError)}
    assert RouterError.translation_key not in others, "a leaf without a key of its own"
    assert keys("exceptions") == (
        refusals
        | others
        | host_errors().keys()
        | {f"leads_to_{target}" for target in Target}
        | literal_errors().keys()
        | check_url_errors()
    )
    for target in Target:
        text = texts()[f"exceptions.leads_to_{target}.message"]
        assert placeholders(text) == {"forward", "host", "address"}


def test_other_errors_give_what_their_texts_name() -> None:
    assert literal_errors()
    for key, given in literal_errors().items():
        assert placeholders(texts()[f"exceptions.{key}.message"]) == given, key


def test_errors_of_routers_give_what_their_texts_name() -> None:
    kinds = {leaf.__name__: leaf for leaf in leaves()}
    raised = 0
    for name, call in calls():
        if name not in kinds:
            continue
        raised += 1
        leaf = kinds[name]
        given = made_by(leaf) or keywords(call)
        shown = (
            [f"not_permitted_{reason}" for reason in Refusal]
            if leaf is NotPermittedError
            else [leaf.translation_key]
        )
        for key in shown:
            text = texts()[f"exceptions.{key}.message"]
            assert placeholders(text) <= given, ast.unparse(call)
            if issubclass(leaf, CONNECTING):
                assert placeholders(texts()[f"config.error.{key}"]) <= given
    assert raised > 10


def made_by(leaf: type[RouterError]) -> set[str]:
    """Return the placeholders that an error makes of what it is given, none if it just takes them.

    One that is about a single call of its protocol says so in `detail`.
    """
    if "__init__" not in vars(leaf) or leaf is NotPermittedError:
        return set()
    tree = ast.parse(textwrap.dedent(inspect.getsource(leaf)))
    [call] = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__"
    ]
    assert keywords(call), leaf
    return keywords(call)


@pytest.mark.parametrize("refusal", Refusal)
def test_texts_do_not_show_what_the_router_did_not_say(refusal: Refusal) -> None:
    """Only a router that was asked can have answered, as it has for a plain refusal."""
    named = placeholders(texts()[f"exceptions.not_permitted_{refusal}.message"])
    assert "detail" not in named or refusal is Refusal.REFUSED


def test_errors_of_the_forward_form() -> None:
    from_plan = {f"not_permitted_{reason}" for reason in REFUSED_AT} | {"invalid_forward"}
    assert keys(f"{FORWARD}.error") == field_errors().keys() | host_errors().keys() | from_plan
    for key, given in (field_errors() | host_errors()).items():
        assert placeholders(texts()[f"{FORWARD}.error.{key}"]) == given, key
    assert all(not placeholders(texts()[f"{FORWARD}.error.{key}"]) for key in from_plan)
    for key, given in host_errors().items():
        assert placeholders(texts()[f"exceptions.{key}.message"]) == given, key


def test_errors_of_the_router_form() -> None:
    connecting = {leaf.translation_key for leaf in leaves() if issubclass(leaf, CONNECTING)}
    others = {hosts.ROUTER_UNKNOWN, NOT_TICKED, "refused"}
    assert keys("config.error") == connecting | address_errors() | others


def test_errors_of_the_options() -> None:
    assert keys("options.error") == check_url_errors()


def test_aborts() -> None:
    assert keys("config.abort") == aborts("config_flow.py", *files_in("router_flow"))
    assert keys(f"{FORWARD}.abort") == aborts(*files_in("forward_flow")) == set()


def test_system_health() -> None:
    shown: set[str] = set()
    for node in ast.walk(ast.parse((FOLDER / "system_health.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            shown |= {constant(key) for key in node.keys}
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            shown.add(constant(node.slice))
    assert keys("system_health") == {"info"}
    assert keys("system_health.info") == shown


def test_answers_of_voice_assistants() -> None:
    source = (FOLDER / "speech.py").read_text(encoding="utf-8")
    # test_risk.py reads the others.
    answers = {key for key in keys("common") if not key.startswith("risk_")}
    assert all(f'"{key}"' in source for key in answers)
    given = {
        "open_until": {"forward", "time"},
        "open_until_day": {"forward", "time", "date"},
        "locked": set(),
    }
    for key in answers:
        assert placeholders(texts()[f"common.{key}"]) == given.get(key, {"forward"})


def test_issues() -> None:
    found: set[str] = set()
    for name, call in calls():
        if name not in ("async_create_issue", "Need"):
            continue
        is_need = name == "Need"
        key = keyword(call, "key" if is_need else "translation_key")
        if ast.unparse(key or call) == "need.key":
            continue  # Whatever a `Need` has.
        given = keyword(call, "placeholders" if is_need else "translation_placeholders")
        assert isinstance(given, ast.Dict)
        names = {constant(name) for name in given.keys}
        shown = issue_keys(key)
        found |= shown
        parts: list[str] = []
        for one in shown:
            parts.append(texts()[f"issues.{one}.title"])
            fixes = [text for text_key, text in texts().items() if is_of_fix(text_key, one)]
            # Its description is that of the first step of what fixes it.
            fixable = keyword(call, "data") if is_need else constant(keyword(call, "is_fixable"))
            assert bool(fixes) == bool(fixable)
            assert bool(fixes) != (f"issues.{one}.description" in texts())
            parts += fixes or [texts()[f"issues.{one}.description"]]
        assert (
            set().union(*map(placeholders, parts)) - {"error", "risks"} == names
        )  # the flow gives these
    assert keys("issues") == found


def issue_keys(key: ast.expr | None) -> set[str]:
    """Return the texts that an issue may have: one, or one for each reason."""
    if isinstance(key, ast.JoinedStr) and "leads_to" in ast.unparse(key):
        return {f"leads_to_{target}" for target in Target}
    if isinstance(key, ast.JoinedStr):
        assert ast.unparse(key) == "f'not_reachable_{reason}'"
        return {f"not_reachable_{reason}" for reason in Reachability} - {
            f"not_reachable_{fine}" for fine in (Reachability.REACHABLE, Reachability.UNKNOWN)
        }
    return {constant(key)}


def is_of_fix(name: str, issue: str) -> bool:
    return name.startswith(f"issues.{issue}.fix_flow.")


def test_fixes_describe_each_field() -> None:
    for issue in keys("issues"):
        steps = f"issues.{issue}.fix_flow.step"
        for step in keys(steps):
            assert keys(f"{steps}.{step}.data") == keys(f"{steps}.{step}.data_description")
            assert f"{steps}.{step}.title" in texts()


def test_selectors() -> None:
    used = {
        constant(keyword(call, "translation_key"))
        for name, call in calls()
        if name == "SelectSelectorConfig" and keyword(call, "translation_key")
    }
    in_the_editor = {
        key
        for path in FOLDER.glob("*.yaml")
        for key in re.findall(r"translation_key: (\w+)", path.read_text(encoding="utf-8"))
    }
    assert keys("selector") == used | in_the_editor
    assert keys("selector.close_reason.options") == set(CLOSE_REASONS)
    assert keys("selector.protocol.options") == {*Protocol, PROTOCOL_BOTH}
    assert keys("selector.router.options") == {"typed_in", *KINDS}


def test_entities() -> None:
    used = entity_keys()
    assert used["sensor"]
    # The switch of a forward has the name of its device.
    named = used | {"switch": used["switch"] - {"forward"}}
    assert {platform: keys(f"entity.{platform}") for platform in keys("entity")} == named
    for platform, found in named.items():
        for key in found:
            with_attributes = platform == "event" or key == "reachable"
            shown = {"name", "state_attributes"} if with_attributes else {"name"}
            assert keys(f"entity.{platform}.{key}") == shown


def test_reachability() -> None:
    shown = "entity.binary_sensor.reachable.state_attributes"
    assert keys(shown) == {"reason", "seen_address"}
    assert keys(f"{shown}.reason.state") == set(Reachability)


def test_activity() -> None:
    activity = Activity(kind=Kind.OPENED, forward_id="id", name="Camera", at=dt_util.utcnow())
    shown = "entity.event.activity.state_attributes"
    # The event of the router has the first two besides.
    assert keys(shown) == {"forward", "forward_id", *details_of(activity), "event_type"}
    assert keys(f"{shown}.event_type.state") == set(Kind)
    assert keys(f"{shown}.reason.state") == set(Reason)
    # Home Assistant has a name for the type itself.
    assert all(f"{shown}.{key}.name" in texts() for key in keys(shown) - {"event_type"})


def test_sightings() -> None:
    sighting = Sighting(kind=SightingKind.APPEARED, at=dt_util.utcnow(), mapping=None, more=1)
    shown = "entity.event.foreign_mappings.state_attributes"
    assert keys(shown) == {*details_of_sighting(sighting), "event_type"}
    assert keys(f"{shown}.event_type.state") == set(SightingKind)
    assert all(f"{shown}.{key}.name" in texts() for key in keys(shown) - {"event_type"})


@pytest.mark.parametrize("many", ["services", "triggers", "conditions"])
def test_what_the_editor_offers(many: str) -> None:
    assert keys(many) == described(many).keys()
    for key, description in described(many).items():
        fields = description.get("fields", {}).keys()
        assert keys(f"{many}.{key}") == {"name", "description"} | ({"fields"} if fields else set())
        assert keys(f"{many}.{key}.fields") == fields
        for field in fields:
            assert keys(f"{many}.{key}.fields.{field}") == {"name", "description"}


async def test_what_the_editor_offers_is_there(hass: HomeAssistant) -> None:
    async_setup_services(hass)
    assert described("services").keys() == hass.services.async_services_for_domain(DOMAIN).keys()
    assert described("triggers").keys() == TRIGGERS.keys()
    assert described("conditions").keys() == CONDITIONS.keys()


def test_icons() -> None:
    assert icons().keys() == {"entity", "services", "triggers", "conditions"}
    assert {platform: set(found) for platform, found in icons()["entity"].items()} == entity_keys()
    for many, one in (
        ("services", "service"),
        ("triggers", "trigger"),
        ("conditions", "condition"),
    ):
        assert icons()[many].keys() == described(many).keys()
        assert all(icon.keys() == {one} for icon in icons()[many].values())
    for name, kinds in (("activity", Kind), ("foreign_mappings", SightingKind)):
        event = icons()["entity"]["event"][name]["state_attributes"]
        assert event.keys() == {"event_type"}
        assert event["event_type"]["state"].keys() == set(kinds)
    for name in values(icons()):
        assert re.fullmatch(r"mdi:[a-z0-9-]+", name)


def values(node: object) -> Iterator[str]:
    """Iterate over all that is no branch of a tree."""
    if isinstance(node, dict):
        for branch in node.values():
            yield from values(branch)
    else:
        yield str(node)


def test_forms_describe_each_field() -> None:
    for step in ("config.step", "options.step", f"{FORWARD}.step"):
        for name in keys(step):
            sections = keys(f"{step}.{name}.sections")
            for where in ("", *(f".sections.{section}" for section in sections)):
                assert keys(f"{step}.{name}{where}.data") == keys(
                    f"{step}.{name}{where}.data_description"
                )
            assert f"{step}.{name}.title" in texts()


@pytest.mark.parametrize("step", ["reconfigure", "adopt_as", "reconfigure_adopted"])
def test_a_field_is_the_same_in_all_forms(step: str) -> None:
    for part in ("data", "data_description"):
        for where in (part, f"sections.{MORE}.{part}"):
            for field in keys(f"{FORWARD}.step.{step}.{where}"):
                assert (
                    texts()[f"{FORWARD}.step.{step}.{where}.{field}"]
                    == texts()[f"{FORWARD}.step.user.{where}.{field}"]
                )


def test_all_fields_of_the_form_have_texts() -> None:
    """And none is described that is not there."""
    for step, schema in (
        ("user", SCHEMA),
        ("reconfigure", SCHEMA),
        ("adopt_as", ADOPTED_SCHEMA),
        ("reconfigure_adopted", ADOPTED_SCHEMA),
    ):
        fields = {str(key) for key in schema.schema}
        assert keys(f"{FORWARD}.step.{step}.data") | {MORE} == fields
        inside = {str(key) for key in schema.schema[MORE].schema.schema}
        assert keys(f"{FORWARD}.step.{step}.sections.{MORE}.data") == inside
    assert keys(f"{FORWARD}.step.confirm_risk.data") == set(map(str, CONFIRM_SCHEMA.schema))


def test_what_a_subentry_needs() -> None:
    assert keys("config_subentries") == {"forward"}
    assert keys(f"{FORWARD}.initiate_flow") == {"user", "reconfigure"}
    assert f"{FORWARD}.entry_type" in texts()


@pytest.mark.parametrize("key", texts())
def test_style(key: str) -> None:
    """The rules of hassfest, and what the frontend's formatter stumbles over."""
    text = texts()[key]
    assert text
    assert text == text.strip()
    assert "  " not in text
    assert not re.search(r"<[^>]*>", text), "no HTML"
    assert not re.search(r"https?:|www\.", text), "no URL: it would be translated"
    assert not re.search(r"'\{|\}'", text), "an apostrophe at a brace takes its meaning"
    assert text.count("{") == text.count("}") == len(re.findall(r"\{\w+\}", text))
    if key.rpartition(".")[2] in ("message", "description"):
        assert text[-1] in ".?}"


async def test_home_assistant_reads_the_same_texts(
    hass: HomeAssistant, enable_custom_integrations: None
) -> None:
    read: dict[str, str] = {}
    for category in {key.partition(".")[0] for key in texts()}:
        read |= await async_get_translations(hass, "en", category, {DOMAIN})
    assert read == {f"component.{DOMAIN}.{key}": text for key, text in texts().items()}
