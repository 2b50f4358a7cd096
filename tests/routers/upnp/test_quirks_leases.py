"""Quirks Q01 to Q09: what routers make of a lease, of an add, and of a full table."""

from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    InvalidForwardError,
    NotClosedError,
    NotMappedError,
    NotPermittedError,
    TableFullError,
)
from custom_components.port_forward.routers.model import Leases
from lab.virtual_router import Quirk

from ..forwards import forward, lasts
from .home import HOUR, PERMANENT, fill, free_range, home_with, revive_what_is_closed, row_of

WEEK = 604800


@pytest.mark.parametrize("quirk", [Quirk.Q01, Quirk.Q02])
@pytest.mark.parametrize("igd", [1, 2])
async def test_only_permanent_leases(
    session: aiohttp.ClientSession, quirk: Quirk, igd: int
) -> None:
    async with home_with(session, quirk, igd=igd) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        assert granted.lease is None
        assert home.driver.capabilities.leases is Leases.PERMANENT_ONLY
        assert not home.driver.capabilities.closes_by_itself
        assert home.router.mappings[0].lease == 0


async def _adds_at_the_second_opening(session: aiohttp.ClientSession, quirk: Quirk) -> int:
    """Count the adds of an opening after a restart of Home Assistant."""
    async with home_with(session, quirk) as home:
        await home.driver.open(forward(), HOUR)
        again = home.another_driver(learned=home.driver.learned)
        home.router.requests.clear()
        await again.open(forward(forward_id="other"), HOUR)
        assert again.capabilities.leases is Leases.PERMANENT_ONLY
        return home.router.requests["AddPortMapping"]


async def test_q01_only_permanent_leases_by_725_is_remembered(
    session: aiohttp.ClientSession,
) -> None:
    assert await _adds_at_the_second_opening(session, Quirk.Q01) == 1


async def test_q02_only_permanent_leases_by_402_is_remembered(
    session: aiohttp.ClientSession,
) -> None:
    assert await _adds_at_the_second_opening(session, Quirk.Q02) == 1


async def test_q02_402_is_not_the_lease_where_leases_are_kept(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        await home.driver.open(forward(), HOUR)
        home.router.quirks.add(Quirk.Q02)
        home.router.requests.clear()
        with pytest.raises(InvalidForwardError):
            await home.driver.open(forward(forward_id="other"), HOUR)
        assert home.router.requests["AddPortMapping"] == 1
        assert len(home.router.mappings) == 1


async def test_q03_permanent_is_refused(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q03) as home:
        (granted,) = await home.driver.open(forward(), PERMANENT)
        assert lasts(granted, timedelta(seconds=WEEK))
        again = home.another_driver(learned=home.driver.learned)
        home.router.requests.clear()
        await again.open(forward(forward_id="other"), PERMANENT)
        assert home.router.requests["AddPortMapping"] == 1
        # A lease that is wanted is still asked for as it is.
        (short,) = await again.open(forward(forward_id="third"), HOUR)
        assert lasts(short, HOUR)


async def test_q03_neither_the_lease_nor_permanent(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q03, igd=1) as home:
        home.router.quirks.add(Quirk.Q01)
        with pytest.raises(NotPermittedError, match="725"):
            await home.driver.open(forward(), HOUR)
        assert home.router.requests["AddPortMapping"] == 3
        assert not home.rows()


async def test_q04_clamped_to_a_week(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q04, igd=1) as home:
        (granted,) = await home.driver.open(forward(), timedelta(days=30))
        assert lasts(granted, timedelta(seconds=WEEK))
        assert home.driver.capabilities.leases is Leases.KEPT
        (granted,) = await home.driver.open(forward(forward_id="other"), PERMANENT)
        assert lasts(granted, timedelta(seconds=WEEK))


async def test_lease_of_days_is_sent_in_whole_seconds(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), timedelta(days=1, hours=1))
        assert lasts(granted, timedelta(seconds=90000))


async def test_q05_lease_ignored(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q05) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        assert granted.lease is None
        assert home.driver.capabilities.leases is Leases.IGNORED
        assert not home.driver.capabilities.closes_by_itself


async def test_lease_too_short_to_be_shown_tells_nothing_of_the_others(
    session: aiohttp.ClientSession,
) -> None:
    """miniupnpd shows a lease of one second as 0, which is no end, when a second has turned."""
    async with home_with(session, Quirk.Q05) as home:
        (granted,) = await home.driver.open(forward(), timedelta(seconds=1))
        assert granted.lease is None
        assert home.driver.capabilities.leases is Leases.UNKNOWN


async def test_q06_mapping_that_outlives_its_end_and_its_deletion(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, Quirk.Q06) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        revive_what_is_closed(home.router)
        with pytest.raises(NotClosedError) as error:
            await home.driver.close(granted)
        assert error.value.placeholders == {"port": str(granted.external_ports)}
        assert (await home.driver.snapshot()).find(granted)


async def test_q06_expired_mapping_is_shown_and_closed(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q06) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        row = home.router.mappings[0]
        home.router.wans[0]._rows[row.key] = replace(row, expires=0.0)
        shown = (await home.driver.snapshot()).find(granted)
        assert shown
        assert shown.lease is None
        await home.driver.close(granted)
        assert not home.rows()


async def test_q07_success_but_nothing_mapped(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q07) as home:
        wanted = forward()
        with pytest.raises(NotMappedError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.placeholders == {"port": str(wanted.external_ports)}
        assert error.value.left == ()


async def test_q08_silently_full(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q08) as home:
        await fill(home.router, 31)
        first, second = forward(), forward(forward_id="other")
        await home.driver.open(first, HOUR)
        with pytest.raises(TableFullError) as error:
            await home.driver.open(second, HOUR)
        assert error.value.placeholders == {"port": str(second.external_ports)}
        assert row_of(first) in home.rows()
        assert len(home.rows()) == 32


@pytest.mark.parametrize("quirk", [Quirk.Q09, Quirk.Q09_402])
@pytest.mark.parametrize("lease", [HOUR, PERMANENT])
async def test_q09_table_full(
    session: aiohttp.ClientSession, quirk: Quirk, lease: timedelta
) -> None:
    async with home_with(session, quirk) as home:
        await fill(home.router, 32)
        with pytest.raises(TableFullError):
            await home.driver.open(forward(), lease)
        assert len(home.rows()) == 32
        assert home.driver.capabilities.leases is Leases.UNKNOWN


async def test_q09_full_in_the_middle_leaves_nothing(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q09) as home:
        await fill(home.router, 30)
        before = home.rows()
        with pytest.raises(TableFullError):
            await home.driver.open(forward(free_range(3)), HOUR)
        assert home.rows() == before


async def test_a_permanent_mapping_that_was_asked_for_tells_nothing_of_leases(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, igd=1) as home:
        (granted,) = await home.driver.open(forward(), PERMANENT)
        assert granted.lease is None
        assert home.driver.capabilities.leases is Leases.UNKNOWN
