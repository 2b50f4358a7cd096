"""What it costs as the number of forwards grows: the start, a refresh, memory, the event loop."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from ..routers import virtual_router
from ..stats import Sample, duration
from ..table import table
from ..targets import Target
from .house import House, house

# As a script would: one action for so many forwards.
AT_ONCE = 50

LONGEST_HOLD = 0.05  # seconds
# Starting and refreshing have costs that do not depend on the number of forwards, so that from a
# hundred to a thousand neither grows tenfold. Sixty percent more than that is for what else runs.
LINEAR = 1.6


@dataclass(slots=True)
class Scaled:
    """What was measured of a house with so many forwards; 0 is one without the integration."""

    forwards: int
    starts: list[dict[str, Any]] = field(default_factory=list)
    refreshed_closed: list[dict[str, Any]] = field(default_factory=list)
    refreshed_open: list[dict[str, Any]] = field(default_factory=list)
    opened: float = 0.0
    """Seconds to open all, in actions for fifty each."""
    closed: float = 0.0
    opening: dict[str, Any] = field(default_factory=dict)
    """What the watchdog saw while all were opened."""
    closing: dict[str, Any] = field(default_factory=dict)

    def started(self) -> Sample:
        """Return the seconds from the process to `homeassistant_started`."""
        return Sample.of(start["took"] for start in self.starts)

    def memory(self) -> float:
        """Return the resident memory after the start in MB, the median."""
        return Sample.of(start["memory"] / 1e6 for start in self.starts).median

    def longest(self, of: Sequence[dict[str, Any]]) -> tuple[float, float, float]:
        """Return the longest hold, its processor time, and the garbage collector's longest."""
        return (
            max(one["longest"] for one in of),
            max(one["longest_cpu"] for one in of),
            max(one["longest_gc"] for one in of),
        )


async def measure(
    sizes: Sequence[int], *, starts: int, refreshes: int, quick: bool = False
) -> list[Scaled]:
    """Start each house in turns, as often as asked.

    The first start of each, which fills its registries, is not counted, and at
    the end all forwards are opened and closed; both are left out when `quick`.
    """
    async with AsyncExitStack() as stack:
        houses: list[tuple[House, Scaled]] = []
        for size in (0, *sizes):
            router = await stack.enter_async_context(virtual_router()) if size else None
            home = await stack.enter_async_context(house(router, forwards=size))
            houses.append((home, Scaled(forwards=size)))
        for number in range(0 if quick else -1, starts):
            for home, scaled in houses:
                started = await home.start()
                if number >= 0:
                    scaled.starts.append(started)
                    if scaled.forwards:
                        scaled.refreshed_closed += await _refresh(home, refreshes)
                        if number == starts - 1 and not quick:
                            await _open_all(home, scaled, refreshes)
                await home.ha.stop()
    return [scaled for _, scaled in houses]


async def _refresh(home: House, times: int) -> list[dict[str, Any]]:
    return [await home.probe("refresh") for _ in range(times)]


async def _open_all(home: House, scaled: Scaled, refreshes: int) -> None:
    """Open all, look, and close all again."""
    await home.probe("watch")
    began = perf_counter()
    await _act_on_all(home, "port_forward", "open", duration={"hours": 1})
    scaled.opened = perf_counter() - began
    scaled.opening = await home.probe("watch")
    scaled.refreshed_open = await _refresh(home, refreshes)
    await home.probe("watch")
    began = perf_counter()
    await _act_on_all(home, "switch", "turn_off")
    scaled.closed = perf_counter() - began
    scaled.closing = await home.probe("watch")


async def _act_on_all(home: House, domain: str, action: str, **data: Any) -> None:
    switches = [forward.switch for forward in home.forwards]
    for first in range(0, len(switches), AT_ONCE):
        target = {"entity_id": switches[first : first + AT_ONCE]}
        await home.ha.call(domain, action, target=target, **data)


def tables(measured: Sequence[Scaled]) -> str:
    """Return three tables: the start, the refresh, and opening and closing all."""
    without, *houses = measured
    start_rows = [
        (
            "without" if not scaled.forwards else f"{scaled.forwards:,} forwards",
            str(scaled.started()),
            duration(scaled.started().median - without.started().median),
            duration(Sample.of(start["setup"] for start in scaled.starts).median),
            f"{scaled.memory():.0f} MB",
            f"{scaled.memory() - without.memory():.1f} MB",
            *map(duration, scaled.longest(scaled.starts)),
        )
        for scaled in measured
    ]
    refresh_rows = [
        (
            f"{scaled.forwards:,} forwards, all {state}",
            str(Sample.of(one["took"] for one in refreshed)),
            str(Sample.of(one["busy_cpu"] for one in refreshed)),
            *map(duration, scaled.longest(refreshed)),
        )
        for scaled in houses
        for state, refreshed in (
            ("closed", scaled.refreshed_closed),
            ("open", scaled.refreshed_open),
        )
        if refreshed
    ]
    change_rows = [
        (
            f"{what} {scaled.forwards:,}",
            duration(took),
            duration(took / scaled.forwards),
            duration(watched["busy_cpu"] / scaled.forwards),
            *map(duration, scaled.longest([watched])),
        )
        for scaled in houses
        for what, took, watched in (
            ("open", scaled.opened, scaled.opening),
            ("close", scaled.closed, scaled.closing),
        )
        if watched
    ]
    holds = ("longest hold", "of it processor", "garbage collector")
    text = table(
        f"Start of Home Assistant, {len(without.starts)} starts each",
        ("", "started after (quartiles)", "added", "own set-up", "memory", "added", *holds),
        start_rows,
    )
    text += "\n" + table(
        "Refresh",
        ("", "took (quartiles)", "event loop busy (quartiles)", *holds),
        refresh_rows,
    )
    if change_rows:
        text += "\n" + table(
            "All at once, fifty to an action",
            ("", "took", "each", "event loop each", *holds),
            change_rows,
        )
    return text


def targets(measured: Sequence[Scaled]) -> list[Target]:
    """Return what was aimed at: linear in the number of forwards, and a loop that is free."""
    without, *houses = measured
    small, large = houses[-2], houses[-1]
    factor = large.forwards / small.forwards
    # By Home Assistant's own count: what is added to the start as a whole drowns in its spread.
    set_up = [
        Sample.of(start["setup"] for start in scaled.starts).median for scaled in (small, large)
    ]
    refreshed = [
        Sample.of(one["took"] for one in scaled.refreshed_closed).median
        for scaled in (small, large)
    ]
    found = [
        Target(
            what=f"{what} linear: {large.forwards:,} forwards take <= {factor * LINEAR:g} times"
            f" what {small.forwards:,} take",
            value=f"{duration(few)} and {duration(many)}",
            met=many <= max(few, 0.001) * factor * LINEAR,
        )
        for what, (few, many) in (("own set-up", set_up), ("refresh", refreshed))
    ]
    watched = {
        "start": large.starts,
        "refresh, all closed": large.refreshed_closed,
        "refresh, all open": large.refreshed_open,
        "opening all": [large.opening] if large.opening else [],
        "closing all": [large.closing] if large.closing else [],
    }
    base = max(start["longest_cpu"] for start in without.starts)
    for what, reports in watched.items():
        if reports:
            held, cpu, collector = large.longest(reports)
            note = f"{duration(held)}, {duration(cpu)} of it processor"
            if collector > LONGEST_HOLD:
                note += f"; apart from that, Python's garbage collector {duration(collector)}"
            if held > LONGEST_HOLD:
                worst = max(reports, key=lambda report: report["longest_cpu"])
                note += f"; {worst['culprit'][:150]}"
            if what == "start":
                note += f" ({duration(base)} without the integration)"
            found.append(
                Target(
                    what=f"{large.forwards:,} forwards, {what}: loop never held > 50 ms",
                    value=note,
                    met=held <= LONGEST_HOLD,
                )
            )
    return found
