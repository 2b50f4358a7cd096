"""Close all: the button of a router, and the action for one router or for all."""

import pytest
from homeassistant.auth.const import GROUP_ID_READ_ONLY
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_capture_events,
)

from custom_components.port_forward.announce import EVENT_ACTIVITY
from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import Fault, VirtualRouter, free_port

from .conftest import (
    add_forward,
    forward_data,
    phases,
    refresh,
    set_up,
    stop_home_assistant,
    switch,
)

BUTTON = "button.virtual_router_close_all"


@pytest.fixture
async def opened(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> MockConfigEntry:
    """A router with two forwards open, one that another program has open, and a foreign mapping."""
    add_forward(hass, entry, forward_data(free_port()))
    add_forward(hass, entry, forward_data(free_port()), title="Plex")
    garage = free_port()
    add_forward(hass, entry, forward_data(garage), title="Garage")
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await switch(hass, "turn_on", "switch.plex")
    for port, host in ((garage, "127.0.0.5"), (free_port(), "127.0.0.9")):
        await router.add_foreign(
            protocol="TCP", external_port=port, internal_host=host, internal_port=8080
        )
    await refresh(hass, entry)
    assert len(router.mappings) == 4
    return entry


async def press(hass: HomeAssistant, context: Context | None = None) -> None:
    await hass.services.async_call(
        "button", "press", {"entity_id": BUTTON}, blocking=True, context=context
    )


async def close_all(
    hass: HomeAssistant, entry_id: str | None = None, context: Context | None = None
) -> None:
    await hass.services.async_call(
        DOMAIN,
        "close_all",
        {"config_entry_id": entry_id} if entry_id else {},
        blocking=True,
        context=context,
    )


def foreign(router: VirtualRouter) -> bool:
    """Tell whether the foreign mapping is all that is left."""
    return [row.internal_host for row in router.mappings] == ["127.0.0.9"]


async def test_button_closes_what_is_on_and_tells_who(
    hass: HomeAssistant,
    hass_admin_user: MockUser,
    router: VirtualRouter,
    opened: MockConfigEntry,
    neighbour: VirtualRouter,
) -> None:
    told = async_capture_events(hass, EVENT_ACTIVITY)
    await press(hass, Context(user_id=hass_admin_user.id))
    await hass.async_block_till_done()
    assert foreign(router)
    assert len(neighbour.mappings) == 1
    assert {event.data["forward"] for event in told} == {"Camera", "Plex", "Garage"}
    assert {
        (event.data["kind"], event.data["reason"], event.data["user_id"]) for event in told
    } == {("closed", "all_closed", hass_admin_user.id)}
    # Unlike lockdown, it keeps nothing from being opened.
    await switch(hass, "turn_on")
    assert len(router.mappings) == 2


async def test_action_for_one_router(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, neighbour: VirtualRouter
) -> None:
    await close_all(hass, opened.entry_id)
    assert foreign(router)
    assert len(neighbour.mappings) == 1


async def test_action_for_all(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, neighbour: VirtualRouter
) -> None:
    await close_all(hass)
    assert foreign(router)
    assert not neighbour.mappings
    await close_all(hass)  # closed is closed


async def test_action_closes_all_it_can_before_it_fails(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, neighbour: VirtualRouter
) -> None:
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=1)
    with pytest.raises(HomeAssistantError):
        await close_all(hass)
    assert not neighbour.mappings
    assert phases(hass, opened) == ["closing"]
    assert len(router.mappings) == 2
    await refresh(hass, opened)
    assert foreign(router)


@pytest.mark.parametrize("by_button", [True, False])
async def test_a_router_that_is_away_is_closed_later(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, *, by_button: bool
) -> None:
    router.fault(Fault.DROP_BEFORE, times=None)
    await refresh(hass, opened)
    with pytest.raises(HomeAssistantError) as raised:
        await (press(hass) if by_button else close_all(hass))
    assert raised.value.translation_key == "unreachable"
    assert len(router.mappings) == 4
    router.clear_faults()
    await refresh(hass, opened)
    assert foreign(router)


async def test_a_router_that_is_not_set_up_is_told(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, neighbour: VirtualRouter
) -> None:
    await stop_home_assistant(hass, opened)
    with pytest.raises(HomeAssistantError) as raised:
        await close_all(hass)
    assert raised.value.translation_key == "not_all_closed"
    assert not neighbour.mappings
    with pytest.raises(ServiceValidationError):
        await close_all(hass, opened.entry_id)


async def test_a_user_without_rights_closes_nothing(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, neighbour: VirtualRouter
) -> None:
    group = await hass.auth.async_get_group(GROUP_ID_READ_ONLY)
    assert group
    user = MockUser(groups=[group]).add_to_hass(hass)
    # May control all but one, which belongs to the last router.
    user.mock_policy(
        {"entities": {"entity_ids": {f"switch.{n}": True for n in ("camera", "plex", "garage")}}}
    )
    context = Context(user_id=user.id)
    with pytest.raises(Unauthorized):
        await close_all(hass, context=context)
    with pytest.raises(Unauthorized):
        await press(hass, context)
    assert len(router.mappings) == 4
    assert len(neighbour.mappings) == 1
    await close_all(hass, opened.entry_id, context)
    assert foreign(router)
