import asyncio
import logging
from collections.abc import Generator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_socket
from homeassistant.util import dt as dt_util

from bench.month.clock import BEGIN, virtual_clock
from bench.month.figures import Day, grown, report
from bench.month.life import Month, live
from custom_components.port_forward.openings import Ledger

# Twice half an hour, each with all that a day has.
SHORT = Month(days=2, day=1800)

DAY = Day(
    memory=200,
    objects=300_000,
    ours=500,
    journal=200,
    ledger=900,
    timers=11,
    tasks=1,
    listeners=56,
    data=4,
    requests=6000,
    writes=250,
    warnings=0,
)


@pytest.fixture(autouse=True)
def _loopback(socket_enabled: None) -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.0/8"], allow_unix_socket=True)


@pytest.fixture
def runner() -> Generator[asyncio.Runner]:
    with virtual_clock() as runner:
        # What pytest keeps of the log would pass for growth.
        logging.disable(logging.INFO)
        yield runner
        logging.disable(logging.NOTSET)


def test_nothing_grows_in_a_short_month(runner: asyncio.Runner) -> None:
    days = runner.run(live(SHORT, lambda _: None))
    assert not grown(days), report(days)
    # Looks, renewals and commands have really happened.
    assert all(day.requests > 30 * 4 for day in days)
    assert all(day.writes > 100 for day in days)


def test_a_leak_is_found(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    record = Ledger.record

    async def leaking(ledger: Ledger, *openings: Any) -> None:
        kept.extend(replace(opening) for opening in openings)
        asyncio.get_running_loop().call_later(1e6, kept.clear)
        await record(ledger, *openings)

    monkeypatch.setattr(Ledger, "record", leaking)
    found = "\n".join(grown(runner.run(live(replace(SHORT, commands=30), lambda _: None))))
    assert "objects of ours" in found
    assert "timers" in found


def test_nobody_waits_on_the_virtual_clock(runner: asyncio.Runner) -> None:
    async def sleep() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(86400)
        assert loop.time() - began == pytest.approx(86400)
        assert dt_util.utcnow() == pytest.approx(
            BEGIN + timedelta(days=1), abs=timedelta(seconds=1)
        )
        assert await loop.run_in_executor(None, lambda: 1) == 1
        assert loop.time() - began == pytest.approx(86400)

    runner.run(sleep())


def test_what_is_above_the_first_day_at_the_end_has_grown() -> None:
    assert not grown([DAY] * 10)
    assert not grown([DAY, replace(DAY, timers=99), DAY]), "came down again"
    leaking = [replace(DAY, timers=DAY.timers + number) for number in range(10)]
    assert grown(leaking) == ["timers: 11 after the first day, 19 at the end"]
    assert not grown([DAY, replace(DAY, memory=209)])
    assert grown([DAY, replace(DAY, memory=211)])
    assert "+4% + 2" in report([DAY])
