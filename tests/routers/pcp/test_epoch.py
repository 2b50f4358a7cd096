import logging
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.routers.pcp.epoch import (
    Epochs,
    natpmp_kept_state,
    pcp_kept_state,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PCP, NATPMP = 2, 0


@pytest.mark.parametrize(
    ("before", "now", "elapsed", "kept"),
    [
        (100, 100, 0, True),
        (100, 99, 0, True),  # one second back: two packets overtook each other
        (100, 98, 0, False),
        (100, 0, 0, False),
        (100, 160, 60, True),
        (100, 162, 60, True),
        (100, 100 + 66, 60, True),  # 60 + 2 >= 66 - 66/16
        (100, 100 + 67, 60, False),  # 60 + 2 < 67 - 67/16: faster than a sixteenth
        (100, 100 + 1000, 936, True),
        (100, 100 + 1000, 935, False),
        (100, 100 + 935, 1000, False),  # slower than a sixteenth
        (100, 100 + 936, 1000, True),
        (100, 400, 4000, False),  # restarted long before this look
        (0, 2**32 - 1, 2**32 - 1, True),
    ],
)
def test_pcp(before: int, now: int, elapsed: float, *, kept: bool) -> None:
    assert pcp_kept_state(before, now, elapsed) is kept


@pytest.mark.parametrize(
    ("before", "now", "elapsed", "kept"),
    [
        (100, 100, 0, True),
        (100, 98, 0, True),
        (100, 97, 0, False),
        (100, 186, 100, True),  # 100 + 87.5 - 2 = 185.5
        (100, 185, 100, False),
        (100, 100000, 100, True),  # a clock that runs ahead is no loss here
    ],
)
def test_natpmp(before: int, now: int, elapsed: float, *, kept: bool) -> None:
    assert natpmp_kept_state(before, now, elapsed) is kept


@given(st.integers(0, 2**31), st.floats(0, 2**31))
def test_a_server_with_a_good_clock_has_kept_its_state(before: int, elapsed: float) -> None:
    now = before + int(elapsed)
    assert pcp_kept_state(before, now, elapsed)
    assert natpmp_kept_state(before, now, elapsed)


class Watch:
    """Both clocks, and what was told."""

    def __init__(self, learned: dict[str, str] | None = None) -> None:
        self.learned: dict[str, str] = {} if learned is None else learned
        self.losses = 0
        self.epochs = Epochs(self.learned, self._lost)
        self.monotonic = 5000.0
        self.wall = NOON

    def _lost(self) -> None:
        self.losses += 1

    def see(self, epoch: int, *, after: float = 0, version: int = PCP) -> bool:
        """Let time pass, take an epoch, and tell whether all was lost."""
        self.monotonic += after
        self.wall += timedelta(seconds=after)
        boot, losses = self.epochs.boot, self.losses
        self.epochs.observe(version, epoch, monotonic=self.monotonic, wall=self.wall)
        assert (self.losses > losses) is (self.epochs.boot != boot)
        return self.losses > losses


def test_the_first_epoch_is_valid() -> None:
    assert not Watch().see(12345)


def test_a_jump_starts_another_boot() -> None:
    watch = Watch()
    assert not watch.see(1000)
    assert not watch.see(1060, after=60)
    assert watch.see(3, after=60)
    assert not watch.see(63, after=60)


def test_known_again_after_our_own_restart() -> None:
    learned: dict[str, str] = {}
    before = Watch(learned)
    before.see(1000)
    boot = before.epochs.boot

    after = Watch(learned)
    after.monotonic = 3.0  # another machine start, another count
    assert not after.see(1600, after=600)
    assert after.epochs.boot == boot

    later = Watch(learned)
    later.wall = NOON + timedelta(seconds=600)
    assert later.see(100, after=600)
    assert later.epochs.boot != boot


@pytest.mark.parametrize("asleep", ["monotonic", "wall"])
def test_one_clock_that_agrees_is_enough(asleep: str) -> None:
    """A machine that slept, or whose clock was set."""
    watch = Watch()
    watch.see(1000)
    if asleep == "monotonic":
        watch.wall += timedelta(hours=2)
    else:
        watch.monotonic += 7200
    assert not watch.see(8200)


def test_who_speaks_another_version_is_another_server() -> None:
    watch = Watch()
    watch.see(1000)
    assert watch.see(1000, version=NATPMP)
    assert not watch.see(1060, version=NATPMP, after=60)


def test_after_any_jump_nothing_is_known_of_the_sources() -> None:
    """Believed or not: another router may have answered."""
    watch = Watch()
    watch.see(100000)
    for epoch in (5, 100000, 5, 100000, 5):
        watch.learned["filter"] = "yes"
        watch.see(epoch, after=1)
        assert "filter" not in watch.learned
    watch.learned["filter"] = "yes"
    watch.see(6, after=1)
    assert watch.learned["filter"] == "yes"


@pytest.mark.parametrize(
    "stored", ["", "nonsense", "2 x 2026-11-22T12:00:00+00:00", "2 5 2026-11-22", "7 5 never", "2"]
)
def test_what_was_stored_makes_no_sense(stored: str) -> None:
    assert not Watch({"last_epoch": stored}).see(1)


def test_back_and_forth_is_believed_three_times_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = Watch()
    watch.see(100000)
    seen = [watch.see(epoch, after=1) for epoch in (5, 100000, 5, 100000, 5, 100000)]
    assert seen == [True, True, True, False, False, False]
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING

    for epoch in range(100001, 100007):
        assert not watch.see(epoch, after=1)
    assert watch.see(0, after=1), "steady again, so believed again"
    assert len(caplog.records) == 1
