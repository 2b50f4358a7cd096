"""A home: a simulated FRITZ!Box, our driver, and the forwards to try on it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import aiohttp

from custom_components.port_forward.routers.fritzbox import FritzBoxRouter
from lab.fritzbox import FritzBox, Lease

HOUR = timedelta(hours=1)
OTHER_HOST = "127.0.0.2"


@dataclass(kw_only=True)
class Clock:
    """The time, as the driver is told."""

    now: datetime = field(default_factory=lambda: datetime(2026, 11, 22, 12, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True, kw_only=True)
class Home:
    """A running box and our driver for it."""

    box: FritzBox
    driver: FritzBoxRouter
    session: aiohttp.ClientSession
    clock: Clock

    def another_driver(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        learned: Mapping[str, str] | None = None,
        timeout: float = 10,
    ) -> FritzBoxRouter:
        """The driver after a restart of Home Assistant, or with other settings."""
        return FritzBoxRouter(
            self.session,
            {**self.box.settings, **(settings or {})},
            learned=learned,
            clock=self.clock,
            timeout=timeout,
        )


@asynccontextmanager
async def home_with(
    session: aiohttp.ClientSession,
    *,
    connection: Literal["WANPPPConnection", "WANIPConnection"] = "WANPPPConnection",
    lease: Lease = Lease.IGNORED,
    tls: bool = True,
    timeout: float = 10,  # noqa: ASYNC109  of the driver's requests
) -> AsyncIterator[Home]:
    """Start a box."""
    async with FritzBox(connection=connection, lease=lease, tls=tls) as box:
        clock = Clock()
        driver = FritzBoxRouter(session, box.settings, clock=clock, timeout=timeout)
        yield Home(box=box, driver=driver, session=session, clock=clock)
