"""The time, for drivers that are given no other clock."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time of this machine, aware."""
    return datetime.now(UTC)
