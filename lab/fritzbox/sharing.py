"""The port sharing of the box: its table, who may change it, and the NAT behind it."""

import asyncio
import math
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.relays import Relays
from lab.virtual_router.mapping import VirtualMapping

type Place = tuple[str, int]
"""Protocol ("TCP" or "UDP") and external port."""


class Lease(StrEnum):
    """What the box makes of a lease: which of these is true of real ones is not known."""

    IGNORED = "ignored"
    """Kept for ever, and shown as 0."""
    ECHOED = "echoed"
    """Kept for ever, and shown as it was asked for."""
    KEPT = "kept"
    """Kept as long as was asked for, and shown as what remains."""


class TableError(Exception):
    """The box refuses with an error code."""

    def __init__(self, code: int) -> None:
        """Refuse with this code."""
        super().__init__(str(code))
        self.code = code


@dataclass(frozen=True, kw_only=True, slots=True)
class Sharing:
    """One port that is shared."""

    protocol: str
    external_port: int
    host: str
    internal_port: int
    enabled: bool = True
    description: str = ""
    lease: int = 0
    until: float | None = None

    @property
    def place(self) -> Place:
        """What it is known by: another source makes no other row."""
        return self.protocol, self.external_port


class PortSharing:
    """All ports that are shared, by UPnP, by TR-064 and on the page of the box."""

    def __init__(self, host: str, *, lease: Lease) -> None:
        """Listen on `host`."""
        self.lease = lease
        self.permitted = {"127.0.0.1"}
        """Devices with the tick at *Permit independent port sharing*."""
        self.online = True
        self.expired = asyncio.Event()
        """Set when a lease has ended."""
        self._rows: dict[Place, Sharing] = {}
        self._timers: dict[Place, asyncio.TimerHandle] = {}
        self._relays = Relays(host, self._decide)

    @property
    def rows(self) -> tuple[Sharing, ...]:
        """The table, oldest first."""
        return tuple(self._rows.values())

    def find(self, place: Place) -> Sharing | None:
        """Return the row of a protocol and a port."""
        return self._rows.get(place)

    def remaining(self, row: Sharing) -> int:
        """Return the lease in seconds as the box shows it."""
        if self.lease is Lease.IGNORED:
            return 0
        if self.lease is Lease.ECHOED or row.until is None:
            return row.lease
        return max(1, math.ceil(row.until - asyncio.get_running_loop().time()))

    async def add_for(self, caller: str, row: Sharing) -> None:
        """Add or change a row on behalf of a device; raises TableError."""
        if row.host != caller or caller not in self.permitted:
            raise TableError(606)
        held = self._rows.get(row.place)
        if held is not None and held.host != row.host:
            raise TableError(718)
        await self.put(row)

    async def put(self, row: Sharing) -> None:
        """Add or change a row, as the page of the box may for any device."""
        self._cancel(row.place)
        if row.lease and self.lease is Lease.KEPT:
            loop = asyncio.get_running_loop()
            row = replace(row, until=loop.time() + row.lease)
            self._timers[row.place] = loop.call_later(row.lease, self._expire, row.place)
        self._rows[row.place] = row
        await self.refresh()

    async def remove_for(self, caller: str, place: Place) -> None:
        """Remove a row on behalf of a device; raises TableError."""
        row = self._rows.get(place)
        if row is None:
            raise TableError(714)
        if row.host != caller:
            raise TableError(606)
        await self.remove(place)

    async def remove(self, place: Place) -> None:
        """Remove a row."""
        self._cancel(place)
        del self._rows[place]
        await self.refresh()

    async def refresh(self) -> None:
        """Listen for what is open now."""
        open_rows = [row for row in self._rows.values() if row.enabled and self.online]
        await self._relays.listen([row.place for row in open_rows])

    async def close(self) -> None:
        """Listen no more; the rows stay, as they do when the box is switched off."""
        for place in list(self._timers):
            self._cancel(place)
        await self._relays.close()

    def _expire(self, place: Place) -> None:
        # The relay asks at each connection, so nobody gets in from here on.
        self._rows.pop(place, None)
        self._timers.pop(place, None)
        self.expired.set()

    def _cancel(self, place: Place) -> None:
        if timer := self._timers.pop(place, None):
            timer.cancel()

    def _decide(self, protocol: str, port: int, source: str) -> VirtualMapping | None:
        row = self._rows.get((protocol, port))
        if row is None or not row.enabled or not self.online:
            return None
        return VirtualMapping(
            protocol=protocol,
            external_port=port,
            internal_host=row.host,
            internal_port=row.internal_port,
            remote_host=source,
        )
