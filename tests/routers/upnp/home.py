"""A home: a virtual router, our driver, and the forwards to try on them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import aiohttp

from custom_components.port_forward.routers.model import (
    Forward,
    Listing,
    PortMapping,
    PortRange,
)
from custom_components.port_forward.routers.upnp import UpnpRouter
from lab.virtual_router import Quirk, VirtualMapping, VirtualRouter, Wan, ports

HOUR = timedelta(hours=1)
PERMANENT = timedelta(0)
CALLER = "127.0.0.1"
"""The address that the router sees our requests come from."""
CAMERA = "127.0.0.2"
"""Another host of the home."""
SOURCE = "127.0.0.3"
"""A host of the internet."""
TIMEOUT = 1.0
"""Seconds that a request may take where a test waits for its end."""


@dataclass(frozen=True, kw_only=True)
class Home:
    """A running router and our driver for it."""

    router: VirtualRouter
    driver: UpnpRouter
    session: aiohttp.ClientSession

    def another_driver(self, *, learned: Mapping[str, str] | None = None) -> UpnpRouter:
        """The driver after a restart of Home Assistant."""
        return UpnpRouter(self.session, self.router.description_url, learned=learned)

    def rows(self, wan: int = 0) -> set[tuple[str, int, str, str, int]]:
        """What the router holds, from its own memory."""
        return {
            (
                row.protocol.lower(),
                row.external_port,
                row.remote_host,
                row.internal_host,
                row.internal_port,
            )
            for row in self.router.wans[wan].mappings
        }

    async def requests_of_opening(self, wanted: Forward) -> Counter[str]:
        """Count what one `open` asks for."""
        self.router.requests.clear()
        await self.driver.open(wanted, HOUR)
        return Counter(self.router.requests)


@asynccontextmanager
async def home_with(
    session: aiohttp.ClientSession,
    *quirks: Quirk,
    igd: int = 2,
    wans: tuple[Wan, ...] = (Wan(),),
    wan: str | None = None,
    learned: Mapping[str, str] | None = None,
    timeout: float = 10,  # noqa: ASYNC109  of the driver's requests
    lan_host: str = CALLER,
    table_size: int | None = None,
) -> AsyncIterator[Home]:
    """Start a router with these quirks."""
    async with VirtualRouter(
        igd=igd, quirks=quirks, wans=wans, lan_host=lan_host, table_size=table_size
    ) as router:
        driver = UpnpRouter(
            session, router.description_url, wan=wan, learned=learned, timeout=timeout
        )
        yield Home(router=router, driver=driver, session=session)


def free_range(length: int) -> PortRange:
    """Find ports in a row that nobody has."""
    first = ports.free_range(length)
    return PortRange(first=first, last=first + length - 1)


def row_of(wanted: Forward) -> tuple[str, int, str, str, int]:
    """The row that a forward of one port makes, as `Home.rows` shows it."""
    return (
        wanted.protocols[0].value,
        wanted.external_ports.first,
        str(wanted.allowed_source.network_address) if wanted.allowed_source else "",
        str(wanted.internal_host),
        wanted.internal_ports.first,
    )


async def add_foreign(
    router: VirtualRouter,
    wanted: Forward,
    *,
    internal_host: str = CAMERA,
    description: str = "",
    remote_host: str = "",
) -> None:
    """Let somebody else hold the port that a forward wants."""
    await router.add_foreign(
        protocol=wanted.protocols[0].upper(),
        external_port=wanted.external_ports.first,
        internal_host=internal_host,
        internal_port=wanted.internal_ports.first,
        description=description,
        remote_host=remote_host,
    )


async def fill(router: VirtualRouter, rows: int, *, lowest: int = 2000) -> None:
    """Put rows into the table that are switched off, so that they need no real ports."""
    for port in range(lowest, lowest + rows):
        await router.add_foreign(
            protocol="TCP",
            external_port=port,
            internal_host=CAMERA,
            internal_port=port,
            enabled=False,
        )


def revive_what_is_closed(router: VirtualRouter) -> None:
    """Let the router say that mappings are gone, and show them all the same."""
    wan = router.wans[0]

    def on_change(what: str, mapping: VirtualMapping) -> None:
        if what == "closed":
            wan._rows[mapping.key] = mapping

    wan._on_change = on_change


async def until_asked(router: VirtualRouter, action: str) -> None:
    """Wait until a request for this action has arrived."""
    while not router.requests[action]:  # noqa: ASYNC110  the router has no event for it
        await asyncio.sleep(0)


def keys(mappings: Iterable[PortMapping]) -> set[str]:
    """The keys of mappings."""
    return {mapping.key for mapping in mappings}


def listing_of(driver: UpnpRouter) -> Listing:
    """How much the router shows, as far as known now."""
    return driver.capabilities.listing


def moved(mapping: PortMapping, host: str) -> PortMapping:
    """The same rule to another host."""
    return replace(mapping, internal_host=host)
