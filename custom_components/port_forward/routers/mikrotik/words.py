"""RouterOS' spellings of durations and flags."""

import re
from datetime import timedelta

LONGEST = timedelta(weeks=35, days=3, hours=13, minutes=13, seconds=56)
"""The longest timeout of an address list, 2^31/100 seconds."""

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_CLOCK = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+):(\d+):(\d+))")


def duration_of(text: str) -> timedelta | None:
    """Read `1d2h3m4s` or `1d02:03:04`; None for anything else."""
    found = _DURATION.fullmatch(text) or _CLOCK.fullmatch(text)
    if not text or found is None:
        return None
    parts = zip(found.groups(), _UNITS.values(), strict=True)
    try:
        return timedelta(seconds=sum(int(part) * unit for part, unit in parts if part))
    except ValueError, OverflowError:  # Too many digits, or too long a time.
        return None


def duration(wanted: timedelta) -> str:
    """Write `1d2h3m4s`, at least one second and at most what the router takes."""
    left, text = max(1, int(min(wanted, LONGEST).total_seconds())), ""
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text


def is_on(row_value: str | None) -> bool:
    """Tell whether a flag is set; one that is absent is not."""
    return row_value in ("true", "yes")
