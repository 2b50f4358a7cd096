"""The actions of one WAN connection service, typed."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import AddressValueError, IPv4Address

from ..errors import ProtocolError
from ..model import PORT_MAX, PortMapping, Protocol
from ..transport import DroppedError, NotConnectedError, Transport
from .description import WanService
from .lenient_xml import NotXmlError, number
from .rows import read_port_listing, read_row, read_target
from .soap import UpnpFault, call

NO_SUCH_ENTRY = (713, 714)
"""Error codes of "there is no such mapping"; the standard has one of them for each action."""

NO_MAPPING_IN_RANGE = 730
"""Error code of an empty bulk list (WANIPConnection:2 section 2.5.21)."""

_LONGEST_UPTIME = 2**32 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionStatus:
    """What GetStatusInfo tells; None is unknown."""

    connected: bool | None = None
    uptime: timedelta | None = None


class WanConnection:
    """One WAN connection service of one router.

    Reads are asked once more after the connection broke: routers drop
    connections that they offered to keep (Q37). Writes never are, because they
    may have been carried out; the caller looks first.
    """

    def __init__(
        self,
        transport: Transport,
        service: WanService,
        relocate: Callable[[], Awaitable[WanService]] | None = None,
    ) -> None:
        """Take the service; `relocate` finds where it is now, after its port closed."""
        self.service = service
        # How many rows were deleted: those behind them have moved up in the list.
        self.deleted = 0
        self._transport = transport
        self._relocate = relocate

    async def external_address(self) -> IPv4Address | None:
        """Return the external address, None where the router has or tells none."""
        try:
            answer = await self._read("GetExternalIPAddress", {})
            return IPv4Address(answer.get("NewExternalIPAddress", ""))
        except UpnpFault, AddressValueError:
            return None

    async def status(self) -> ConnectionStatus:
        """Return whether the connection is up, and since when."""
        try:
            answer = await self._read("GetStatusInfo", {})
        except UpnpFault:
            return ConnectionStatus()
        status = answer.get("NewConnectionStatus", "").lower()
        seconds = number(answer.get("NewUptime", ""), _LONGEST_UPTIME)
        return ConnectionStatus(
            # "Up" is what some say for "Connected" (miniupnp#147, Q31).
            connected=status in ("connected", "up") if status else None,
            uptime=None if seconds is None else timedelta(seconds=seconds),
        )

    async def specific(self, mapping: PortMapping) -> PortMapping | None:
        """Return what the router holds under the key of `mapping`, None for nothing."""
        try:
            answer = await self._read("GetSpecificPortMappingEntry", _key(mapping))
        except UpnpFault as fault:
            if fault.code in NO_SUCH_ENTRY:
                return None
            raise
        (protocol,) = mapping.protocols
        return read_target(answer, protocol, mapping.external_ports, mapping.allowed_source)

    async def entry(self, index: int) -> PortMapping | None:
        """Return the row of that index, None for a placeholder or a row of nonsense.

        Raises UpnpFault at the end of the list, among other reasons.
        """
        arguments = {"NewPortMappingIndex": str(index)}
        return read_row(await self._read("GetGenericPortMappingEntry", arguments))

    async def bulk(self, protocol: Protocol) -> tuple[PortMapping, ...]:
        """Return all mappings of a protocol in one request (IGD:2 only).

        NewManage=1 asks for those of other clients too (WANIPConnection:2
        section 2.4.20). Deadly to miniupnpd 2.3.1 when more than 128 match
        (Q23): guard it.
        """
        arguments = {
            "NewStartPort": "0",
            "NewEndPort": str(PORT_MAX),
            "NewProtocol": protocol.upper(),
            "NewManage": "1",
            "NewNumberOfPorts": "0",
        }
        try:
            answer = await self._read("GetListOfPortMappings", arguments)
            return tuple(read_port_listing(answer.get("NewPortListing", "")))
        except UpnpFault as fault:
            if fault.code in (*NO_SUCH_ENTRY, NO_MAPPING_IN_RANGE):
                return ()
            raise
        except NotXmlError as error:
            raise ProtocolError(host=self.host, detail="port listing is no XML") from error

    async def add(self, mapping: PortMapping, lease: int) -> None:
        """Ask for a mapping, once; `lease` in seconds, 0 for a permanent one."""
        arguments = {
            **_key(mapping),
            "NewInternalPort": str(mapping.internal_ports),
            "NewInternalClient": mapping.internal_host,
            "NewEnabled": "1",
            "NewPortMappingDescription": mapping.description,
            "NewLeaseDuration": str(lease),
        }
        await self._call("AddPortMapping", arguments)

    async def delete(self, mapping: PortMapping) -> None:
        """Ask for the end of a mapping, once; one that is not there is fine (Q45)."""
        try:
            await self._call("DeletePortMapping", _key(mapping))
        except UpnpFault as fault:
            if fault.code not in NO_SUCH_ENTRY:
                raise
        finally:
            self.deleted += 1

    @property
    def host(self) -> str:
        """The host that is spoken to, for messages."""
        return self._transport.host_of(self.service.control_url)

    async def _read(self, action: str, arguments: Mapping[str, str]) -> dict[str, str]:
        try:
            return await self._call(action, arguments)
        except DroppedError:
            return await self._call(action, arguments)

    async def _call(self, action: str, arguments: Mapping[str, str]) -> dict[str, str]:
        try:
            return await call(self._transport, self.service, action, arguments)
        except NotConnectedError:
            # The control port may have moved with a restart (core#39293, Q36).
            # Nothing was sent, so that even a write may go to the new one.
            if self._relocate is None:
                raise
            service = await self._relocate()
            if service.control_url == self.service.control_url:
                raise
            self.service = service
            return await call(self._transport, self.service, action, arguments)


def _key(mapping: PortMapping) -> dict[str, str]:
    """Return the arguments that name a mapping, the protocol in upper case (Q41).

    Any source is sent as the empty string alone: miniupnpd takes `0.0.0.0` for
    another mapping, and refuses to renew it (Q18).
    """
    (protocol,) = mapping.protocols
    return {
        "NewRemoteHost": mapping.allowed_source,
        "NewExternalPort": str(mapping.external_ports.first),
        "NewProtocol": protocol.upper(),
    }
