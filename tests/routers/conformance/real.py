"""The real miniupnpd in the namespace lab, by UPnP, PCP and NAT-PMP."""

import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import override

import aiohttp

from custom_components.port_forward.routers.pcp import PcpRouter
from custom_components.port_forward.routers.router import Router
from custom_components.port_forward.routers.upnp import UpnpRouter
from lab.netns import HomeNetwork, RealRouter
from lab.netns.network import CAMERA, FRIEND, HOME_ASSISTANT, ROUTER, STRANGER
from lab.netns.witness import kernel_rows, upnpc
from tests.home_network import home_network, let_through

from .subject import Row, Subject
from .virtual import TIMEOUT, TIMEOUT_OF_UDP


class Real(Subject):
    """miniupnpd, with the driver on the computer of Home Assistant."""

    friend = FRIEND
    stranger = STRANGER
    network = "11.22.33.8/29"
    far = "11.22.33.1"

    def __init__(
        self, network: HomeNetwork, router: RealRouter, target: str, make: Callable[[], Router]
    ) -> None:
        self.target = target
        self._network = network
        self._router = router
        self._make = make
        self._ports = itertools.count(20000)
        self.driver = make()

    @override
    def another_driver(self) -> Router:
        return self._make()

    @override
    async def rows(self) -> set[Row]:
        return {(row[0].lower(), *row[1:]) for row in await kernel_rows(self._router)}

    @override
    async def add_foreign(self, port: int, protocol: str = "tcp") -> None:
        other = HOME_ASSISTANT if self.target == CAMERA else CAMERA
        await upnpc(self._router, "-e", "Xbox", "-a", other, "9", str(port), protocol.upper(), "0")

    @override
    async def switch_off(self) -> None:
        await self._router.stop()

    @override
    async def until_a_restart_shows(self) -> None:
        await self._router.until_up_for(3)

    @override
    async def restart(self) -> None:
        await self._router.restart()

    @override
    def client(self) -> socket.socket:
        return self._network.internet.socket(socket.SOCK_STREAM)

    @override
    def server(self, port: int) -> socket.socket:
        host = self._network.camera if self.target == CAMERA else self._network.home_assistant
        made = host.socket(socket.SOCK_STREAM)
        made.bind((self.target, port))
        return made

    @override
    def outside(self, port: int) -> tuple[str, int]:
        return self._network.wan_address, port

    @override
    def free_port(self) -> int:
        return next(self._ports)


@asynccontextmanager
async def by_upnp(session: aiohttp.ClientSession) -> AsyncIterator[Real]:
    """Start it, to be spoken to by UPnP."""
    async with _miniupnpd() as (network, router):
        url = router.description_url
        yield Real(network, router, CAMERA, lambda: UpnpRouter(session, url, timeout=TIMEOUT))


@asynccontextmanager
async def by_pcp(_: aiohttp.ClientSession) -> AsyncIterator[Real]:
    """Start it, to be spoken to by PCP."""
    async with _miniupnpd() as (network, router):
        yield Real(network, router, CAMERA, lambda: PcpRouter(ROUTER, timeout=TIMEOUT_OF_UDP))


@asynccontextmanager
async def by_natpmp(_: aiohttp.ClientSession) -> AsyncIterator[Real]:
    """Start it, to be spoken to by NAT-PMP."""
    learned = {"version": "0"}
    async with _miniupnpd() as (network, router):
        yield Real(
            network,
            router,
            HOME_ASSISTANT,
            lambda: PcpRouter(ROUTER, learned=learned, timeout=TIMEOUT_OF_UDP),
        )


@asynccontextmanager
async def _miniupnpd() -> AsyncIterator[tuple[HomeNetwork, RealRouter]]:
    let_through()
    async with home_network() as network:
        with network.home_assistant.entered():
            async with RealRouter(network) as router:
                yield network, router
