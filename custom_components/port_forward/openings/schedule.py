"""When the keeper has to act: deadlines, renewals, and what is tried again.

It knows times and nothing of what is done then. One timer serves them all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util

# How often the clock is looked at while a deadline is set. A timer alone would
# be late by as much as the clock is set forward, or the machine sleeps.
_LOOK_AT_THE_CLOCK: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Time:
    """A time on the clock of the wall, and on that of the loop; the earlier one counts."""

    wall: datetime
    loop: float


@dataclass(frozen=True, slots=True)
class Due:
    """What the time has come for: deadlines by forward, renewals, trying to close again."""

    deadlines: dict[str, datetime] = field(default_factory=dict)
    renewals: list[str] = field(default_factory=list)
    retry: bool = False


class Schedule:
    """The times of one router.

    The clock of the wall decides, and with it the time that has passed: if the
    clock is set back, or was wrong when the machine started, nothing stays
    open for longer than was asked.
    """

    def __init__(self, hass: HomeAssistant, on_due: Callable[[Due], None]) -> None:
        """Take what to call when the time has come for something."""
        self._hass = hass
        self._on_due = on_due
        self._deadlines: dict[str, _Time] = {}
        self._renewals: dict[str, _Time] = {}
        self._retry: _Time | None = None
        self._cancel: CALLBACK_TYPE | None = None

    def set_deadline(self, forward_id: str, deadline: datetime, at_most: timedelta) -> None:
        """Set or move a deadline that is `at_most` this far away, whatever the clock says."""
        known = self._deadlines.get(forward_id)
        if known and known.wall == deadline:
            return
        remaining = min(deadline - dt_util.utcnow(), at_most).total_seconds()
        self._deadlines[forward_id] = _Time(deadline, self._hass.loop.time() + remaining)
        self._arm()

    def clear_deadline(self, forward_id: str) -> None:
        """Forget a deadline, if there is one."""
        self._deadlines.pop(forward_id, None)

    def set_renewal(self, forward_id: str, delay: float) -> None:
        """Renew a forward after so many seconds, in place of when it was to be renewed."""
        self._renewals[forward_id] = self._after(delay)
        self._arm()

    def is_renewing(self, forward_id: str) -> bool:
        """Return whether a renewal of this forward is set."""
        return forward_id in self._renewals

    def clear_renewal(self, forward_id: str) -> None:
        """Forget a renewal, if one is set."""
        self._renewals.pop(forward_id, None)

    def set_retry(self, delay: float) -> None:
        """Try again after so many seconds to close what could not be closed."""
        self._retry = self._after(delay)
        self._arm()

    def stop(self) -> None:
        """Forget all of it."""
        self._deadlines.clear()
        self._renewals.clear()
        self._retry = None
        self._disarm()

    def _after(self, delay: float) -> _Time:
        return _Time(dt_util.utcnow() + timedelta(seconds=delay), self._hass.loop.time() + delay)

    def _disarm(self) -> None:
        if self._cancel:
            self._cancel()
            self._cancel = None

    def _arm(self) -> None:
        self._disarm()
        times = [*self._deadlines.values(), *self._renewals.values()]
        if self._retry:
            times.append(self._retry)
        if not times:
            return
        delay = max(min(time.loop for time in times) - self._hass.loop.time(), 0)
        if self._deadlines:
            delay = min(delay, _LOOK_AT_THE_CLOCK)
        job = HassJob(self._look, "port forwards: what is due", cancel_on_shutdown=True)
        self._cancel = async_call_later(self._hass, delay, job)

    @callback
    def _look(self, now: datetime) -> None:
        self._cancel = None
        wall, loop = max(now, dt_util.utcnow()), self._hass.loop.time()

        def is_due(time: _Time) -> bool:
            return wall >= time.wall or loop >= time.loop

        due = Due(
            deadlines={key: time.wall for key, time in self._deadlines.items() if is_due(time)},
            renewals=[key for key, time in self._renewals.items() if is_due(time)],
            retry=self._retry is not None and is_due(self._retry),
        )
        for forward_id in due.deadlines:
            del self._deadlines[forward_id]
        for forward_id in due.renewals:
            del self._renewals[forward_id]
        if due.retry:
            self._retry = None
        if due.deadlines or due.renewals or due.retry:
            self._on_due(due)
        self._arm()
