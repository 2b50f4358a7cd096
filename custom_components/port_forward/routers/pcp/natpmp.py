"""Packets of the NAT Port Mapping Protocol (RFC 6886): requests to bytes, bytes to replies."""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from .packets import LONGEST, BadPacketError, OtherVersionError

VERSION = 0

ADDRESS, MAP_UDP, MAP_TCP = 0, 1, 2

ADDRESS_REQUEST = bytes((VERSION, ADDRESS))
"""Asks for the external address (section 3.2)."""

_REPLY = 0x80
_ERROR_LENGTH = 8
_ADDRESS_LENGTH = 12
_MAP_LENGTH = 16
_PORTS = range(1, 65536)


class Result(IntEnum):
    """The result codes of section 3.5; a server may answer with others."""

    SUCCESS = 0
    UNSUPP_VERSION = 1
    NOT_AUTHORIZED = 2
    NETWORK_FAILURE = 3
    OUT_OF_RESOURCES = 4
    UNSUPP_OPCODE = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class MapRequest:
    """Asks for a mapping to the sender, or with a lifetime of 0 for its end (sections 3.3, 3.4).

    `opcode` is MAP_UDP or MAP_TCP, `lifetime` is in seconds, `external_port`
    is the suggested one, 0 for any. Raises ValueError for an internal port 0:
    with a lifetime of 0 it deletes whatever this machine has mapped.
    """

    opcode: int
    internal_port: int
    external_port: int = 0
    lifetime: int

    def __post_init__(self) -> None:
        """Refuse what must never be sent."""
        if self.internal_port not in _PORTS or not 0 <= self.external_port < _PORTS.stop:
            raise ValueError(f"not ports: {self.internal_port}, {self.external_port}")

    def encode(self) -> bytes:
        """Return the packet."""
        return b"".join(
            (
                bytes((VERSION, self.opcode, 0, 0)),
                self.internal_port.to_bytes(2),
                self.external_port.to_bytes(2),
                self.lifetime.to_bytes(4),
            )
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressReply:
    """The external address, None in an error. `epoch` is in seconds (section 3.6)."""

    result: int
    epoch: int
    address: IPv4Address | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MapReply:
    """The mapping that there is now. In an error the ports and the lifetime are 0."""

    opcode: int
    result: int
    epoch: int
    internal_port: int = 0
    external_port: int = 0
    lifetime: int = 0


type Reply = AddressReply | MapReply


def name_of(result: int) -> str:
    """Return the name of a result code, or the number where it has none."""
    return Result(result).name if result in Result else f"result code {result}"


def read_reply(packet: bytes) -> Reply:
    """Return what the packet says.

    Raises OtherVersionError when the server speaks another version, such as
    that of PCP, and BadPacketError for anything that is no reply at all.
    """
    if not _ERROR_LENGTH <= len(packet) <= LONGEST:
        raise BadPacketError(f"{len(packet)} bytes")
    if not packet[1] & _REPLY:
        raise BadPacketError("a request")
    # A reply of PCP has its code of 8 bits where the lower half of this is.
    result = int.from_bytes(packet[2:4])
    if packet[0] != VERSION:
        if packet[3] == Result.UNSUPP_VERSION:
            raise OtherVersionError(packet[0])
        raise BadPacketError(f"version {packet[0]}")
    opcode, epoch = packet[1] & ~_REPLY, int.from_bytes(packet[4:8])
    failed = result != Result.SUCCESS
    if opcode == ADDRESS:
        if failed:
            return AddressReply(result=result, epoch=epoch, address=None)
        _check_length(packet, _ADDRESS_LENGTH)
        return AddressReply(result=result, epoch=epoch, address=IPv4Address(packet[8:12]))
    if opcode not in (MAP_UDP, MAP_TCP):
        raise BadPacketError(f"opcode {opcode}")
    if failed:
        return MapReply(opcode=opcode, result=result, epoch=epoch)
    _check_length(packet, _MAP_LENGTH)
    return MapReply(
        opcode=opcode,
        result=result,
        epoch=epoch,
        internal_port=int.from_bytes(packet[8:10]),
        external_port=int.from_bytes(packet[10:12]),
        lifetime=int.from_bytes(packet[12:16]),
    )


def _check_length(packet: bytes, length: int) -> None:
    if len(packet) < length:
        raise BadPacketError(f"{len(packet)} bytes")
