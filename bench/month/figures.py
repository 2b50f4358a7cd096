"""What is measured at the end of each day, and whether it has grown."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast, override
from unittest.mock import patch

from homeassistant.helpers import json

from custom_components.port_forward.history import async_history
from custom_components.port_forward.openings import ledger

from ..home import DOMAIN
from ..table import table
from .clock import VirtualClockLoop
from .house import House

_OURS = "custom_components.port_forward"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """By how much a figure may be above that of the first day: a share of it, and a number."""

    share: float = 0.0
    number: float = 0.0

    def limit(self, first: float) -> float:
        """Return the most that is no growth."""
        return first * (1 + self.share) + self.number

    @override
    def __str__(self) -> str:
        return " + ".join(
            ([f"{self.share:.0%}"] if self.share else [])
            + ([f"{self.number:g}"] if self.number or not self.share else [])
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """The figures at the end of a day."""

    memory: float
    objects: int
    ours: int
    journal: int
    ledger: int
    timers: int
    tasks: int
    listeners: int
    data: int
    requests: int
    writes: int
    warnings: int


# How each figure of `Day` is called, and how much more than on the first day is no growth. The
# allocator gives memory back as it likes, and caches of Home Assistant fill up for some days: a
# leak that is small beside them shows in the objects of ours, in timers or in listeners.
FIGURES: dict[str, tuple[str, Tolerance]] = {
    "memory": ("MB of memory", Tolerance(share=0.04, number=2)),
    "objects": ("objects", Tolerance(share=0.02)),
    "ours": ("objects of ours", Tolerance(number=10)),
    "journal": ("journal lines", Tolerance()),
    "ledger": ("bytes of ledger", Tolerance(number=16)),
    "timers": ("timers", Tolerance(number=3)),
    "tasks": ("tasks", Tolerance(number=2)),
    "listeners": ("listeners", Tolerance()),
    "data": ("entries in hass.data", Tolerance()),
    "requests": ("requests", Tolerance(share=0.05)),
    "writes": ("ledger writes", Tolerance(share=0.05, number=2)),
    "warnings": ("warnings logged", Tolerance(number=2)),
}


class Meter:
    """Measures a house."""

    def __init__(self) -> None:
        """Begin to count; `counting` has to be entered."""
        self.days: list[Day] = []
        self._requests = 0
        self._writes = 0
        self._warnings = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the writes of the ledger, and what is logged."""
        save = json.save_json

        def counted(*args: Any, **kwargs: Any) -> None:
            self._writes += 1
            save(*args, **kwargs)

        logger, handler = logging.getLogger(_OURS), _Counting(self._note_warning)
        logger.addHandler(handler)
        try:
            with patch.object(ledger, "save_json", counted):
                yield
        finally:
            logger.removeHandler(handler)

    def _note_warning(self) -> None:
        self._warnings += 1

    def measure(self, house: House) -> Day:
        """Measure at the end of a day."""
        gc.collect()
        objects = gc.get_objects()
        ours = sum(str(type(each).__module__).startswith(_OURS) for each in objects)
        requests = house.router.requests.total()
        day = Day(
            memory=_resident() / 1e6,
            objects=len(objects),
            ours=ours,
            journal=len(async_history(house.hass, house.entry.entry_id).journal.lines),
            ledger=house.ledger.stat().st_size,
            timers=cast("VirtualClockLoop", house.hass.loop).timers,
            tasks=len(asyncio.all_tasks()),
            listeners=_listeners(house),
            data=_entries(house),
            requests=requests - self._requests,
            writes=self._writes,
            warnings=self._warnings,
        )
        del objects
        self._requests, self._writes, self._warnings = requests, 0, 0
        self.days.append(day)
        return day


class _Counting(logging.Handler):
    def __init__(self, note: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._note = note

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self._note()


def _resident() -> int:
    """Return the bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _listeners(house: House) -> int:
    """Return how many listen to events and to signals."""
    signals: dict[Any, dict[Any, Any]] = house.hass.data.get("dispatcher", {})
    return sum(house.hass.bus.async_listeners().values()) + sum(map(len, signals.values()))


def _entries(house: House) -> int:
    """Return how much the integration keeps in `hass.data`, two levels deep."""
    count = 0
    for key, value in house.hass.data.items():
        if str(key).startswith(DOMAIN):
            count += 1 + (len(value) if hasattr(value, "__len__") else 0)
    return count


def grown(days: Sequence[Day]) -> list[str]:
    """Return what has grown after the first day.

    Of the last days the lowest figure counts: what grows is above the limit on all of them.
    """
    found = []
    for field in fields(Day):
        name, tolerance = FIGURES[field.name]
        first = getattr(days[0], field.name)
        last = min(getattr(day, field.name) for day in days[-max(1, len(days) // 5) :])
        if last > tolerance.limit(first):
            found.append(f"{name}: {first:,.0f} after the first day, {last:,.0f} at the end")
    return found


def report(days: Sequence[Day]) -> str:
    """Return the days as people read them."""
    head = ["day", *(name for name, _ in FIGURES.values())]
    rows = [
        [str(number), *(f"{getattr(day, field.name):,.0f}" for field in fields(Day))]
        for number, day in enumerate(days, 1)
    ]
    tolerances = ["tolerance", *(f"+{tolerance}" for _, tolerance in FIGURES.values())]
    return table(f"A simulated month on Python {sys.version.split()[0]}", head, [*rows, tolerances])
