"""PCP packets, the router's side: reading requests, writing replies (RFC 6887 §7, §11, §13)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_network

from ..mapping import SourceFilter

VERSION = 2
LONGEST = 1100  # bytes
ANNOUNCE, MAP, PEER = 0, 1, 2
REPLY = 0x80  # the R bit

_REQUEST = struct.Struct("!BBxxI16s")
_REPLY = struct.Struct("!BBxBII12x")
_MAP = struct.Struct("!12sB3xHH16s")
_OPTION = struct.Struct("!BxH")
_FILTER = struct.Struct("!xBH16s")

_THIRD_PARTY, _PREFER_FAILURE, _FILTER_CODE = 1, 2, 3
_OPTIONAL = 128  # options of this number and above may be passed over, §7.3
_LENGTHS = {_THIRD_PARTY: 16, _PREFER_FAILURE: 0, _FILTER_CODE: _FILTER.size}
_IPV4_PREFIX = 96  # bits in front of an IPv4 address that is written as an IPv6 one

type Address = IPv4Address | IPv6Address


class Result(IntEnum):
    """The result codes, §7.4."""

    SUCCESS = 0
    UNSUPP_VERSION = 1
    NOT_AUTHORIZED = 2
    MALFORMED_REQUEST = 3
    UNSUPP_OPCODE = 4
    UNSUPP_OPTION = 5
    MALFORMED_OPTION = 6
    NETWORK_FAILURE = 7
    NO_RESOURCES = 8
    UNSUPP_PROTOCOL = 9
    USER_EX_QUOTA = 10
    CANNOT_PROVIDE_EXTERNAL = 11
    ADDRESS_MISMATCH = 12
    EXCESSIVE_REMOTE_PEERS = 13


# How long a client may take it that nothing changes, in seconds: §7.4 asks for
# about 30 s for what may pass soon, and half an hour for the others.
_SHORT, _LONG = 30, 1800
_PASSING = {
    Result.NETWORK_FAILURE,
    Result.NO_RESOURCES,
    Result.USER_EX_QUOTA,
    Result.CANNOT_PROVIDE_EXTERNAL,
}


class PcpError(Exception):
    """A request is refused."""

    def __init__(self, result: Result) -> None:
        """Refuse with this code."""
        super().__init__(result.name)
        self.result = result


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose header is in order."""

    opcode: int
    lifetime: int
    """Seconds; 0 deletes."""
    client: Address
    rest: bytes
    """What follows the header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRequest:
    """What a MAP request asks for, §11.1."""

    lifetime: int
    nonce: bytes
    protocol: int
    """As in the IP header: 6 is TCP, 17 is UDP, 0 is all."""
    internal_host: Address
    internal_port: int
    """0 is all."""
    external_port: int
    external_address: Address
    prefer_failure: bool
    filters: tuple[SourceFilter | None, ...]
    """In the order of the packet; None removes those before, also of earlier requests (§13.3)."""
    options: bytes
    """The options that were understood, as they came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What was made of a MAP request."""

    lifetime: int
    external_port: int
    external_address: Address


def read_request(data: bytes) -> Request | None:
    """Read the header of a packet of version 2; None for one too short to be answered.

    Raises PcpError.
    """
    if len(data) < _REQUEST.size:
        return None
    if len(data) > LONGEST or len(data) % 4:
        raise PcpError(Result.MALFORMED_REQUEST)
    _, opcode, lifetime, client = _REQUEST.unpack_from(data)
    return Request(
        opcode=opcode, lifetime=lifetime, client=_address(client), rest=data[_REQUEST.size :]
    )


def read_map(request: Request, *, third_party: bool, heeds_filters: bool = True) -> MapRequest:
    """Read what a MAP request asks for, with THIRD_PARTY if that is allowed. Raises PcpError.

    A router that does not heed FILTER does not look into it either.
    """
    if len(request.rest) < _MAP.size:
        raise PcpError(Result.MALFORMED_REQUEST)
    nonce, protocol, internal_port, external_port, external = _MAP.unpack_from(request.rest)
    host = request.client
    filters: list[SourceFilter | None] = []
    understood = b""
    seen: set[int] = set()
    for code, value, raw in _options(request.rest[_MAP.size :]):
        if code not in _LENGTHS or (code == _THIRD_PARTY and not third_party):
            if code >= _OPTIONAL:
                continue
            raise PcpError(Result.UNSUPP_OPTION)
        # Only FILTER may be there more than once.
        if len(value) != _LENGTHS[code] or (code in seen and code != _FILTER_CODE):
            raise PcpError(Result.MALFORMED_OPTION)
        seen.add(code)
        understood += raw
        if code == _THIRD_PARTY:
            host = _third_party(value, request.client)
        elif code == _FILTER_CODE and heeds_filters:
            filters.append(_filter(value, request.client))
    return MapRequest(
        lifetime=request.lifetime,
        nonce=nonce,
        protocol=protocol,
        internal_host=host,
        internal_port=internal_port,
        external_port=external_port,
        external_address=_address(external),
        prefer_failure=_PREFER_FAILURE in seen,
        filters=tuple(filters),
        options=understood,
    )


def check_announce(request: Request) -> None:
    """Raise PcpError when an ANNOUNCE request carries an option that must be understood."""
    if any(code < _OPTIONAL for code, _, _ in _options(request.rest)):
        raise PcpError(Result.UNSUPP_OPTION)


def announcement(epoch: int) -> bytes:
    """Write an ANNOUNCE reply, asked for or not, §14.1."""
    return _REPLY.pack(VERSION, REPLY | ANNOUNCE, Result.SUCCESS, 0, epoch)


def map_reply(asked: MapRequest, granted: Granted, epoch: int) -> bytes:
    """Write the reply to a MAP request that succeeded."""
    header = _REPLY.pack(VERSION, REPLY | MAP, Result.SUCCESS, granted.lifetime, epoch)
    body = _MAP.pack(
        asked.nonce,
        asked.protocol,
        asked.internal_port,
        granted.external_port,
        _packed(granted.external_address),
    )
    return header + body + asked.options


def refusal(data: bytes, result: Result, epoch: int) -> bytes:
    """Write the reply to a request that is refused: the request with another header, §8.2."""
    copied = data[:LONGEST].ljust(_REPLY.size, b"\0")
    copied += b"\0" * (-len(copied) % 4)
    lifetime = _SHORT if result in _PASSING else _LONG
    header = _REPLY.pack(VERSION, REPLY | copied[1], result, lifetime, epoch)
    return header + copied[_REPLY.size :]


def _options(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the code, the value, and the whole of each option. Raises PcpError."""
    while data:
        code, length = _OPTION.unpack_from(data)
        end = _OPTION.size + length
        padded = end + -end % 4
        if padded > len(data):
            raise PcpError(Result.MALFORMED_OPTION)
        yield code, data[_OPTION.size : end], data[:padded]
        data = data[padded:]


def _third_party(value: bytes, client: Address) -> Address:
    host = _address(value)
    if host == client:
        # §13.1: who means himself does without the option.
        raise PcpError(Result.MALFORMED_REQUEST)
    if host.is_unspecified or type(host) is not type(client):
        raise PcpError(Result.MALFORMED_OPTION)
    return host


def _filter(value: bytes, client: Address) -> SourceFilter | None:
    length, port, packed = _FILTER.unpack(value)
    if length == 0:
        return None
    source = _address(packed)
    if type(source) is not type(client):
        raise PcpError(Result.MALFORMED_OPTION)
    if isinstance(source, IPv4Address):
        length -= _IPV4_PREFIX
    if not 0 <= length <= source.max_prefixlen:
        raise PcpError(Result.MALFORMED_OPTION)
    return SourceFilter(network=ip_network((source, length), strict=False), port=port)


def _address(packed: bytes) -> Address:
    """Read an address; IPv4 ones are written as ::ffff:a.b.c.d, §5."""
    address = IPv6Address(packed)
    return address.ipv4_mapped or address


def _packed(address: Address) -> bytes:
    if isinstance(address, IPv4Address):
        return b"\0" * 10 + b"\xff\xff" + address.packed
    return address.packed
