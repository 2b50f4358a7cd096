"""Rows of the routers with an API of their own: whatever stands in them, nothing but values comes.

Whoever may write to a router may write anything there: one bad row must not
hide the others, and least of all those of ours.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

from hypothesis import example, given
from hypothesis import strategies as st

from custom_components.port_forward.routers.mikrotik import rules as mikrotik
from custom_components.port_forward.routers.mikrotik.wan import Wan
from custom_components.port_forward.routers.mikrotik.words import LONGEST, duration, duration_of
from custom_components.port_forward.routers.model import (
    PORT_MAX,
    PORT_MIN,
    PortMapping,
    PortRange,
    Protocol,
)
from custom_components.port_forward.routers.openwrt import sections as openwrt
from custom_components.port_forward.routers.openwrt.clock import (
    RouterClock,
    read_clock,
    zone_of,
)
from custom_components.port_forward.routers.openwrt.network import read_network
from custom_components.port_forward.routers.openwrt.rendered import _rules, find_rendered
from custom_components.port_forward.routers.openwrt.rights import read_rights
from custom_components.port_forward.routers.openwrt.router_state import _is_in_force
from custom_components.port_forward.routers.opnsense import interfaces, states
from custom_components.port_forward.routers.opnsense.rule import read_rules
from custom_components.port_forward.routers.unifi import forwards as unifi

from .documents import NUMBERS, TEXTS
from .effort import bounded, inputs

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

_PORTS = ("80", "8000-8010", "8000:8010", "80,443,90-99", "http", "any", "1-65535", "0", "9-8", "")
_HOSTS = ("192.0.2.5", "2001:db8::5", "192.0.2.0/24", "2001:db8::/32", "::/0", "!192.0.2.5", "nas")
_WORDS = (
    *("tcp", "udp", "tcp_udp", "tcp/udp", "tcpudp", "all", "accept", "ACCEPT", "DNAT", "dst-nat"),
    *("dstnat", "forward", "jump", "drop", "redirect", "rule", "zone", "wan", "lan", "inet", "1"),
    *("true", "yes", "no", "0", "up", "in", "firewall_group", "ip", "ha-pf-abc", "ha_pf_abc_0"),
    *("HA: Camera [ha-pf:abc]", "dstnat_wan", "forward_wan", "dport", "saddr", "daddr", "<="),
)
_DATES = (
    *("2026-11-22T13:00:00", "2026-11-22", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59"),
    *("2026-11-22T13:00:00Z", "2026-02-30", "2026-11-22 13:00", "24:00"),
)
_DURATIONS = ("1d2h3m4s", "1w", "00:00:05", "1d02:03:04", "9" * 30 + "w", "9" * 5000 + "s", "1s1d")
_texts = st.sampled_from((*NUMBERS, *TEXTS, *_PORTS, *_HOSTS, *_WORDS, *_DATES, *_DURATIONS))
_any_text = _texts | st.text(max_size=8)
_scalars = (
    _any_text | st.none() | st.booleans() | st.floats() | st.integers(-(2**70), 2**70)
) | st.sampled_from((0, 80, 443, 65535, 65536))
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_any_text, inner, max_size=4),
    max_leaves=8,
)


def _rows[T](good: str, values: st.SearchStrategy[T]) -> st.SearchStrategy[dict[str, T | str]]:
    """Rows of which a few values are others than the good ones, or missing."""
    fields = dict(field.split("=") for field in good.split())
    keys = st.sampled_from(sorted(fields))
    return st.builds(
        lambda odd, missing: {
            key: odd.get(key, value) for key, value in fields.items() if key not in missing
        },
        st.dictionaries(keys, values, max_size=3),
        st.sets(keys, max_size=2),
    )


def check(mappings: Iterable[PortMapping]) -> None:
    """Make sure that each is one that can be shown, kept and compared."""
    for mapping in mappings:
        assert mapping.protocols
        assert set(mapping.protocols) <= set(Protocol)
        for ports in (mapping.external_ports, mapping.internal_ports or mapping.external_ports):
            assert PORT_MIN <= ports.first <= ports.last <= PORT_MAX
        assert mapping.lease is None or mapping.lease >= timedelta(0)
        assert mapping.hits is None or mapping.hits >= 0
        assert isinstance(mapping.enabled, bool)
        assert mapping.key
        assert mapping.target


def mapping(host: str) -> PortMapping:
    """One that is ours, for comparing."""
    ports = PortRange.single(80)
    return PortMapping(
        protocols=(Protocol.TCP,),
        external_ports=ports,
        internal_host=host,
        internal_ports=ports,
        description="HA: Camera [ha-pf:abc]",
        id="/abc",
    )


OURS = (mapping("192.0.2.5"), mapping("2001:db8::5"))

_clocks = st.builds(
    lambda seconds, zone: read_clock(seconds, NOW, zone_of(zone)),
    st.integers(0, 2**33),
    st.sampled_from(("", "UTC", "CET-1CEST,M3.5.0,M10.5.0/3", "<-12>12", "<+14>-14")),
)
_odd: st.SearchStrategy[object] = _any_text | _json
_sections = st.one_of(
    _rows(
        ".name=a .type=redirect name=Camera enabled=1 src=wan src_dport=80 src_ip=192.0.2.0/24"
        " dest=lan dest_ip=192.0.2.5 dest_port=80 proto=tcp target=DNAT"
        " stop_date=2026-11-22T13:00:00",
        _odd,
    ),
    _rows(
        ".name=ha_pf_abc_0 .type=rule src=wan dest=lan dest_ip=2001:db8::5 dest_port=80 proto=tcp"
        " target=ACCEPT",
        _odd,
    ),
    _rows(".name=b .type=zone name=wan network=wan masq=1", _odd),
)


@inputs(60)
@given(st.dictionaries(st.text(max_size=3), _sections, max_size=4) | _json, _clocks)
def test_openwrt_sections(values: object, clock: RouterClock) -> None:
    with bounded(1000):
        for section in openwrt.read_sections(values):
            if (row := openwrt.read_mapping(section, clock)) is not None:
                check([row])
                _is_in_force(row, section, ())
            openwrt.is_pinhole(section)
            openwrt.is_forward(section)
            assert section.owner is None or section.owner.forward_id.isalnum()


@inputs(20)
@example("9999-12-31T23:59:59", read_clock(0, NOW, zone_of("CET-1")))
@given(st.sampled_from(_DATES) | st.datetimes().map(datetime.isoformat), _clocks)
def test_openwrt_dates(text: str, clock: RouterClock) -> None:
    with bounded(len(text)):
        left = clock.remaining(text)
    assert left is None or isinstance(left, timedelta)


@inputs(40)
@given(st.text(max_size=12) | st.sampled_from(("CET-1", "A1", "<+99>-99", "\n\n", "UTC0,1,2", "É")))
def test_openwrt_time_zone(text: str) -> None:
    with bounded(len(text)):
        zone = zone_of(text)
        clock = read_clock(int(NOW.timestamp()), NOW, zone)
        assert clock.remaining("2026-11-22T13:00:00") is not None
        clock.stop_date(timedelta(hours=1))


_odd_scalars: st.SearchStrategy[object] = _scalars
_addresses = st.lists(_rows("address=192.0.2.1 mask=24 target=0.0.0.0", _odd_scalars), max_size=3)
_interface_rows = st.builds(
    lambda row, lists: {**row, **lists},
    _rows("interface=wan device=eth0 l3_device=eth0 up=1 uptime=1", _odd_scalars),
    st.dictionaries(
        st.sampled_from(("ipv4-address", "ipv6-address", "ipv6-prefix-assignment", "route")),
        _addresses | _json,
    ),
)


@inputs(40)
@given(
    st.builds(lambda rows: {"interface": rows}, st.lists(_interface_rows | _json, max_size=4)),
    st.dictionaries(st.text(max_size=3), _sections, max_size=4),
    _any_text,
)
def test_openwrt_network(dump: object, zones: object, picked: str) -> None:
    with bounded(1000):
        network = read_network(dump, openwrt.read_sections(zones), picked)
        assert network.zone is None or network.zone in network.zones
        assert network.uptime is None or network.uptime >= timedelta(0)
        for host in (IPv4Address("192.0.2.5"), IPv6Address("2001:db8::5")):
            network.zone_of(host)
        assert isinstance(network.connected, bool)
        for address in (network.external_address, network.external_address6):
            str(address)
        str(network.lan_device)


_expressions = st.one_of(
    st.builds(
        lambda left, op, right: {"match": {"left": left, "op": op, "right": right}},
        st.builds(
            lambda protocol, field: {"payload": {"protocol": protocol, "field": field}},
            st.sampled_from(("tcp", "udp", "ip")),
            st.sampled_from(("dport", "saddr", "daddr")),
        )
        | st.just({"meta": {"key": "time"}})
        | _json,
        st.sampled_from(("==", "<=")),
        _scalars
        | st.builds(lambda first, last: {"range": [first, last]}, _scalars, _scalars)
        | st.builds(lambda a, n: {"prefix": {"addr": a, "len": n}}, _scalars, _scalars)
        | _json,
    ),
    st.builds(lambda packets: {"counter": {"packets": packets}}, _scalars),
    st.builds(lambda addr, port: {"dnat": {"addr": addr, "port": port}}, _scalars, _scalars),
    _json,
)
_nft = st.builds(
    lambda chain, expressions, comment: {
        "rule": {"chain": chain, "expr": expressions, "comment": comment}
    },
    st.sampled_from(("dstnat_wan", "forward_wan", "input", "")),
    st.lists(_expressions, max_size=5),
    _json,
)


@inputs(60)
@given(st.lists(_nft | _json, max_size=4), st.sampled_from(_DATES))
def test_openwrt_rules_in_force(items: list[object], stop_date: str) -> None:
    section = openwrt.Section(name="a", type="redirect", options={"stop_date": stop_date})
    with bounded(1000):
        rules = tuple(_rules(items))
        for ours in OURS:
            assert len(find_rendered(ours, "", rules)) <= len(rules)
            _is_in_force(ours, section, rules)
    for rule in rules:
        assert rule.protocol in Protocol
        assert PORT_MIN <= rule.ports.first <= rule.ports.last <= PORT_MAX


@inputs(20)
@given(st.dictionaries(st.sampled_from(("ubus", "uci", "file")), _json) | _json)
def test_openwrt_rights(acls: object) -> None:
    with bounded(1000):
        rights = read_rights(acls)
        assert isinstance(rights.missing, tuple)
        assert rights.rules in (True, False)


_WAN = Wan(
    matcher={"in-interface-list": "WAN"},
    interfaces=frozenset({"ether1"}),
    lists=frozenset({"WAN"}),
    address=IPv4Address("203.0.113.7"),
    connected=True,
)
_mikrotik_rows = st.one_of(
    _rows(
        ".id=*1 chain=dstnat action=dst-nat protocol=tcp dst-port=80 to-ports=80"
        " to-addresses=192.0.2.5 in-interface-list=WAN src-address=192.0.2.0/24 packets=7"
        " comment=[ha-pf:abc] jump-target=x disabled=false",
        _any_text,
    ),
    _rows(
        ".id=*2 chain=forward action=accept protocol=udp dst-port=80 dst-address=2001:db8::5"
        " src-address-list=ha-pf-abc packets=7 comment=[ha-pf:abc] invalid=false",
        _any_text,
    ),
)


@inputs(60)
@example([{"chain": "dstnat", "action": "dst-nat", "protocol": "tcp", "packets": "9" * 5000}])
@given(st.lists(_mikrotik_rows, max_size=5))
def test_mikrotik_rules(rows: list[dict[str, str]]) -> None:
    with bounded(1000):
        assert len(mikrotik.reached(rows, _WAN)) <= len(rows)
        for row in rows:
            check(mikrotik.read_row(row))
            for ours in OURS:
                mikrotik.is_ours(row, ours)
                mikrotik.leads_like(row, ours)
                mikrotik.is_in_the_way(row, ours)
        mikrotik.first_drop(rows, OURS[1], _WAN)
        assert all(mikrotik.is_pinhole_for(row, OURS[1], _WAN) in (True, False) for row in rows)


@inputs(30)
@example("1000000000d")
@given(_any_text | st.from_regex(r"(\d{1,40}[wdhms]){1,4}", fullmatch=True))
def test_mikrotik_durations(text: str) -> None:
    with bounded(len(text)):
        found = duration_of(text)
    assert found is None or found >= timedelta(0)


@inputs(20)
@given(st.timedeltas(timedelta(0), LONGEST))
def test_mikrotik_durations_there_and_back(wanted: timedelta) -> None:
    with bounded(1):
        found = duration_of(duration(wanted))
    assert found == max(timedelta(seconds=1), timedelta(seconds=int(wanted.total_seconds())))


_opnsense_rows = _rows(
    "uuid=a disabled=0 interface=wan ipprotocol=inet protocol=tcp source.network=192.0.2.0/24"
    " source.not=0 destination.port=8000-8010 target=192.0.2.5 local-port=80 nordr=0 descr=Camera"
    " is_automatic=",
    _odd_scalars,
)


@inputs(60)
@given(st.lists(_opnsense_rows, max_size=5) | _json)
def test_opnsense_rules(rows: object) -> None:
    with bounded(1000):
        for rule in read_rules(rows):
            check([rule.mapping] if rule.mapping else [])
            assert rule.families <= {4, 6}
            rule.is_for("wan")
            rule.has({"target": "192.0.2.5"})


@inputs(20)
@given(
    st.lists(
        _rows(
            "identifier=wan status=up addr4=203.0.113.7/24 addr6=2001:db8::1/64 macaddr=a"
            " gateways=b",
            _odd_scalars,
        )
        | _json,
        max_size=4,
    )
)
def test_opnsense_interfaces(rows: list[object]) -> None:
    with bounded(1000):
        for interface in interfaces._read(rows):
            assert interface.address is None or isinstance(interface.address, IPv4Address)
            assert interface.address6 is None or isinstance(interface.address6, IPv6Address)


_states = _rows(
    "id=a dst_addr=192.0.2.5 dst_port=80 proto=tcp direction=in nat_port=80 src_addr=b src_port=9",
    _odd_scalars,
)


@inputs(20)
@given(st.builds(lambda rows: {"rows": rows}, st.lists(_states | _json, max_size=5) | _json))
def test_opnsense_states(reply: dict[str, object]) -> None:
    with bounded(1000):
        for ours in OURS:
            assert all(isinstance(state, str) for state in states._carried(reply, ours))


_unifi_documents = _rows(
    "_id=a name=Camera enabled=1 pfwd_interface=wan fwd=192.0.2.5 fwd_port=80 dst_port=80,443"
    " proto=tcp_udp src=192.0.2.9 src_limiting_enabled=1 src_limiting_type=ip"
    " src_firewall_group_id=b",
    _odd_scalars,
)


@inputs(60)
@given(_unifi_documents)
def test_unifi_forwards(document: dict[str, object]) -> None:
    with bounded(1000):
        check(unifi.read(document))
        for ours in OURS:
            unifi.is_ours(document, ours)
            unifi.leads_like(document, ours)
            unifi.is_in_the_way(document, ours, "wan")
            held = unifi.is_held_as(document, unifi.values_of(ours, "wan"))
            assert not held or document["fwd"] == ours.internal_host
