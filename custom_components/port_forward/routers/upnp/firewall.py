"""The actions of the IPv6 firewall, typed (WANIPv6FirewallControl:1).

Each request has to come from the very address that the pinhole leads to, or
miniupnpd refuses it (miniupnp#731, Q50); so this speaks over connections of
its own.
"""

from ipaddress import IPv6Address
from typing import Final

import aiohttp

from ..errors import ProtocolError
from ..model import PortMapping, Protocol
from ..transport import DroppedError, Transport
from .description import Service
from .lenient_xml import number
from .soap import UpnpFault, call

# The last two are what miniupnpd 2.3.1 answers for a pinhole that is gone: it compares the caller
# with an address that it has not looked up. What is another's, 606 as well, is gone for us.
_GONE: Final = (704, 402, 606)

LONGEST_LEASE: Final = 86400
"""Seconds (section 2.3.9)."""

_INVALID_ACTION: Final = (401, 602)
_PROTOCOLS: Final = {Protocol.TCP: "6", Protocol.UDP: "17"}
_MOST_PACKETS: Final = 2**32 - 1


class NoSuchPinholeError(Exception):
    """There is no such pinhole, or it is not ours; for the module beside this one only."""


class Firewall:
    """One IPv6 firewall, spoken to from one address of this machine."""

    def __init__(self, service: Service, address: IPv6Address, *, timeout: float) -> None:
        """Take the service as it is reached over IPv6, and the address to speak from."""
        self._service = service
        self._address = address
        self._timeout = timeout

    async def add(self, mapping: PortMapping, lease: int) -> str:
        """Ask for a pinhole, and return its id.

        `lease` is in seconds. The same arguments give the same id (section
        2.5.3), so that asking again tells which pinhole is ours. It is no way to
        renew one, though: after it miniupnpd 2.3.1 forgets to end it.
        """
        (protocol,) = mapping.protocols
        arguments = {
            "RemoteHost": mapping.allowed_source,
            "RemotePort": "0",
            "InternalClient": mapping.internal_host,
            "InternalPort": str(mapping.internal_ports),
            "Protocol": _PROTOCOLS[protocol],
            "LeaseTime": str(lease),
        }
        unique_id = (await self._call("AddPinhole", arguments)).get("UniqueID", "").strip()
        if not unique_id:
            raise ProtocolError(host=self._host, detail="AddPinhole: no UniqueID")
        return unique_id

    async def update(self, unique_id: str, lease: int) -> None:
        """Renew a pinhole; `lease` is in seconds. Raises NoSuchPinholeError."""
        try:
            await self._call("UpdatePinhole", {"UniqueID": unique_id, "NewLeaseTime": str(lease)})
        except UpnpFault as fault:
            if fault.code in _GONE:
                raise NoSuchPinholeError from fault
            raise

    async def packets(self, unique_id: str) -> int | None:
        """Return how many packets it has let in, None where the router does not count.

        Raises NoSuchPinholeError.
        """
        try:
            answer = await self._read("GetPinholePackets", {"UniqueID": unique_id})
        except UpnpFault as fault:
            if fault.code in _GONE:
                raise NoSuchPinholeError from fault
            if fault.code in _INVALID_ACTION:
                return None
            raise
        return number(answer.get("PinholePackets", ""), _MOST_PACKETS)

    async def delete(self, unique_id: str) -> None:
        """Ask for the end of a pinhole; one that is not there is fine."""
        try:
            await self._call("DeletePinhole", {"UniqueID": unique_id})
        except UpnpFault as fault:
            if fault.code not in _GONE:
                raise

    @property
    def _host(self) -> str:
        return Transport.host_of(self._service.control_url)

    async def _read(self, action: str, arguments: dict[str, str]) -> dict[str, str]:
        try:
            return await self._call(action, arguments)
        except DroppedError:
            return await self._call(action, arguments)

    async def _call(self, action: str, arguments: dict[str, str]) -> dict[str, str]:
        # With port 0 any is taken; connections are few and far between.
        connector = aiohttp.TCPConnector(local_addr=(str(self._address), 0), force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            transport = Transport(session, timeout=self._timeout)
            return await call(transport, self._service, action, arguments)
