"""One thing at a time to a router, until another keeper has it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from homeassistant.exceptions import HomeAssistantError

from ..const import DOMAIN
from .view import View


class KeeperStoppedError(HomeAssistantError):
    """The router is being set up anew, with another keeper."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__(translation_domain=DOMAIN, translation_key="reloading")


class Turns:
    """Lets in one at a time, in the order in which they came."""

    def __init__(self, view: View) -> None:
        """Take the view, in which each turn to change something counts as a change."""
        self._view = view
        self._lock = asyncio.Lock()
        self.are_over = False

    @property
    def is_taken(self) -> bool:
        """Tell whether somebody has a turn now."""
        return self._lock.locked()

    @asynccontextmanager
    async def to_look(self) -> AsyncIterator[None]:
        """Wait for the turn."""
        async with self._lock:
            yield

    @asynccontextmanager
    async def to_change(self) -> AsyncIterator[None]:
        """Wait for the turn to change something; raises KeeperStoppedError when it is too late."""
        async with self._lock:
            if self.are_over:
                raise KeeperStoppedError
            self._view.changes += 1
            yield

    @asynccontextmanager
    async def to_end(self) -> AsyncIterator[None]:
        """Wait for the last turn: what waits behind it must change nothing any more."""
        async with self._lock:
            self.are_over = True
            yield
