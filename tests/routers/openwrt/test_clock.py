"""The router ends a rule by its own clock and time zone, and we say when."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import ClockWrongError, ProtocolError
from custom_components.port_forward.routers.openwrt.clock import (
    RouterClock,
    parse_date,
    read_clock,
    zone_of,
)
from lab.openwrt import PLAIN, Clock, Fault

from ..forwards import forward
from .home import HOUR, PERMANENT, Home, home_with

CENTRAL_EUROPE = "CET-1CEST,M3.5.0,M10.5.0/3"
BERLIN = ZoneInfo("Europe/Berlin")


async def end_of(home: Home, lease: timedelta = HOUR) -> datetime:
    """When the kernel ends what is opened now for an hour."""
    granted = await home.open(forward(), lease)
    rule = next(rule for rule in home.router.rules if rule.section == granted.id)
    assert rule.until is not None
    assert granted.lease is not None
    told = home.router.clock.now() + granted.lease
    assert abs(rule.until - told) < timedelta(seconds=5), "and we know when"
    return rule.until


@pytest.mark.parametrize(
    "offset",
    [timedelta(hours=-11), timedelta(0), timedelta(hours=5, minutes=45), timedelta(hours=14)],
)
async def test_any_time_zone(session: aiohttp.ClientSession, offset: timedelta) -> None:
    from datetime import timezone  # noqa: PLC0415  only here

    clock = Clock(timezone(offset))
    async with home_with(session, clock=clock, rights=PLAIN) as home:
        ends = await end_of(home)
        off = ends - (clock.now() + HOUR)
        assert timedelta(seconds=-5) < off <= timedelta(0), "a little early, never late"


async def test_a_clock_that_is_a_little_off_ends_it_in_time_all_the_same(
    session: aiohttp.ClientSession,
) -> None:
    for off in (timedelta(seconds=100), timedelta(seconds=-100)):
        clock = Clock(wrong_by=off)
        async with home_with(session, clock=clock) as home:
            ends = await end_of(home) - off
            assert timedelta(seconds=-5) < ends - (clock.true_now() + HOUR) <= timedelta(0)


@pytest.mark.parametrize(
    ("off", "told"),
    [
        (timedelta(minutes=5), "+5 min"),
        (timedelta(minutes=-7), "-7 min"),
        (timedelta(hours=-30), "-30 h"),
        (timedelta(days=400), "+400 d"),
    ],
)
async def test_a_wrong_clock(session: aiohttp.ClientSession, off: timedelta, told: str) -> None:
    async with home_with(session, clock=Clock(wrong_by=off)) as home:
        with pytest.raises(ClockWrongError) as caught:
            await home.open(forward())
        assert home.sections == []
        assert home.router.calls["uci add"] == 0
        # Without an end the clock does not matter, nor does it for looking.
        await home.open(forward(), PERMANENT)
        assert await home.shown()
        assert caught.value.placeholders["off"] == told


async def test_a_clock_an_hour_off_is_found_by_the_time_zone(
    session: aiohttp.ClientSession,
) -> None:
    """Whole hours look like a time zone, unless it is known."""
    async with home_with(session, clock=Clock(wrong_by=HOUR)) as home:
        with pytest.raises(ClockWrongError):
            await home.open(forward())
    async with home_with(session, clock=Clock(wrong_by=HOUR), rights=PLAIN) as home:
        ends = await end_of(home)
        assert ends <= home.router.clock.now() + HOUR, "right by the router's clock"


async def test_a_time_zone_that_was_changed(session: aiohttp.ClientSession) -> None:
    clock = Clock()
    async with home_with(session, clock=clock) as home:
        await end_of(home)
        clock.zone = BERLIN
        home.router._packages["system"].sections[0].options["timezone"] = CENTRAL_EUROPE
        assert await end_of(home) <= clock.now() + HOUR


@pytest.mark.parametrize(
    ("now", "lease", "latest", "earliest"),
    [
        # In summer and in winter, and far over both changes: exactly.
        ("2026-07-01T12:00:00", HOUR, 0, 0),
        ("2026-12-01T12:00:00", HOUR, 0, 0),
        ("2026-10-20T12:00:00", timedelta(days=7), 0, 0),
        ("2027-03-25T12:00:00", timedelta(days=7), 0, 0),
        # The clocks go back at 01:00 UTC. Ends up to 23:00 and from 00:00 on can be said.
        ("2026-10-24T21:30:00", HOUR, 0, 0),
        ("2026-10-24T23:10:00", HOUR, 0, 0),
        ("2026-10-25T00:30:00", HOUR, 0, 0),
        ("2026-10-25T01:30:00", HOUR, 0, 0),
        # Those between cannot: right before them, where that is still to come …
        ("2026-10-24T21:30:00", timedelta(hours=2), 0, 30),
        # … and else right after.
        ("2026-10-24T23:05:00", timedelta(minutes=15), 40, 0),
        # They go forward at 01:00 UTC.
        ("2027-03-27T23:30:00", HOUR, 0, 0),
        ("2027-03-28T00:30:00", HOUR, 0, 0),
        ("2027-03-28T01:30:00", HOUR, 0, 0),
    ],
)
async def test_daylight_saving(
    session: aiohttp.ClientSession, now: str, lease: timedelta, latest: int, earliest: int
) -> None:
    clock = Clock(BERLIN)
    clock.set_to(datetime.fromisoformat(now).replace(tzinfo=UTC))
    async with home_with(session, clock=clock, timezone=CENTRAL_EUROPE) as home:
        ends = await end_of(home, lease)
        off = ends - (clock.now() + lease)
        assert -timedelta(minutes=earliest, seconds=5) < off <= timedelta(minutes=latest)


async def test_without_the_time_zone_a_night_may_be_off_by_an_hour(
    session: aiohttp.ClientSession,
) -> None:
    clock = Clock(BERLIN)
    clock.set_to(datetime(2026, 10, 24, 23, 40, tzinfo=UTC))
    async with home_with(session, clock=clock, timezone=CENTRAL_EUROPE, rights=PLAIN) as home:
        granted = await home.open(forward())
        (rule,) = home.router.rules
        assert rule.until is not None
        assert rule.until <= clock.now() + 2 * HOUR
        assert granted.lease is not None


def test_every_minute_of_the_nights_of_daylight_saving() -> None:
    """What a stop_date stands for, by nft's own rule, is never later, but for that hour."""
    for zone, tz, nights in (
        (BERLIN, CENTRAL_EUROPE, ("2026-10-24", "2027-03-27")),
        (ZoneInfo("America/New_York"), "EST5EDT,M3.2.0,M11.1.0", ("2026-10-31", "2027-03-13")),
        (
            ZoneInfo("Australia/Sydney"),
            "AEST-10AEDT,M10.1.0,M4.1.0/3",
            ("2027-04-02", "2026-10-02"),
        ),
    ):
        for night in nights:
            start = datetime.fromisoformat(night).replace(tzinfo=UTC)
            for minutes in range(0, 48 * 60, 7):
                own = start + timedelta(minutes=minutes)
                local = own.astimezone(zone).replace(tzinfo=None)
                clock = RouterClock(local=local, own=own, zone=zone_of(tz))
                assert clock.is_right
                for lease in (timedelta(minutes=20), HOUR, timedelta(hours=9)):
                    written = parse_date(clock.stop_date(lease))
                    assert written is not None
                    as_utc = written.replace(tzinfo=UTC)
                    offset = as_utc.astimezone(zone).utcoffset()
                    assert offset is not None
                    off = as_utc - offset - (own + lease)
                    assert abs(off) <= HOUR
                    assert own < as_utc - offset, "never over before it began"
                    if off > timedelta(0):
                        assert lease <= HOUR, "only when it begins in that very hour"


def test_dates_and_zones() -> None:
    assert parse_date("2026-11-22") == datetime(2026, 11, 22)  # noqa: DTZ001  it has no zone
    assert parse_date("2026-11-22 12:00:00") is None
    assert parse_date("2026-11-22T12:00:00Z") is None
    for tz in (
        "UTC",
        "GMT0",
        "UTC0",
        CENTRAL_EUROPE,
        "<+0545>-5:45",
        "<-03>3<-02>,M3.5.0/-1,M10.5.0/-1",
    ):
        assert zone_of(tz) is not None, tz
    for nonsense in ("", "nonsense", "Europe/Berlin", "CET-1CEST,", "Ü1"):
        assert zone_of(nonsense) is None, nonsense
    clock = read_clock(0, datetime(2026, 11, 22, tzinfo=UTC), None)
    assert clock.wrong_by < timedelta(days=-10000)
    assert clock.remaining("nonsense") is None


@pytest.mark.parametrize("fault", [Fault.IGNORE, Fault.FAIL])
async def test_a_router_that_does_not_tell_the_time(home: Home, fault: Fault) -> None:
    home.router.fault(fault, "system info")
    with pytest.raises(ProtocolError):
        await home.open(forward())
    assert home.sections == []
