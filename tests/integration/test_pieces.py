"""Many forwards do not hold Home Assistant up."""

import asyncio
from itertools import count

import pytest
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward import pieces
from custom_components.port_forward.pieces import in_pieces
from lab.virtual_router import VirtualRouter

from .conftest import add_forward, forward_data, refresh, set_up, state_of

MANY = 40


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a millisecond pass with each look at the clock."""
    monkeypatch.setattr(pieces, "perf_counter", count(0, 0.001).__next__)


async def turns() -> int:
    """Count the turns that somebody else gets until this is cancelled."""
    got = 0
    try:
        while True:
            await asyncio.sleep(0)
            got += 1
    except asyncio.CancelledError:
        return got


async def turns_while_iterating(items: list[int]) -> int:
    """Iterate over the items, and return how many turns somebody else had meanwhile."""
    other = asyncio.create_task(turns())
    await asyncio.sleep(0)
    expected, seen = list(items), []
    async for item in in_pieces(items):
        seen.append(item)
        items.clear()  # What comes or goes meanwhile is for the next time.
    other.cancel()
    assert seen == expected
    return await other


async def test_others_have_a_turn_every_few_milliseconds(slow_clock: None) -> None:
    # One look at the clock before each, and two around each turn of the others.
    assert await turns_while_iterating(list(range(MANY))) == MANY // 5


async def test_few_are_done_at_once(slow_clock: None) -> None:
    assert await turns_while_iterating(list(range(4))) == 0
    assert await turns_while_iterating([]) == 0


async def test_every_one_of_many_shows_what_a_look_has_found(
    slow_clock: None, hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
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
