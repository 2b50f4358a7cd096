"""What is left of many measurements of the same thing."""

import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, override


@dataclass(frozen=True, slots=True)
class Sample:
    """How long something took each time, in seconds."""

    seconds: tuple[float, ...]

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Self:
        """Take what was measured; raises ValueError for nothing at all."""
        taken = tuple(seconds)
        if not taken:
            raise ValueError("nothing was measured")
        return cls(taken)

    @property
    def median(self) -> float:
        """Half took longer than this."""
        return statistics.median(self.seconds)

    @property
    def fastest(self) -> float:
        """What it takes when nothing else is going on."""
        return min(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Half of them lie between these two."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        lower, _, upper = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return lower, upper

    def __truediv__(self, other: Sample) -> float:
        """Return how many times longer this took, median by median."""
        return self.median / other.median

    @override
    def __str__(self) -> str:
        """Return `1.23 ms (1.20-1.31)`: the median, and the quartiles."""
        unit, per_second, digits = _unit(self.median)
        lower, upper = (f"{value * per_second:.{digits}f}" for value in self.quartiles)
        return f"{self.median * per_second:.{digits}f} {unit} ({lower}-{upper})"


def duration(seconds: float) -> str:
    """Return seconds as people read them."""
    unit, per_second, digits = _unit(seconds)
    return f"{seconds * per_second:.{digits}f} {unit}"


def load() -> str:
    """Return what else the machine is doing: the load of the last 1, 5 and 15 minutes."""
    return "load average {:.2f} {:.2f} {:.2f}".format(*os.getloadavg())


def _unit(seconds: float) -> tuple[str, float, int]:
    if seconds >= 1:
        return "s", 1, 2
    milliseconds = seconds * 1000
    return "ms", 1000, 2 if milliseconds < 10 else 1 if milliseconds < 100 else 0  # noqa: PLR2004  three digits
