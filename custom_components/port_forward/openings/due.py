"""What is done when its time has come, and nobody waits for it."""

from contextlib import suppress
from datetime import datetime

from homeassistant.exceptions import HomeAssistantError

from ..routers.errors import RouterError
from .activity import Reason
from .journal import Journal, Source
from .ledger import Ledger
from .opening import Phase
from .operations import Operations
from .turns import KeeperStoppedError, Turns


class Due:
    """Closes and renews in turn, and no more when another keeper has the router."""

    def __init__(
        self, ledger: Ledger, operations: Operations, turns: Turns, journal: Journal
    ) -> None:
        """Take what the keeper has of the router."""
        self._ledger = ledger
        self._do = operations
        self._turns = turns
        self._journal = journal

    async def close(self, deadlines: dict[str, datetime]) -> None:
        """Close the forwards whose time is up, unless it was extended meanwhile."""
        with suppress(KeeperStoppedError):
            async with self._turns.to_change():
                due = [
                    opening
                    for opening in self._ledger.openings.values()
                    if opening.deadline and deadlines.get(opening.forward.id) == opening.deadline
                ]
                await self._do.close_quietly(due, Reason.TIME_UP)

    async def close_again(self) -> None:
        """Close what could not be closed before."""
        with suppress(KeeperStoppedError):
            async with self._turns.to_change():
                openings = self._ledger.openings.values()
                await self._do.close_quietly([o for o in openings if o.phase is Phase.CLOSING])

    async def renew(self, forward_id: str) -> None:
        """Renew the lease of a forward, if it is open still."""
        with suppress(KeeperStoppedError):
            async with self._turns.to_change():
                opening = self._ledger.openings.get(forward_id)
                if opening is None or opening.phase is not Phase.OPEN:
                    return
                try:
                    await self._do.open(opening, opening)
                except (RouterError, HomeAssistantError) as error:
                    self._journal.note(forward_id, Source.ACTIVITY, "renewal_failed", error=error)
                    self._do.note_unrenewed(opening, error)
