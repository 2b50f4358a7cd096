"""Waits with what is told to triggers until they can hear it: automations load last of all."""

from collections import deque
from collections.abc import Callable
from typing import Final

from homeassistant.core import CoreState, HomeAssistant, callback
from homeassistant.helpers.start import async_at_started
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN

# Two for each of a thousand openings. More can only come together during a
# start if something is wrong, and must not fill the memory then.
MOST_WAITING: Final = 2000

# What to tell once Home Assistant has started, in order.
_WAITING: Final = HassKey[deque[Callable[[], None]]](f"{DOMAIN}_waiting")


@callback
def async_when_heard(hass: HomeAssistant, tell: Callable[[], None]) -> None:
    """Call `tell` as soon as Home Assistant has started: at once, or after all that waits."""
    waiting = hass.data.setdefault(_WAITING, deque(maxlen=MOST_WAITING))
    is_first = not waiting
    waiting.append(tell)
    # Not `is_running`: once Home Assistant stops, it does not start any more.
    if hass.state not in (CoreState.not_running, CoreState.starting):
        _tell_all(hass)
    elif is_first:
        async_at_started(hass, _tell_all)


@callback
def _tell_all(hass: HomeAssistant) -> None:
    waiting = hass.data[_WAITING]
    while waiting:
        waiting.popleft()()
