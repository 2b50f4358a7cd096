"""The virtual router, by UPnP, PCP and NAT-PMP."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import override

import aiohttp

from custom_components.port_forward.routers.pcp import PcpRouter
from custom_components.port_forward.routers.router import Router
from custom_components.port_forward.routers.upnp import UpnpRouter
from lab.virtual_router import Quirk, VirtualRouter
from lab.virtual_router.pcp import Pcp

from .on_loopback import OnLoopback
from .subject import Row

# Seconds that a request may take. By UDP it is what a silent router costs.
TIMEOUT = 10.0
TIMEOUT_OF_UDP = 2.0


class Virtual(OnLoopback):
    """What is the same for all three protocols."""

    def __init__(self, router: VirtualRouter) -> None:
        self.router = router
        self.driver = self.another_driver()

    @override
    async def rows(self) -> set[Row]:
        return {
            (row.protocol.lower(), row.external_port, row.internal_host, row.internal_port)
            for wan in self.router.wans
            for row in wan.mappings
        }

    @override
    async def add_foreign(self, port: int, protocol: str = "tcp") -> None:
        await self.router.add_foreign(
            protocol=protocol.upper(),
            external_port=port,
            internal_host="127.0.0.9",
            internal_port=9,
            description="Xbox",
        )

    @override
    async def until_a_restart_shows(self) -> None:
        self.router.age(86400)

    @override
    async def switch_off(self) -> None:
        await self.router.stop()

    @override
    async def restart(self) -> None:
        await self.router.restart(change_port=False)


class VirtualUpnp(Virtual):
    """By UPnP."""

    def __init__(self, router: VirtualRouter, session: aiohttp.ClientSession) -> None:
        self._session = session
        super().__init__(router)

    @override
    def another_driver(self) -> Router:
        return UpnpRouter(self._session, self.router.description_url, timeout=TIMEOUT)


class VirtualPcp(Virtual):
    """By PCP, or by NAT-PMP, which maps to the caller only."""

    @override
    def another_driver(self) -> Router:
        return PcpRouter(f"127.0.0.1:{self.router.pcp_port}", timeout=TIMEOUT_OF_UDP)


class VirtualNatPmp(VirtualPcp):
    """By NAT-PMP, which maps to the caller only."""

    target = "127.0.0.1"


@asynccontextmanager
async def igd(
    session: aiohttp.ClientSession, version: int, quirks: Collection[Quirk] = ()
) -> AsyncIterator[VirtualUpnp]:
    """Start an IGD."""
    async with VirtualRouter(igd=version, quirks=quirks) as router:
        yield VirtualUpnp(router, session)


@asynccontextmanager
async def pcp(
    _: aiohttp.ClientSession, quirks: Collection[Quirk] = ()
) -> AsyncIterator[VirtualPcp]:
    """Start a router that speaks PCP, with third parties allowed."""
    options = Pcp(third_party=True)
    async with VirtualRouter(upnp=False, pcp=options, quirks=quirks) as router:
        yield VirtualPcp(router)


@asynccontextmanager
async def natpmp(
    _: aiohttp.ClientSession, quirks: Collection[Quirk] = ()
) -> AsyncIterator[VirtualNatPmp]:
    """Start a router that speaks NAT-PMP alone."""
    async with VirtualRouter(upnp=False, pcp=Pcp(speaks="natpmp"), quirks=quirks) as router:
        yield VirtualNatPmp(router)
