"""The virtual router's life: start, restart, stop, and what tests do to it."""

import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self
from uuid import uuid4

from .device import DESCRIPTION_PATH, Addresses, IgdDevice
from .faults import Injected
from .handler import Handler
from .mapping import VirtualMapping, Wan
from .quirks import Fault, Quirk
from .ssdp import Advertisement, Ssdp
from .wan import OnChange, WanConnection
from .web import HttpServer

OTHER_HOST = "127.0.0.77"  # a loopback address that is not the router's (Q34, Q35_ELSEWHERE)
DISCARD_PORT = 9  # nobody listens there


class VirtualRouter:
    """A UPnP Internet Gateway Device in this process, whose NAT is real.

    `quirks` is a set that may be changed while the router runs. `requests` counts
    what came, by action ("AddPortMapping") or method and path ("GET /rootDesc.xml").
    """

    def __init__(  # noqa: PLR0913  each is a property of the router
        self,
        *,
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
        secure_mode: bool = False,
        table_size: int | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        """Make a router that is switched off.

        `port` 0 and `ssdp_port` 0 take any that is free. `table_size` is the most
        mappings a WAN holds (default: 1024, or what a quirk says). `on_change`
        is called with "opened" or "closed" and the mapping.
        """
        self.quirks = set(quirks)
        self.lan_host = lan_host
        self.udn = f"uuid:{(udn or str(uuid4())).removeprefix('uuid:')}"
        self.boot_id = 0
        self.wans = tuple(
            WanConnection(wan, index=i, host=wan_host, quirks=self.quirks, on_change=on_change)
            for i, wan in enumerate(_wans(wans, self.quirks))
        )
        self._port = self._control_port = port
        self._device = IgdDevice(
            igd=igd,
            udn=self.udn,
            friendly_name=friendly_name,
            wans=self.wans,
            quirks=self.quirks,
            addresses=self._addresses,
            secure_mode=secure_mode,
            table_size=table_size,
            lan_host=lan_host,
        )
        self._handler = Handler(self._device, self.quirks, self._die)
        self._servers: list[HttpServer] = []
        self._retired: list[HttpServer] = []
        self._accepted = 0
        self._ssdp = Ssdp(lan_host, ssdp_port, self._advertisement, self.quirks) if ssdp else None

    @property
    def port(self) -> int:
        """The HTTP port, 0 before the first start."""
        return self._port

    @property
    def ssdp_port(self) -> int | None:
        """The SSDP port, None for a router that does not speak SSDP."""
        return self._ssdp.port if self._ssdp else None

    @property
    def description_url(self) -> str:
        """The LOCATION of the moment."""
        host = OTHER_HOST if Quirk.Q34 in self.quirks else self.lan_host
        return f"http://{host}:{self._port}{DESCRIPTION_PATH}"

    @property
    def requests(self) -> Counter[str]:
        """How many requests came, by action or by method and path."""
        return self._handler.requests

    @property
    def connections(self) -> int:
        """TCP connections that the HTTP server has accepted so far."""
        return self._accepted + sum(server.accepted for server in self._servers)

    @property
    def mappings(self) -> tuple[VirtualMapping, ...]:
        """The mappings of the first WAN; the others' are at `wans[i].mappings`."""
        return self.wans[0].mappings

    @property
    def running(self) -> bool:
        """Whether it is started and has not died (Q23)."""
        return bool(self._servers)

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
        """Switch on; after a stop on the same port, with an empty table and a higher boot id.

        Raises OSError when a port cannot be bound.
        """
        self._boot()
        try:
            await self._open_http(self._port)
            if self._ssdp:
                await self._ssdp.start()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Switch off: say goodbye, end every connection, forget the mappings."""
        if self._ssdp and self.running:
            self._ssdp.byebye()
        self._switch_off()
        await self._wait_closed()

    async def restart(self, *, forget: bool = True, change_port: bool = True) -> None:
        """Reboot, also a router that died: the mappings go unless it is not to `forget` them.

        The boot id rises, the uptime is 0 again, SSDP says goodbye and hello.
        With `change_port` (always with Q36) the HTTP port and LOCATION change;
        the control port of Q35 changes in any case.
        """
        if self._ssdp and self.running:
            self._ssdp.byebye()
        if forget:
            self._forget()
        old, self._servers = self._servers, []
        if change_port or Quirk.Q36 in self.quirks:
            await self._open_http(0)  # while the old port is taken, so that it is another
            self._retire(old)
        else:
            self._retire(old)
            await self._wait_closed()
            await self._open_http(self._port)
        await self._wait_closed()
        self._boot()
        if self._ssdp:
            self._ssdp.close()
            await self._ssdp.start()

    async def reconnect_wan(self, *, new_address: str | None = None, wan: int = 0) -> None:
        """Lose and regain the WAN connection: its uptime falls, with Q44 the mappings go."""
        connection = self.wans[wan]
        if new_address is not None:
            connection.external_address = new_address
        connection.reconnect()
        if Quirk.Q44 in self.quirks:
            connection.clear()

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

    def fault(  # noqa: PLR0913  the parameters of the faults
        self,
        fault: Fault,
        *,
        action: str | None = None,
        times: int | None = 1,
        delay: float = 5.0,
        location: str = f"http://{OTHER_HOST}:{DISCARD_PORT}/",
        status: int = 307,
    ) -> None:
        """Let the next `times` requests (None: until cleared) go wrong.

        `action` names them as `requests` does; None is every request. `delay` in
        seconds is for SLOW and SLOW_TO_ACT, `location` and `status` for
        REDIRECT_ELSEWHERE. A request meets one fault, the oldest that fits.
        """
        self._handler.faults.add(
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
        self._handler.faults.clear()

    def _boot(self) -> None:
        # The clock, so that a router started anew has a higher one than yesterday's.
        self.boot_id = max(self.boot_id + 1, int(time.time()))
        for wan in self.wans:
            wan.reconnect()

    async def _open_http(self, port: int) -> None:
        self._port = await self._listen(self.lan_host, port)
        if Quirk.Q34 in self.quirks:
            await self._listen(OTHER_HOST, self._port)
        self._control_port = self._port
        if {Quirk.Q35, Quirk.Q35_URLBASE} & self.quirks:
            self._control_port = await self._listen(self.lan_host, 0)

    async def _listen(self, host: str, port: int) -> int:
        server = HttpServer(self._handler.handle)
        self._servers.append(server)
        await server.open(host, port)
        return server.port

    def _retire(self, servers: list[HttpServer]) -> None:
        for server in servers:
            server.close()
            self._accepted += server.accepted
        self._retired += servers

    def _forget(self) -> None:
        for wan in self.wans:
            wan.clear()

    def _switch_off(self) -> None:
        servers, self._servers = self._servers, []
        self._retire(servers)
        if self._ssdp:
            self._ssdp.close()
        self._forget()

    def _die(self) -> None:
        """Fall silent in the middle of a request, without a goodbye."""
        self._switch_off()

    async def _wait_closed(self) -> None:
        retired, self._retired = self._retired, []
        for server in retired:
            await server.wait_closed()
        for wan in self.wans:
            await wan.wait_closed()

    def _addresses(self) -> Addresses:
        control_origin = f"http://{self.lan_host}:{self._control_port}"
        return Addresses(
            url_base=self._url_base(control_origin),
            control_base=self._control_base(control_origin),
            own_tcp_ports=frozenset({self._port, self._control_port}),
        )

    def _url_base(self, control_origin: str) -> str | None:
        if Quirk.Q35_URLBASE in self.quirks:
            return control_origin
        if Quirk.Q35_WRONG in self.quirks:
            return f"http://127.0.0.1:{DISCARD_PORT}"
        # UPnP Device Architecture 1.1 deprecated it; routers of IGD:1 have it.
        has_one = self._device.igd == 1 and Quirk.Q35 not in self.quirks
        return self.description_url.removesuffix(DESCRIPTION_PATH) if has_one else None

    def _control_base(self, control_origin: str) -> str:
        if Quirk.Q35 in self.quirks:
            return control_origin
        if Quirk.Q35_ELSEWHERE in self.quirks:
            return f"http://{OTHER_HOST}:{self._port}"
        return ""

    def _advertisement(self) -> Advertisement:
        return Advertisement(
            location=self.description_url, boot_id=self.boot_id, root=self._device.tree()
        )


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
