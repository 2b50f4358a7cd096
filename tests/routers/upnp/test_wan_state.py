"""What is asked of the WAN at each look: no more than has to be, and all that decides something."""

from collections import Counter
from collections.abc import Collection
from datetime import timedelta

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    NotPermittedError,
    Refusal,
    RouterUnreachableError,
)
from custom_components.port_forward.routers.model import PortMapping, Snapshot
from custom_components.port_forward.routers.upnp import wan_state
from lab.virtual_router import Fault, Quirk, free_port

from ..forwards import forward
from .home import CAMERA, HOUR, Home, fill, home_with

TABLE = {"GetGenericPortMappingEntry": 1, "GetListOfPortMappings": 2}
ADDRESS, STATUS = "GetExternalIPAddress", "GetStatusInfo"


async def look(home: Home) -> tuple[Snapshot, Counter[str]]:
    """Take a snapshot; return it with the requests that it cost."""
    home.router.requests.clear()
    snapshot = await home.driver.snapshot()
    return snapshot, Counter(home.router.requests)


async def looked(home: Home, ours: Collection[PortMapping], times: int) -> list[Snapshot]:
    """Take some snapshots."""
    return [await home.driver.snapshot(ours) for _ in range(times)]


async def up_for_long(home: Home) -> None:
    """Let a restart show, and have one look to compare with."""
    home.router.wans[0]._up_since -= 86400
    await home.driver.snapshot()


async def test_a_quiet_look_is_four_requests_on_one_connection(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        await fill(home.router, 40)
        await home.driver.connect()
        assert (await look(home))[1] == {**TABLE, ADDRESS: 1, STATUS: 1}
        for wanted in (STATUS, ADDRESS) * 3:
            snapshot, asked = await look(home)
            assert asked == {**TABLE, wanted: 1}
            assert (str(snapshot.external_address), snapshot.connected) == ("203.0.113.7", True)
            assert snapshot.uptime is not None
        assert home.router.connections == 1


@pytest.mark.parametrize("looks", [1, 2])
async def test_a_mapping_that_is_gone_is_judged_by_the_uptime_of_now(
    session: aiohttp.ClientSession, looks: int
) -> None:
    """Whose turn it is makes no difference: lost or removed is told apart at once (invariant 6)."""
    async with home_with(session, Quirk.Q44) as home:
        granted = await home.driver.open(forward(), HOUR)
        await up_for_long(home)
        before = (await looked(home, granted, looks))[-1]
        await home.router.remove("TCP", granted[0].external_ports.first)
        removed = await home.driver.snapshot(granted)
        assert not removed.restarted_since(before)

        granted = await home.driver.open(forward(), HOUR)
        before = (await looked(home, granted, 1 + looks))[-1]
        await home.router.reconnect_wan(new_address="203.0.113.9")
        lost = await home.driver.snapshot(granted)
        assert lost.find(granted[0]) is None
        assert lost.restarted_since(before)
        assert lost.uptime == timedelta(0)
        assert str(lost.external_address) == "203.0.113.9"


@pytest.mark.parametrize("looks", [1, 2])
async def test_a_restart_that_loses_nothing_shows_at_the_second_look_at_the_latest(
    session: aiohttp.ClientSession, looks: int
) -> None:
    async with home_with(session) as home:
        await up_for_long(home)
        before = (await looked(home, (), looks))[-1]
        await home.router.reconnect_wan(new_address="203.0.113.9")
        after = await looked(home, (), 2)
        assert after[0].restarted_since(before) or after[1].restarted_since(after[0])
        assert str(after[1].external_address) == "203.0.113.9"
        # An uptime that was told twice is no second restart.
        later = await home.driver.snapshot()
        assert not later.restarted_since(after[1])


async def test_other_rows_make_a_look_complete(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await home.driver.snapshot()
        for change in (1, 2):
            await fill(home.router, 1, lowest=2000 + change)
            _, asked = await look(home)
            assert asked == {**TABLE, ADDRESS: 1, STATUS: 1}
            assert (await look(home))[1].total() == 4


async def test_after_a_look_that_failed_all_is_asked(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await home.driver.snapshot()
        home.router.fault(Fault.DROP_BEFORE, action="GetListOfPortMappings", times=2)
        with pytest.raises(RouterUnreachableError):
            await home.driver.snapshot()
        _, asked = await look(home)
        assert asked == {**TABLE, ADDRESS: 1, STATUS: 1}


async def test_an_opening_does_not_ask_again_for_the_address_that_a_look_has_shown(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home_with(session) as home:
        await home.driver.snapshot()
        assert await home.requests_of_opening(forward()) == {
            "GetSpecificPortMappingEntry": 2,
            "AddPortMapping": 1,
        }
        monkeypatch.setattr(wan_state, "_FRESH", 0)
        asked = await home.requests_of_opening(forward(free_port(), forward_id="b"))
        assert asked[ADDRESS] == 1


async def test_a_private_address_is_asked_for_each_time(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        home.router.wans[0].external_address = "192.168.1.2"
        await home.driver.snapshot()
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(), HOUR)
        assert error.value.reason is Refusal.DOUBLE_NAT
        assert home.router.requests["AddPortMapping"] == 0
        home.router.wans[0].external_address = "203.0.113.7"
        await home.driver.open(forward(), HOUR)
        assert len(home.router.mappings) == 1


async def test_an_address_that_became_private_since_the_look_explains_the_refusal(
    session: aiohttp.ClientSession,
) -> None:
    """As miniupnpd does it: 501 to every add (Q14)."""
    async with home_with(session) as home:
        assert str((await home.driver.snapshot()).external_address) == "203.0.113.7"
        home.router.quirks.add(Quirk.Q14_CGNAT)
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(host=CAMERA), HOUR)
        assert error.value.reason is Refusal.DOUBLE_NAT
        assert home.router.requests["AddPortMapping"] == 1
        assert not home.router.mappings
