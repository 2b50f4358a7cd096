"""The router's UPnP: its HTTP ports, its SSDP, and where both say that it is."""

import asyncio
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from .device import DESCRIPTION_PATH, Addresses, IgdDevice
from .faults import FaultBox
from .handler import Handler
from .pinhole import Ipv6, PinholeTable
from .ports import free_port
from .quirks import Fault, Quirk
from .ssdp import Advertisement, Ssdp
from .wan import WanConnection
from .web import HttpServer

OTHER_HOST = "127.0.0.77"  # a loopback address that is not the router's (Q34, Q35_ELSEWHERE)
DISCARD_PORT = 9  # nobody listens there


class UpnpServer:
    """Everything of the router that speaks UPnP."""

    def __init__(  # noqa: PLR0913  each is a property of the router
        self,
        *,
        igd: int,
        udn: Callable[[], str],
        friendly_name: str,
        serial_number: str,
        wans: tuple[WanConnection, ...],
        quirks: AbstractSet[Quirk],
        lan_host: str,
        ipv6: Ipv6 | None,
        pinholes: PinholeTable,
        port: int,
        ssdp_port: int | None,
        secure_mode: bool,
        table_size: int | None,
        requests: Counter[str],
        acting: asyncio.Lock,
        die: Callable[[], None],
    ) -> None:
        """Serve on `lan_host`, with `ipv6` on another address too.

        `port` and `ssdp_port` 0 take any that is free, None is no SSDP.
        """
        self.port = self._control_port = port
        self.boot_id = 0
        self._lan_host = lan_host
        self._lan_host6 = ipv6.host if ipv6 else None
        self._quirks = quirks
        self._device = IgdDevice(
            igd=igd,
            udn=udn,
            friendly_name=friendly_name,
            serial_number=serial_number,
            wans=wans,
            quirks=quirks,
            addresses=self._addresses,
            secure_mode=secure_mode,
            table_size=table_size,
            lan_host=lan_host,
            ipv6=ipv6,
            pinholes=pinholes,
        )
        self._handler = Handler(self._device, quirks, die, requests=requests, acting=acting)
        self._servers: list[HttpServer] = []
        self._retired: list[HttpServer] = []
        self._accepted = 0
        self._ssdp: Ssdp | None = None
        if ssdp_port is not None:
            self._ssdp = Ssdp(lan_host, ssdp_port, self._advertisement, quirks)

    @property
    def faults(self) -> FaultBox[Fault]:
        """What goes wrong with its HTTP."""
        return self._handler.faults

    @property
    def ssdp_port(self) -> int | None:
        """The SSDP port, None for a router that does not speak SSDP."""
        return self._ssdp.port if self._ssdp else None

    @property
    def description_url(self) -> str:
        """The LOCATION of the moment."""
        host = OTHER_HOST if Quirk.Q34 in self._quirks else self._lan_host
        return f"http://{host}:{self.port}{DESCRIPTION_PATH}"

    @property
    def description_url6(self) -> str | None:
        """The same by IPv6, None without."""
        if self._lan_host6 is None:
            return None
        return f"http://[{self._lan_host6}]:{self.port}{DESCRIPTION_PATH}"

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._accepted + sum(server.accepted for server in self._servers)

    async def start(self) -> None:
        """Listen and announce. Raises OSError when a port cannot be bound."""
        await self._open_http(self.port)
        await self.announce()

    async def move(self, *, change_port: bool) -> None:
        """Cut every connection and listen anew, with `change_port` or Q36 on another port."""
        old, self._servers = self._servers, []
        if change_port or Quirk.Q36 in self._quirks:
            await self._open_http(0)  # while the old port is taken, so that it is another
            self._retire(old)
        else:
            self._retire(old)
            await self.wait_closed()
            await self._open_http(self.port)

    def byebye(self) -> None:
        """Say by SSDP that it is going."""
        if self._ssdp and self._servers:
            self._ssdp.byebye()

    async def announce(self) -> None:
        """Say by SSDP that it is there."""
        if self._ssdp:
            self._ssdp.close()
            await self._ssdp.start()

    def close(self) -> None:
        """Fall silent and cut every connection but the one that calls."""
        servers, self._servers = self._servers, []
        self._retire(servers)
        if self._ssdp:
            self._ssdp.close()

    async def wait_closed(self) -> None:
        """Wait until what was closed has left no task and no socket."""
        retired, self._retired = self._retired, []
        for server in retired:
            await server.wait_closed()

    async def _open_http(self, port: int) -> None:
        self.port = await self._listen(self._lan_host, port)
        if self._lan_host6 is not None:
            await self._listen(self._lan_host6, self.port)
        if Quirk.Q34 in self._quirks:
            await self._listen(OTHER_HOST, self.port)
        self._control_port = self.port
        if {Quirk.Q35, Quirk.Q35_URLBASE} & self._quirks:
            self._control_port = await self._listen(self._lan_host, 0)

    async def _listen(self, host: str, port: int) -> int:
        server = HttpServer(self._handler.handle)
        self._servers.append(server)
        # Not of the range that Linux gives away, or another may have it when this one comes back.
        await server.open(host, port or free_port(host))
        return server.port

    def _retire(self, servers: list[HttpServer]) -> None:
        for server in servers:
            server.close()
            self._accepted += server.accepted
        self._retired += servers

    def _addresses(self) -> Addresses:
        control_origin = f"http://{self._lan_host}:{self._control_port}"
        return Addresses(
            url_base=self._url_base(control_origin),
            control_base=self._control_base(control_origin),
            own_tcp_ports=frozenset({self.port, self._control_port}),
        )

    def _url_base(self, control_origin: str) -> str | None:
        if Quirk.Q35_URLBASE in self._quirks:
            return control_origin
        if Quirk.Q35_WRONG in self._quirks:
            return f"http://127.0.0.1:{DISCARD_PORT}"
        # UPnP Device Architecture 1.1 deprecated it; routers of IGD:1 have it.
        has_one = self._device.igd == 1 and Quirk.Q35 not in self._quirks
        return self.description_url.removesuffix(DESCRIPTION_PATH) if has_one else None

    def _control_base(self, control_origin: str) -> str:
        if Quirk.Q35 in self._quirks:
            return control_origin
        if Quirk.Q35_ELSEWHERE in self._quirks:
            return f"http://{OTHER_HOST}:{self.port}"
        return ""

    def _advertisement(self) -> Advertisement:
        return Advertisement(
            location=self.description_url, boot_id=self.boot_id, root=self._device.tree()
        )
