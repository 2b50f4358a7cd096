"""The time, for drivers that are given no other clock."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time of this machine, aware."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds that never go back, whatever the clock on the wall does."""
    return time.monotonic()
