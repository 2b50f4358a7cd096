"""The router's clock: its time zone, how wrong it is, and time that tests let pass."""

import asyncio
from datetime import UTC, datetime, timedelta, tzinfo


class Clock:
    """Tells the time as the router knows it."""

    def __init__(self, zone: tzinfo = UTC, *, wrong_by: timedelta = timedelta(0)) -> None:
        """Take the time zone, and by how much the clock is fast."""
        self.zone = zone
        self.wrong_by = wrong_by
        self._passed = timedelta(0)
        self._set_to: tuple[datetime, float] | None = None

    def set_to(self, moment: datetime) -> None:
        """Let it be this moment now, as for a daylight saving change."""
        self._set_to = (moment, self._loop_time())

    def pass_time(self, time: timedelta) -> None:
        """Let time pass at once."""
        self._passed += time

    def now(self) -> datetime:
        """Return the time in UTC, as wrong as the clock is."""
        return self.true_now() + self.wrong_by

    def true_now(self) -> datetime:
        """Return the time in UTC as the world has it."""
        if self._set_to is not None:
            moment, since = self._set_to
            return moment + timedelta(seconds=self._loop_time() - since) + self._passed
        return datetime.now(UTC) + self._passed

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self._loop_time() + self._passed.total_seconds()

    def local_epoch(self) -> int:
        """`localtime` of `system info`: seconds since the epoch plus the offset of the zone."""
        now = self.now()
        offset = now.astimezone(self.zone).utcoffset() or timedelta(0)
        return int((now + offset).timestamp())

    def meant_by(self, local: datetime) -> datetime:
        """Return the moment that nft takes a local time for.

        It subtracts the offset that is in force when UTC reads as `local` does
        (parse_iso_date in nftables' meta.c), which is not quite the one meant
        when the clocks change.
        """
        as_utc = local.replace(tzinfo=UTC)
        return as_utc - (as_utc.astimezone(self.zone).utcoffset() or timedelta(0))

    def shown(self, moment: datetime) -> str:
        """Return a moment as nft lists it."""
        offset = moment.astimezone(self.zone).utcoffset() or timedelta(0)
        return (moment + offset).strftime("%Y-%m-%d %H:%M:%S")

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()
