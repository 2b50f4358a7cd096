"""The router's clock, by which it ends a rule.

`stop_date` is local time of the router. fw4 hands it to nft, and nft subtracts
the offset that is in force when UTC reads like that local time does
(parse_iso_date in nftables' meta.c): right but for some hours before the clocks
change. `RouterClock` computes with exactly that where it knows the time zone.
"""

import io
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

TOLERANCE: Final = timedelta(minutes=2)
"""By how much the clock may be off: two clocks that are synchronized differ by seconds."""

_QUARTER = timedelta(minutes=15)
_OFFSETS = (timedelta(hours=-12), timedelta(hours=14))
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_SHORTEST = timedelta(minutes=1)
_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d")


@dataclass(frozen=True, kw_only=True, slots=True)
class RouterClock:
    """The router's time at one moment.

    `local` is what its clock shows, without a zone; `own` is our time at that
    moment, in UTC. `zone` is the router's, None where it is not known.
    """

    local: datetime
    own: datetime
    zone: tzinfo | None

    @property
    def offset(self) -> timedelta:
        """How far the router's local time is ahead of UTC now."""
        if self.zone is not None:
            return self._offset_at(self.own)
        off = self.local - self.own.replace(tzinfo=None)
        return round(off / _QUARTER) * _QUARTER

    @property
    def wrong_by(self) -> timedelta:
        """By how much the router's clock is fast."""
        off = self.local - self.own.replace(tzinfo=None)
        if not _OFFSETS[0] - _QUARTER <= off <= _OFFSETS[1] + _QUARTER:
            return off
        return off - self.offset

    @property
    def is_right(self) -> bool:
        """Tell whether it may be relied on."""
        return abs(self.wrong_by) <= TOLERANCE

    def stop_date(self, lease: timedelta) -> str:
        """Return the `stop_date` of a rule that is to end after `lease`, or somewhat earlier.

        Never later, with one exception: around the time when the clocks go back
        there is an hour that no local time stands for. A lease that ends in it
        ends right before it or, where that is past or nearly so, right after
        it; Home Assistant closes in time all the same. Without the time zone, a
        lease over a night when the clocks change ends up to an hour early or late.
        """
        if self.zone is None:
            return _written(self.local + lease)
        end = (self.utc + lease).replace(microsecond=0)
        before, after = end - _DAY, end + _DAY
        change = self._change_between(before, after)
        written = (
            end + self._offset_at(before),
            end + self._offset_at(after),
            change - _SECOND,
            change,
        )
        locals_ = [moment.replace(tzinfo=None) for moment in written]
        ends = {self._meant_by(local): local for local in locals_}
        in_time = [meant for meant in ends if meant <= end]
        best = max(in_time, default=None)
        if best is None or best < self.utc + min(_SHORTEST, lease / 2):
            best = min((meant for meant in ends if meant > end), default=max(ends))
        return _written(ends[best])

    def remaining(self, stop_date: str) -> timedelta | None:
        """Return how long a rule with this `stop_date` lasts, negative when it is over.

        None for what is no date that fw4 understands, and for the last and the
        first day that there are: people write them for "never".
        """
        local = parse_date(stop_date)
        try:
            return None if local is None else self._meant_by(local) - self.utc
        except OverflowError:
            return None

    @property
    def utc(self) -> datetime:
        """The time in UTC as the router has it."""
        return (self.local - self.offset).replace(tzinfo=UTC)

    def _meant_by(self, local: datetime) -> datetime:
        """Return the moment that nft takes a local time for."""
        as_utc = local.replace(tzinfo=UTC)
        return as_utc - (self._offset_at(as_utc) if self.zone else self.offset)

    def _change_between(self, before: datetime, after: datetime) -> datetime:
        """Return the second from which on the offset is that of `after`."""
        while after - before > _SECOND:
            middle = before + (after - before) // (2 * _SECOND) * _SECOND
            if self._offset_at(middle) == self._offset_at(after):
                after = middle
            else:
                before = middle
        return after

    def _offset_at(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta(0)


def read_clock(localtime: int, own: datetime, zone: tzinfo | None) -> RouterClock:
    """Return the clock of `localtime` of `system info`: seconds, the offset of the zone added."""
    local = datetime.fromtimestamp(localtime, UTC).replace(tzinfo=None)
    return RouterClock(local=local, own=own, zone=zone)


def parse_date(text: str) -> datetime | None:
    """Read a local time as fw4 does; None for what it refuses."""
    for form in _FORMATS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  it has no zone
        except ValueError:
            continue
    return None


def zone_of(tz: str) -> tzinfo | None:
    """Return the time zone of a TZ string (POSIX.1-2017 section 8.3), None for what is none.

    OpenWrt stores `CET-1CEST,M3.5.0,M10.5.0/3` and the like, and this is what
    the router's own C library computes with. Python reads such a string at the
    end of a time zone file (RFC 8536 section 3.3), so it is given one without
    anything else in it.
    """
    if tz == "UTC":  # OpenWrt's default has no offset
        return UTC
    if not tz:
        return None
    header = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 1)
    block = header + struct.pack(">lbb", 0, 0, 0) + b"\0"
    try:
        return ZoneInfo.from_file(io.BytesIO(block + block + b"\n" + tz.encode("ascii") + b"\n"))
    except ValueError:
        return None


def _written(local: datetime) -> str:
    return local.strftime(_FORMATS[0])
