"""The virtual router's life: start, restart, stop, and what tests do to it."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self
from uuid import uuid4

from .faults import Injected
from .mapping import VirtualMapping, Wan
from .pcp import Pcp, PcpServer
from .pinhole import Ipv6, Pinhole, PinholeTable
from .quirks import Fault, Quirk, UdpFault
from .upnp import DISCARD_PORT, OTHER_HOST, UpnpServer
from .wan import OnChange, WanConnection


class VirtualRouter:
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
        self.wans = tuple(
            WanConnection(wan, index=i, host=wan_host, quirks=self.quirks, on_change=on_change)
            for i, wan in enumerate(_wans(wans, self.quirks))
        )
        self._pinholes = PinholeTable()
        self._running = False
        # Whatever came first is done first, be it by HTTP or by UDP.
        acting = asyncio.Lock()
        self._has_upnp = upnp
        self._upnp = UpnpServer(
            igd=igd,
            udn=self.udn,
            friendly_name=friendly_name,
            wans=self.wans,
            quirks=self.quirks,
            lan_host=lan_host,
            ipv6=ipv6,
            pinholes=self._pinholes,
            port=port,
            ssdp_port=ssdp_port if ssdp else None,
            secure_mode=secure_mode,
            table_size=table_size,
            requests=self.requests,
            acting=acting,
            die=self._switch_off,
        )
        self._pcp: PcpServer | None = None
        if pcp:
            self._pcp = PcpServer(
                pcp,
                host=lan_host,
                port=pcp_port,
                wan=self.wans[0],
                ipv6=ipv6,
                pinholes=self._pinholes,
                quirks=self.quirks,
                table_size=table_size,
                requests=self.requests,
                acting=acting,
            )

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

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Switch on; after a stop on the same ports, with an empty table and a higher boot id.

        Raises OSError when a port cannot be bound.
        """
        self._running = True
        self._boot()
        try:
            if self._has_upnp:
                await self._upnp.start()
            if self._pcp:
                await self._pcp.start()
                self._pcp.boot()
        except OSError:
            await self.stop()
            raise

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

    def age(self, seconds: float) -> None:
        """Let it have been up for so much longer, by the uptimes and by the epoch."""
        for wan in self.wans:
            wan.age(seconds)
        if self._pcp:
            self._pcp.age(seconds)

    async def change_external_ports(self) -> None:
        """Give every NAT-PMP mapping another external port, as a VPN provider may at any time.

        Nobody is told; the next renewal tells. Raises RuntimeError without NAT-PMP.
        """
        await self._pcp_server.change_external_ports()

    async def add_foreign(  # noqa: PLR0913  the fields of a mapping
        self,
        *,
        protocol: str,
        external_port: int,
        internal_host: str,
        internal_port: int,
        remote_host: str = "",
        description: str = "",
        lease: int = 0,
        enabled: bool = True,
        wan: int = 0,
    ) -> None:
        """Map as if another client or the router's own page had: no rule is applied.

        Raises OSError when the port cannot be bound.
        """
        await self.wans[wan].put(
            VirtualMapping(
                protocol=protocol,
                external_port=external_port,
                internal_host=internal_host,
                internal_port=internal_port,
                remote_host=remote_host,
                enabled=enabled,
                description=description,
                lease=lease,
            )
        )

    async def remove(
        self, protocol: str, external_port: int, remote_host: str = "", *, wan: int = 0
    ) -> None:
        """Remove a mapping as somebody at the router's own page would.

        Raises KeyError when there is no such mapping.
        """
        self.wans[wan].remove((protocol, external_port, remote_host))

    def count_packets(self, unique_id: int, packets: int) -> None:
        """Say how many packets a pinhole has let through. Raises KeyError without it."""
        self._pinholes.count(unique_id, packets)

    def remove_pinhole(self, unique_id: int) -> None:
        """Remove a pinhole as somebody at the router's own page would.

        Raises KeyError when there is no such pinhole.
        """
        self._pinholes.remove(unique_id)

    def fault(  # noqa: PLR0913  the parameters of the faults
        self,
        fault: Fault | UdpFault,
        *,
        action: str | None = None,
        times: int | None = 1,
        delay: float = 5.0,
        location: str = f"http://{OTHER_HOST}:{DISCARD_PORT}/",
        status: int = 307,
    ) -> None:
        """Let the next `times` requests (None: until cleared) go wrong.

        A Fault strikes requests by HTTP, a UdpFault those by PCP and NAT-PMP.
        `action` names them as `requests` does; None is every request. `delay` in
        seconds is for SLOW, SLOW_TO_ACT and LATE, `location` and `status` for
        REDIRECT_ELSEWHERE. A request meets one fault, the oldest that fits.
        """
        if isinstance(fault, UdpFault):
            self._pcp_server.faults.add(
                Injected(fault=fault, action=action, times=times, delay=delay)
            )
        else:
            self._upnp.faults.add(
                Injected(
                    fault=fault,
                    action=action,
                    times=times,
                    delay=delay,
                    location=location,
                    status=status,
                )
            )

    def clear_faults(self) -> None:
        """Let nothing more go wrong."""
        self._upnp.faults.clear()
        if self._pcp:
            self._pcp.faults.clear()

    @property
    def _pcp_server(self) -> PcpServer:
        if self._pcp is None:
            raise RuntimeError("This router does not speak PCP: make it with pcp=Pcp()")
        return self._pcp

    def _boot(self) -> None:
        # The clock, so that a router started anew has a higher one than yesterday's.
        self._upnp.boot_id = max(self.boot_id + 1, int(time.time()))
        for wan in self.wans:
            wan.reconnect()

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


def _wans(wans: Sequence[Wan], quirks: Collection[Quirk]) -> Sequence[Wan]:
    """Give the WANs asked for, or those that a quirk makes of a single one."""
    if len(wans) != 1:
        return wans
    if Quirk.Q29 in quirks:
        return [wans[0], replace(wans[0], external_address="198.51.100.7")]
    if Quirk.Q30 in quirks:
        dead = Wan(kind="ip", external_address="", status="Disconnected")
        return [dead, replace(wans[0], kind="ppp")]
    return wans
