"""What fails is tried again, but ever more rarely."""

from dataclasses import dataclass
from typing import Final

# Seconds until what failed is tried again, the last one for good.
_RETRIES: Final = (30, 60, 120, 300)


@dataclass(kw_only=True, slots=True)
class Failing:
    """What has failed `times` in a row is not tried `before` that time of the loop."""

    times: int = 0
    before: float = 0.0

    def note(self, now: float) -> None:
        """Count one more failure."""
        self.before = now + _RETRIES[min(self.times, len(_RETRIES) - 1)]
        self.times += 1

    def clear(self) -> None:
        """Start anew."""
        self.times, self.before = 0, 0.0
