"""Many forwards do not hold Home Assistant up."""

import asyncio

from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.pieces import AT_ONCE, in_pieces
from lab.virtual_router import VirtualRouter

from .conftest import add_forward, forward_data, refresh, set_up, state_of

MANY = 2 * AT_ONCE + 1


async def turns() -> int:
    """Count the turns that somebody else gets until this is cancelled."""
    count = 0
    try:
        while True:
            await asyncio.sleep(0)
            count += 1
    except asyncio.CancelledError:
        return count


async def test_others_have_a_turn_after_every_few() -> None:
    other = asyncio.create_task(turns())
    await asyncio.sleep(0)
    items = list(range(MANY))
    seen = []
    async for item in in_pieces(items):
        seen.append(item)
        items.clear()  # What comes or goes meanwhile is for the next time.
    other.cancel()
    assert seen == list(range(MANY))
    assert await other == 2


async def test_few_are_done_at_once() -> None:
    other = asyncio.create_task(turns())
    await asyncio.sleep(0)
    assert [item async for item in in_pieces(range(AT_ONCE - 1))] == list(range(AT_ONCE - 1))
    other.cancel()
    assert await other == 0


async def test_every_one_of_many_shows_what_a_look_has_found(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    switches = [f"switch.camera_{port}" for port in range(2000, 2000 + MANY)]
    for port in range(2000, 2000 + MANY):
        add_forward(hass, entry, forward_data(port), f"Camera {port}")
    await set_up(hass, entry)
    assert {state_of(hass, entity) for entity in switches} == {"off"}

    for port in range(2000, 2000 + MANY):
        # As if others had opened them, on a router whose WAN is down: no real port is needed.
        router.wans[0].status = "Connecting"
        await router.add_foreign(
            protocol="TCP", external_port=port, internal_host="127.0.0.5", internal_port=8080
        )
    await refresh(hass, entry)
    assert {state_of(hass, entity) for entity in switches} == {"on"}

    await router.stop()
    await refresh(hass, entry)
    assert {state_of(hass, entity) for entity in switches} == {"unavailable"}
