"""The tools that language models get."""

from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.auth.const import GROUP_ID_READ_ONLY
from homeassistant.auth.models import Group
from homeassistant.components.homeassistant.exposed_entities import async_expose_entity
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import intent, llm
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.llm import async_get_tools
from lab.virtual_router import VirtualRouter, free_port
from tests.translations import rendered

from .conftest import add_forward, forward_data, refresh, set_up, switch
from .talking import set_up_assist

OPEN, CLOSE, LIST = (f"{DOMAIN}__{name}" for name in ("open", "close", "list"))


@pytest.fixture
async def ready(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """An entry with three forwards: Camera (half an hour), Plex, and SSH, which is not exposed."""
    await set_up_assist(hass)
    half_an_hour = {"hours": 0, "minutes": 30, "seconds": 0}
    add_forward(
        hass, entry, forward_data(external_port, until_closed=False, close_after=half_an_hour)
    )
    add_forward(hass, entry, forward_data(free_port()), title="Plex")
    add_forward(hass, entry, forward_data(free_port(), internal_ports="22"), title="SSH")
    await set_up(hass, entry)
    return entry


async def tools(hass: HomeAssistant, context: Context | None) -> llm.APIInstance:
    """Return what a model may use in a conversation of somebody."""
    return await llm.async_get_api(
        hass,
        llm.LLM_API_ASSIST,
        llm.LLMContext(
            platform="test",
            context=context,
            language="en",
            assistant="conversation",
            device_id=None,
        ),
    )


async def use(
    hass: HomeAssistant,
    tool: str,
    context: Context | None,
    **args: Any,
) -> llm.ToolResult:
    """Let a model use a tool."""
    api = await tools(hass, context)
    return await api.async_call_tool(llm.ToolInput(tool_name=tool, tool_args=args))


@pytest.fixture
def admin(hass_admin_user: MockUser) -> Context:
    return Context(user_id=hass_admin_user.id)


def nobody() -> list[Context | None]:
    """Return what a model has when it is not known who speaks."""
    return [None, Context()]


async def test_what_is_offered(hass: HomeAssistant, ready: MockConfigEntry, admin: Context) -> None:
    api = await tools(hass, admin)
    found = {tool.name: tool for tool in api.tools if tool.integration == DOMAIN}
    assert found.keys() == {OPEN, CLOSE, LIST}
    assert all(tool.title and tool.description for tool in found.values())
    assert {name: tool.annotations for name, tool in found.items()} == {
        OPEN: llm.ToolAnnotations(
            read_only=False, destructive=True, idempotent=False, open_world=True
        ),
        CLOSE: llm.ToolAnnotations(
            read_only=False, destructive=True, idempotent=True, open_world=True
        ),
        LIST: llm.ToolAnnotations(
            read_only=True, destructive=False, idempotent=True, open_world=False
        ),
    }
    assert {str(key) for key in found[OPEN].parameters.schema} == {
        "name",
        "area",
        "hours",
        "minutes",
        "seconds",
    }
    assert "An open port forward lets anybody" in api.api_prompt


async def test_nothing_is_offered_where_nothing_is_exposed(
    hass: HomeAssistant, ready: MockConfigEntry, admin: Context
) -> None:
    for name in ("camera", "plex"):
        async_expose_entity(hass, "conversation", f"switch.{name}", should_expose=False)
    api = await tools(hass, admin)
    assert not [tool for tool in api.tools if tool.integration == DOMAIN]
    assert "port forward" not in api.api_prompt


async def test_nothing_is_offered_to_other_apis(
    hass: HomeAssistant, ready: MockConfigEntry, admin: Context
) -> None:
    context = (await tools(hass, admin)).llm_context
    assert async_get_tools(hass, context, llm.LLM_API_ASSIST)
    assert async_get_tools(hass, context, "homeassistant") is None


async def test_open_and_close(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    ready: MockConfigEntry,
    admin: Context,
    external_port: int,
) -> None:
    await hass.config.async_set_time_zone("UTC")
    freezer.move_to("2026-11-22 12:00:00+00:00")
    result = await use(hass, OPEN, admin, name="Camera", minutes=20)
    assert not result.error
    assert result.data["speech"]["plain"]["speech"] == "Camera is open until 12:20."  # type: ignore[index,call-overload]
    assert [row.external_port for row in router.mappings] == [external_port]
    (opening,) = ready.runtime_data.keeper.openings.values()
    assert opening.deadline == dt_util.utcnow() + timedelta(minutes=20)
    assert opening.opened_by == admin.user_id

    result = await use(hass, CLOSE, admin, name="camera")
    assert not result.error
    assert not router.mappings


async def test_open_without_a_time_uses_that_of_the_forward(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    ready: MockConfigEntry,
    admin: Context,
) -> None:
    await use(hass, OPEN, admin, name="Camera")
    (opening,) = ready.runtime_data.keeper.openings.values()
    assert opening.deadline == dt_util.utcnow() + timedelta(minutes=30)


@pytest.mark.parametrize("name", ["SSH", "switch.ssh", "Fridge", "Virtual Router"])
async def test_what_is_not_exposed_does_not_open(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry, admin: Context, name: str
) -> None:
    with pytest.raises(intent.MatchFailedError):
        await use(hass, OPEN, admin, name=name, minutes=5)
    assert not router.mappings


async def test_refused_where_nobody_is_known_to_have_asked(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    for context in nobody():
        for tool, name in ((OPEN, "Plex"), (CLOSE, "Camera")):
            result = await use(hass, tool, context, name=name)
            assert result.error
            assert result.data == {"error": rendered("exceptions.no_user.message")}
    assert len(router.mappings) == 1
    assert router.requests["AddPortMapping"] == 1


async def test_refused_where_the_user_has_no_right(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    group = await hass.auth.async_get_group(GROUP_ID_READ_ONLY)
    assert group
    guest = MockUser(groups=[group]).add_to_hass(hass)
    stranger = Context(user_id="deleted")
    for context in (Context(user_id=guest.id), stranger):
        for tool, name in ((OPEN, "Plex"), (CLOSE, "Camera")):
            result = await use(hass, tool, context, name=name)
            assert result.error
            answer = result.data["speech"]["plain"]["speech"]  # type: ignore[index,call-overload]
            assert answer == rendered("exceptions.not_allowed.message", {"forward": name})
    assert len(router.mappings) == 1
    assert router.requests["AddPortMapping"] == 1


async def test_list(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    ready: MockConfigEntry,
    admin: Context,
) -> None:
    await use(hass, OPEN, admin, name="Camera", minutes=20)
    deadline = dt_util.utcnow() + timedelta(minutes=20)
    for context in (admin, *nobody()):
        result = await use(hass, LIST, context)
        assert not result.error
        assert result.data == {
            "forwards": [
                {"name": "Camera", "state": "on", "closes_at": deadline.isoformat()},
                {"name": "Plex", "state": "off", "closes_at": None},
            ]
        }


async def test_list_while_the_router_is_away(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry, admin: Context
) -> None:
    await router.stop()
    await refresh(hass, ready)
    result = await use(hass, LIST, admin)
    assert result.data == {
        "forwards": [
            {"name": name, "state": "unavailable", "closes_at": None} for name in ("Camera", "Plex")
        ]
    }
    result = await use(hass, OPEN, admin, name="Camera")
    assert result.error


async def test_list_shows_only_what_the_user_may_see(
    hass: HomeAssistant, ready: MockConfigEntry
) -> None:
    policy = {"entities": {"entity_ids": {"switch.plex": {"read": True}}}}
    plex_only = Group(name="Plex", id="plex", policy=policy)
    user = MockUser(groups=[plex_only]).add_to_hass(hass)
    result = await use(hass, LIST, Context(user_id=user.id))
    assert result.data == {
        "forwards": [{"name": "Plex", "state": "off", "closes_at": None}],
    }
