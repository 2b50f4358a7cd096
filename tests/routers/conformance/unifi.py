"""The simulated UniFi controller."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import override

import aiohttp

from custom_components.port_forward.routers.router import Router
from custom_components.port_forward.routers.unifi import UnifiRouter
from lab.unifi import Habit, UnifiController
from lab.unifi.documents import Document, protocols, ranges

from .on_loopback import OnLoopback
from .subject import Row
from .virtual import TIMEOUT


class SimulatedUnifi(OnLoopback):
    """Its gateway follows after a moment, and keeps all over a restart."""

    forgets = False

    def __init__(
        self, controller: UnifiController, session: aiohttp.ClientSession, *, by_key: bool
    ) -> None:
        self._controller = controller
        self._session = session
        self._by_key = by_key
        self.driver = self.another_driver()

    @override
    def another_driver(self) -> Router:
        account = self._controller.door.accounts[0]
        credentials = (
            {"api_key": self._controller.door.keys[0].value}
            if self._by_key
            else {"username": account.name, "password": account.password}
        )
        settings = {"url": self._controller.url, **credentials}
        return UnifiRouter(self._session, settings, timeout=TIMEOUT)

    @override
    async def rows(self) -> set[Row]:
        return {
            row
            for document in self._controller.forwards
            if document["enabled"]
            for row in _rows_of(document)
        }

    @override
    async def is_reached(self, port: int, source: str | None = None) -> bool:
        await self._controller.provisioned()
        return await super().is_reached(port, source)

    @override
    async def add_foreign(self, port: int, protocol: str = "tcp") -> None:
        await self._controller.add(
            name="Xbox", proto=protocol, dst_port=str(port), fwd="127.0.0.9", fwd_port="9"
        )

    @override
    async def switch_off(self) -> None:
        await self._controller.stop()

    @override
    async def restart(self) -> None:
        await self._controller.reboot()


def _rows_of(document: Document) -> set[Row]:
    [(first, last)] = ranges(document["dst_port"])
    [(inside, _)] = ranges(document["fwd_port"])
    return {
        (protocol, port, str(document["fwd"]), inside + port - first)
        for protocol in protocols(document)
        for port in range(first, last + 1)
    }


@asynccontextmanager
async def unifi(
    session: aiohttp.ClientSession, *habits: Habit, is_os: bool = True, by_key: bool = True
) -> AsyncIterator[SimulatedUnifi]:
    """Start a controller with these habits, and log in with a key or a password."""
    async with UnifiController(is_os=is_os, habits=habits) as controller:
        yield SimulatedUnifi(controller, session, by_key=by_key)
