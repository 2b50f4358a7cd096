"""A name or a device that comes to lead to the router, or to Home Assistant, is asked about."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from homeassistant.components.repairs import RepairsFlowResult
from homeassistant.components.repairs.const import DOMAIN as REPAIRS
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import Fault, VirtualRouter, free_port

from .conftest import (
    ROUTER_UDN,
    add_forward,
    forward_data,
    refresh,
    restart_home_assistant,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
    up_for_a_day,
)
from .test_confirm_risk import confirm
from .test_follow import following
from .test_forward_flow import TYPED, edit, start, submit
from .whereabouts import CAMERA, add_device, add_tracker, track

CAMERA_IS, ROUTER_IS, WE_ARE = "127.0.0.5", "127.0.0.9", "127.0.0.1"
NAME = "camera.lan"

pytestmark = pytest.mark.parametrize(
    ("place", "key"), [(ROUTER_IS, "leads_to_router"), (WE_ARE, "leads_to_home_assistant")]
)


@pytest.fixture
async def router() -> AsyncGenerator[VirtualRouter]:
    """A router that is not at the address of Home Assistant."""
    async with VirtualRouter(udn=ROUTER_UDN, lan_host=ROUTER_IS) as virtual_router:
        up_for_a_day(virtual_router)
        yield virtual_router


@pytest.fixture
async def opened(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    name_server: dict[str, list[str]],
) -> AsyncGenerator[MockConfigEntry]:
    """A forward to the name of a camera, open."""
    assert await async_setup_component(hass, REPAIRS, {})
    name_server[NAME] = [CAMERA_IS]
    add_forward(hass, entry, forward_data(external_port, internal_host=NAME))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    assert hosts(router) == [CAMERA_IS]
    yield entry
    await stop_home_assistant(hass, entry)


def hosts(router: VirtualRouter) -> list[str]:
    return [mapping.internal_host for mapping in router.mappings]


def why(hass: HomeAssistant) -> tuple[str, str | None]:
    event = hass.states.get("event.camera_activity")
    assert event
    return event.attributes["event_type"], event.attributes.get("reason")


def asked(hass: HomeAssistant) -> list[ir.IssueEntry]:
    """Return what is asked about where forwards lead."""
    return [
        issue
        for (domain, issue_id), issue in ir.async_get(hass).issues.items()
        if domain == DOMAIN and issue.active and issue_id.startswith("leads_to_")
    ]


async def refusal(hass: HomeAssistant, domain: str, service: str) -> str | None:
    with pytest.raises(HomeAssistantError) as raised:
        await hass.services.async_call(
            domain, service, {"entity_id": "switch.camera"}, blocking=True
        )
    return raised.value.translation_key


async def allow(hass: HomeAssistant, *, confirmed: bool = True) -> RepairsFlowResult:
    """Answer the only repair that there is."""
    [issue] = asked(hass)
    manager = hass.data[REPAIRS]["flow_manager"]
    step = await manager.async_init(DOMAIN, context={"issue_id": issue.issue_id})
    assert step["type"] is FlowResultType.FORM
    result: RepairsFlowResult = await manager.async_configure(
        step["flow_id"], {"confirmed": confirmed}
    )
    await hass.async_block_till_done()
    return result


async def test_closed_and_asked_about(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    name_server: dict[str, list[str]],
    place: str,
    key: str,
) -> None:
    name_server[NAME] = [place]
    await refresh(hass, opened)
    assert router.mappings == ()
    assert why(hass) == ("closed", "target_risky")
    assert state_of(hass) == "off"
    [issue] = asked(hass)
    assert issue.translation_key == key
    assert issue.is_fixable
    assert issue.translation_placeholders == {"forward": "Camera", "host": NAME, "address": place}
    for domain, service in (("switch", "turn_on"), (DOMAIN, "open")):
        assert await refusal(hass, domain, service) == key
    await restart_home_assistant(hass, opened)
    assert await refusal(hass, "switch", "turn_on") == key
    assert (router.mappings, len(asked(hass))) == ((), 1)

    assert (await allow(hass, confirmed=False))["type"] is FlowResultType.FORM
    assert await refusal(hass, "switch", "turn_on") == key
    assert (await allow(hass))["type"] is FlowResultType.CREATE_ENTRY
    assert router.mappings == ()
    await switch(hass, "turn_on")
    assert hosts(router) == [place]
    # It is not asked again, whatever happens meanwhile.
    for _ in range(2):
        await restart_home_assistant(hass, opened)
        assert (hosts(router), asked(hass)) == ([place], [])
        name_server[NAME] = [CAMERA_IS]
        await refresh(hass, opened)
        assert hosts(router) == [CAMERA_IS]
        name_server[NAME] = [place]
        await refresh(hass, opened)
        assert (hosts(router), asked(hass)) == ([place], [])


async def test_asked_about_until_it_leads_elsewhere(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    name_server: dict[str, list[str]],
    place: str,
    key: str,
) -> None:
    await switch(hass, "turn_off")
    name_server[NAME] = [place]
    await refresh(hass, opened)
    assert [issue.translation_key for issue in asked(hass)] == [key]
    name_server[NAME] = ["127.0.0.6"]
    await refresh(hass, opened)
    assert asked(hass) == []
    await switch(hass, "turn_on")
    assert hosts(router) == ["127.0.0.6"]


async def test_while_home_assistant_was_off_and_the_router_restarted(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    name_server: dict[str, list[str]],
    place: str,
    key: str,
) -> None:
    await stop_home_assistant(hass, opened)
    await router.restart(change_port=False)
    name_server[NAME] = [place]
    await set_up(hass, opened)
    assert router.mappings == ()
    assert why(hass) == ("closed", "target_risky")
    assert [issue.translation_key for issue in asked(hass)] == [key]


async def test_the_router_loses_it_at_the_same_time(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    name_server: dict[str, list[str]],
    place: str,
    key: str,
) -> None:
    await router.restart(change_port=False)
    name_server[NAME] = [place]
    await refresh(hass, opened)
    assert router.mappings == ()
    assert [issue.translation_key for issue in asked(hass)] == [key]


async def test_it_cannot_be_closed_at_once(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    name_server: dict[str, list[str]],
    place: str,
    key: str,
) -> None:
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=None)
    name_server[NAME] = [place]
    await refresh(hass, opened)
    assert why(hass) == ("close_failed", "target_risky")
    assert [issue.translation_key for issue in asked(hass)] == [key]
    router.clear_faults()
    await refresh(hass, opened)
    assert router.mappings == ()
    assert why(hass) == ("closed", "target_risky")


async def test_typed_in_it_is_not_asked_about_again(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    name_server: dict[str, list[str]],
    place: str,
    key: str,
) -> None:
    """And edited so that nothing of its host changes, it is asked about as before."""
    name_server[NAME], name_server["other.lan"] = [place], [CAMERA_IS]
    typed = typed_in(NAME)
    await set_up(hass, entry)
    await added(hass, entry, typed, asks=place == ROUTER_IS)
    await switch(hass, "turn_on")
    assert (hosts(router), asked(hass)) == ([place], [])
    await switch(hass, "turn_off")

    typed = typed_in("other.lan") | {"name": "Other"}
    await added(hass, entry, typed)
    name_server["other.lan"] = [place]
    await refresh(hass, entry)
    assert [issue.translation_key for issue in asked(hass)] == [key]
    subentry = next(s for s in entry.subentries.values() if s.title == "Other")
    step = await submit(hass, await edit(hass, entry, subentry), typed | {"name": "Else"})
    if place == ROUTER_IS:
        assert step["step_id"] == "confirm_risk"
    else:
        assert step["reason"] == "reconfigure_successful"
        await hass.async_block_till_done()
        assert [issue.translation_key for issue in asked(hass)] == [key]
    await stop_home_assistant(hass, entry)


def typed_in(host: str) -> dict[str, Any]:
    return TYPED | {"name": "Camera", "internal_host": host, "external_ports": str(free_port())}


async def added(
    hass: HomeAssistant, entry: MockConfigEntry, typed: dict[str, Any], *, asks: bool = False
) -> None:
    step = await submit(hass, await start(hass, entry), typed)
    if asks:
        step = await confirm(hass, step)
    assert step["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()


async def test_a_device_turns_up_there(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    place: str,
    key: str,
) -> None:
    assert await async_setup_component(hass, REPAIRS, {})
    add_tracker(hass, "camera")
    track(hass, "camera", CAMERA, CAMERA_IS)
    device = add_device(hass, "Front camera", CAMERA)
    add_forward(hass, entry, following(external_port, device))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    assert hosts(router) == [CAMERA_IS]
    track(hass, "camera", CAMERA, place)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert router.mappings == ()
    assert why(hass) == ("closed", "target_risky")
    assert await refusal(hass, "switch", "turn_on") == key
    await refresh(hass, entry)
    [issue] = asked(hass)
    assert (issue.translation_placeholders or {})["host"] == "Front camera"
    await allow(hass)
    await switch(hass, "turn_on")
    assert hosts(router) == [place]
    await stop_home_assistant(hass, entry)


async def test_one_of_an_earlier_version_stays_as_it_is(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    name_server: dict[str, list[str]],
    place: str,
    key: str,
) -> None:
    name_server[NAME] = [place]
    add_forward(hass, entry, forward_data(external_port, internal_host=NAME))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await refresh(hass, entry)
    assert (hosts(router), asked(hass)) == ([place], [])
    assert router.requests["AddPortMapping"] == 1, key
    await stop_home_assistant(hass, entry)
