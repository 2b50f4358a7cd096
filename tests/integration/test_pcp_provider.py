"""A VPN provider that forwards through NAT-PMP: a port of its choice, for a minute at a time."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util.yaml.loader import parse_yaml
from pytest_homeassistant_custom_component.common import async_capture_events

from .conftest import set_up, state_of, stop_home_assistant, switch
from .pcp_home import EVENT, PORT_SENSOR, PcpHome, pcp_home

pytestmark = pytest.mark.freeze_time(tick=True)

MAP = "NAT-PMP MAP TCP"
CHANGED = ("external_port_changed", None)

# Of the 60 s that are granted: before the renewal, and after it.
SOON, THEN = 36, 46


@pytest.fixture
async def home(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, external_port: int
) -> AsyncGenerator[PcpHome]:
    """A gateway of ProtonVPN, and an open forward of a port of this machine."""
    async with pcp_home(hass, monkeypatch, provider=True) as home:
        await home.add(external_port, internal_host="This Home Assistant", external_ports="")
        await switch(hass, "turn_on")
        yield home


async def automate(hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
    """Tell the torrent client of another port, as a user would."""
    config = parse_yaml("""
        triggers:
          - trigger: port_forward.external_port_changed
            target:
              entity_id: switch.camera
        actions:
          - event: told
            event_data:
              port: "{{ trigger.external_ports }}"
              forward: "{{ trigger.forward }}"
        """)
    told = async_capture_events(hass, "told")
    assert await async_setup_component(hass, "automation", {"automation": [config]})
    await hass.async_block_till_done()
    return told


async def test_its_port_is_shown(home: PcpHome, external_port: int) -> None:
    [port] = home.ports
    assert port != external_port
    assert home.router.mappings[0].lease == 60
    assert (home.state, state_of(home.hass, PORT_SENSOR)) == ("on", str(port))
    answer = await home.open()
    assert (answer["external_ports"], answer["address"]) == (str(port), f"203.0.113.7:{port}")


async def test_renewed_after_three_quarters_again_and_again(
    home: PcpHome, freezer: FrozenDateTimeFactory
) -> None:
    ports = home.ports
    for renewals in range(3):
        await home.pass_time(freezer, seconds=SOON)
        assert home.router.requests[MAP] == renewals + 1
        await home.pass_time(freezer, seconds=THEN - SOON)
        assert home.router.requests[MAP] == renewals + 2
        assert (home.ports, home.state) == (ports, "on")


async def test_renewal_is_tried_again_before_the_minute_is_over(
    home: PcpHome, freezer: FrozenDateTimeFactory
) -> None:
    ports = home.ports
    home.fall_silent(MAP)
    await home.pass_time(freezer, seconds=THEN)
    assert home.state == "unavailable"
    home.router.clear_faults()
    await home.pass_time(freezer, seconds=6)
    assert home.state == "on"
    # The minute that it was granted at first is over.
    await home.pass_time(freezer, seconds=20)
    assert (home.ports, home.state) == (ports, "on")


async def test_another_port(home: PcpHome, freezer: FrozenDateTimeFactory) -> None:
    told = await automate(home.hass)
    [before] = home.ports
    await home.router.change_external_ports()
    await home.pass_time(freezer, seconds=THEN)
    [after] = home.ports
    assert after != before
    assert (home.state, state_of(home.hass, PORT_SENSOR)) == ("on", str(after))
    assert home.told == CHANGED
    state = home.hass.states.get(EVENT)
    assert state
    assert state.attributes["external_ports"] == str(after)
    assert [event.data for event in told] == [{"port": after, "forward": "Camera"}]

    await home.pass_time(freezer, seconds=THEN)
    assert len(told) == 1
    await switch(home.hass, "turn_off")
    assert not home.router.mappings


async def test_another_port_after_its_restart(home: PcpHome) -> None:
    told = await automate(home.hass)
    async with home.becoming(EVENT, lambda: home.told == ("restored", "router_restarted")):
        await home.router.restart()
    [after] = home.ports
    assert state_of(home.hass, PORT_SENSOR) == str(after)
    assert [event.data["port"] for event in told] == [after]


async def test_another_port_after_home_assistant_was_off(
    home: PcpHome, freezer: FrozenDateTimeFactory
) -> None:
    told = await automate(home.hass)
    await stop_home_assistant(home.hass, home.entry)
    await home.pass_time(freezer, minutes=2)
    assert not home.router.mappings
    await set_up(home.hass, home.entry)
    [after] = home.ports
    assert (home.state, state_of(home.hass, PORT_SENSOR)) == ("on", str(after))
    assert home.told == ("restored", "lease_ran_out")
    assert [event.data["port"] for event in told] == [after]


async def test_both_protocols_have_one_port(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, external_port: int
) -> None:
    async with pcp_home(hass, monkeypatch, provider=True) as home:
        await home.add(
            external_port, internal_host="This Home Assistant", external_ports="", protocol="both"
        )
        answer = await home.open()
        [port] = set(home.ports)
        assert answer["external_ports"] == state_of(hass, PORT_SENSOR) == str(port)
