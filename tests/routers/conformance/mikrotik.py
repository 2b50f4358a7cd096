"""The simulated MikroTik router."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import override

import aiohttp

from custom_components.port_forward.routers.mikrotik import MikrotikRouter as Driver
from custom_components.port_forward.routers.router import Router
from lab.mikrotik import Habit, MikrotikRouter

from .on_loopback import OnLoopback
from .subject import Row
from .virtual import TIMEOUT

NAT = "ip/firewall/nat"


class SimulatedMikrotik(OnLoopback):
    """A rule counts while somebody is in its list. Rules outlive a restart, lists do not."""

    forgets = False

    def __init__(self, router: MikrotikRouter, session: aiohttp.ClientSession) -> None:
        self._router = router
        self._session = session
        self.driver = self.another_driver()

    @override
    def another_driver(self) -> Router:
        user = self._router.users[0]
        settings = {
            "url": self._router.url,
            "username": user.name,
            "password": user.password,
        }
        return Driver(self._session, settings, timeout=TIMEOUT)

    @override
    async def rows(self) -> set[Row]:
        lists = {item["list"] for item in self._router.items("ip/firewall/address-list")}
        return {
            row
            for rule in self._router.items(NAT)
            if rule["action"] == "dst-nat"
            and rule.get("disabled", "false") == "false"
            and rule.get("src-address-list", "") in {"", *lists}
            for row in _rows_of(rule)
        }

    @override
    async def add_foreign(self, port: int, protocol: str = "tcp") -> None:
        await self._router.add(
            NAT,
            chain="dstnat",
            action="dst-nat",
            protocol=protocol,
            dst_port=str(port),
            to_addresses="127.0.0.9",
            to_ports="9",
            comment="Xbox",
        )

    @override
    async def until_a_restart_shows(self) -> None:
        await self._router.advance(600)

    @override
    async def switch_off(self) -> None:
        await self._router.stop()

    @override
    async def restart(self) -> None:
        await self._router.reboot()


def _rows_of(rule: dict[str, str]) -> set[Row]:
    first, _, last = rule["dst-port"].partition("-")
    return {
        (rule["protocol"], port, rule["to-addresses"], int(rule.get("to-ports", port)))
        for port in range(int(first), int(last or first) + 1)
    }


@asynccontextmanager
async def mikrotik(
    session: aiohttp.ClientSession, *habits: Habit
) -> AsyncIterator[SimulatedMikrotik]:
    """Start a router with these habits."""
    async with MikrotikRouter(habits=habits) as router:
        yield SimulatedMikrotik(router, session)
