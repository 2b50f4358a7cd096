"""What goes first on a router, and what a look makes of commands that came meanwhile."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import Fault, Quirk, VirtualRouter, free_port
from lab.virtual_router.web import Request, Response

from .conftest import (
    add_forward,
    arrived,
    forward_data,
    ledger_of,
    phases,
    refresh,
    set_up,
    start_home_assistant,
    state_of,
    stop_home_assistant,
    switch,
)

LOCKDOWN = "switch.virtual_router_lockdown"
RANGE = 12


@dataclass
class Asked:
    """What the router was asked, in order: when, and with what body."""

    requests: list[tuple[float, bytes]] = field(default_factory=list)

    def since(self, when: float) -> list[bytes]:
        return [body for at, body in self.requests if at >= when]


@pytest.fixture
def asked(router: VirtualRouter, monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    handle = router._upnp._handler.handle

    async def note_and_handle(request: Request) -> Response | None:
        asked.requests.append((time.time(), request.body))
        return await handle(request)

    monkeypatch.setattr(router._upnp._handler, "handle", note_and_handle)
    return asked


@pytest.fixture
async def home(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> MockConfigEntry:
    """Camera, Plex, and a range, Games, on a router that closes nothing by itself."""
    router.quirks.add(Quirk.Q01)
    add_forward(hass, entry, forward_data(free_port()))
    add_forward(hass, entry, forward_data(free_port()), "Plex")
    first = free_ports(RANGE)
    ports = f"{first}-{first + RANGE - 1}"
    add_forward(hass, entry, forward_data(0, internal_ports=ports, external_ports=ports), "Games")
    await set_up(hass, entry)
    return entry


def free_ports(count: int) -> int:
    """Return the first of so many ports in a row that are most likely free."""
    return free_port() // count * count


async def open_for(hass: HomeAssistant, entity_id: str, **duration: float) -> None:
    await hass.services.async_call(
        DOMAIN, "open", {"entity_id": entity_id, "duration": duration}, blocking=True
    )


def port_of(entry: MockConfigEntry, title: str) -> bytes:
    [port] = (s.data["external_ports"] for s in entry.subentries.values() if s.title == title)
    return f">{port}<".encode()


async def test_a_deadline_waits_for_one_request_of_an_opening(
    hass: HomeAssistant, router: VirtualRouter, home: MockConfigEntry, asked: Asked
) -> None:
    await open_for(hass, "switch.camera", seconds=1.5)
    [opening] = ledger_of(hass, home)["openings"]
    deadline = datetime.fromisoformat(opening["deadline"]).timestamp()
    router.fault(Fault.SLOW_TO_ACT, delay=0.05, times=None)
    opening_games = hass.async_create_task(switch(hass, "turn_on", "switch.games"))
    async with asyncio.timeout(60):
        while any(row.internal_port == 8080 for row in router.mappings):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not opening_games.done()
    camera = port_of(home, "Camera")
    # The one that was under way, and one that may begin before the timer is served.
    assert len([body for body in asked.since(deadline) if camera not in body][:3]) <= 2
    router.clear_faults()
    await opening_games
    assert len(router.mappings) == RANGE
    await hass.async_block_till_done()
    assert state_of(hass) == "off"


async def test_lockdown_breaks_an_opening_off(
    hass: HomeAssistant, router: VirtualRouter, home: MockConfigEntry
) -> None:
    router.fault(Fault.SLOW_TO_ACT, delay=0.03, times=None)
    opening = hass.async_create_task(switch(hass, "turn_on", "switch.games"))
    await arrived(router, "AddPortMapping", 2)
    await switch(hass, "turn_on", LOCKDOWN)
    adds = router.requests["AddPortMapping"]
    assert adds < RANGE
    assert not router.mappings
    with pytest.raises(HomeAssistantError):
        await opening
    await hass.async_block_till_done()
    assert router.requests["AddPortMapping"] == adds
    assert ledger_of(hass, home)["openings"] == []


async def test_lockdown_is_in_force_at_once(
    hass: HomeAssistant, router: VirtualRouter, home: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    adds = router.requests["AddPortMapping"]
    router.fault(Fault.SLOW_TO_ACT, action="DeletePortMapping", delay=0.3)
    locking = hass.async_create_task(switch(hass, "turn_on", LOCKDOWN))
    await arrived(router, "DeletePortMapping", 1)
    assert state_of(hass, LOCKDOWN) == "on"
    with pytest.raises(HomeAssistantError) as raised:
        await switch(hass, "turn_on", "switch.plex")
    assert raised.value.translation_key == "lockdown"
    assert not locking.done()
    await locking
    assert router.requests["AddPortMapping"] == adds


@pytest.mark.parametrize("closing", ["turn_off", "close_all"])
async def test_what_is_closed_while_it_is_opened_stays_closed(
    hass: HomeAssistant, router: VirtualRouter, home: MockConfigEntry, closing: str
) -> None:
    router.fault(Fault.SLOW_TO_ACT, delay=0.03, times=None)
    opening = hass.async_create_task(switch(hass, "turn_on", "switch.games"))
    waiting = hass.async_create_task(switch(hass, "turn_on"))
    await arrived(router, "AddPortMapping", 2)
    if closing == "turn_off":
        await switch(hass, "turn_off")
        await switch(hass, "turn_off", "switch.games")
    else:
        await hass.services.async_call(DOMAIN, "close_all", {}, blocking=True)
    for task in (opening, waiting):
        with pytest.raises(HomeAssistantError) as raised:
            await task
        assert raised.value.translation_key == "stopped"
    await hass.async_block_till_done()
    assert not router.mappings
    assert ledger_of(hass, home)["openings"] == []
    assert (state_of(hass), state_of(hass, "switch.games")) == ("off", "off")


@pytest.mark.parametrize("is_refused", [False, True])
async def test_a_deadline_that_passes_while_it_is_extended(
    hass: HomeAssistant,
    router: VirtualRouter,
    home: MockConfigEntry,
    is_refused: bool,  # noqa: FBT001
) -> None:
    await open_for(hass, "switch.camera", seconds=1)
    adds = router.requests["AddPortMapping"]
    router.fault(Fault.SLOW_TO_ACT, action="GetSpecificPortMappingEntry", delay=1.2)
    if is_refused:
        router.fault(Fault.HTTP_500_EMPTY, action="AddPortMapping")
    extending = hass.async_create_task(open_for(hass, "switch.camera", minutes=30))
    if is_refused:
        with pytest.raises(HomeAssistantError):
            await extending
    else:
        await extending
    await hass.async_block_till_done()
    assert router.requests["AddPortMapping"] == adds + 1
    assert len(router.mappings) == (0 if is_refused else 1)
    assert state_of(hass) == ("off" if is_refused else "on")


# Looks


async def test_a_look_from_before_a_command_does_not_undo_it(
    hass: HomeAssistant, router: VirtualRouter, home: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    await switch(hass, "turn_on", "switch.games")
    # Read before the commands, and answered after them.
    action = "GetListOfPortMappings"
    router.fault(Fault.SLOW, action=action, delay=0.5, times=1)
    looks = router.requests[action]
    looking = hass.async_create_task(refresh(hass, home))
    await arrived(router, action, looks + 1)
    keeper = home.runtime_data.keeper
    # The look has the only way to the router: what commands read back is here before.
    [mapping] = keeper.openings[forward_id(home, "Camera")].mappings
    keeper.view.update(forward_id(home, "Camera"), removed=(mapping,))
    await looking
    assert not keeper.view.holds(mapping)


async def test_commands_without_end_do_not_hide_what_a_look_finds(
    hass: HomeAssistant, router: VirtualRouter, home: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    router.wans[0].clear()
    await router.add_foreign(
        protocol="TCP", external_port=free_port(), internal_host="127.0.0.9", internal_port=1
    )
    router.fault(Fault.SLOW_TO_ACT, delay=0.05, times=None)
    done = asyncio.Event()

    async def close_plex_again_and_again() -> int:
        times = 0
        while not done.is_set():
            await hass.services.async_call(
                DOMAIN, "close", {"entity_id": "switch.plex"}, blocking=True
            )
            times += 1
            await asyncio.sleep(0.01)
        return times

    closing = hass.async_create_task(close_plex_again_and_again())
    await home.runtime_data.async_refresh()
    done.set()
    assert await closing > 3
    router.clear_faults()
    await hass.async_block_till_done()
    assert state_of(hass) == "off"
    assert state_of(hass, "sensor.virtual_router_foreign_mappings") == "1"


async def test_a_row_that_moves_up_while_the_table_is_read_is_not_missed(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    """A router of IGD:1 is read row by row, and what we close meanwhile moves all others up."""
    router.quirks.add(Quirk.Q24)
    add_forward(hass, entry, forward_data(free_port()))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    for number in range(4):
        await router.add_foreign(
            protocol="TCP",
            external_port=free_port(),
            internal_host="127.0.0.9",
            internal_port=number + 1,
        )
    await refresh(hass, entry)
    assert state_of(hass, "sensor.virtual_router_foreign_mappings") == "4"
    router.fault(Fault.SLOW_TO_ACT, action="GetGenericPortMappingEntry", delay=0.05, times=None)
    entries = router.requests["GetGenericPortMappingEntry"]
    looking = hass.async_create_task(entry.runtime_data.async_refresh())
    await arrived(router, "GetGenericPortMappingEntry", entries + 3)
    await switch(hass, "turn_off")
    await looking
    await hass.async_block_till_done()
    assert state_of(hass, "sensor.virtual_router_foreign_mappings") == "4"


async def test_set_up_ends_after_one_look_and_restores_behind_it(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    for number in range(6):
        add_forward(hass, entry, forward_data(free_port()), f"Forward {number}")
    await set_up(hass, entry)
    for number in range(6):
        await switch(hass, "turn_on", f"switch.forward_{number}")
    await stop_home_assistant(hass, entry)
    await router.restart(change_port=False)
    router.requests.clear()
    router.fault(Fault.SLOW_TO_ACT, action="AddPortMapping", delay=0.1, times=None)
    await start_home_assistant_without_waiting(hass, entry)
    assert entry.state is ConfigEntryState.LOADED
    assert router.requests["AddPortMapping"] <= 1
    assert state_of(hass, "switch.forward_5") == "off"
    await hass.async_block_till_done()
    assert len(router.mappings) == 6
    assert phases(hass, entry) == ["open"] * 6
    assert state_of(hass, "switch.forward_5") == "on"


async def start_home_assistant_without_waiting(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await start_home_assistant(hass)
    await hass.config_entries.async_setup(entry.entry_id)


def forward_id(entry: MockConfigEntry, title: str) -> str:
    [found] = (s.subentry_id for s in entry.subentries.values() if s.title == title)
    return found
