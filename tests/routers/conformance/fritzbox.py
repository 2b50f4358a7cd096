"""The simulated FRITZ!Box, which maps to the caller only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import override

import aiohttp

from custom_components.port_forward.routers.fritzbox import FritzBoxRouter
from custom_components.port_forward.routers.router import Router
from lab.fritzbox import FritzBox, Lease, Sharing

from .on_loopback import OnLoopback
from .subject import Row
from .virtual import TIMEOUT


class SimulatedFritzBox(OnLoopback):
    """Its table outlives a restart."""

    target = "127.0.0.1"
    forgets = False

    def __init__(self, box: FritzBox, session: aiohttp.ClientSession) -> None:
        self._box = box
        self._session = session
        self.driver = self.another_driver()

    @override
    def another_driver(self) -> Router:
        return FritzBoxRouter(self._session, self._box.settings, timeout=TIMEOUT)

    @override
    async def rows(self) -> set[Row]:
        return {
            (row.protocol.lower(), row.external_port, row.host, row.internal_port)
            for row in self._box.sharing.rows
            if row.enabled
        }

    @override
    async def add_foreign(self, port: int, protocol: str = "tcp") -> None:
        await self._box.sharing.put(
            Sharing(
                protocol=protocol.upper(),
                external_port=port,
                host="127.0.0.9",
                internal_port=9,
                description="Xbox",
            )
        )

    @override
    async def switch_off(self) -> None:
        await self._box.stop()

    @override
    async def restart(self) -> None:
        await self._box.stop()
        await self._box.start()


@asynccontextmanager
async def fritzbox(
    session: aiohttp.ClientSession, lease: Lease
) -> AsyncIterator[SimulatedFritzBox]:
    """Start a FRITZ!Box that treats leases so."""
    async with FritzBox(lease=lease) as box:
        yield SimulatedFritzBox(box, session)
