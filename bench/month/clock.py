"""An event loop on which nobody waits: its time jumps to the next timer when nothing is left to do.

Sockets and threads are real. The clock of the wall goes with the loop's.
"""

import asyncio
import selectors
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol, override

# First of all: `dt_util.utcnow` is not to be patched otherwise.
import pytest_homeassistant_custom_component.patch_time  # noqa: F401  isort: skip
from freezegun import freeze_time

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)

# A packet on loopback is there at once, unless the machine is busy: so long is waited for one
# after the last that came, in seconds, before the time jumps.
_SILENCE = 0.001


class _Wall(Protocol):
    """A frozen clock."""

    def move_to(self, target_datetime: datetime) -> None:
        """Show this time."""


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """A loop that begins at 0 s, and takes no time for anything."""

    def __init__(self, wall: _Wall) -> None:
        """Take the frozen clock of the wall."""
        self._wall = wall
        self._now = 0.0
        self._at_work = 0
        super().__init__(_JumpingSelector(self))

    @override
    def time(self) -> float:
        return self._now

    @property
    def is_waiting_for_threads(self) -> bool:
        """Whether something runs in an executor, whose end is not on the clock."""
        return self._at_work > 0

    @property
    def timers(self) -> int:
        """How many timers are set."""
        return sum(not handle.cancelled() for handle in self._scheduled)  # type: ignore[attr-defined]

    def forget_timers(self, *packages: str) -> None:
        """Forget the timers of these packages, as if their process had ended."""
        for handle in self._scheduled:  # type: ignore[attr-defined]
            package = str(getattr(handle._callback, "__module__", "")).partition(".")[0]  # noqa: SLF001  it has no other way to tell
            if package in packages:
                handle.cancel()

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        # From the beginning each time, so that roundings do not add up.
        self._wall.move_to(BEGIN + timedelta(seconds=self._now))

    @override
    def run_in_executor[*Ts, T](
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._at_work += 1
        future.add_done_callback(self._one_less)
        return future

    @override
    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        # Any timeout would be over at once.
        await super().shutdown_default_executor()

    def _one_less(self, _: asyncio.Future[Any]) -> None:
        self._at_work -= 1


class _JumpingSelector(selectors.BaseSelector):
    """Waits for what is real, and jumps where it would wait for a timer."""

    def __init__(self, loop: VirtualClockLoop) -> None:
        self._real = selectors.DefaultSelector()
        self._loop = loop
        self._is_silent = True

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if not ready and (timeout is None or timeout > 0):
            if timeout is None or self._loop.is_waiting_for_threads:
                ready = self._real.select(None)
            elif self._is_silent:
                self._loop.jump(timeout)
                return []
            else:
                ready = self._real.select(_SILENCE)
                self._is_silent = not ready
                return ready
        if ready:
            self._is_silent = False
        return ready

    @override
    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    @override
    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    @override
    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    @override
    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    @override
    def close(self) -> None:
        self._real.close()


@contextmanager
def virtual_clock() -> Iterator[asyncio.Runner]:
    """Give a runner with such a loop, while the clock of the wall is frozen."""
    with (
        freeze_time(BEGIN) as wall,
        asyncio.Runner(loop_factory=partial(VirtualClockLoop, wall)) as runner,
    ):
        yield runner
