"""The requests of both protocols to one router, and which of them it speaks."""

from collections.abc import Awaitable, Callable, Iterator
from enum import IntEnum
from ipaddress import IPv6Address

from ..errors import ProtocolError, RouterTimeoutError, RouterUnreachableError, UnsupportedError
from ..ipv6 import GLOBAL
from . import natpmp, packets
from .exchange import NATPMP_REPEATS, PCP_REPEATS, TIMEOUT, Exchange, Repeats, Server
from .packets import Address, BadPacketError, MapRequest, OtherVersionError, Result
from .refusal import other_address

# The parts of the time for a call that a router has to answer PCP before NAT-PMP is tried,
# and after which PCP is tried again.
_PCP_SHARE = 3 / 8
_PCP_REPEAT = 1 / 8

# Nothing is sent there.
_ON_THE_INTERNET = Server(GLOBAL[1])


class Version(IntEnum):
    """What a router speaks, by the number in its packets."""

    NATPMP = natpmp.VERSION
    PCP = packets.VERSION


class Client:
    """Asks one router in the version of the protocol that it speaks.

    The epoch of each reply that was accepted is told to `on_epoch`, with the
    version that it is of. Over IPv6 it may be that of another server, and is not.
    """

    def __init__(
        self,
        server: Server,
        *,
        find_server6: Callable[[], Server | None],
        version: Version | None = None,
        timeout: float = TIMEOUT,
        on_epoch: Callable[[Version, int], None],
    ) -> None:
        """Take where the router is, what finds it over IPv6, and its version if that is known."""
        self._server = server
        self._find_server6 = find_server6
        self._version = version
        # Silent on PCP, it may be another router by now, one of those that know only NAT-PMP.
        self._was_silent = False
        self._on_epoch = on_epoch
        self._exchange = Exchange(timeout=timeout)

    @property
    def host(self) -> str:
        """The address of the router, for messages."""
        return str(self._server.host)

    @property
    def version(self) -> Version | None:
        """The version that the router speaks, as far as it is known by now."""
        return self._version

    @property
    def reaches_ipv6(self) -> bool:
        """Tell whether it is known where to ask for mappings of IPv6."""
        return self._find_server6() is not None

    def announcers(self) -> Iterator[Address]:
        """Iterate over the addresses that announcements of the router come from."""
        yield self._server.host
        if server6 := self._find_server6():
            yield server6.host

    async def speaks(self) -> Version:
        """Return the version that the router speaks, and find it out where it is not known."""
        if self._version is None or self._was_silent:
            self._version = await self.negotiate()
            self._was_silent = False
        return self._version

    async def negotiate(self) -> Version:
        """Find out which version the router speaks: PCP first (RFC 6887 section 9).

        Some that know only NAT-PMP are silent when asked by PCP. Raises
        UnsupportedError for other versions, and RouterUnreachableError.
        """
        timeout = self._exchange.timeout
        other: OtherVersionError | None = None
        try:
            probes = Repeats(first=timeout * _PCP_REPEAT)
            reply = await self._announce(probes, timeout * _PCP_SHARE)
        except RouterTimeoutError:
            pass
        except OtherVersionError as error:
            other = error
        else:
            if reply.result == Result.ADDRESS_MISMATCH:
                raise other_address(self.host)
            self._version = Version.PCP
            return self._version
        try:
            await self._address(timeout * (1 - _PCP_SHARE))
        except OtherVersionError as error:
            if error.version != Version.PCP or other:
                raise UnsupportedError(host=self.host, detail=f"PCP {error}") from error
            self._version = Version.PCP  # It did not answer in time, or that got lost.
            return self._version
        except RouterTimeoutError:
            if other and other.version != Version.NATPMP:
                raise UnsupportedError(host=self.host, detail=f"PCP {other}") from other
            raise
        self._version = Version.NATPMP
        return self._version

    async def own_address(self, internal_host: Address) -> Address:
        """Return the address to ask from for a mapping to `internal_host`: that, if it is ours.

        Over IPv4 it is the address that leads to the router. Over IPv6 a
        machine has several, and each may be the one that is meant.
        """
        server = self._server_for(internal_host)
        own = None
        if isinstance(internal_host, IPv6Address):
            own = await self._exchange.own_address(server, internal_host)
        own = own or await self._exchange.own_address(server)
        if own is None:
            raise RouterUnreachableError(host=str(server.host))
        return own

    async def own_address6(self) -> IPv6Address | None:
        """Return our own address on the IPv6 internet, None where no way leads there."""
        own = await self._exchange.own_address(_ON_THE_INTERNET)
        return own if isinstance(own, IPv6Address) and own.is_global else None

    async def announce(self) -> packets.Reply:
        """Ask by PCP for nothing but the epoch; a refusal has it too."""
        return await self._checked(self._announce(PCP_REPEATS))

    async def map(self, request: MapRequest) -> packets.Reply:
        """Ask by PCP for a mapping, from the client's address that the request names."""
        server = self._server_for(request.client)

        def read(data: bytes) -> packets.Reply:
            reply = _read(data, packets.MAP)
            if (mapped := reply.mapped) and (
                (mapped.nonce, mapped.protocol, mapped.internal_port)
                != (request.nonce, request.protocol, request.internal_port)
            ):
                raise BadPacketError("a reply for another mapping")
            return reply

        reply = await self._checked(
            self._exchange.request(
                server, request.encode(), read, PCP_REPEATS, local=request.client
            )
        )
        if server is self._server:
            self._on_epoch(Version.PCP, reply.epoch)
        return reply

    async def external_address(self) -> natpmp.AddressReply:
        """Ask by NAT-PMP for the external address."""
        return await self._checked(self._address())

    async def external_address_if_told(self) -> natpmp.AddressReply | None:
        """Ask a PCP server for the same by NAT-PMP, None where it does not speak that too."""
        try:
            return await self._address(self._exchange.timeout * _PCP_SHARE)
        except OtherVersionError, RouterTimeoutError:
            return None

    async def map_natpmp(self, request: natpmp.MapRequest) -> natpmp.MapReply:
        """Ask by NAT-PMP for a mapping to this machine."""

        def read(data: bytes) -> natpmp.MapReply:
            reply = natpmp.read_reply(data)
            if not isinstance(reply, natpmp.MapReply) or reply.opcode != request.opcode:
                raise BadPacketError("a reply to another request")
            # The gateway of ProtonVPN may answer with 0: it maps no ports inside.
            if reply.internal_port not in (0, request.internal_port):
                raise BadPacketError("a reply for another mapping")
            return reply

        reply = await self._checked(
            self._exchange.request(self._server, request.encode(), read, NATPMP_REPEATS)
        )
        self._on_epoch(Version.NATPMP, reply.epoch)
        return reply

    def _server_for(self, address: Address) -> Server:
        """Return where to ask; raises UnsupportedError for IPv6 where that is not known."""
        if not isinstance(address, IPv6Address):
            return self._server
        server6 = self._find_server6()
        if server6 is None:
            raise UnsupportedError(host=self.host, detail="no IPv6 address of it is known")
        return server6

    async def _announce(self, repeats: Repeats, timeout: float | None = None) -> packets.Reply:  # noqa: ASYNC109
        own = await self._exchange.own_address(self._server)
        if own is None:
            raise RouterUnreachableError(host=self.host)
        request = packets.AnnounceRequest(client=own).encode()
        reply = await self._exchange.request(
            self._server,
            request,
            lambda data: _read(data, packets.ANNOUNCE),
            repeats,
            local=own,
            timeout=timeout,
        )
        self._on_epoch(Version.PCP, reply.epoch)
        return reply

    async def _address(self, timeout: float | None = None) -> natpmp.AddressReply:  # noqa: ASYNC109
        reply = await self._exchange.request(
            self._server,
            natpmp.ADDRESS_REQUEST,
            _read_address,
            NATPMP_REPEATS,
            timeout=timeout,
        )
        self._on_epoch(Version.NATPMP, reply.epoch)
        return reply

    async def _checked[T](self, asked: Awaitable[T]) -> T:
        """Find out the version anew: the router may have been replaced by another."""
        try:
            return await asked
        except OtherVersionError as error:
            self._version = None
            raise ProtocolError(host=self.host, detail=str(error)) from error
        except RouterTimeoutError:
            self._was_silent = self._version is Version.PCP
            raise


def _read(data: bytes, opcode: int) -> packets.Reply:
    reply = packets.read_reply(data)
    if reply.opcode != opcode:
        raise BadPacketError("a reply to another request")
    return reply


def _read_address(data: bytes) -> natpmp.AddressReply:
    reply = natpmp.read_reply(data)
    if not isinstance(reply, natpmp.AddressReply):
        raise BadPacketError("a reply to another request")
    return reply
