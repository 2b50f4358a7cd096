"""The virtual router's life: start, restart, stop, and what tests do to it."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import override
from uuid import uuid4

from ..running import Running
from .hands import Hands
from .mapping import VirtualMapping, Wan
from .pcp import Pcp, PcpServer
from .pinhole import Ipv6, Pinhole, PinholeTable
from .quirks import Quirk
from .upnp import UpnpServer
from .wan import OnChange, WanConnection, chosen_wans


class VirtualRouter(Hands, Running):
    """An Internet gateway in this process, whose NAT is real.

    `quirks` is a set that may be changed while the router runs. `requests` counts
    what came, by action ("AddPortMapping"), method and path ("GET /rootDesc.xml"),
    or protocol and opcode ("PCP MAP", "NAT-PMP MAP UDP", "NAT-PMP ADDRESS").
    """

    def __init__(  # noqa: PLR0913  each is a property of the router
        self,
        *,
        upnp: bool = True,
        igd: int = 2,
        wans: Sequence[Wan] = (Wan(),),
        quirks: Collection[Quirk] = (),
        lan_host: str = "127.0.0.1",
        wan_host: str = "127.0.0.1",
        port: int = 0,
        udn: str | None = None,
        friendly_name: str = "Virtual Router",
        serial_number: str = "00000001",
        ssdp: bool = False,
        ssdp_port: int = 1900,
        ipv6: Ipv6 | None = None,
        pcp: Pcp | None = None,
        pcp_port: int = 0,
        secure_mode: bool = False,
        table_size: int | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        """Make a router that is switched off.

        `port`, `ssdp_port` and `pcp_port` 0 take any that is free. Without `upnp`
        it has no HTTP and no SSDP. `ipv6` gives it a firewall with pinholes, and an
        address to be asked for them at. `pcp` is what it speaks of PCP and NAT-PMP,
        for its first WAN. `table_size` is the most mappings a WAN holds (default: 1024,
        or what a quirk says). `on_change` is called with "opened" or "closed" and
        the mapping.
        """
        self.quirks = set(quirks)
        self.lan_host = lan_host
        self.udn = f"uuid:{(udn or str(uuid4())).removeprefix('uuid:')}"
        self.requests: Counter[str] = Counter()
        connections = tuple(
            WanConnection(wan, index=i, host=wan_host, quirks=self.quirks, on_change=on_change)
            for i, wan in enumerate(chosen_wans(wans, self.quirks))
        )
        pinholes = PinholeTable()
        self._running = False
        self._has_run = False
        # Whatever came first is done first, be it by HTTP or by UDP.
        acting = asyncio.Lock()
        self._has_upnp = upnp
        upnp_server = UpnpServer(
            igd=igd,
            udn=lambda: self.udn,
            friendly_name=friendly_name,
            serial_number=serial_number,
            wans=connections,
            quirks=self.quirks,
            lan_host=lan_host,
            ipv6=ipv6,
            pinholes=pinholes,
            port=port,
            ssdp_port=ssdp_port if ssdp else None,
            secure_mode=secure_mode,
            table_size=table_size,
            requests=self.requests,
            acting=acting,
            die=self._switch_off,
        )
        pcp_server: PcpServer | None = None
        if pcp:
            pcp_server = PcpServer(
                pcp,
                host=lan_host,
                port=pcp_port,
                wan=connections[0],
                ipv6=ipv6,
                pinholes=pinholes,
                quirks=self.quirks,
                table_size=table_size,
                requests=self.requests,
                acting=acting,
            )
        super().__init__(wans=connections, pinholes=pinholes, upnp=upnp_server, pcp=pcp_server)

    @property
    def port(self) -> int:
        """The HTTP port, 0 before the first start and without UPnP."""
        return self._upnp.port

    @property
    def boot_id(self) -> int:
        """What SSDP calls BOOTID: higher after every start."""
        return self._upnp.boot_id

    @property
    def ssdp_port(self) -> int | None:
        """The SSDP port, None for a router that does not speak SSDP."""
        return self._upnp.ssdp_port

    @property
    def pcp_port(self) -> int:
        """The UDP port of PCP and NAT-PMP. Raises RuntimeError for a router without."""
        return self._pcp_server.port

    @property
    def epoch(self) -> int:
        """The epoch that PCP and NAT-PMP tell, in seconds. Raises RuntimeError without them."""
        return self._pcp_server.epoch

    @property
    def description_url(self) -> str:
        """The LOCATION of the moment."""
        return self._upnp.description_url

    @property
    def description_url6(self) -> str | None:
        """Where the same description is by IPv6, None for a router without."""
        return self._upnp.description_url6

    @property
    def connections(self) -> int:
        """TCP connections that the HTTP server has accepted so far."""
        return self._upnp.connections

    @property
    def mappings(self) -> tuple[VirtualMapping, ...]:
        """The mappings of the first WAN; the others' are at `wans[i].mappings`."""
        return self.wans[0].mappings

    @property
    def pinholes(self) -> tuple[Pinhole, ...]:
        """What its IPv6 firewall lets in."""
        return self._pinholes.rows

    @property
    def running(self) -> bool:
        """Whether it is started and has not died (Q23)."""
        return self._running

    @override
    async def start(self) -> None:
        """Switch on; after a stop on the same ports, with an empty table and a higher boot id.

        Raises OSError when a port cannot be bound.
        """
        self._running = True
        self._boot()
        self._rename()
        try:
            if self._has_upnp:
                await self._upnp.start()
            if self._pcp:
                await self._pcp.start()
                self._pcp.boot()
        except OSError:
            await self.stop()
            raise

    @override
    async def stop(self) -> None:
        """Switch off: say goodbye, end every connection, forget the mappings."""
        self._upnp.byebye()
        self._switch_off()
        await self._wait_closed()

    async def restart(self, *, forget: bool = True, change_port: bool = True) -> None:
        """Reboot, also a router that died: the mappings go unless it is not to `forget` them.

        The boot id rises, the uptime and the epoch are 0 again, SSDP says goodbye
        and hello, PCP and NAT-PMP announce it. With `change_port` (always with
        Q36) the HTTP port and LOCATION change; the control port of Q35 changes in
        any case, the port of PCP in none.
        """
        self._upnp.byebye()
        if forget:
            self._forget()
        if self._has_upnp:
            await self._upnp.move(change_port=change_port)
        self._rename()
        if self._pcp:
            self._pcp.close()
        await self._wait_closed()
        self._running = True
        self._boot()
        if self._has_upnp:
            await self._upnp.announce()
        if self._pcp:
            await self._pcp.start()
            self._pcp.boot()

    async def reconnect_wan(self, *, new_address: str | None = None, wan: int = 0) -> None:
        """Lose and regain the WAN connection: its uptime falls, with Q44 the mappings go.

        A new address of the first WAN is announced by PCP and NAT-PMP, and resets
        their epoch unless Q49.
        """
        connection = self.wans[wan]
        is_new = new_address not in (None, connection.external_address)
        if new_address is not None:
            connection.external_address = new_address
        connection.reconnect()
        if Quirk.Q44 in self.quirks:
            connection.clear()
        if is_new and wan == 0 and self._pcp:
            self._pcp.address_changed()

    def _boot(self) -> None:
        # The clock, so that a router started anew has a higher one than yesterday's.
        self._upnp.boot_id = max(self.boot_id + 1, int(time.time()))
        for wan in self.wans:
            wan.reconnect()

    def _rename(self) -> None:
        if self._has_run and Quirk.Q51 in self.quirks:
            self.udn = f"uuid:{uuid4()}"
        self._has_run = True

    def _forget(self) -> None:
        self._pinholes.clear()
        for wan in self.wans:
            wan.clear()

    def _switch_off(self) -> None:
        """Fall silent without a goodbye, also in the middle of a request."""
        self._running = False
        self._upnp.close()
        if self._pcp:
            self._pcp.close()
        self._forget()

    async def _wait_closed(self) -> None:
        await self._upnp.wait_closed()
        if self._pcp:
            await self._pcp.wait_closed()
        for wan in self.wans:
            await wan.wait_closed()
