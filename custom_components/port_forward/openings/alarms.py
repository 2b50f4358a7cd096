"""When the keeper has to act: deadlines, renewals and retries."""

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util

# How often the clock is looked at while a deadline is set. A timer alone would
# be late by as much as the clock is set forward, or the machine sleeps.
_LOOK_AT_THE_CLOCK: Final = 1.0


class Deadlines:
    """Tells within a second which forwards have reached their deadline.

    The clock of the wall decides, and with it the time that has passed: if the
    clock is set back, or was wrong when the machine started, nothing stays
    open for longer than was asked.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        on_due: Callable[[dict[str, datetime]], Coroutine[None, None, None]],
    ) -> None:
        """Take what to await with the forwards that are due, and their deadlines."""
        self._hass = hass
        self._on_due = on_due
        # By forward: the deadline on the wall, and on the loop's clock.
        self._deadlines: dict[str, tuple[datetime, float]] = {}
        self._cancel: CALLBACK_TYPE | None = None

    def set(self, forward_id: str, deadline: datetime, at_most: timedelta) -> None:
        """Set or move a deadline that is `at_most` this far away, whatever the clock says."""
        if forward_id in self._deadlines and self._deadlines[forward_id][0] == deadline:
            return
        remaining = min(deadline - dt_util.utcnow(), at_most).total_seconds()
        self._deadlines[forward_id] = (deadline, self._hass.loop.time() + remaining)
        self._arm()

    def clear(self, forward_id: str) -> None:
        """Forget a deadline, if there is one."""
        self._deadlines.pop(forward_id, None)

    def stop(self) -> None:
        """Forget all deadlines."""
        self._deadlines.clear()
        if self._cancel:
            self._cancel()
            self._cancel = None

    def _arm(self) -> None:
        if self._cancel:
            self._cancel()
            self._cancel = None
        if not self._deadlines:
            return
        first = min(at for _, at in self._deadlines.values())
        delay = min(max(first - self._hass.loop.time(), 0), _LOOK_AT_THE_CLOCK)
        job = HassJob(self._look, "look for forwards to close", cancel_on_shutdown=True)
        self._cancel = async_call_later(self._hass, delay, job)

    @callback
    def _look(self, _now: datetime) -> None:
        self._cancel = None
        now, loop_time = dt_util.utcnow(), self._hass.loop.time()
        due = {
            forward_id: deadline
            for forward_id, (deadline, at) in self._deadlines.items()
            if now >= deadline or loop_time >= at
        }
        for forward_id in due:
            del self._deadlines[forward_id]
        if due:
            self._hass.async_create_task(self._on_due(due), "close forwards whose time is up")
        self._arm()


class Timers:
    """One timer for each name; a new one takes the place of the old."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Start without any."""
        self._hass = hass
        self._cancels: dict[str, CALLBACK_TYPE] = {}

    def __contains__(self, name: str) -> bool:
        """Tell whether a timer of that name is running."""
        return name in self._cancels

    def start(
        self, name: str, delay: float, action: Callable[[], Coroutine[None, None, None]]
    ) -> None:
        """Await `action` after `delay` seconds."""
        self.cancel(name)
        job = HassJob(partial(self._run, name, action), name, cancel_on_shutdown=True)
        self._cancels[name] = async_call_later(self._hass, delay, job)

    def cancel(self, name: str) -> None:
        """Stop the timer of that name, if there is one."""
        if cancel := self._cancels.pop(name, None):
            cancel()

    def stop(self) -> None:
        """Stop them all."""
        for name in list(self._cancels):
            self.cancel(name)

    async def _run(
        self, name: str, action: Callable[[], Coroutine[None, None, None]], _now: datetime
    ) -> None:
        self._cancels.pop(name, None)
        await action()
