"""One mapping by NAT-PMP (RFC 6886): to this machine only, for everybody, over IPv4."""

from functools import partial
from ipaddress import IPv4Address, ip_address
from typing import override

from ..errors import NotClosedError, Refusal
from ..model import PortMapping, Protocol
from ..refusals import not_permitted
from .client import Client
from .mapper import Ask, Granted, Kept, Mapper, internal_port, longest
from .natpmp import MAP_TCP, MAP_UDP, MapRequest, Result, name_of
from .refusal import check_address, explain_natpmp

_OPCODES = {Protocol.TCP: MAP_TCP, Protocol.UDP: MAP_UDP}


class NatPmpMapper(Mapper):
    """Speaks NAT-PMP for a mapping.

    The server knows it by its internal port. If another program of this
    machine has mapped the same one, both share that mapping: nothing tells.
    """

    def __init__(self, client: Client) -> None:
        """Take the way to the router."""
        self._client = client

    @override
    async def prepare(self, wanted: PortMapping, lease: int, *, any_external_port: bool) -> Ask:
        """Refuse what the protocol does not know, and look at the external address first."""
        if wanted.is_pinhole:
            raise not_permitted(Refusal.NO_IPV6, wanted)
        if wanted.allowed_source:
            raise not_permitted(Refusal.ANY_SOURCE_ONLY, wanted)
        if not await self._is_ours(wanted):
            raise not_permitted(Refusal.OWN_HOST_ONLY, wanted)
        reply = await self._client.external_address()
        if reply.result != Result.SUCCESS:
            raise explain_natpmp(reply.result, wanted)
        check_address(reply.address, wanted)
        request = MapRequest(
            opcode=_OPCODES[wanted.protocols[0]],
            internal_port=internal_port(wanted),
            external_port=wanted.external_ports.first,
            lifetime=lease,
        )
        return partial(self._ask, request, wanted, reply.address)

    async def _ask(
        self, request: MapRequest, wanted: PortMapping, address: IPv4Address | None
    ) -> Granted:
        reply = await self._client.map_natpmp(request)
        if reply.result != Result.SUCCESS:
            raise explain_natpmp(reply.result, wanted)
        return Granted(
            external_port=reply.external_port,
            lease=longest(reply.lifetime),
            external_address=address,
        )

    @override
    async def confirm(self, granted: PortMapping) -> None:
        """Nothing limits a mapping of this protocol."""

    @override
    async def release(self, mapping: PortMapping) -> Kept | None:
        """Remove it by its internal port (RFC 6886 section 3.4).

        What was made before this machine got another address is out of reach:
        a request would hit the mapping that it has now.
        """
        if mapping.is_pinhole or not await self._is_ours(mapping):
            return Kept(detail="mapped for another host", unknown=False)
        reply = await self._client.map_natpmp(
            MapRequest(
                opcode=_OPCODES[mapping.protocols[0]],
                internal_port=internal_port(mapping),
                lifetime=0,
            )
        )
        if reply.result != Result.SUCCESS:
            return Kept(detail=name_of(reply.result), unknown=False)
        if reply.lifetime:
            raise NotClosedError(port=str(mapping.external_ports))
        return None

    async def _is_ours(self, mapping: PortMapping) -> bool:
        host = ip_address(mapping.internal_host)
        return host == await self._client.own_address(host)
