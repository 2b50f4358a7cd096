"""A home with a simulated MikroTik router, our driver, and the forwards to try on them."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil

import aiohttp

from custom_components.port_forward.routers.mikrotik import MikrotikRouter as Driver
from custom_components.port_forward.routers.model import Forward, PortMapping, Protocol
from lab.mikrotik import Habit, MikrotikRouter, User
from lab.mikrotik.menus import Item
from lab.mikrotik.values import seconds_of

HOUR = timedelta(hours=1)
NO_END = timedelta(0)
NAT = "ip/firewall/nat"
LIST = "ip/firewall/address-list"
FILTER6 = "ipv6/firewall/filter"
LIST6 = "ipv6/firewall/address-list"
CAMERA = "127.0.0.2"
CAMERA6 = "2001:db8:1::20"
SOURCE = "127.0.0.3"
BOTH = (Protocol.TCP, Protocol.UDP)


@dataclass(frozen=True, kw_only=True)
class Home:
    """A running router and our driver for it."""

    router: MikrotikRouter
    driver: Driver
    session: aiohttp.ClientSession

    @property
    def settings(self) -> Mapping[str, str]:
        """What the config entry holds."""
        return settings_of(self.router)

    def another_driver(
        self,
        *,
        learned: Mapping[str, str] | None = None,
        timeout: float = 10,
        **settings: str,
    ) -> Driver:
        """The driver after a restart of Home Assistant, or with other settings."""
        return Driver(self.session, {**self.settings, **settings}, learned=learned, timeout=timeout)

    def rules(self, path: str = NAT) -> list[dict[str, str]]:
        """The rules that are not of the stock configuration."""
        rows = self.router.items(path)
        return [row for row in rows if not row.get("comment", "").startswith("defconf")]

    def admitted(self, path: str = LIST) -> list[tuple[str, str, timedelta | None]]:
        """What the address lists hold: name, address, and timeout to the next full minute."""
        return [(row["list"], row["address"], _timeout(row)) for row in self.router.items(path)]

    def writes(self) -> list[str]:
        """The requests that changed something, in their order."""
        return [name for name, _ in self.router.rest.log if not name.startswith("GET")]

    async def mapping(self, wanted: PortMapping) -> PortMapping | None:
        """What a snapshot shows of a mapping."""
        return (await self.driver.snapshot()).find(wanted)


def _timeout(row: Item) -> timedelta | None:
    """Return what is left, give or take the seconds that a busy machine lets go by."""
    return timedelta(minutes=ceil(seconds_of(row["timeout"]) / 60)) if "timeout" in row else None


def settings_of(router: MikrotikRouter, **more: str) -> dict[str, str]:
    """What the config entry of this router holds."""
    user = router.users[0]
    return {"url": router.url, "username": user.name, "password": user.password, **more}


@asynccontextmanager
async def home_with(
    session: aiohttp.ClientSession,
    *habits: Habit,
    users: Sequence[User] = (User(),),
    version: str = "7.24 (stable)",
    serial_number: str | None = "HGQ09R6RW4E",
    wan_list: bool = True,
    external_address: str = "203.0.113.7",
    learned: Mapping[str, str] | None = None,
    timeout: float = 10,  # noqa: ASYNC109  of the driver's requests
) -> AsyncIterator[Home]:
    """Start a router with these habits."""
    async with MikrotikRouter(
        habits=habits,
        # Copies, because tests change what a user may do.
        users=[replace(user) for user in users],
        version=version,
        serial_number=serial_number,
        wan_list=wan_list,
        external_address=external_address,
    ) as router:
        driver = Driver(session, settings_of(router), learned=learned, timeout=timeout)
        yield Home(router=router, driver=driver, session=session)


def theirs(wanted: Forward, **more: str) -> dict[str, str]:
    """A rule of the user's that holds the port of a forward."""
    return {
        "chain": "dstnat",
        "action": "dst-nat",
        "protocol": wanted.protocols[0].value,
        "dst_port": str(wanted.external_ports),
        "to_addresses": CAMERA,
        "comment": "theirs",
        **more,
    }


def without_ids(mappings: Collection[PortMapping]) -> set[PortMapping]:
    """Mappings as they are planned, without what only the router gives."""
    return {replace(mapping, id="", hits=None, lease=None) for mapping in mappings}
