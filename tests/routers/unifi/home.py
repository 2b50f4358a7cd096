"""A home with a simulated UniFi controller, our driver, and the forwards to try on them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import aiohttp

from custom_components.port_forward.routers.model import Forward, PortMapping, Protocol
from custom_components.port_forward.routers.unifi import UnifiRouter
from lab.unifi import Account, ApiKey, Habit, UnifiController
from lab.unifi.documents import Document

HOUR = timedelta(hours=1)
CAMERA = "192.168.1.20"
SOURCE = "127.0.0.3"
BOTH = (Protocol.TCP, Protocol.UDP)


@dataclass
class Clock:
    """A clock that moves when it is told to."""

    now: datetime = field(default_factory=lambda: datetime(2026, 11, 22, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True, kw_only=True)
class Home:
    """A running controller and our driver for it."""

    controller: UnifiController
    driver: UnifiRouter
    session: aiohttp.ClientSession
    clock: Clock

    def another_driver(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        learned: Mapping[str, str] | None = None,
        timeout: float = 10,
        **more: str,
    ) -> UnifiRouter:
        """The driver after a restart of Home Assistant, or with other settings."""
        return UnifiRouter(
            self.session,
            {**settings_of(self.controller), **(settings or {}), **more},
            learned=learned,
            clock=self.clock,
            timeout=timeout,
        )

    def with_password(self, **more: str) -> UnifiRouter:
        """The driver with a local account."""
        return self.another_driver({**account_of(self.controller), **more})

    def writes(self) -> list[str]:
        """The requests that changed something, in their order."""
        return [name.partition(" ")[0] for name, _ in self.controller.api.log]

    async def mapping(self, wanted: PortMapping) -> PortMapping | None:
        """What a snapshot shows of a mapping."""
        return (await self.driver.snapshot()).find(wanted)


def settings_of(controller: UnifiController, **more: str) -> dict[str, str]:
    """What the config entry of this controller holds."""
    return {"url": controller.url, "api_key": controller.door.keys[0].value, **more}


def account_of(controller: UnifiController) -> dict[str, str]:
    """The settings of a local account in place of a key."""
    account = controller.door.accounts[0]
    return {"api_key": "", "username": account.name, "password": account.password}


@asynccontextmanager
async def home_with(
    session: aiohttp.ClientSession,
    *habits: Habit,
    is_os: bool = True,
    accounts: Sequence[Account] = (Account(),),
    keys: Sequence[ApiKey] = (ApiKey(),),
    version: str = "9.5.21",
    wans: int = 1,
    wan: str = "",
    sites: Sequence[str] = ("default",),
    learned: Mapping[str, str] | None = None,
    timeout: float = 10,  # noqa: ASYNC109  of the driver's requests
) -> AsyncIterator[Home]:
    """Start a controller with these habits, and speak to it with its API key."""
    # Copies, because tests change what an account or a key may do.
    async with UnifiController(
        is_os=is_os,
        habits=habits,
        accounts=[replace(account) for account in accounts],
        keys=[replace(key) for key in keys],
        version=version,
        wans=wans,
        sites=sites,
    ) as controller:
        clock = Clock()
        driver = UnifiRouter(
            session,
            settings_of(controller, wan=wan),
            learned=learned,
            clock=clock,
            timeout=timeout,
        )
        yield Home(controller=controller, driver=driver, session=session, clock=clock)


def theirs(wanted: Forward, **more: object) -> Document:
    """A forward of the user's that holds the port of ours."""
    return {
        "name": "theirs",
        "fwd": CAMERA,
        "fwd_port": str(wanted.internal_ports),
        "dst_port": str(wanted.external_ports),
        "proto": "_".join(wanted.protocols),
        **more,
    }
