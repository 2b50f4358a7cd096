"""The simulated OPNsense."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import override

import aiohttp

from custom_components.port_forward.routers.opnsense import OPNsenseRouter
from custom_components.port_forward.routers.router import Router
from lab.opnsense import OPNsense
from lab.opnsense.rule import Fields, ports_of

from .on_loopback import OnLoopback
from .subject import Row
from .virtual import TIMEOUT


class SimulatedOPNsense(OnLoopback):
    """What counts is what is in force, not what is saved."""

    forgets = False

    def __init__(self, firewall: OPNsense, session: aiohttp.ClientSession) -> None:
        self._firewall = firewall
        self._session = session
        self.driver = self.another_driver()

    @override
    def another_driver(self) -> Router:
        settings = self._firewall.settings
        return OPNsenseRouter(self._session, settings, timeout=TIMEOUT, apply_timeout=TIMEOUT)

    @override
    async def rows(self) -> set[Row]:
        return {row for rule in self._firewall.pf.rules for row in _rows_of(rule)}

    @override
    async def add_foreign(self, port: int, protocol: str = "tcp") -> None:
        rule = {
            "interface": "wan",
            "ipprotocol": "inet",
            "protocol": protocol,
            "destination": {"network": "wanip", "port": str(port)},
            "target": "127.0.0.9",
            "local-port": "9",
            "descr": "Xbox",
            "pass": "pass",
        }
        reply = self._firewall.table.add(rule, "root")
        assert reply["result"] == "saved"
        await self._firewall.pf.load(self._firewall.table.in_order())

    @override
    async def switch_off(self) -> None:
        await self._firewall.stop()

    @override
    async def restart(self) -> None:
        await self._firewall.stop()
        await self._firewall.start()


def _rows_of(rule: Fields) -> set[Row]:
    first, last = ports_of(rule["destination.port"]) or (0, 0)
    local, _ = ports_of(rule["local-port"]) or (first, last)
    return {
        (protocol, port, rule["target"], local + port - first)
        for protocol in rule["protocol"].split("/")
        for port in range(first, last + 1)
        if rule["disabled"] == "0" and rule["ipprotocol"] == "inet"
    }


@asynccontextmanager
async def opnsense(
    session: aiohttp.ClientSession, version: str
) -> AsyncIterator[SimulatedOPNsense]:
    """Start an OPNsense of this version."""
    async with OPNsense(version=version) as firewall:
        yield SimulatedOPNsense(firewall, session)
