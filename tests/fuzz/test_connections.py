"""Connection tables: whatever a router shows there, only connections come of it."""

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.routers.mikrotik.connections import (
    read_connections as read_rows,
)
from custom_components.port_forward.routers.model import PORT_MAX, Connection, Protocol
from custom_components.port_forward.routers.openwrt.connections import read_connections

from .documents import NUMBERS, TEXTS
from .effort import bounded, inputs

_hosts = st.ip_addresses(v=4).map(str)
_odd = st.sampled_from((*NUMBERS, *TEXTS)) | st.text(max_size=8)
_values = st.one_of(_hosts, st.integers(0, 70000).map(str), _odd)
_words = st.one_of(
    st.sampled_from(
        ("ipv4", "ipv6", "2", "tcp", "udp", "icmp", "6", "17", "ESTABLISHED", "TIME_WAIT")
    ),
    st.sampled_from(("[ASSURED]", "[UNREPLIED]", "[OFFLOAD]", "mark=0", "=", "src", "src==")),
    st.builds("{}={}".format, st.sampled_from(("src", "dst", "sport", "dport", "use")), _values),
)
_good = st.builds(
    "ipv4     2 {0:8} 6 100 ESTABLISHED src={1} dst={2} sport={3} dport={4}"
    " src={2} dst={1} sport={4} dport={3} [ASSURED] mark=0 zone=0 use=2".format,
    st.sampled_from(("tcp", "udp")),
    _hosts,
    _hosts,
    st.integers(0, PORT_MAX),
    st.integers(0, PORT_MAX),
)
_lines = _good | st.lists(_words, max_size=20).map(" ".join) | _odd
_fields = ("protocol", "src-address", "dst-address", "reply-src-address", "repl-bytes", "tcp-state")
_addresses = st.builds("{}{}{}".format, _values, st.sampled_from((":", "", "::", "%")), _values)
_rows = st.dictionaries(
    st.sampled_from(_fields),
    st.sampled_from(("tcp", "udp", "established", "close", "0")) | _addresses,
)


def check(connections: list[Connection]) -> None:
    for connection in connections:
        assert connection.protocol in Protocol
        for address in (connection.source, connection.destination, connection.target):
            assert isinstance(address, IPv4Address)
        for port in (connection.source_port, connection.destination_port, connection.target_port):
            assert 0 <= port <= PORT_MAX


@inputs(60)
@given(st.lists(_lines, max_size=30), st.sampled_from(("\n", "\r\n", "\x00", "\u2028")))
def test_openwrt(lines: list[str], end: str) -> None:
    text = end.join(lines)
    with bounded(len(text)):
        found = list(read_connections(text))
    check(found)


@inputs(20)
@given(_good, st.lists(_odd, max_size=10))
def test_openwrt_shows_what_is_good_among_what_is_not(good: str, noise: list[str]) -> None:
    text = "\n".join([*noise, good, *noise])
    with bounded(len(text)):
        found = list(read_connections(text))
    assert len(found) == 1
    check(found)


@inputs(20)
@given(
    st.sampled_from(("ipv4 ", "src=1 ", "\n", "x", "ipv4 2 tcp src=1\n")), st.integers(0, 50_000)
)
def test_openwrt_in_bulk(piece: str, times: int) -> None:
    text = piece * times
    with bounded(len(text)):
        assert not list(read_connections(text))


@inputs(40)
@given(st.lists(_rows, max_size=30))
def test_mikrotik(rows: list[dict[str, str]]) -> None:
    with bounded(sum(len(str(row)) for row in rows)):
        found = list(read_rows(rows))
    check(found)
