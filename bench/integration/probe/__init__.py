"""Looks at Home Assistant from within, for the measurements; nobody else installs it.

The watchdog stands around every callback of the event loop, which is what
`_run` of its handles is: a task runs from one `await` that waits to the next
within one of them. What it measures is exact, and costs half a microsecond a
callback. asyncio's own debug mode tells of slow callbacks as well, but slows
everything down while it does.
"""

import gc
import os
import time
from asyncio import Handle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STARTED
from homeassistant.core import (
    Event,
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
)
from homeassistant.helpers.typing import ConfigType
from homeassistant.setup import async_get_setup_timings

DOMAIN = "bench_probe"
BENCHED = "port_forward"


@dataclass(slots=True)
class Watchdog:
    """How the event loop was used since the last reset. All in seconds.

    `longest` is by the clock, and so contains what other programs took of the
    processor meanwhile. `longest_cpu` does not, but neither does it contain
    the time that a callback waited for a disk. Neither contains `longest_gc`:
    Python's garbage collector goes through all that Home Assistant has in
    memory, in the middle of whatever callback it is due.
    """

    busy_cpu: float = 0.0
    longest: float = 0.0
    longest_cpu: float = 0.0
    longest_gc: float = 0.0
    collecting: float = 0.0
    """Since the beginning of the callback that is running."""
    culprit: str = ""

    def install(self) -> None:
        """Stand around all callbacks from now on."""
        began = 0.0

        def collecting(phase: str, _info: dict[str, int]) -> None:
            nonlocal began
            if phase == "start":
                began = time.perf_counter()
            else:
                took = time.perf_counter() - began
                self.collecting += took
                self.longest_gc = max(self.longest_gc, took)

        gc.callbacks.append(collecting)
        run: Callable[[Handle], None] = Handle._run  # noqa: SLF001  there is no other place

        def watched(handle: Handle) -> None:
            self.collecting = 0.0
            cpu, clock = time.thread_time(), time.perf_counter()
            run(handle)
            took, used = time.perf_counter() - clock, time.thread_time() - cpu
            self.busy_cpu += used
            took, used = took - self.collecting, used - self.collecting
            self.longest = max(self.longest, took)
            if used > self.longest_cpu:
                self.longest_cpu, self.culprit = used, _name(handle)

        setattr(Handle, "_run", watched)  # noqa: B010  mypy knows that it is a method

    def reset(self) -> None:
        """Begin anew."""
        self.busy_cpu = self.longest = self.longest_cpu = self.longest_gc = 0.0
        self.culprit = ""

    def report(self) -> dict[str, float | str]:
        """Return all of it."""
        return {
            "busy_cpu": self.busy_cpu,
            "longest": self.longest,
            "longest_cpu": self.longest_cpu,
            "longest_gc": self.longest_gc,
            "culprit": self.culprit,
        }


def _name(handle: Handle) -> str:
    """Tell whose callback it was; a step of a task is a method of the task."""
    callback = getattr(handle, "_callback", None)
    return repr(getattr(callback, "__self__", None) or callback)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:  # noqa: ARG001  Home Assistant calls it
    """Begin to watch, before there is any router."""
    watchdog = Watchdog()
    watchdog.install()
    if hass.config_entries.async_loaded_entries(BENCHED):
        raise RuntimeError("the probe came too late")
    start: dict[str, object] = {}

    async def started(_event: Event) -> None:
        start.update(
            watchdog.report(),
            # The system's, so that whoever started this process can compare it.
            clock=time.monotonic(),
            setup=async_get_setup_timings(hass).get(BENCHED, 0.0),
        )

    hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STARTED, started)

    async def tell_of_start(_call: ServiceCall) -> ServiceResponse:
        """Return how the start went, and the memory in use, in bytes."""
        resident = await hass.async_add_executor_job(_resident_memory)
        return {**start, "memory": resident}  # type: ignore[dict-item]  # all of it is JSON

    async def refresh(_call: ServiceCall) -> ServiceResponse:
        """Look at the router as the next poll would, and return what that cost."""
        [entry] = hass.config_entries.async_entries(BENCHED)
        if entry.state is not ConfigEntryState.LOADED:
            raise RuntimeError(f"the router is {entry.state}")
        watchdog.reset()
        began = time.perf_counter()
        await entry.runtime_data.async_refresh()
        took = time.perf_counter() - began
        # What has been scheduled meanwhile counts as well.
        await hass.async_block_till_done()
        if not entry.runtime_data.last_update_success:
            raise RuntimeError("the refresh failed")
        return {**watchdog.report(), "took": took}

    async def watch(_call: ServiceCall) -> ServiceResponse:
        """Return how the loop was used since this was last asked."""
        report = watchdog.report()
        watchdog.reset()
        return {**report}

    for action in (tell_of_start, refresh, watch):
        hass.services.async_register(
            DOMAIN, action.__name__, action, supports_response=SupportsResponse.ONLY
        )
    return True


def _resident_memory() -> int:
    # Linux: the second field is in pages (proc_pid_statm(5)).
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
