"""One mapping by PCP (RFC 6887), with the options that limit it."""

from collections.abc import MutableMapping
from dataclasses import replace
from functools import partial
from ipaddress import ip_address, ip_network
from typing import override

from ..errors import NotClosedError, ProtocolError, Refusal, RouterError
from ..model import PortMapping, Protocol
from ..refusals import not_permitted
from . import natpmp
from .client import Client
from .epoch import FILTER
from .grant import Grant
from .mapper import Ask, Granted, Kept, Mapper, internal_port, longest
from .packets import (
    Filter,
    MapRequest,
    Option,
    PreferFailure,
    Reply,
    Result,
    ThirdParty,
    TransportProtocol,
    UnknownOption,
    name_of,
)
from .refusal import explain

THIRD_PARTY = "third_party"
PREFER_FAILURE = "prefer_failure"
"""Keys of `learned`: whether the server knows an option, `yes`, `no`, or `ignored`."""

_PROTOCOLS = {Protocol.TCP: TransportProtocol.TCP, Protocol.UDP: TransportProtocol.UDP}
_OPTION_REFUSED = (Result.UNSUPP_OPTION, Result.MALFORMED_OPTION)
_NONSENSE_FILTER = UnknownOption(3, bytes((0, 255, 0, 0)) + bytes(16))
_ANSWERS_TO_NONSENSE = {
    Result.MALFORMED_OPTION: "yes",
    Result.UNSUPP_OPTION: "no",
    Result.SUCCESS: "ignored",
    Result.NO_RESOURCES: "ignored",
}
# miniupnpd has NO_RESOURCES for a mapping that there is not.
_GONE = (Result.SUCCESS, Result.NO_RESOURCES)


class PcpMapper(Mapper):
    """Speaks PCP for a mapping.

    The server knows it by its nonce and will not let go of it for another one.
    """

    def __init__(self, client: Client, learned: MutableMapping[str, str]) -> None:
        """Take the way to the router, and the driver's memory to add to."""
        self._client = client
        self._learned = learned

    @override
    async def prepare(self, wanted: PortMapping, lease: int, *, any_external_port: bool) -> Ask:
        """Make sure that the server limits the source where that is wanted."""
        request = await self._request(wanted)
        if request.options and self._learned.get(THIRD_PARTY) == "ignored":
            # Trying again would open it to this machine for a moment, each time.
            raise not_permitted(Refusal.OWN_HOST_ONLY, wanted)
        if wanted.allowed_source:
            await self._check_filter(request, wanted)
        request = replace(request, lifetime=lease, external_port=wanted.external_ports.first)
        return partial(self._ask, request, wanted, strict=not any_external_port)

    async def _request(self, mapping: PortMapping) -> MapRequest:
        """Return the request to remove it. THIRD_PARTY is for a host that is not this one."""
        grant = Grant.parse(mapping.id)
        if grant is None:
            raise ProtocolError(host=self._client.host, detail="a mapping without a nonce")
        if mapping.is_pinhole and not self._client.reaches_ipv6:
            raise not_permitted(Refusal.NO_IPV6, mapping)
        host = ip_address(mapping.internal_host)
        own = await self._client.own_address(host)
        return MapRequest(
            client=own,
            lifetime=0,
            nonce=grant.nonce,
            protocol=_PROTOCOLS[mapping.protocols[0]],
            internal_port=internal_port(mapping),
            options=() if host == own else (ThirdParty(host),),
        )

    async def _check_filter(self, request: MapRequest, wanted: PortMapping) -> None:
        """Make sure that the server knows FILTER, without mapping anything.

        miniupnpd takes it, answers as if it had heeded it, and lets everybody
        in (its pcpserver.c, 2.3.1). What knows it refuses one that no address
        can match, and any with a lifetime of 0 (RFC 6887 section 13.3).
        """
        if FILTER not in self._learned:
            probe = replace(request, options=(_NONSENSE_FILTER,))
            result = (await self._client.map(probe)).result
            if result not in _ANSWERS_TO_NONSENSE:
                raise explain(result, wanted, self._client.host)
            self._learned[FILTER] = _ANSWERS_TO_NONSENSE[Result(result)]
        if (knows := self._learned[FILTER]) != "yes":
            ignored = knows == "ignored"
            reason = Refusal.SOURCE_IGNORED if ignored else Refusal.ANY_SOURCE_ONLY
            raise not_permitted(reason, wanted)

    async def _ask(self, request: MapRequest, wanted: PortMapping, *, strict: bool) -> Granted:
        """Ask with the options that limit the mapping, and never without them."""
        limits = request.options
        if wanted.allowed_source:
            limits = (*limits, Filter(ip_network(wanted.allowed_source)))
        reply = await self._send(request, limits, strict=strict)
        if reply.result == Result.EXCESSIVE_REMOTE_PEERS:
            # It takes the filter of each renewal for one more: remove those first.
            reply = await self._send(
                request, (*request.options, Filter(None), *limits[len(request.options) :])
            )
        if reply.result != Result.SUCCESS:
            raise await self._explain(reply.result, request, wanted)
        mapped = reply.mapped
        if mapped is None:
            raise AssertionError
        address = mapped.external_address
        return Granted(
            external_port=mapped.external_port,
            lease=longest(reply.lifetime),
            external_address=None if address.is_unspecified else address,
            unheeded=self._unheeded(limits, reply),
        )

    async def _explain(self, result: int, request: MapRequest, wanted: PortMapping) -> RouterError:
        """Find out what lies behind a refusal."""
        if request.options and result == Result.UNSUPP_OPTION:
            self._learned[THIRD_PARTY] = "no"
        if result == Result.NO_RESOURCES:
            # miniupnpd behind another router says so too, and tells NAT-PMP more.
            told = await self._client.external_address_if_told()
            if told and told.result == natpmp.Result.NETWORK_FAILURE:
                result = Result.NETWORK_FAILURE
        return explain(result, wanted, self._client.host)

    async def _send(
        self, request: MapRequest, limits: tuple[Option, ...], *, strict: bool = False
    ) -> Reply:
        """Ask with PREFER_FAILURE if `strict`, unless the server does not know that.

        It is the one option that we can do without: the port is looked at anyway.
        """
        if not strict or self._learned.get(PREFER_FAILURE) == "no":
            return await self._client.map(replace(request, options=limits))
        reply = await self._client.map(replace(request, options=(*limits, PreferFailure())))
        if reply.result in _OPTION_REFUSED:
            reply = await self._client.map(replace(request, options=limits))
            if reply.result == Result.SUCCESS:
                self._learned[PREFER_FAILURE] = "no"
        return reply

    def _unheeded(self, limits: tuple[Option, ...], reply: Reply) -> Refusal | None:
        """Return the limit that the server has passed over: it repeats what it heeds (7.3).

        That it heeds a filter has been found out before: some repeat what they do not.
        """
        unheeded = None
        for limit in limits:
            heeded = limit in reply.options
            if isinstance(limit, ThirdParty):
                self._learned[THIRD_PARTY] = "yes" if heeded else "ignored"
                unheeded = unheeded if heeded else Refusal.OWN_HOST_ONLY
            elif not heeded:
                self._learned[FILTER] = "ignored"
                unheeded = Refusal.SOURCE_IGNORED
        return unheeded

    @override
    async def confirm(self, granted: PortMapping) -> None:
        """Find out anew whether the server limits the source, where its answer had a new epoch."""
        if granted.allowed_source:
            await self._check_filter(await self._request(granted), granted)

    @override
    async def release(self, mapping: PortMapping) -> Kept | None:
        """Remove it (RFC 6887 section 15), and what was made for us in place of another host."""
        request = await self._request(mapping)
        if request.options and self._learned.get(THIRD_PARTY) == "ignored":
            kept = await self._remove(replace(request, options=()), mapping)
            if kept and not kept.unknown:
                return kept
        return await self._remove(request, mapping)

    async def _remove(self, request: MapRequest, mapping: PortMapping) -> Kept | None:
        reply = await self._client.map(request)
        if reply.result not in _GONE:
            unknown = reply.result in (Result.NOT_AUTHORIZED, Result.UNSUPP_OPTION)
            return Kept(detail=name_of(reply.result), unknown=unknown)
        if reply.result == Result.SUCCESS and reply.lifetime:
            raise NotClosedError(port=str(mapping.external_ports))
        return None

    async def shorten(self, mapping: PortMapping) -> int:
        """Let `mapping` end as soon as the server allows; return in how many seconds."""
        request = replace(
            await self._request(mapping), lifetime=1, external_port=mapping.external_ports.first
        )
        reply = await self._client.map(request)
        if reply.result != Result.SUCCESS:
            raise explain(reply.result, mapping, self._client.host)
        return longest(reply.lifetime)
