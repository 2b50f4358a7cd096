"""Who may open: what is for administrators is refused to everybody else, by every way to open."""

from collections.abc import Awaitable, Callable

import pytest
from homeassistant.auth.const import GROUP_ID_USER
from homeassistant.components.homeassistant.exposed_entities import async_expose_entity
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.intent import IntentResponseErrorCode, async_handle
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.intent import INTENT_CLOSE, INTENT_OPEN
from custom_components.port_forward.safety.rights import async_check_may_open
from lab.virtual_router import VirtualRouter
from tests.translations import rendered

from .conftest import add_forward, forward_data, set_up, state_of, switch
from .talking import say, set_up_assist, spoken

TEXT = rendered("exceptions.only_admins.message", {"forward": "Camera"})
REFUSED = TEXT.removesuffix(".")  # as Home Assistant has it in an exception


@pytest.fixture
async def user(hass: HomeAssistant) -> Context:
    """Somebody who may control everything, but is no administrator."""
    group = await hass.auth.async_get_group(GROUP_ID_USER)
    assert group
    return Context(user_id=MockUser(groups=[group]).add_to_hass(hass).id)


@pytest.fixture
def admin(hass_admin_user: MockUser) -> Context:
    return Context(user_id=hass_admin_user.id)


@pytest.fixture(params=["forward", "router"])
async def limited(
    request: pytest.FixtureRequest, hass: HomeAssistant, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """The forward `switch.camera`, which only administrators may open; Assist may use it."""
    await set_up_assist(hass)
    of_forward = request.param == "forward"
    add_forward(hass, entry, forward_data(external_port, admins_only=of_forward))
    if not of_forward:
        hass.config_entries.async_update_entry(entry, options={"admins_only": True})
    await set_up(hass, entry)
    async_expose_entity(hass, "conversation", "switch.camera", should_expose=True)
    return entry


async def turn_on(hass: HomeAssistant, by: Context) -> None:
    await hass.services.async_call(
        "switch", "turn_on", {"entity_id": "switch.camera"}, blocking=True, context=by
    )


async def open_for(hass: HomeAssistant, by: Context) -> None:
    data = {"entity_id": "switch.camera", "duration": {"minutes": 5}}
    await hass.services.async_call(DOMAIN, "open", data, blocking=True, context=by)


type Way = Callable[[HomeAssistant, Context], Awaitable[None]]


@pytest.mark.parametrize("way", [turn_on, open_for])
async def test_only_administrators_open(
    hass: HomeAssistant,
    router: VirtualRouter,
    limited: MockConfigEntry,
    user: Context,
    admin: Context,
    way: Way,
) -> None:
    with pytest.raises(ServiceValidationError, match=REFUSED):
        await way(hass, user)
    assert state_of(hass) == "off"
    assert not router.requests["AddPortMapping"]
    activity = hass.states.get("event.camera_activity")
    assert activity
    assert activity.attributes["event_type"] == "open_failed"
    assert activity.attributes["error"] == REFUSED
    await way(hass, admin)
    assert state_of(hass) == "on"
    # Nor is it given more time by somebody else.
    with pytest.raises(ServiceValidationError, match=REFUSED):
        await open_for(hass, user)


async def test_everybody_closes(
    hass: HomeAssistant, router: VirtualRouter, limited: MockConfigEntry, user: Context
) -> None:
    for domain, action in (("switch", "turn_off"), (DOMAIN, "close")):
        await switch(hass, "turn_on")
        target = {"entity_id": "switch.camera"}
        await hass.services.async_call(domain, action, target, blocking=True, context=user)
        assert not router.mappings


async def test_by_voice(
    hass: HomeAssistant,
    router: VirtualRouter,
    limited: MockConfigEntry,
    user: Context,
    admin: Context,
) -> None:
    await say(hass, "turn on camera", by=user)
    assert not router.mappings
    await say(hass, "turn on camera", by=admin)
    assert router.mappings
    await say(hass, "turn off camera", by=user)
    assert not router.mappings


async def test_by_intent(
    hass: HomeAssistant,
    router: VirtualRouter,
    limited: MockConfigEntry,
    user: Context,
    admin: Context,
) -> None:
    slots = {"name": {"value": "Camera"}}
    satellite = Context()  # knows nobody
    for by in (user, satellite):
        response = await async_handle(hass, "test", INTENT_OPEN, slots, context=by)
        assert response.error_code is IntentResponseErrorCode.FAILED_TO_HANDLE
        assert spoken(response) == TEXT
        assert not router.mappings
    await async_handle(hass, "test", INTENT_OPEN, slots, context=admin)
    assert router.mappings
    await async_handle(hass, "test", INTENT_CLOSE, slots, context=satellite)
    assert not router.mappings


async def test_an_automation_is_home_assistant_itself(
    hass: HomeAssistant, limited: MockConfigEntry
) -> None:
    automation = {
        "triggers": [{"trigger": "event", "event_type": "left"}],
        "actions": [{"action": "port_forward.open", "target": {"entity_id": "switch.camera"}}],
    }
    assert await async_setup_component(hass, "automation", {"automation": [automation]})
    hass.bus.async_fire("left")
    await hass.async_block_till_done()
    assert state_of(hass) == "on"


async def test_a_script_is_whoever_runs_it(
    hass: HomeAssistant, router: VirtualRouter, limited: MockConfigEntry, user: Context
) -> None:
    actions = [{"action": "port_forward.open", "target": {"entity_id": "switch.camera"}}]
    assert await async_setup_component(hass, "script", {"script": {"open": {"sequence": actions}}})
    with pytest.raises(ServiceValidationError, match=REFUSED):
        await hass.services.async_call("script", "open", blocking=True, context=user)
    assert not router.mappings
    await hass.services.async_call("script", "open", blocking=True)
    assert router.mappings


async def test_of_another_forward_nothing_changes(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int, user: Context
) -> None:
    add_forward(hass, entry, forward_data(9443, admins_only=True), title="Door")
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await turn_on(hass, user)
    assert state_of(hass) == "on"


async def test_what_lets_any_port_be_opened(
    hass: HomeAssistant, entry: MockConfigEntry, user: Context, admin: Context
) -> None:
    await async_check_may_open(hass, entry, None, user)
    hass.config_entries.async_update_entry(entry, options={"admins_only": True})
    for by in (admin, Context(), None):
        await async_check_may_open(hass, entry, None, by)
    for by in (user, Context(user_id="deleted")):
        with pytest.raises(ServiceValidationError) as refused:
            await async_check_may_open(hass, entry, None, by)
        assert refused.value.translation_key == "only_admins_router"
