"""What happens while Home Assistant starts is told to triggers when these are there."""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import EVENT_HOMEASSISTANT_STARTED
from homeassistant.core import CoreState, Event, HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.port_forward.announce import EVENT_ACTIVITY, async_announce
from custom_components.port_forward.foreign.sightings import EVENT_SIGHTING
from custom_components.port_forward.hearing import MOST_WAITING
from custom_components.port_forward.openings import Activity, Kind
from lab.virtual_router import Quirk, VirtualRouter, free_port

from .automating import automate, forward_id_of, open_for
from .conftest import set_up, state_of, stop_home_assistant, switch
from .pcp_home import PcpHome, pcp_home


async def turn_off(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """End Home Assistant, as far as the integration can tell."""
    await stop_home_assistant(hass, entry)
    hass.set_state(CoreState.not_running)


async def on(hass: HomeAssistant, key: str, target: str) -> list[Event[dict[str, Any]]]:
    """Load an automation, as late as Home Assistant does."""
    hass.set_state(CoreState.starting)
    return await automate(
        hass,
        f"""
        triggers:
          - trigger: port_forward.{key}
            target:
              entity_id: {target}
        """,
    )


async def started(hass: HomeAssistant) -> None:
    hass.set_state(CoreState.running)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STARTED)
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_time_was_up_while_home_assistant_was_off(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    closed: MockConfigEntry,
) -> None:
    router.quirks.add(Quirk.Q01)  # nobody but us closes it
    await open_for(hass, "switch.camera", minutes=30)
    await turn_off(hass, closed)
    freezer.tick(timedelta(hours=1))
    told = async_capture_events(hass, EVENT_ACTIVITY)
    at = dt_util.utcnow()
    await set_up(hass, closed)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert not router.mappings
    # The event entity is there by now, and knows it.
    state = hass.states.get("event.camera_activity")
    assert state
    assert (state.attributes["event_type"], state.attributes["reason"]) == ("closed", "time_up")

    runs = await on(hass, "closed", "switch.camera")
    freezer.tick(timedelta(minutes=2))
    assert not runs
    await started(hass)
    (run,) = runs
    assert run.data["reason"] == "time_up"
    (event,) = told
    assert event.time_fired == at, "the logbook shows when it happened"
    assert datetime.fromisoformat(event.data["at"]) == at


@pytest.fixture
async def provider(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, external_port: int
) -> AsyncGenerator[PcpHome]:
    """A VPN provider, and an open forward."""
    async with pcp_home(hass, monkeypatch, provider=True) as home:
        await home.add(external_port, internal_host="This Home Assistant", external_ports="")
        await switch(hass, "turn_on")
        yield home


@pytest.mark.freeze_time(tick=True)
async def test_another_external_port_while_home_assistant_was_off(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, provider: PcpHome
) -> None:
    await turn_off(hass, provider.entry)
    await provider.pass_time(freezer, minutes=2)
    await provider.router.change_external_ports()
    told = async_capture_events(hass, EVENT_ACTIVITY)
    async with provider.becoming("switch.camera", lambda: provider.state == "on"):
        await set_up(hass, provider.entry)
    runs = await on(hass, "external_port_changed", "switch.camera")
    assert not runs
    await started(hass)
    (run,) = runs
    assert run.data["forward"] == "Camera"
    (changed,) = (e for e in told if e.data["kind"] == Kind.EXTERNAL_PORT_CHANGED)
    assert changed.data["external_ports"] == str(*provider.ports)


@pytest.mark.parametrize("key", ["opened", "opening_failed"])
async def test_what_was_opened_or_refused_during_the_start(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, key: str
) -> None:
    if key == "opening_failed":
        router.quirks.add(Quirk.Q13_UNTICKED)
    hass.set_state(CoreState.starting)
    await hass.services.async_call("switch", "turn_on", {"entity_id": "switch.camera"})
    await hass.async_block_till_done()
    runs = await on(hass, key, "switch.camera")
    assert not runs
    await started(hass)
    assert len(runs) == 1
    await switch(hass, "turn_off")
    closing = await on(hass, "closed", "switch.camera")
    assert not closing


async def test_foreign_mapping_that_came_while_home_assistant_was_off(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    closed: MockConfigEntry,
) -> None:
    await turn_off(hass, closed)
    await router.add_foreign(
        protocol="TCP", external_port=free_port(), internal_host="cam.lan", internal_port=80
    )
    told = async_capture_events(hass, EVENT_SIGHTING)
    at = dt_util.utcnow()
    await set_up(hass, closed)
    # Edited meanwhile, so that the entry is loaded once more: it is not lost with that.
    await hass.config_entries.async_reload(closed.entry_id)
    runs = await on(hass, "foreign_mapping_appeared", "event.virtual_router_foreign_mappings")
    freezer.tick(timedelta(minutes=2))
    assert not runs
    await started(hass)
    assert len(runs) == 1
    (event,) = told
    assert event.time_fired == at


async def test_told_in_order_and_not_without_end(
    hass: HomeAssistant, closed: MockConfigEntry
) -> None:
    hass.set_state(CoreState.not_running)
    told = async_capture_events(hass, EVENT_ACTIVITY)
    for number in range(MOST_WAITING + 5):
        async_announce(
            hass,
            closed.entry_id,
            Activity(
                kind=Kind.OPENED,
                forward_id=forward_id_of(closed),
                name=f"Camera {number}",
                at=dt_util.utcnow(),
            ),
        )
    await hass.async_block_till_done()
    assert not told
    await started(hass)
    names = [event.data["forward"] for event in told]
    assert names == [f"Camera {number}" for number in range(5, MOST_WAITING + 5)]


async def test_told_although_home_assistant_stops_before_it_has_started(
    hass: HomeAssistant, closed: MockConfigEntry
) -> None:
    told = async_capture_events(hass, EVENT_ACTIVITY)
    hass.set_state(CoreState.starting)
    await switch(hass, "turn_on")
    hass.set_state(CoreState.stopping)
    await switch(hass, "turn_off")
    assert [event.data["kind"] for event in told] == ["opened", "closed"]
    assert state_of(hass) == "off"
    hass.set_state(CoreState.running)
