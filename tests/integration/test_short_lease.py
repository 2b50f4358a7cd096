"""Whatever a router says of leases, it is asked for little, and little is written to the disk."""

from collections.abc import Callable
from itertools import count

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.routers.upnp.lease import LEASES
from lab.virtual_router import Quirk, VirtualRouter
from lab.virtual_router.wan import WanConnection

from .automating import open_for, pass_time
from .conftest import add_forward, forward_data, ledger_path, refresh, set_up, state_of, switch
from .pcp_home import pcp_home

MINUTES = 10
_SHRINKING = count(3600, -400)

LIES: dict[str, Callable[[], int]] = {
    "none": lambda: 0,
    "a second": lambda: 1,
    "nine seconds": lambda: 9,
    "negative": lambda: -5,
    "huge": lambda: 2**32 - 1,
    "less at each look": lambda: max(next(_SHRINKING), 1),
}


@pytest.mark.parametrize("is_limited", [False, True], ids=["until closed", "for an hour"])
@pytest.mark.parametrize("lie", LIES)
async def test_ten_minutes(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    monkeypatch: pytest.MonkeyPatch,
    router: VirtualRouter,
    closed: MockConfigEntry,
    lie: str,
    *,
    is_limited: bool,
) -> None:
    if is_limited:
        await open_for(hass, "switch.camera", minutes=59)
    else:
        await switch(hass, "turn_on")
    monkeypatch.setattr(WanConnection, "remaining", lambda *_: LIES[lie]())
    # Home Assistant starts, so that its first look finds that.
    await hass.config_entries.async_reload(closed.entry_id)
    path = ledger_path(hass, closed)
    writes = {path.stat().st_ino, path.stat().st_mtime_ns}
    asked = router.requests["AddPortMapping"]
    for step in range(MINUTES * 12):
        before = router.requests["AddPortMapping"]
        await pass_time(hass, freezer, seconds=5)
        if step % 4 == 0:
            await refresh(hass, closed)
        assert router.requests["AddPortMapping"] - before <= 1
        writes.add(path.stat().st_mtime_ns)
    assert router.requests["AddPortMapping"] - asked <= 4
    assert len(writes) <= 10
    assert state_of(hass) == "on"


async def test_told_that_the_router_does_not_close(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    router.quirks.add(Quirk.Q05_ONE)
    await switch(hass, "turn_on")
    await refresh(hass, closed)
    assert closed.runtime_data.router.learned[LEASES] == "ignored"
    issue_id = f"router_does_not_close_{closed.entry_id}"
    assert ir.async_get(hass).async_get_issue(DOMAIN, issue_id)


@pytest.mark.parametrize("speaks", ["pcp", "natpmp"])
async def test_pcp_that_really_closes_after_a_second(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    monkeypatch: pytest.MonkeyPatch,
    external_port: int,
    speaks: str,
) -> None:
    async with pcp_home(hass, monkeypatch, quirks={Quirk.Q46_ONE}, speaks=speaks) as home:
        add_forward(
            hass,
            home.entry,
            forward_data(
                external_port, internal_host="127.0.0.1", internal_ports=str(external_port)
            ),
        )
        await set_up(hass, home.entry)
        with pytest.raises(HomeAssistantError, match="after 1 second"):
            await switch(hass, "turn_on")
        assert not home.router.mappings
        assert state_of(hass) == "off"
        before = home.router.requests.total()
        for _ in range(30):
            await pass_time(hass, freezer, seconds=1)
        # Nobody asks for it again; a look may come.
        assert home.router.requests.total() - before <= 4


@pytest.mark.freeze_time(tick=True)
async def test_pcp_that_begins_to_while_it_is_open(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    monkeypatch: pytest.MonkeyPatch,
    external_port: int,
) -> None:
    async with pcp_home(hass, monkeypatch, speaks="natpmp") as home:
        await home.add(external_port, internal_host="This Home Assistant")
        await switch(hass, "turn_on")
        home.router.quirks.add(Quirk.Q46_ONE)
        before = home.router.requests["NAT-PMP MAP TCP"]
        for _ in range(14):
            await pass_time(hass, freezer, minutes=5)
        # Tried again, more and more rarely, and at each look as nobody knows what it holds.
        assert home.router.requests["NAT-PMP MAP TCP"] - before <= 3 * 14
        # What it had granted before is over, and it cannot be kept open like that.
        assert state_of(hass) == "off"
