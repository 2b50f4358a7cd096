"""Routers that do not answer, or whose answers are lost: no switch claims what nobody knows."""

from collections.abc import AsyncGenerator

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError

from lab.virtual_router import UdpFault

from .conftest import ledger_of, phases, refresh, switch
from .pcp_home import PcpHome, pcp_home

# It goes on by itself: a router that is silent is waited for.
pytestmark = pytest.mark.freeze_time(tick=True)


@pytest.fixture
async def home(hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[PcpHome]:
    """A router that lets any host of the home be mapped for."""
    async with pcp_home(hass, monkeypatch, third_party=True) as home:
        yield home


@pytest.fixture
async def opened(home: PcpHome, external_port: int) -> PcpHome:
    """The same with an open forward."""
    await home.add(external_port)
    await switch(home.hass, "turn_on")
    return home


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname == "ERROR"]


async def test_not_renewed_is_not_known(opened: PcpHome, freezer: FrozenDateTimeFactory) -> None:
    opened.fall_silent("PCP MAP")
    await opened.pass_time(freezer, minutes=31)
    assert opened.state == "unavailable"
    opened.router.clear_faults()
    async with opened.becoming("switch.camera", lambda: opened.state == "on"):
        await refresh(opened.hass, opened.entry)


async def test_silent_router(
    opened: PcpHome, freezer: FrozenDateTimeFactory, caplog: pytest.LogCaptureFixture
) -> None:
    opened.fall_silent()
    for _ in range(3):
        await opened.pass_time(freezer, minutes=15)
    assert opened.state == "unavailable"
    opened.router.clear_faults()
    async with opened.becoming("switch.camera", lambda: opened.state == "on"):
        await refresh(opened.hass, opened.entry)
    assert caplog.text.count("Could not renew Camera") == 1
    assert len(errors(caplog)) == 1


async def test_lease_over_while_silent(opened: PcpHome, freezer: FrozenDateTimeFactory) -> None:
    opened.fall_silent("PCP MAP")
    await opened.pass_time(freezer, minutes=31)
    await opened.pass_time(freezer, minutes=31)
    assert not opened.router.mappings
    await refresh(opened.hass, opened.entry)
    assert opened.state == "unavailable"
    opened.router.clear_faults()
    async with opened.becoming("switch.camera", lambda: opened.state == "on"):
        await refresh(opened.hass, opened.entry)
    assert opened.told == ("restored", "lease_ran_out")
    assert len(opened.router.mappings) == 1


async def test_answers_that_are_lost_do_not_show_as_closed(
    opened: PcpHome, freezer: FrozenDateTimeFactory
) -> None:
    """The router renews, and nobody hears of it: the port is open for longer than we know."""
    opened.router.fault(UdpFault.DROP_REPLY, action="PCP MAP", times=None)
    await opened.pass_time(freezer, minutes=31)
    assert opened.router.mappings
    for _ in range(2):
        await opened.pass_time(freezer, minutes=31)
        await refresh(opened.hass, opened.entry)
        assert opened.state == "unavailable"
    opened.router.clear_faults()
    async with opened.becoming("switch.camera", lambda: opened.state == "on"):
        await refresh(opened.hass, opened.entry)


async def test_opening_whose_answer_is_lost(home: PcpHome, external_port: int) -> None:
    """The router has opened it, and cannot be told to close it again."""
    await home.add(external_port)
    home.router.fault(UdpFault.DROP_REPLY, action="PCP MAP")
    home.fall_silent("PCP MAP")
    with pytest.raises(HomeAssistantError):
        await switch(home.hass, "turn_on")
    assert home.ports == [external_port]
    assert home.state != "off"
    assert phases(home.hass, home.entry) == ["closing"]
    await refresh(home.hass, home.entry)
    assert home.state != "off"

    home.router.clear_faults()
    await refresh(home.hass, home.entry)
    assert not home.router.mappings
    assert home.state == "off"
    assert ledger_of(home.hass, home.entry)["openings"] == []


async def test_silent_at_its_deadline(
    home: PcpHome, freezer: FrozenDateTimeFactory, external_port: int
) -> None:
    """The router closes by itself; the switch waits until it says so."""
    half_an_hour = {"hours": 0, "minutes": 30, "seconds": 0}
    await home.add(external_port, until_closed=False, close_after=half_an_hour)
    await switch(home.hass, "turn_on")
    home.fall_silent()
    await home.pass_time(freezer, minutes=31)
    assert not home.router.mappings
    assert home.told == ("close_failed", "time_up")
    assert home.state == "unavailable"

    home.router.clear_faults()
    await refresh(home.hass, home.entry)
    assert home.told == ("closed", "time_up")
    assert home.state == "off"
    assert ledger_of(home.hass, home.entry)["openings"] == []
