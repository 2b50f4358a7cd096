"""A home: a simulated OPNsense, our driver, and the forwards to try on them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp

from custom_components.port_forward.routers.opnsense import OPNsenseRouter
from lab.opnsense import Account, OPNsense
from lab.opnsense.rule import flatten

HOUR = timedelta(hours=1)
CAMERA = "192.168.1.20"


@dataclass(frozen=True, kw_only=True)
class Home:
    """A running firewall and our driver for it."""

    firewall: OPNsense
    driver: OPNsenseRouter
    session: aiohttp.ClientSession

    def another_driver(
        self,
        timeout: float = 10,
        /,
        **settings: str,
    ) -> OPNsenseRouter:
        """The driver after a restart of Home Assistant, or with other settings."""
        return OPNsenseRouter(
            self.session,
            self.firewall.settings | settings,
            timeout=timeout,
            apply_timeout=timeout,
        )

    def saved(self) -> list[tuple[str, ...]]:
        """What is saved: protocol, source, ports, target, disabled."""
        keys = ("protocol", "source.network", "destination.port", "target", "disabled")
        return [tuple(rule[key] for key in keys) for rule in self.firewall.table.in_order()]

    def in_force(self) -> set[str]:
        """The external ports of the rules in force."""
        return {rule["destination.port"] for rule in self.firewall.pf.rules}

    def add_foreign(self, ports: int | str, **fields: Any) -> str:
        """Let the user add a rule of their own, in force; return its id."""
        rule: dict[str, Any] = {
            "interface": "wan",
            "ipprotocol": "inet",
            "protocol": "tcp",
            "destination": {"network": "wanip", "port": str(ports)},
            "target": CAMERA,
            "local-port": "80",
            "descr": "Camera by hand",
            "pass": "pass",
        }
        for key, value in fields.items():
            rule[key] = {**rule.get(key, {}), **value} if isinstance(value, dict) else value
        reply = self.firewall.table.add(rule, "root")
        assert reply["result"] == "saved", reply
        self.firewall.pf.rules = self.firewall.table.in_order()
        return str(reply["uuid"])

    def edit(self, uuid: str, **fields: Any) -> None:
        """Let the user edit a rule."""
        self.firewall.table[uuid].update(flatten(fields))
        self.firewall.pf.rules = self.firewall.table.in_order()


@asynccontextmanager
async def home_with(
    session: aiohttp.ClientSession,
    *,
    version: str = "26.7.2",
    account: Account | None = None,
    timeout: float = 10,  # noqa: ASYNC109  of the driver's requests
    learned: Mapping[str, str] | None = None,
    **settings: str,
) -> AsyncIterator[Home]:
    """Start a firewall."""
    async with OPNsense(version=version, accounts=[account or Account()]) as firewall:
        driver = OPNsenseRouter(
            session,
            firewall.settings | settings,
            learned=learned,
            timeout=timeout,
            apply_timeout=timeout,
        )
        yield Home(firewall=firewall, driver=driver, session=session)
