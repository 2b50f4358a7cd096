import contextlib
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.routers.pcp.packets import (
    LONGEST,
    AnnounceRequest,
    BadPacketError,
    Filter,
    MapRequest,
    Option,
    OtherVersionError,
    PreferFailure,
    Result,
    ThirdParty,
    TransportProtocol,
    UnknownOption,
    name_of,
    read_reply,
)
from tests.fuzz.effort import inputs

from .server import HOST, header, options, packed

NONCE = bytes(range(12))
REPLY = (
    header(1, 0, lifetime=120, epoch=77)
    + NONCE
    + bytes((6, 0, 0, 0))
    + struct.pack("!HH", 80, 8080)
    + packed("203.0.113.7")
)

addresses = st.ip_addresses()
nets = st.one_of(
    st.builds(
        lambda number, bits: ip_network((number, bits), strict=False),
        st.integers(0, 2**32 - 1).map(IPv4Address),
        st.integers(0, 32),
    ),
    st.builds(
        lambda number, bits: ip_network((number, bits), strict=False),
        st.integers(2**100, 2**128 - 1).map(IPv6Address),
        st.integers(1, 128),
    ),
)
some_options = st.lists(
    st.one_of(
        st.builds(ThirdParty, addresses),
        st.just(PreferFailure()),
        st.builds(Filter, nets),
        st.just(Filter(None)),
        st.builds(UnknownOption, st.integers(4, 255), st.binary(max_size=40)),
    ),
    max_size=8,
)


def map_request(*asked: Option, client: str = HOST, lifetime: int = 3600) -> MapRequest:
    address = IPv6Address(client) if ":" in client else IPv4Address(client)
    return MapRequest(
        client=address,
        lifetime=lifetime,
        nonce=NONCE,
        protocol=TransportProtocol.TCP,
        internal_port=80,
        external_port=8080,
        options=asked,
    )


def test_announce_request() -> None:
    packet = AnnounceRequest(client=IPv4Address(HOST)).encode()
    assert packet == bytes.fromhex("02000000 00000000 00000000000000000000ffff7f000001")


def test_map_request() -> None:
    assert map_request().encode() == bytes.fromhex(
        "02010000 00000e10 00000000000000000000ffff7f000001"
        "000102030405060708090a0b 06000000 0050 1f90 00000000000000000000ffff00000000"
    )


def test_map_request_over_ipv6_wishes_for_any_address_of_ipv6() -> None:
    packet = map_request(client="2001:db8::5").encode()
    assert packet[8:24] == IPv6Address("2001:db8::5").packed
    assert packet[44:60] == bytes(16)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (ThirdParty(IPv4Address("192.0.2.5")), "01000010 00000000000000000000ffffc0000205"),
        (PreferFailure(), "02000000"),
        (
            Filter(IPv4Network("198.51.100.0/24")),
            "03000014 00780000 00000000000000000000ffffc6336400",
        ),
        (
            Filter(IPv6Network("2001:db8::/32")),
            "03000014 00200000 20010db8000000000000000000000000",
        ),
        (Filter(None), "03000014 00000000 00000000000000000000000000000000"),
        (UnknownOption(200, b"abcde"), "c8000005 6162636465000000"),
    ],
)
def test_option(option: Option, expected: str) -> None:
    assert map_request(option).encode()[60:] == bytes.fromhex(expected)
    assert read_reply(REPLY + bytes.fromhex(expected)).options == (option,)


@pytest.mark.parametrize(
    "change",
    [{"internal_port": 0}, {"internal_port": 65536}, {"external_port": -1}, {"nonce": b"short"}],
)
def test_what_must_never_be_sent(change: dict[str, int]) -> None:
    """An internal port 0 means all of them."""
    values = {"internal_port": 80, "external_port": 0, "nonce": NONCE, **change}
    with pytest.raises(ValueError, match="not"):
        MapRequest(client=IPv4Address(HOST), lifetime=0, protocol=TransportProtocol.TCP, **values)  # type: ignore[arg-type]


def test_map_reply() -> None:
    reply = read_reply(REPLY)
    assert (reply.opcode, reply.result, reply.lifetime, reply.epoch) == (1, 0, 120, 77)
    assert reply.mapped
    assert (reply.mapped.nonce, reply.mapped.protocol) == (NONCE, 6)
    assert (reply.mapped.internal_port, reply.mapped.external_port) == (80, 8080)
    assert reply.mapped.external_address == IPv4Address("203.0.113.7")
    assert reply.options == ()


@pytest.mark.parametrize("lifetime", [0, 2**32 - 1])
def test_lifetimes_at_the_ends(lifetime: int) -> None:
    assert read_reply(header(1, 0, lifetime=lifetime) + REPLY[24:]).lifetime == lifetime


@pytest.mark.parametrize("result", [*Result, 14, 99, 255])
def test_every_result_code_is_taken(result: int) -> None:
    reply = read_reply(header(1, result) + REPLY[24:])
    assert reply.result == result
    assert name_of(result) == (Result(result).name if result < 14 else f"result code {result}")


def test_an_error_may_end_after_its_header_or_repeat_what_makes_no_sense() -> None:
    assert read_reply(header(1, 3)).mapped is None
    assert read_reply(header(1, 6) + REPLY[24:] + b"\x03\0\0\xff").options == ()


@pytest.mark.parametrize(
    ("code", "data"),
    [
        (1, bytes(4)),
        (2, bytes(4)),
        (3, bytes(4)),
        (3, b"\0\x20\0\0" + packed("192.0.2.1")),
        (3, b"\0\xff\0\0" + bytes(16)),
        (3, b"\0\x80\0\x50" + packed("192.0.2.1")),
        (250, b""),
    ],
)
def test_options_that_are_unknown_or_make_no_sense(code: int, data: bytes) -> None:
    option = UnknownOption(code, data)
    assert read_reply(REPLY + map_request(option).encode()[60:]).options == (option,)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x02",
        REPLY[:23],
        REPLY[:-2],
        REPLY[:-4],
        header(1, 0),
        REPLY + bytes(LONGEST - len(REPLY) + 4),
        REPLY + b"\0",
        b"\x02\x01" + REPLY[2:],
        b"\x03" + REPLY[1:],
        REPLY + b"\x03\0\0\xff",
    ],
)
def test_what_is_no_reply(packet: bytes) -> None:
    with pytest.raises(BadPacketError) as error:
        read_reply(packet)
    assert not isinstance(error.value, OtherVersionError)


@pytest.mark.parametrize(
    ("packet", "version"),
    [
        (bytes.fromhex("00000001 00000011"), 0),
        (bytes.fromhex("00800001 00000011 00000000"), 0),
        (bytes.fromhex("01800001") + bytes(20), 1),
        (bytes.fromhex("03800001") + bytes(20), 3),
    ],
)
def test_another_version(packet: bytes, version: int) -> None:
    with pytest.raises(OtherVersionError) as error:
        read_reply(packet)
    assert error.value.version == version


@inputs(100)
@given(st.binary(max_size=LONGEST + 8))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(BadPacketError):
        read_reply(data)


@inputs(100)
@given(st.sampled_from([0, 1, 2]), st.integers(0, 255), st.binary(max_size=300))
def test_any_bytes_after_the_start_of_a_reply(version: int, third: int, data: bytes) -> None:
    packet = bytes((version, 0x81, 0, third if third < 14 else 0)) + data
    with contextlib.suppress(BadPacketError):
        read_reply(packet[: len(packet) // 4 * 4])


@inputs(100)
@given(some_options)
def test_options_there_and_back(asked: list[Option]) -> None:
    packet = map_request(*asked).encode()
    assert len(packet) % 4 == 0
    assert sum(map(len, options(packet[60:]).values())) == len(asked)
    assert read_reply(REPLY + packet[60:]).options == tuple(_as_read(one) for one in asked)


def _as_read(option: Option) -> Option:
    """An IPv6 address that stands for one of IPv4 is that one on the wire."""
    match option:
        case ThirdParty(IPv6Address() as address) if address.ipv4_mapped:
            return ThirdParty(address.ipv4_mapped)
        case _:
            return option


@inputs(100)
@given(
    st.integers(0, 2**32 - 1),
    st.binary(min_size=12, max_size=12),
    st.integers(1, 65535),
    st.integers(0, 65535),
    st.ip_addresses(v=4),
)
def test_mapping_there_and_back(
    lifetime: int, nonce: bytes, internal: int, external: int, client: IPv4Address
) -> None:
    request = MapRequest(
        client=client,
        lifetime=lifetime,
        nonce=nonce,
        protocol=TransportProtocol.UDP,
        internal_port=internal,
        external_port=external,
    ).encode()
    reply = read_reply(header(1, 0, lifetime=lifetime, epoch=3) + request[24:])
    assert reply.mapped
    assert (reply.lifetime, reply.mapped.nonce, reply.mapped.protocol) == (lifetime, nonce, 17)
    assert (reply.mapped.internal_port, reply.mapped.external_port) == (internal, external)
