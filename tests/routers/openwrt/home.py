"""A home: a simulated OpenWrt router, our driver, and the forwards to try on them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import aiohttp

from custom_components.port_forward.routers.model import Forward, PortMapping, Protocol
from custom_components.port_forward.routers.openwrt import OpenWrtRouter
from lab.certificate import Certificate
from lab.openwrt import DEDICATED, PASSWORD, USERNAME, Clock, OpenWrt, Rights

HOUR = timedelta(hours=1)
PERMANENT = timedelta(0)
HERE = "127.0.0.1"
PATIENCE = 1.0
"""Seconds that the driver waits where a test makes it wait; rpcd counts in whole ones."""
TIMEOUT = 1.0
"""Seconds that a request may take where a test waits for its end."""
BOTH = (Protocol.TCP, Protocol.UDP)


@dataclass(frozen=True, kw_only=True)
class Home:
    """A running router and our driver for it."""

    router: OpenWrt
    driver: OpenWrtRouter
    session: aiohttp.ClientSession

    def another_driver(
        self, *, learned: Mapping[str, str] | None = None, patience: float = PATIENCE
    ) -> OpenWrtRouter:
        """The driver after a restart of Home Assistant."""
        return OpenWrtRouter(
            self.session,
            settings_of(self.router),
            learned=learned,
            patience=patience,
            clock=self.router.clock.true_now,
        )

    async def open(
        self, forward: Forward, lease: timedelta = HOUR, *, ours: tuple[PortMapping, ...] = ()
    ) -> PortMapping:
        """Open a forward of one section."""
        (granted,) = await self.driver.open(forward, lease, ours=ours)
        return granted

    async def shown(self) -> dict[str, PortMapping]:
        """What a snapshot shows, by the name of the section."""
        return {row.id: row for row in (await self.driver.snapshot()).mappings}

    @property
    def sections(self) -> list[str]:
        """The names of the sections that are committed."""
        return [section.name for section in self.router.committed]


def settings_of(router: OpenWrt) -> dict[str, str]:
    return {"url": router.url, "username": USERNAME, "password": PASSWORD}


@asynccontextmanager
async def home_with(
    session: aiohttp.ClientSession,
    *,
    rights: Rights = DEDICATED,
    clock: Clock | None = None,
    timezone: str = "UTC",
    timeout: float = 10,  # noqa: ASYNC109  of the driver's requests
    patience: float = PATIENCE,
    reload_delay: float = 0,
    certificate: Certificate | None = None,
) -> AsyncIterator[Home]:
    """Start a router, and connect to it."""
    async with OpenWrt(
        rights=rights,
        clock=clock,
        timezone=timezone,
        reload_delay=reload_delay,
        certificate=certificate,
    ) as router:
        settings = settings_of(router)
        if certificate:
            settings["fingerprint"] = certificate.fingerprint
        driver = OpenWrtRouter(
            session, settings, timeout=timeout, patience=patience, clock=router.clock.true_now
        )
        await driver.connect()
        router.calls.clear()
        yield Home(router=router, driver=driver, session=session)


def redirect(port: int | str, **more: object) -> dict[str, object]:
    """A redirect that somebody made in LuCI; without the options that are None."""
    values = {
        "name": "NAS",
        "src": "wan",
        "dest": "lan",
        "target": "DNAT",
        "proto": ["tcp"],
        "src_dport": str(port),
        "dest_ip": "192.168.1.20",
        **more,
    }
    return {key: value for key, value in values.items() if value is not None}
