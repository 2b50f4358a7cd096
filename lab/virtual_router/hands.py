"""What a test may do to a router, besides switching it on and off."""

from .faults import Injected
from .mapping import VirtualMapping
from .pcp import PcpServer
from .pinhole import PinholeTable
from .quirks import Fault, UdpFault
from .upnp import DISCARD_PORT, OTHER_HOST, UpnpServer
from .wan import WanConnection


class Hands:
    """Hands laid on a router's parts."""

    def __init__(
        self,
        *,
        wans: tuple[WanConnection, ...],
        pinholes: PinholeTable,
        upnp: UpnpServer,
        pcp: PcpServer | None,
    ) -> None:
        """Reach into these parts."""
        self.wans = wans
        self._pinholes = pinholes
        self._upnp = upnp
        self._pcp = pcp

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
