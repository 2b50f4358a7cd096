import contextlib
import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.routers.pcp.natpmp import (
    ADDRESS_REQUEST,
    MAP_TCP,
    MAP_UDP,
    AddressReply,
    MapReply,
    MapRequest,
    Result,
    name_of,
    read_reply,
)
from custom_components.port_forward.routers.pcp.packets import BadPacketError, OtherVersionError
from tests.fuzz.effort import inputs


def test_requests() -> None:
    assert ADDRESS_REQUEST == b"\0\0"
    request = MapRequest(opcode=MAP_TCP, internal_port=80, external_port=8080, lifetime=7200)
    assert request.encode() == bytes.fromhex("00020000 0050 1f90 00001c20")


@pytest.mark.parametrize("change", [{"internal_port": 0}, {"external_port": 65536}])
def test_what_must_never_be_sent(change: dict[str, int]) -> None:
    """With an internal port 0, a lifetime of 0 deletes all that this machine has mapped."""
    with pytest.raises(ValueError, match="not ports"):
        MapRequest(**{"opcode": MAP_UDP, "internal_port": 80, "lifetime": 0, **change})


def test_address_reply() -> None:
    reply = read_reply(bytes.fromhex("00800000 0000004d cb007107"))
    assert reply == AddressReply(result=0, epoch=77, address=IPv4Address("203.0.113.7"))


def test_map_reply() -> None:
    reply = read_reply(bytes.fromhex("00820000 0000004d 0050 1f90 0000003c"))
    assert reply == MapReply(
        opcode=MAP_TCP, result=0, epoch=77, internal_port=80, external_port=8080, lifetime=60
    )


@pytest.mark.parametrize("result", [*Result, 6, 99, 65535])
def test_every_result_code_is_taken(result: int) -> None:
    start = struct.pack("!BBHI", 0, 0x81, result, 5)
    if result:
        assert read_reply(start) == MapReply(opcode=MAP_UDP, result=result, epoch=5)
    assert read_reply(start + bytes(8)).result == result
    assert name_of(result) == (Result(result).name if result < 6 else f"result code {result}")


def test_an_error_has_no_address() -> None:
    reply = read_reply(bytes.fromhex("00800003 00000005 cb007107"))
    assert reply == AddressReply(result=3, epoch=5, address=None)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0",
        bytes.fromhex("00800000"),
        bytes.fromhex("00800000 0000004d"),
        bytes.fromhex("00820000 0000004d 0050 1f90"),
        bytes.fromhex("00020000 0000004d 0050 1f90 0000003c"),
        bytes.fromhex("00890005 0000004d"),
        bytes.fromhex("02800000 00000000"),
        bytes.fromhex("00800000 0000004d cb007107") + bytes(1100),
    ],
)
def test_what_is_no_reply(packet: bytes) -> None:
    with pytest.raises(BadPacketError) as error:
        read_reply(packet)
    assert not isinstance(error.value, OtherVersionError)


def test_another_version() -> None:
    with pytest.raises(OtherVersionError) as error:
        read_reply(bytes.fromhex("02800001") + bytes(20))
    assert error.value.version == 2


@inputs(100)
@given(st.binary(max_size=1110))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(BadPacketError):
        read_reply(data)


@inputs(100)
@given(st.integers(0, 255), st.binary(max_size=40))
def test_any_bytes_after_the_start_of_a_reply(opcode: int, data: bytes) -> None:
    with contextlib.suppress(BadPacketError):
        read_reply(bytes((0, opcode)) + data)


@inputs(100)
@given(st.integers(1, 65535), st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_mapping_there_and_back(internal: int, external: int, lifetime: int) -> None:
    request = MapRequest(
        opcode=MAP_UDP, internal_port=internal, external_port=external, lifetime=lifetime
    ).encode()
    reply = read_reply(bytes((0, 0x81, 0, 0)) + bytes(4) + request[4:])
    assert isinstance(reply, MapReply)
    assert (reply.internal_port, reply.external_port, reply.lifetime) == (
        internal,
        external,
        lifetime,
    )
