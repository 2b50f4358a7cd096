"""Packets of PCP and NAT-PMP: our own errors or sound values, and never another mapping."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import override

from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.routers.errors import RouterError
from custom_components.port_forward.routers.model import Forward, PortRange, Protocol
from custom_components.port_forward.routers.pcp import natpmp, packets
from custom_components.port_forward.routers.pcp.client import Version
from custom_components.port_forward.routers.pcp.driver import PcpRouter
from custom_components.port_forward.routers.pcp.epoch import Epochs
from custom_components.port_forward.routers.pcp.exchange import Server
from custom_components.port_forward.routers.pcp.grant import Grant
from custom_components.port_forward.routers.pcp.packets import (
    BadPacketError,
    Filter,
    MapRequest,
    PreferFailure,
    ThirdParty,
    TransportProtocol,
    UnknownOption,
)
from custom_components.port_forward.routers.pcp.state import State

from .checks import check_error
from .documents import NUMBERS
from .effort import bounded, count, inputs

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOTHING = bytes(36)

_numbers = st.sampled_from((0, 1, 2, 3599, 3600, 2**31, 2**32 - 1)) | st.integers(0, 2**32 - 1)
_results = st.sampled_from((0, 0, 0, 0, 1, 2, 5, 8, 11, 12, 13, 14, 255))
_addresses6 = st.integers(2**112, 2**128 - 1).map(IPv6Address)
"""Those that are no IPv4 address in the shape of one."""
_addresses = st.ip_addresses(v=4) | _addresses6
_options = st.lists(
    st.one_of(
        st.builds(ThirdParty, _addresses),
        st.just(PreferFailure()),
        st.builds(
            Filter,
            st.none()
            | st.builds(
                lambda a, n: IPv4Network((a, n), strict=False),
                st.ip_addresses(v=4),
                st.integers(1, 32),
            )
            | st.builds(
                lambda a, n: IPv6Network((a, n), strict=False),
                _addresses6,
                st.integers(1, 128),
            ),
        ),
        st.builds(UnknownOption, st.integers(4, 255), st.binary(max_size=20)),
    ),
    max_size=4,
)
_requests = st.builds(
    lambda client, lifetime, nonce, protocol, inside, outside, options: MapRequest(
        client=client,
        lifetime=lifetime,
        nonce=nonce,
        protocol=protocol,
        internal_port=inside,
        external_port=outside,
        options=tuple(options),
    ),
    _addresses,
    _numbers,
    st.binary(min_size=12, max_size=12),
    st.sampled_from(TransportProtocol),
    st.integers(1, 65535),
    st.integers(0, 65535),
    _options,
)


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    """Replies of both protocols of which a few bytes are wrong, missing or too many."""
    pcp = struct.pack(
        ">BBBBIIxxxxxxxxxxxx", 2, draw(st.sampled_from((0x80, 0x81, 0x81, 0x82, 1))), 0,
        draw(_results), draw(_numbers), draw(_numbers),
    ) + draw(_requests).encode()[24:]  # fmt: skip
    natpmp_reply = struct.pack(
        ">BBHIHHI", 0, draw(st.sampled_from((128, 129, 130, 131, 1))), draw(_results),
        draw(_numbers), draw(st.integers(0, 65535)), draw(st.integers(0, 65535)), draw(_numbers),
    )  # fmt: skip
    packet = draw(st.sampled_from((pcp, pcp, pcp[:24], pcp[:60], natpmp_reply, natpmp_reply[:12])))
    for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
        at = draw(st.integers(0, len(packet)))
        packet = packet[:at] + draw(st.binary(max_size=8)) + packet[at + draw(st.integers(0, 8)) :]
    return packet + draw(st.sampled_from((b"", b"", b"\0" * 4, b"\xff" * 2000, b"\x03\0\xff\xff")))


any_packets = replies() | st.binary(max_size=80) | st.binary(max_size=1200)


@inputs(100)
@given(any_packets)
def test_pcp_packet(packet: bytes) -> None:
    with bounded(len(packet)):
        try:
            reply = packets.read_reply(packet)
        except BadPacketError:
            return
    assert 0 <= reply.opcode < 128
    assert 0 <= reply.lifetime < 2**32
    assert 0 <= reply.epoch < 2**32
    assert len(reply.options) <= 1100 // 4
    packets.name_of(reply.result)
    if reply.mapped:
        assert len(reply.mapped.nonce) == 12
        assert 0 <= reply.mapped.external_port <= 65535
    if reply.result == 0 and reply.opcode == packets.MAP:
        assert reply.mapped


@inputs(60)
@given(any_packets)
def test_natpmp_packet(packet: bytes) -> None:
    with bounded(len(packet)):
        try:
            reply = natpmp.read_reply(packet)
        except BadPacketError:
            return
    natpmp.name_of(reply.result)
    assert 0 <= reply.epoch < 2**32
    if isinstance(reply, natpmp.MapReply):
        assert 0 <= reply.external_port <= 65535
        assert 0 <= reply.lifetime < 2**32


@inputs(50)
@given(_requests, _numbers, _numbers)
def test_what_we_ask_for_comes_back_as_it_was(
    request: MapRequest, lifetime: int, epoch: int
) -> None:
    sent = request.encode()
    assert len(sent) <= packets.LONGEST
    assert len(sent) % 4 == 0
    with bounded(len(sent)):
        reply = packets.read_reply(_granted(sent, lifetime=lifetime, epoch=epoch))
    assert (reply.lifetime, reply.epoch) == (lifetime, epoch)
    assert reply.mapped
    assert reply.mapped.nonce == request.nonce
    assert reply.mapped.protocol == request.protocol
    assert reply.mapped.internal_port == request.internal_port
    assert reply.options == request.options


def _granted(request: bytes, *, lifetime: int, epoch: int) -> bytes:
    head = struct.pack(">BBBBIIxxxxxxxxxxxx", 2, request[1] | 0x80, 0, 0, lifetime, epoch)
    return head + request[24:]


@inputs(30)
@given(st.lists(any_packets, min_size=1, max_size=12), st.sampled_from((None, *Version)))
async def test_announcements(heard: list[bytes], version: Version | None) -> None:
    """Anybody in the network can send one: the worst that it does is a look at the router."""
    learned: dict[str, str] = {}
    told: list[None] = []
    state = State(learned, lambda: NOW, lambda: version)
    state.on_news = lambda: told.append(None)
    with bounded(sum(map(len, heard))):
        for packet in heard:
            state.hear(packet)
            state.hear6(packet)
    assert len(told) <= 2 * len(heard)
    assert all(isinstance(value, str) for value in learned.values())
    assert State(learned, lambda: NOW, lambda: version).epochs.boot == state.epochs.boot


@inputs(30)
@given(
    st.lists(st.tuples(st.sampled_from(Version), _numbers, st.integers(-100, 10**6)), max_size=20),
    st.text(max_size=20) | st.sampled_from(("2 5 2026-11-22", "9 1 2026-11-22T12:00:00+00:00")),
)
def test_epochs(seen: list[tuple[Version, int, int]], last: str) -> None:
    """However they jump, and whatever was noted: a loss is told a bounded number of times."""
    losses: list[None] = []
    epochs = Epochs({"last_epoch": last}, lambda: losses.append(None))
    wall, monotonic = NOW, 0.0
    with bounded(len(seen)):
        for version, epoch, elapsed in seen:
            wall += timedelta(seconds=elapsed)
            monotonic += max(elapsed, 0)
            epochs.observe(version, epoch, monotonic=monotonic, wall=wall)
    assert len(losses) <= 3 + len(seen) // 5 * 3


@inputs(30)
@given(
    st.text(max_size=40)
    | st.builds(
        "{} {} {} {} {}".format,
        st.sampled_from(("00" * 12, "00" * 11, "zz" * 12, "")),
        st.sampled_from(("0", "2", *NUMBERS)),
        st.sampled_from(("boot", "")),
        st.sampled_from(("1764000000", "nan", "inf", "1e400", *NUMBERS)),
        st.sampled_from(("-", "203.0.113.7", "::1", "nonsense")),
    )
)
def test_grant(text: str) -> None:
    """The id of a mapping, as the ledger has it; another driver's is none."""
    with bounded(len(text)):
        grant = Grant.parse(text)
    if grant is None:
        return
    assert len(grant.nonce) == 12
    assert grant.version is None or Version(grant.version) in Version
    assert Grant.parse(str(grant)) is not None
    grant.stands("boot", NOW)


@inputs(15)
@given(
    st.binary(min_size=12, max_size=12), st.sampled_from(Version), st.integers(0, 10**9), _addresses
)
def test_a_grant_that_is_written_is_read(
    nonce: bytes, version: Version, seconds: int, address: IPv4Address | IPv6Address
) -> None:
    grant = Grant(
        nonce=nonce,
        version=version,
        boot="0a1b2c3d",
        until=NOW + timedelta(seconds=seconds),
        external_address=address,
    )
    with bounded(1):
        assert Grant.parse(str(grant)) == grant


@inputs(20)
@given(
    st.text(max_size=12)
    | st.builds(
        "{}{}{}".format,
        st.sampled_from(("192.0.2.1", "fe80::1%eth0", "[fd00::1]", "[", "::1", "[::1]x", "router")),
        st.sampled_from(("", ":", "::")),
        st.sampled_from(("", "5351", *NUMBERS)),
    )
)
def test_server(text: str) -> None:
    with bounded(len(text)):
        try:
            server = Server.parse(text)
        except ValueError:
            return
    assert 1 <= server.port <= 65535


_PATCHES = {
    "nonce": (24, b"\xff" * 12),
    "protocol": (36, b"\x84"),
    "internal port": (40, b"\0\x16"),
    "external port": (42, b"\0\x16"),
    "no port": (42, b"\0\0"),
    "no lease": (4, b"\0\0\0\0"),
    "long lease": (4, b"\xff\xff\xff\xff"),
    "refused": (3, b"\x08"),
    "old version": (0, b"\0\x81\0\x01"),
    "other opcode": (1, b"\x82"),
    "private address": (56, b"\x0a\0\0\x01"),
}
"""Where in an honest reply something else stands."""
TWISTS = (
    *["as asked"] * 8,
    *_PATCHES,
    *("without options", "more options", "cut", "request", "silence", "garbage", "flood"),
)


class Liar(asyncio.DatagramProtocol):
    """A PCP server that answers each request with a twist of what was asked for."""

    def __init__(self, twists: Sequence[str], noise: list[bytes]) -> None:
        self.asked: list[bytes] = []
        self._twists = twists
        self._noise = noise
        self._transport: asyncio.BaseTransport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert isinstance(self._transport, asyncio.DatagramTransport)
        if data[:1] != b"\x02":
            return
        if data[1] == packets.ANNOUNCE:
            self._transport.sendto(_granted(data, lifetime=0, epoch=1000), addr)
            return
        self.asked.append(data)
        twist = self._twists[len(self.asked) % len(self._twists)]
        for reply in self._twisted(twist, data):
            self._transport.sendto(reply, addr)

    def _twisted(self, twist: str, request: bytes) -> Sequence[bytes]:
        lifetime = int.from_bytes(request[4:8])
        honest = _granted(request, lifetime=lifetime, epoch=1000)
        honest = honest[:44] + IPv6Address("::ffff:203.0.113.7").packed + honest[60:]
        if twist in _PATCHES:
            at, patch = _PATCHES[twist]
            return [honest[:at] + patch + honest[at + len(patch) :]]
        others: dict[str, list[bytes]] = {
            "without options": [honest[:60]],
            "more options": [honest + b"\xfe\0\0\0"],
            "cut": [honest[:40]],
            "request": [request],
            "silence": [],
            "garbage": self._noise,
            "flood": [*self._noise * 20, honest],
        }
        return others.get(twist, [honest])


@asynccontextmanager
async def _lying(twists: Sequence[str], noise: list[bytes]) -> AsyncIterator[tuple[int, Liar]]:
    transport, liar = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Liar(twists, noise), local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1], liar
    finally:
        transport.close()


@inputs(15)
@given(
    first=st.integers(1024, 65000),
    length=st.integers(0, 2),
    protocols=st.sampled_from(((Protocol.TCP,), (Protocol.TCP, Protocol.UDP))),
    source=st.sampled_from((None, None, IPv4Network("198.51.100.0/24"))),
    twists=st.lists(st.sampled_from(TWISTS), min_size=1, max_size=6),
    noise=st.lists(any_packets, max_size=3),
)
async def test_a_server_that_lies(
    first: int,
    length: int,
    protocols: tuple[Protocol, ...],
    source: IPv4Network | None,
    twists: list[str],
    noise: list[bytes],
) -> None:
    """What it grants is what was asked for, and never for more than was asked for."""
    ports = PortRange(first=first, last=first + length)
    forward = Forward(
        id="a",
        name="A",
        internal_host=IPv4Address("127.0.0.1"),
        protocols=protocols,
        external_ports=ports,
        internal_ports=ports,
        allowed_source=source,
    )
    async with _lying(twists, noise) as (port, liar):
        driver = PcpRouter(f"127.0.0.1:{port}", timeout=0.05)
        plan = driver.plan(forward)
        try:
            granted = await driver.open(forward, HOUR, planned=plan)
        except RouterError as error:
            check_error(error)
            granted = None
            assert {row.key for row in error.left} <= {row.key for row in plan}  # noqa: PT017
    count()
    if granted is not None:
        assert [(row.key, row.target) for row in granted] == [(row.key, row.target) for row in plan]
        assert all(row.lease is None or row.lease > timedelta(0) for row in granted)
    for packet in liar.asked:
        assert int.from_bytes(packet[40:42]) in ports
        assert int.from_bytes(packet[4:8]) <= HOUR.total_seconds()
        assert packet[20:24] == bytes((127, 0, 0, 1))
        if source and int.from_bytes(packet[4:8]):
            assert b"\x03\0\0\x14\0\x78\0\0" in packet[60:]
