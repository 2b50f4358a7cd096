"""What a look at the router asks of the WAN itself: in turns, so that a quiet look is short."""

import asyncio
from collections.abc import Collection
from ipaddress import IPv4Address
from typing import Final

from ..addresses import is_public
from ..model import PortMapping
from .wan import ConnectionStatus, WanConnection

# Seconds. Two looks at the pace that is usual, of which one asks for the address.
_FRESH: Final = 150.0


class WanState:
    """External address and status of one WAN, as the router last told them.

    Each look asks for one of the two, in turns: with the guard and the two
    lists of `listing.read_table` that is four requests. The other is asked for
    too when anything is not as it was at the last look: what was told, or any
    row of the table. So it is known whether the router began anew whenever a
    mapping is gone, and that decides what becomes of it.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.address: IPv4Address | None = None
        self.status = ConnectionStatus()
        self._address_told_at = float("-inf")
        self._rows: frozenset[tuple[str, str]] = frozenset()
        # False before the first look, and after one that failed half-way.
        self._complete = False
        self._asked_for_both = False
        self._address_is_next = True

    async def before_the_table(self, wan: WanConnection) -> None:
        """Ask for one of the two, or for both when the last look is none to compare with."""
        last_address, last_status = self.address, self.status
        self._asked_for_both, self._complete = not self._complete, False
        if self._address_is_next or self._asked_for_both:
            await self._ask_for_address(wan)
        if not self._address_is_next or self._asked_for_both:
            self.status = await wan.status()
        if self.address != last_address or _began_anew(last_status, self.status):
            await self._ask_for_the_other(wan)

    async def after_the_table(self, wan: WanConnection, rows: Collection[PortMapping]) -> None:
        """Ask for the other as well when the table is another one than it was."""
        held = frozenset((row.key, row.target) for row in rows)
        if held != self._rows:
            await self._ask_for_the_other(wan)
        self._rows = held
        self._complete = True
        self._address_is_next = not self._address_is_next

    async def is_reachable(self, wan: WanConnection) -> bool:
        """Tell whether the internet can reach the address; asked for unless a look just has."""
        now = asyncio.get_running_loop().time()
        if not is_public(self.address) or now - self._address_told_at > _FRESH:
            await self._ask_for_address(wan)
        return is_public(self.address)

    async def is_still_reachable(self, wan: WanConnection) -> bool:
        """Tell the same of this very moment."""
        await self._ask_for_address(wan)
        return is_public(self.address)

    async def _ask_for_address(self, wan: WanConnection) -> None:
        self.address = await wan.external_address()
        self._address_told_at = asyncio.get_running_loop().time()

    async def _ask_for_the_other(self, wan: WanConnection) -> None:
        if self._asked_for_both:
            return
        self._asked_for_both = True
        if self._address_is_next:
            self.status = await wan.status()
        else:
            await self._ask_for_address(wan)


def _began_anew(before: ConnectionStatus, now: ConnectionStatus) -> bool:
    """Tell whether the connection is not simply the one that it was."""
    return now.connected != before.connected or (
        now.uptime is not None and before.uptime is not None and now.uptime < before.uptime
    )
