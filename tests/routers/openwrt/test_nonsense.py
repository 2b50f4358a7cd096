"""Whatever a router answers, it is read or left out, and one bad row hides no other."""

from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custom_components.port_forward.routers.model import PortMapping
from custom_components.port_forward.routers.openwrt.clock import read_clock, zone_of
from custom_components.port_forward.routers.openwrt.network import read_network
from custom_components.port_forward.routers.openwrt.rendered import _rules
from custom_components.port_forward.routers.openwrt.rights import read_rights
from custom_components.port_forward.routers.openwrt.sections import (
    Section,
    check_narrow,
    is_forward,
    is_pinhole,
    read_mapping,
    read_sections,
)

from .home import Home, redirect

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
WORDS = st.sampled_from(
    (
        ["", "80", "80-90", "90-80", "0", "65536", "tcp", "udp", "all", "wan", "192.168.1.2"],
        ["::1", "203.0.113.0/24", "!1.2.3.4", "2026-11-22T12:00:00", "2026-13-45", "DNAT"],
    )
).flatmap(st.sampled_from)
OPTIONS = st.dictionaries(
    st.sampled_from(("proto", "src", "src_dport", "dest_port", "dest_ip", "src_ip", "stop_date")),
    WORDS | st.text(max_size=12) | st.lists(WORDS, max_size=3),
)
CLOCK = read_clock(1_795_000_000, datetime.fromtimestamp(1_795_000_000, UTC), None)


@given(JSON)
def test_any_json_is_read(value: object) -> None:
    assert read_rights(value).missing
    list(read_sections(value))
    list(read_sections({"a": value, "b": {".name": "b", ".type": "zone", "network": value}}))
    read_network(value, ())
    read_network({"interface": [{"interface": "wan", "route": value, "uptime": value}, value]}, ())
    list(_rules([value, {"rule": value}, {"rule": {"chain": "dstnat_wan", "expr": [value]}}]))


@given(st.sampled_from(["redirect", "rule"]), OPTIONS)
def test_a_section_opens_what_it_says_or_nothing(
    kind: str, options: dict[str, str | list[str]]
) -> None:
    section = Section(name="x", type=kind, options=options)
    row = read_mapping(section, CLOCK)
    assert row is None or isinstance(row, PortMapping)
    if row is not None and (is_forward(section) or is_pinhole(section)):
        assert row.same_rule(row)
        if len(row.external_ports) == 65535 and row.enabled:
            try:
                check_narrow(kind, options)
            except AssertionError:
                return
            assert options.get("src_dport") == "1-65535"


@given(st.text(max_size=40))
def test_any_text_is_a_time_zone_or_none(text: str) -> None:
    zone = zone_of(text)
    if zone is not None:
        assert datetime(2026, 7, 1, tzinfo=UTC).astimezone(zone).utcoffset() is not None


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(OPTIONS)
async def test_one_bad_row_hides_no_other(home: Home, options: dict[str, str | list[str]]) -> None:
    package = home.router._packages["firewall"]
    before = list(package.sections)
    try:
        await home.router.luci_edit(odd=redirect(81) | options, good=redirect(8080))
        shown = (await home.driver.snapshot()).mappings
        assert "good" in {row.id for row in shown}
    finally:
        package.sections = before
