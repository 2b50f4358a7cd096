"""A router that begins anew is noticed by what it says, and not at the next poll."""

import asyncio

import pytest
from homeassistant.core import HomeAssistant

from custom_components.port_forward import news
from lab.virtual_router.pcp.packet import announcement

from .conftest import (
    add_forward,
    forward_data,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)
from .pcp_home import CAMERA, EVENT, PcpHome, pcp_home

pytestmark = pytest.mark.freeze_time(tick=True)

RESTORED = ("restored", "router_restarted")

SPOKEN = pytest.mark.parametrize("speaks", ["both", "pcp", "natpmp"])


async def open_one(home: PcpHome, port: int) -> None:
    """Open a port of this machine, which all versions of the protocol can."""
    await home.add(port, internal_host="This Home Assistant", external_ports="")
    await switch(home.hass, "turn_on")


@SPOKEN
async def test_announced(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, external_port: int, speaks: str
) -> None:
    async with pcp_home(hass, monkeypatch, speaks=speaks) as home:
        await open_one(home, external_port)
        nonces = home.nonces
        async with home.becoming(EVENT, lambda: home.told == RESTORED):
            await home.router.restart()
            assert not home.router.mappings
        assert home.ports == [external_port]
        assert home.nonces == nonces
        assert home.state == "on"


@SPOKEN
async def test_shown_by_the_next_look(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, external_port: int, speaks: str
) -> None:
    """All announcements are lost."""
    async with pcp_home(hass, monkeypatch, announces=False, speaks=speaks) as home:
        await open_one(home, external_port)
        await home.router.restart()
        assert not home.router.mappings
        await refresh(hass, home.entry)
        assert home.ports == [external_port]
        assert home.told == RESTORED


async def test_shown_by_the_opening_of_another(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, external_port: int
) -> None:
    async with pcp_home(hass, monkeypatch, announces=False, third_party=True) as home:
        other = forward_data(external_port, internal_host=CAMERA, internal_ports="81")
        add_forward(hass, home.entry, other | {"external_ports": ""}, "Games")
        await home.add(external_port)
        await switch(hass, "turn_on")
        await home.router.restart()
        async with home.becoming(EVENT, lambda: home.told == RESTORED):
            await switch(hass, "turn_on", "switch.games")
        assert len(home.ports) == 2
        assert external_port in home.ports
        assert (home.state, state_of(hass, "switch.games")) == ("on", "on")


@SPOKEN
async def test_restarted_while_home_assistant_was_off(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, external_port: int, speaks: str
) -> None:
    async with pcp_home(hass, monkeypatch, speaks=speaks) as home:
        await open_one(home, external_port)
        await stop_home_assistant(hass, home.entry)
        await home.router.restart()
        await set_up(hass, home.entry)
        assert home.ports == [external_port]
        assert home.told == RESTORED
        assert home.state == "on"


async def test_closed_stays_closed(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, external_port: int
) -> None:
    async with pcp_home(hass, monkeypatch) as home:
        await open_one(home, external_port)
        await switch(hass, "turn_off")
        looked = home.router.requests["PCP ANNOUNCE"]
        await home.router.restart()
        await refresh(hass, home.entry)
        assert home.router.requests["PCP ANNOUNCE"] > looked
        assert not home.router.mappings
        assert home.state == "off"


async def test_flood_of_announcements(
    hass: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
    external_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A thousand of them, with an epoch that jumps back and forth, are a few looks."""
    async with pcp_home(hass, monkeypatch) as home:
        await open_one(home, external_port)
        rest = 0.3
        monkeypatch.setattr(news, "_REST", rest)
        server = home.router._pcp
        assert server
        assert server._settings.announce_to
        home.router.requests.clear()
        began = asyncio.get_running_loop().time()
        for number in range(1000):
            packet = announcement(0 if number % 2 else 1_000_000)
            server._transports[0].sendto(packet, server._settings.announce_to)
        await hass.async_block_till_done(wait_background_tasks=True)
        await refresh(hass, home.entry)
        # A slow machine hears the last of them later, and may look at the router meanwhile.
        looks = 3 + (asyncio.get_running_loop().time() - began) / rest
        assert home.router.requests.total() <= 5 * looks
        assert home.ports == [external_port]
        assert home.state == "on"
        assert caplog.text.count("jumps back and forth") <= 1
        assert caplog.text.count("Camera: restored") <= looks
