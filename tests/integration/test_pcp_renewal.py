"""When a lease is renewed: at half of it, a short one later, and again before it is over."""

from collections.abc import AsyncGenerator

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant

from custom_components.port_forward.const import CONF_LEASE
from lab.virtual_router import UdpFault

from .conftest import switch
from .pcp_home import PcpHome, pcp_home

MAP = "PCP MAP"


@pytest.fixture
async def home(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[PcpHome]:
    """A router that lets any host of the home be mapped for; the clock stands still."""
    async with pcp_home(hass, monkeypatch, third_party=True) as home:
        yield home


@pytest.mark.parametrize(
    ("lease", "not_yet", "by_then"),
    [(86400, 38879, 43200), (7200, 3239, 3600), (61, 27, 31), (60, 40, 45), (20, 13, 15)],
)
async def test_when(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: PcpHome,
    external_port: int,
    lease: int,
    not_yet: int,
    by_then: int,
) -> None:
    """Between nine tenths of that and that: many are not renewed in one second."""
    hass.config_entries.async_update_entry(home.entry, options={CONF_LEASE: lease})
    await home.add(external_port)
    await switch(hass, "turn_on")
    asked = home.router.requests[MAP]
    await home.pass_time(freezer, seconds=not_yet)
    assert home.router.requests[MAP] == asked
    await home.pass_time(freezer, seconds=by_then - not_yet)
    assert home.router.requests[MAP] == asked + 1
    assert home.router.mappings[0].lease == lease


@pytest.mark.parametrize("lease", [20, 60, 3600])
async def test_tried_again_more_than_once_before_it_is_over(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    home: PcpHome,
    external_port: int,
    lease: int,
) -> None:
    hass.config_entries.async_update_entry(home.entry, options={CONF_LEASE: lease})
    await home.add(external_port)
    await switch(hass, "turn_on")
    asked = home.router.requests[MAP]
    # It answers, so that nobody waits, and grants nothing.
    home.router.fault(UdpFault.UNKNOWN_RESULT, action=MAP, times=None)
    for _ in range(lease - 1):
        await home.pass_time(freezer, seconds=1)
    tries = home.router.requests[MAP] - asked
    assert 3 <= tries <= 60
    assert home.state == "unavailable"


async def test_lasts_to_its_end(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, home: PcpHome, external_port: int
) -> None:
    """What is granted until the deadline needs no renewal, and gets none."""
    half_an_hour = {"hours": 0, "minutes": 30, "seconds": 0}
    await home.add(external_port, until_closed=False, close_after=half_an_hour)
    await switch(hass, "turn_on")
    asked = home.router.requests[MAP]
    assert home.router.mappings[0].lease == 1800
    await home.pass_time(freezer, seconds=1799)
    assert home.router.requests[MAP] == asked
    await home.pass_time(freezer, seconds=1)
    assert not home.router.mappings
    assert home.state == "off"
