"""Packets of the Port Control Protocol (RFC 6887): requests to bytes, bytes to replies."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

VERSION = 2
LONGEST = 1100
"""Bytes of a packet (section 7)."""
NONCE_LENGTH = 12

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

ANNOUNCE, MAP = 0, 1

_HEADER = 24
_MAP_DATA = 36
_OPTION_HEADER = 4
_REPLY = 0x80
_THIRD_PARTY, _PREFER_FAILURE, _FILTER = 1, 2, 3
_FILTER_DATA = 20
_MAPPED = bytes(10) + b"\xff\xff"
_MAPPED_BITS = 96
_PORTS = range(1, 65536)


class BadPacketError(Exception):
    """Bytes that are no reply of the protocol; the text says why."""


class OtherVersionError(BadPacketError):
    """The server says that it speaks another version, which is 0 for NAT-PMP (section 9)."""

    def __init__(self, version: int) -> None:
        """Take the version that it names."""
        super().__init__(f"version {version}")
        self.version = version


class Result(IntEnum):
    """The result codes of section 7.4; a server may answer with others."""

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


class TransportProtocol(IntEnum):
    """The protocols of IANA that we map."""

    TCP = 6
    UDP = 17


@dataclass(frozen=True, slots=True)
class ThirdParty:
    """The mapping is for this host and not for the sender (section 13.1)."""

    address: Address


@dataclass(frozen=True, slots=True)
class PreferFailure:
    """No other external port than the suggested one will do (section 13.2)."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Only this network may connect, from any port (section 13.3).

    Several filters of one request add up, and to those of earlier requests.
    None removes all that were before, so it comes first where one changes.
    """

    network: Network | None


@dataclass(frozen=True, slots=True)
class UnknownOption:
    """An option that we know nothing of, or that makes no sense."""

    code: int
    data: bytes


type Option = ThirdParty | PreferFailure | Filter | UnknownOption


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnounceRequest:
    """Asks for the epoch, and for nothing else (section 14.1)."""

    client: Address

    def encode(self) -> bytes:
        """Return the packet."""
        return _header(ANNOUNCE, 0, self.client)


@dataclass(frozen=True, kw_only=True, slots=True)
class MapRequest:
    """Asks for a mapping, or with a lifetime of 0 for its end (section 11).

    `client` is our own address as the server should see it, `lifetime` is in
    seconds. `external_port` is the suggested one, 0 for any. Raises ValueError
    for an internal port 0, which means every port there is.
    """

    client: Address
    lifetime: int
    nonce: bytes
    protocol: TransportProtocol
    internal_port: int
    external_port: int = 0
    options: tuple[Option, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what must never be sent."""
        if self.internal_port not in _PORTS or not 0 <= self.external_port < _PORTS.stop:
            raise ValueError(f"not ports: {self.internal_port}, {self.external_port}")
        if len(self.nonce) != NONCE_LENGTH:
            raise ValueError(f"not a nonce: {len(self.nonce)} bytes")

    def encode(self) -> bytes:
        """Return the packet."""
        any_address = IPv4Address(0) if isinstance(self.client, IPv4Address) else IPv6Address(0)
        return b"".join(
            (
                _header(MAP, self.lifetime, self.client),
                self.nonce,
                bytes((self.protocol, 0, 0, 0)),
                self.internal_port.to_bytes(2),
                self.external_port.to_bytes(2),
                _to_wire(any_address),
                *map(_encode_option, self.options),
            )
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapped:
    """What a reply to a MAP request says of the mapping (section 11.1)."""

    nonce: bytes
    protocol: int
    internal_port: int
    external_port: int
    external_address: Address


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer to a request, or an announcement.

    `lifetime` is that of the mapping in seconds, or how long an error will
    last. `epoch` is for how many seconds the server has kept its mappings.
    `mapped` is None in a reply to anything but MAP, and in an error that ends
    after its header. `options` are those that the server has heeded.
    """

    opcode: int
    result: int
    lifetime: int
    epoch: int
    mapped: Mapped | None = None
    options: tuple[Option, ...] = ()


def name_of(result: int) -> str:
    """Return the name of a result code, or the number where it has none."""
    return Result(result).name if result in Result else f"result code {result}"


def read_reply(packet: bytes) -> Reply:
    """Return what the packet says.

    Raises OtherVersionError when the server speaks another version, and
    BadPacketError for anything that is no reply at all (section 8.3).
    """
    _check_version(packet)
    if not _HEADER <= len(packet) <= LONGEST or len(packet) % 4:
        raise BadPacketError(f"{len(packet)} bytes")
    if not packet[1] & _REPLY:
        raise BadPacketError("a request")
    opcode, result = packet[1] & ~_REPLY, packet[3]
    mapped, options = None, b""
    if opcode == MAP and (len(packet) > _HEADER or result == Result.SUCCESS):
        mapped = _read_mapped(packet[_HEADER : _HEADER + _MAP_DATA])
        options = packet[_HEADER + _MAP_DATA :]
    return Reply(
        opcode=opcode,
        result=result,
        lifetime=int.from_bytes(packet[4:8]),
        epoch=int.from_bytes(packet[8:12]),
        mapped=mapped,
        # An error is sent with the options of the request as they were.
        options=tuple(_read_options(options)) if result == Result.SUCCESS else (),
    )


def _check_version(packet: bytes) -> None:
    """Only the first four bytes are the same in all versions, NAT-PMP included."""
    if len(packet) < _OPTION_HEADER:
        raise BadPacketError(f"{len(packet)} bytes")
    if packet[0] == VERSION:
        return
    # NAT-PMP says it without the bit of a reply (RFC 6886 section 3.5).
    if (packet[1] & _REPLY or not packet[0]) and packet[3] == Result.UNSUPP_VERSION:
        raise OtherVersionError(packet[0])
    raise BadPacketError(f"version {packet[0]}")


def _header(opcode: int, lifetime: int, client: Address) -> bytes:
    return bytes((VERSION, opcode, 0, 0)) + lifetime.to_bytes(4) + _to_wire(client)


def _read_mapped(data: bytes) -> Mapped:
    if len(data) < _MAP_DATA:
        raise BadPacketError("MAP reply too short")
    return Mapped(
        nonce=data[:NONCE_LENGTH],
        protocol=data[12],
        internal_port=int.from_bytes(data[16:18]),
        external_port=int.from_bytes(data[18:20]),
        external_address=_from_wire(data[20:36]),
    )


def _encode_option(option: Option) -> bytes:
    code, data = _payload(option)
    return bytes((code, 0)) + len(data).to_bytes(2) + data + bytes(-len(data) % 4)


def _payload(option: Option) -> tuple[int, bytes]:
    match option:
        case ThirdParty():
            return _THIRD_PARTY, _to_wire(option.address)
        case PreferFailure():
            return _PREFER_FAILURE, b""
        case Filter():
            return _FILTER, _encode_network(option.network)
        case UnknownOption():
            return option.code, option.data


def _encode_network(network: Network | None) -> bytes:
    if network is None:
        return bytes(_FILTER_DATA)
    prefix = network.prefixlen
    if isinstance(network, IPv4Network):
        prefix += _MAPPED_BITS
    return bytes((0, prefix, 0, 0)) + _to_wire(network.network_address)


def _read_options(data: bytes) -> Iterator[Option]:
    while data:
        length = int.from_bytes(data[2:4])
        end = _OPTION_HEADER + length + -length % 4
        if len(data) < max(end, _OPTION_HEADER):
            raise BadPacketError("an option that is cut off")
        yield _read_option(data[0], data[_OPTION_HEADER : _OPTION_HEADER + length])
        data = data[end:]


def _read_option(code: int, data: bytes) -> Option:
    """Return the option; one that makes no sense is unknown: some servers repeat it as it came."""
    match code, len(data):
        case 1, 16:
            return ThirdParty(_from_wire(data))
        case 2, 0:
            return PreferFailure()
        case 3, 20:
            return _read_filter(data)
        case _:
            return UnknownOption(code, data)


def _read_filter(data: bytes) -> Option:
    prefix, address = data[1], _from_wire(data[4:])
    if not prefix:
        return Filter(None)
    length = prefix - _MAPPED_BITS if isinstance(address, IPv4Address) else prefix
    # We never ask for one of a single port.
    if not 0 <= length <= address.max_prefixlen or any(data[2:4]):
        return UnknownOption(_FILTER, data)
    return Filter(ip_network((address, length), strict=False))


def _to_wire(address: Address) -> bytes:
    """All addresses are 128 bits, IPv4 as ::ffff:a.b.c.d (section 5)."""
    return _MAPPED + address.packed if isinstance(address, IPv4Address) else address.packed


def _from_wire(data: bytes) -> Address:
    return IPv4Address(data[12:]) if data.startswith(_MAPPED) else IPv6Address(data)
