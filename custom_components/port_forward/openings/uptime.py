"""How much time has passed over a restart, whatever became of the clock meanwhile."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from homeassistant.util import dt as dt_util

# Linux only, as Home Assistant OS and Container are; elsewhere each start is one of the machine.
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The clock at one moment: `since_boot` is in seconds since the machine started."""

    at: datetime
    boot: str
    since_boot: float

    def is_now(self) -> datetime:
        """Return what that clock shows now, at the least: it may have been set back since."""
        now = clock_now()
        if not self.boot or now.boot != self.boot:
            return self.at
        return self.at + timedelta(seconds=max(now.since_boot - self.since_boot, 0))


def clock_now() -> Clock:
    """Return the clock as it stands now."""
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else 0
    return Clock(at=dt_util.utcnow(), boot=boot_id(), since_boot=since_boot)


@cache
def boot_id() -> str:
    """Return what names this run of the machine, "" where nothing does; does blocking I/O once."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
