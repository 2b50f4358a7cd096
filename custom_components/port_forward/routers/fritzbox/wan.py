"""The WAN connection of a FRITZ!Box: that of UPnP, in the words of TR-064."""

from collections.abc import Mapping
from typing import override

from ..errors import MissingRightsError, SecondFactorError
from ..model import PortMapping
from ..transport import Transport
from ..upnp.description import WanService
from ..upnp.refusal import NOT_AUTHORIZED
from ..upnp.soap import UpnpFault, call
from ..upnp.wan import WanConnection

ANY_SOURCE = "0.0.0.0"  # noqa: S104  no source; nothing is bound

# Required, blocked, busy.
_SECOND_FACTOR = (866, 867, 868)
_SETTINGS_RIGHT = "FRITZ!Box Settings"


class FritzWan(WanConnection):
    """One of the WAN services of one box."""

    @override
    async def _call(self, action: str, arguments: Mapping[str, str]) -> dict[str, str]:
        # Any source is written as AVM's examples write it.
        if arguments.get("NewRemoteHost") == "":
            arguments = {**arguments, "NewRemoteHost": ANY_SOURCE}
        try:
            return await super()._call(action, arguments)
        except UpnpFault as fault:
            if fault.code in _SECOND_FACTOR:
                raise SecondFactorError(host=self.host) from fault
            if fault.code == NOT_AUTHORIZED and action.startswith("Get"):
                # To change something, the tick for this device may be missing instead.
                raise MissingRightsError(host=self.host, detail=_SETTINGS_RIGHT) from fault
            raise

    async def check_rights(self) -> None:
        """Raise MissingRightsError when the account may not even see the port forwards."""
        await self._read("GetPortMappingNumberOfEntries", {})

    async def put(self, row: PortMapping) -> None:
        """Write a row as it is, switched on or off, in the place of the one that there is."""
        lease = int(row.lease.total_seconds()) if row.lease else 0
        (protocol,) = row.protocols
        arguments = {
            "NewRemoteHost": ANY_SOURCE,
            "NewExternalPort": str(row.external_ports),
            "NewProtocol": protocol.upper(),
            "NewInternalPort": str(row.internal_ports),
            "NewInternalClient": row.internal_host,
            "NewEnabled": "1" if row.enabled else "0",
            "NewPortMappingDescription": row.description,
            "NewLeaseDuration": str(lease),
        }
        await self._call("AddPortMapping", arguments)


async def default_connection(transport: Transport, url: str) -> str:
    """Return the kind of WAN that the box uses: WANPPPConnection or WANIPConnection.

    The answer looks like `1.WANPPPConnection.1` (AVM, layer3forwarding).
    """
    service = WanService(
        id="Layer3Forwarding1",
        service_type="urn:dslforum-org:service:Layer3Forwarding:1",
        version=1,
        control_url=f"{url}/upnp/control/layer3forwarding",
        name="Layer3Forwarding",
    )
    answer = await call(transport, service, "GetDefaultConnectionService", {})
    _, _, rest = answer.get("NewDefaultConnectionService", "").partition(".")
    return rest.partition(".")[0]
