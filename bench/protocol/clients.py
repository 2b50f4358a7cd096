"""The contenders: each does the same as its own users would write it."""

import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Address
from typing import override

import aiohttp
import miniupnpc
from async_upnp_client.aiohttp import AiohttpSessionRequester
from async_upnp_client.client_factory import UpnpFactory
from async_upnp_client.exceptions import UpnpActionError
from async_upnp_client.profiles.igd import IgdDevice

from custom_components.port_forward.routers.model import Forward, PortMapping, PortRange, Protocol
from custom_components.port_forward.routers.transport import Transport
from custom_components.port_forward.routers.upnp import UpnpRouter
from custom_components.port_forward.routers.upnp.description import fetch
from custom_components.port_forward.routers.upnp.listing import read_table
from custom_components.port_forward.routers.upnp.wan import WanConnection


class Step(StrEnum):
    """What is measured. The lists have their number of mappings behind them."""

    CONNECT = "connect"
    LIST = "list"
    POLL = "poll"
    OPEN = "open"
    CLOSE = "close"
    GET = "one GetExternalIPAddress"
    ADD = "one AddPortMapping"


LEASE = timedelta(hours=1)
ANY_SOURCE = IPv4Address(0)
UPNPC = shutil.which("upnpc")

# Of upnpc's list, which begins each row with its index.
_ROW = re.compile(r"^ *\d+ (?:TCP|UDP) ", re.MULTILINE)


class Client(ABC):
    """One contender, given the description of the router and where mappings shall lead."""

    name: str
    leaves_out: Collection[Step] = ()
    """What it cannot do, or not apart from other things."""

    def __init__(self, url: str, session: aiohttp.ClientSession, target: str) -> None:
        """Take the session for those that share one; `target` is an IPv4 address."""
        self.url = url
        self.session = session
        self.target = target

    @abstractmethod
    async def connect(self) -> None:
        """Find the WAN connection of the router, from nothing but its URL."""

    @abstractmethod
    async def list_mappings(self) -> int:
        """List all mappings, and return how many there are."""

    @abstractmethod
    async def poll(self) -> None:
        """Ask for the external address, the state of the connection and all mappings."""

    async def before_open(self) -> None:  # noqa: B027  most have nothing to do
        """Do what was done before at another occasion, in use."""

    @abstractmethod
    async def open(self, port: int) -> None:
        """Map a TCP port, and make sure of it. Raises when that is not so."""

    @abstractmethod
    async def close(self, port: int) -> None:
        """Remove the mapping, and make sure of it. Raises when that is not so."""


class Ours(Client):
    """The driver of this integration, on a session like that of Home Assistant."""

    name = "Port Forward"

    @override
    async def connect(self) -> None:
        self._driver = UpnpRouter(self.session, self.url)
        await self._driver.connect()

    async def connect_for_lists(self) -> None:
        """Connect once more: the driver lists as a part of its snapshots only."""
        self._wan = await wan_of(self.session, self.url)

    async def ask_for_address(self) -> None:
        """Ask for nothing but the external address."""
        await self._wan.external_address()

    @override
    async def list_mappings(self) -> int:
        return len(await read_table(self._wan, {}))

    @override
    async def poll(self) -> None:
        await self._driver.snapshot()

    @override
    async def before_open(self) -> None:
        # Home Assistant has polled less than a minute ago.
        await self._driver.snapshot()

    @override
    async def open(self, port: int) -> None:
        await self._driver.open(self._forward(port), LEASE)

    @override
    async def close(self, port: int) -> None:
        [mapping] = self._driver.plan(self._forward(port))
        await self._driver.close(mapping)

    def mapping(self, port: int) -> PortMapping:
        """Return what opening a port asks for."""
        [mapping] = self._driver.plan(self._forward(port))
        return mapping

    def _forward(self, port: int) -> Forward:
        return Forward(
            id=f"bench{port}",
            name="Bench",
            internal_host=IPv4Address(self.target),
            protocols=(Protocol.TCP,),
            external_ports=PortRange.single(port),
            internal_ports=PortRange.single(port),
        )


async def wan_of(session: aiohttp.ClientSession, url: str) -> WanConnection:
    """Return the only WAN connection of a router."""
    transport = Transport(session)
    [service] = (await fetch(transport, url)).wans
    return WanConnection(transport, service)


class MiniUpnpc(Client):
    """The C library, as a Python module. It blocks."""

    name = "miniupnpc"

    @override
    async def connect(self) -> None:
        self._client = miniupnpc.UPnP()
        self._client.selectigd(self.url)

    @override
    async def list_mappings(self) -> int:
        rows = 0
        while self._client.getgenericportmapping(rows):
            rows += 1
        return rows

    @override
    async def poll(self) -> None:
        self._client.externalipaddress()
        self._client.statusinfo()
        await self.list_mappings()

    @override
    async def open(self, port: int) -> None:
        seconds = int(LEASE.total_seconds())
        self._client.addportmapping(port, "TCP", self.target, port, "Bench", "", seconds)
        held = self._client.getspecificportmapping(port, "TCP")
        if held is None or held[:2] != (self.target, port):
            raise RuntimeError(f"{self.name}: {port} is not open")

    @override
    async def close(self, port: int) -> None:
        self._client.deleteportmapping(port, "TCP")
        if self._client.getspecificportmapping(port, "TCP") is not None:
            raise RuntimeError(f"{self.name}: {port} is still open")


class AsyncUpnpClient(Client):
    """The library of Home Assistant, on a session like ours."""

    name = "async-upnp-client"

    @override
    async def connect(self) -> None:
        factory = UpnpFactory(AiohttpSessionRequester(self.session))
        self._device = IgdDevice(await factory.async_create_device(self.url), None)

    @override
    async def list_mappings(self) -> int:
        rows = 0
        with suppress(UpnpActionError):  # The end of the list.
            while await self._device.async_get_generic_port_mapping_entry(rows):
                rows += 1
        return rows

    @override
    async def poll(self) -> None:
        await self._device.async_get_external_ip_address()
        await self._device.async_get_status_info()
        await self.list_mappings()

    @override
    async def open(self, port: int) -> None:
        target = IPv4Address(self.target)
        await self._device.async_add_port_mapping(
            *(ANY_SOURCE, port, "TCP", port, target),
            enabled=True,
            description="Bench",
            lease_duration=LEASE,
        )
        held = await self._device.async_get_specific_port_mapping_entry(ANY_SOURCE, port, "TCP")
        if held is None or (held.internal_client, held.internal_port) != (target, port):
            raise RuntimeError(f"{self.name}: {port} is not open")

    @override
    async def close(self, port: int) -> None:
        await self._device.async_delete_port_mapping(ANY_SOURCE, port, "TCP")
        with suppress(UpnpActionError):  # There is no such mapping.
            await self._device.async_get_specific_port_mapping_entry(ANY_SOURCE, port, "TCP")
            raise RuntimeError(f"{self.name}: {port} is still open")


class Upnpc(Client):
    """Debian's program, started anew for each step.

    It verifies what it opens, not what it closes. Its list is a poll: it begins
    with the state of the connection and the external address.
    """

    name = "upnpc"
    leaves_out: Collection[Step] = (Step.CONNECT,)
    _list = "-l"

    @override
    async def connect(self) -> None:
        """Do nothing: each step connects."""

    @override
    async def list_mappings(self) -> int:
        return len(_ROW.findall(self._run(self._list)))

    @override
    async def poll(self) -> None:
        await self.list_mappings()

    @override
    async def open(self, port: int) -> None:
        seconds = str(int(LEASE.total_seconds()))
        printed = self._run("-a", self.target, str(port), str(port), "TCP", seconds)
        if f"is redirected to internal {self.target}:{port}" not in printed:
            raise RuntimeError(f"{self.name}: {port} is not open:\n{printed}")

    @override
    async def close(self, port: int) -> None:
        printed = self._run("-d", str(port), "TCP")
        if "UPNP_DeletePortMapping() returned : 0" not in printed:
            raise RuntimeError(f"{self.name}: {port} is still open:\n{printed}")

    def _run(self, *arguments: str) -> str:
        if UPNPC is None:
            raise RuntimeError("there is no upnpc (Debian package miniupnpc)")
        done = subprocess.run(  # noqa: S603  our own arguments
            (UPNPC, "-u", self.url, *arguments),
            capture_output=True,
            check=False,
            text=True,
        )
        return done.stdout


class UpnpcBulk(Upnpc):
    """The same program, asked for the bulk list of IGD:2.

    It does not look how many mappings there are: with more than 128 of them
    miniupnpd 2.3.1 dies of it (Q23). It reads the list as miniupnpd writes it,
    as CDATA, and finds nothing in one that is escaped.
    """

    name = "upnpc -L"
    leaves_out = tuple(step for step in Step if step is not Step.LIST)
    _list = "-L"


def contenders(*, of_miniupnpd: bool) -> tuple[type[Client], ...]:
    """Return ours and all peers that this machine has, and that can read this router."""
    programs = ((Upnpc, UpnpcBulk) if of_miniupnpd else (Upnpc,)) if UPNPC else ()
    return (Ours, MiniUpnpc, AsyncUpnpClient, *programs)
