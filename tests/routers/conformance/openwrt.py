"""The simulated OpenWrt router."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import override

import aiohttp

from custom_components.port_forward.routers.openwrt import OpenWrtRouter
from custom_components.port_forward.routers.router import Router
from lab.openwrt import PASSWORD, USERNAME, OpenWrt, Rights

from .on_loopback import OnLoopback
from .subject import Row
from .virtual import TIMEOUT

PATIENCE = 5.0
"""Seconds that the router waits for a confirmation, and the driver for the firewall."""


class SimulatedOpenWrt(OnLoopback):
    """What counts is what the firewall has, not what is committed. Rules outlive a restart."""

    forgets = False

    def __init__(self, router: OpenWrt, session: aiohttp.ClientSession) -> None:
        self._router = router
        self._session = session
        self.driver = self.another_driver()

    @override
    def another_driver(self) -> Router:
        settings = {"url": self._router.url, "username": USERNAME, "password": PASSWORD}
        return OpenWrtRouter(
            self._session,
            settings,
            timeout=TIMEOUT,
            patience=PATIENCE,
            clock=self._router.clock.true_now,
        )

    @override
    async def rows(self) -> set[Row]:
        return {
            (rule.protocol, port, str(rule.host), rule.internal_port(port))
            for rule in self._router.rules
            if rule.redirect and rule.ports
            for port in range(rule.ports[0], rule.ports[1] + 1)
        }

    @override
    async def add_foreign(self, port: int, protocol: str = "tcp") -> None:
        await self._router.luci_edit(
            xbox={
                "name": "Xbox",
                "src": "wan",
                "dest": "lan",
                "proto": protocol,
                "src_dport": port,
                "dest_ip": "127.0.0.9",
                "dest_port": "9",
            }
        )
        await self._router.firewall.reload()

    @override
    async def until_a_restart_shows(self) -> None:
        await self._router.pass_time(timedelta(minutes=10))

    @override
    async def switch_off(self) -> None:
        await self._router.stop()

    @override
    async def restart(self) -> None:
        await self._router.reboot()


@asynccontextmanager
async def openwrt(
    session: aiohttp.ClientSession, *, rights: Rights, reload_delay: float = 0
) -> AsyncIterator[SimulatedOpenWrt]:
    """Start a router with an account that has these rights."""
    async with OpenWrt(rights=rights, reload_delay=reload_delay) as router:
        yield SimulatedOpenWrt(router, session)
