"""What was aimed at, and what came of it."""

from dataclasses import dataclass
from typing import override


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One target, with the value of this run."""

    what: str
    value: str
    met: bool

    @override
    def __str__(self) -> str:
        """Return a line for people."""
        return f"{'met    ' if self.met else 'NOT MET'}  {self.what}: {self.value}"


def at_least(what: str, ratio: float, wanted: float) -> Target:
    """Compare a ratio of which more is better."""
    return Target(what=f"{what} >= {wanted:g}x", value=f"{ratio:.1f}x", met=ratio >= wanted)


def at_most(what: str, ratio: float, wanted: float) -> Target:
    """Compare a ratio of which less is better."""
    return Target(what=f"{what} <= {wanted:g}x", value=f"{ratio:.2f}x", met=ratio <= wanted)
