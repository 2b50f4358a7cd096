"""Opening and closing, seen with real traffic."""

import asyncio
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    InvalidForwardError,
    NotMappedError,
    PortConflictError,
)
from custom_components.port_forward.routers.model import Leases, Listing, PortRange
from custom_components.port_forward.routers.openwrt.changes import Edit
from custom_components.port_forward.routers.openwrt.sections import check_narrow
from lab.openwrt import LUCI, PLAIN, Fault
from lab.virtual_router import free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from ..forwards import forward
from .home import BOTH, HOUR, PERMANENT, Home, home_with, redirect


async def refused(port: int, source: str = "127.0.0.1") -> bool:
    try:
        await talk(port, b"hello", source=source)
    except ConnectionRefusedError, ConnectionResetError:
        return True
    return False


async def test_a_forward_is_one_section_that_relays_until_it_is_closed(
    home: Home,
    inside: Inside,
) -> None:
    wanted = forward(internal=inside.port, name="Kamera: Süd", protocols=BOTH)
    port = wanted.external_ports.first
    (plan,) = home.driver.plan(wanted)
    assert plan.id == "ha_pf_camera1_0"
    assert str(home.driver.owner_of(plan)) == "camera1"
    granted = await home.open(wanted)
    assert granted.same_rule(plan)
    assert granted.protocols == BOTH
    assert granted.lease is not None
    assert timedelta(minutes=59) < granted.lease <= HOUR
    assert await talk(port, b"hello") == b"HELLO"
    section = home.router.section("ha_pf_camera1_0")
    assert section is not None
    assert section.options == {
        "name": "HA: Kamera Sud",
        "src": "wan",
        "dest": "lan",
        "proto": ["tcp", "udp"],
        "dest_ip": "127.0.0.1",
        "enabled": "1",
        "src_dport": str(port),
        "dest_port": str(inside.port),
        "target": "DNAT",
        "reflection": "0",
        "stop_date": section.text("stop_date"),
    }
    shown = (await home.shown())["ha_pf_camera1_0"]
    assert shown.same_rule(granted)
    assert shown.enabled
    assert shown.hits == 1
    await home.driver.close(granted)
    assert home.sections == []
    assert await refused(port)
    await home.driver.close(granted)


async def test_who_may_not_look_at_the_rules_opens_and_closes_all_the_same(
    session: aiohttp.ClientSession,
    inside: Inside,
) -> None:
    for rights in (PLAIN, LUCI):
        async with home_with(session, rights=rights) as home:
            wanted = forward(internal=inside.port)
            granted = await home.open(wanted)
            assert await talk(wanted.external_ports.first, b"hello") == b"HELLO"
            await home.driver.close(granted)
            assert home.sections == []
            assert await refused(wanted.external_ports.first)


async def test_a_renewal_moves_the_end_and_keeps_the_rest(home: Home) -> None:
    wanted = forward()
    first = await home.open(wanted)
    section = home.router.section(first.id)
    assert section is not None
    before = dict(section.options)
    await home.router.pass_time(timedelta(minutes=30))
    home.router.calls.clear()
    second = await home.open(wanted, ours=(first,))
    assert second.lease is not None
    assert second.lease > timedelta(minutes=59)
    assert home.router.calls["uci set"] == 1
    assert home.router.calls["uci add"] == 0
    section = home.router.section(first.id)
    assert section is not None
    changed = {key for key, value in section.options.items() if before[key] != value}
    assert changed == {"stop_date"}


async def test_no_end(home: Home) -> None:
    granted = await home.open(forward(), PERMANENT)
    assert granted.lease is None
    section = home.router.section(granted.id)
    assert section is not None
    assert "stop_date" not in section.options
    # From no end to one, and back.
    assert (await home.open(forward(granted.external_ports), HOUR)).lease is not None
    assert (await home.open(forward(granted.external_ports), PERMANENT)).lease is None


async def test_only_the_allowed_source(home: Home, inside: Inside) -> None:
    wanted = forward(internal=inside.port, source="127.0.0.2/31")
    granted = await home.open(wanted)
    assert granted.allowed_source == "127.0.0.2/31"
    port = wanted.external_ports.first
    assert await talk(port, b"hello", source="127.0.0.3") == b"HELLO"
    assert await refused(port)
    single = forward(port, internal=inside.port, source="127.0.0.9/32")
    assert (await home.open(single)).allowed_source == "127.0.0.9"
    assert await refused(port, source="127.0.0.3")
    everybody = forward(port, internal=inside.port, source="0.0.0.0/0")
    assert (await home.open(everybody)).allowed_source == ""
    assert await talk(port, b"hello") == b"HELLO"


async def test_ranges(home: Home) -> None:
    ports = PortRange(first=20000, last=20009)
    granted = await home.open(forward(ports))
    assert (granted.external_ports, granted.internal_ports) == (ports, ports)
    assert home.sections == ["ha_pf_camera1_0"]
    shifted = forward(ports, internal=PortRange(first=30000, last=30009))
    mappings = await home.driver.open(shifted, HOUR)
    assert home.sections == [f"ha_pf_camera1_{number}" for number in range(10)]
    now = home.router.clock.now()
    rules = [rule for rule in home.router.rules if rule.fits("tcp", 20005, "1.2.3.4", now)]
    assert [rule.internal_port(20005) for rule in rules] == [30005]
    await home.open(forward(20000, internal=80))
    assert home.sections == ["ha_pf_camera1_0"], "what it was before is gone"
    for mapping in mappings:
        await home.driver.close(mapping)
    with pytest.raises(InvalidForwardError):
        home.driver.plan(
            forward(PortRange(first=1000, last=1064), internal=PortRange(first=2000, last=2064))
        )


async def test_ipv6_is_a_rule_for_one_host(home: Home) -> None:
    wanted = forward(443, host=None, host6="2001:db8:1::10", source="2001:db8:ffff::/48")
    granted = await home.open(wanted)
    assert granted.is_pinhole
    assert granted.internal_host == "2001:db8:1::10"
    section = home.router.section(granted.id)
    assert section is not None
    assert section.type == "rule"
    assert section.options["dest"] == "lan"
    opens = home.router.firewall.opens
    assert opens("2001:db8:1::10", "tcp", 443, "2001:db8:ffff::1")
    assert not opens("2001:db8:1::10", "tcp", 443, "2001:db8::1")
    assert not opens("2001:db8:1::11", "tcp", 443, "2001:db8:ffff::1")
    shown = (await home.shown())[granted.id]
    assert shown.same_rule(granted)
    assert shown.hits == 1
    await home.router.pass_time(HOUR + timedelta(seconds=2))
    assert not opens("2001:db8:1::10", "tcp", 443, "2001:db8:ffff::1")
    await home.driver.close(granted)
    assert home.sections == []


async def test_both_families(home: Home) -> None:
    wanted = forward(443, host="192.168.1.9", host6="2001:db8:1::10")
    granted = await home.driver.open(wanted, HOUR)
    assert [row.is_pinhole for row in granted] == [False, True]
    # The name of the first now stands for a rule of the other kind.
    only6 = forward(443, host=None, host6="2001:db8:1::10")
    (row,) = await home.driver.open(only6, HOUR, ours=granted)
    assert row.id == granted[0].id
    assert [section.type for section in home.router.committed] == ["rule"]


async def test_a_port_that_somebody_else_has(home: Home) -> None:
    port = free_port()
    await home.router.luci_edit(nas=redirect(f"{port - 1}-{port}", proto="tcpudp"))
    with pytest.raises(PortConflictError) as caught:
        await home.open(forward(port))
    assert caught.value.placeholders["holder"] == f"192.168.1.20:{port - 1}-{port} (NAS)"
    assert caught.value.left == ()
    assert home.sections == ["nas"]


@pytest.mark.parametrize(
    "other",
    [
        {"enabled": "0"},
        {"src": "lan"},
        {"proto": ["udp"]},
        {"src_dport": "70000"},
        {"src_ip": "198.51.100.0/24"},
        {"stop_date": "2020-01-01T00:00:00"},
        {"target": "SNAT"},
    ],
)
async def test_what_is_not_in_the_way(home: Home, other: dict[str, object]) -> None:
    port = free_port()
    await home.router.luci_edit(nas=redirect(port) | other)
    await home.open(forward(port, source="203.0.113.0/24"))
    assert home.sections == ["nas", "ha_pf_camera1_0"]


@pytest.mark.parametrize(
    "other", [{"src_ip": "203.0.113.9"}, {"src_ip": "!1.2.3.4"}, {"proto": "all"}]
)
async def test_what_is_in_the_way(home: Home, other: dict[str, object]) -> None:
    port = free_port()
    await home.router.luci_edit(nas=redirect(port) | other)
    with pytest.raises(PortConflictError):
        await home.open(forward(port, source="203.0.113.0/24"))


async def test_another_forward_of_ours_is_in_the_way_too(home: Home) -> None:
    wanted = forward()
    await home.open(wanted)
    with pytest.raises(PortConflictError):
        await home.open(forward(wanted.external_ports, forward_id="other2"))


async def test_a_section_of_the_same_name_is_not_merged_into(home: Home) -> None:
    """`add` would keep what the old one has and say yes."""
    wanted = forward(internal=8080)
    await home.router.luci_edit(
        ha_pf_camera1_0=redirect(22, src_mac=["02:00:00:00:00:01"], dest_port="22", log="1")
    )
    await home.open(wanted)
    section = home.router.section("ha_pf_camera1_0")
    assert section is not None
    assert section.options["src_dport"] == str(wanted.external_ports)
    assert "src_mac" not in section.options
    assert "log" not in section.options


async def test_a_firewall_that_takes_its_time(
    session: aiohttp.ClientSession,
    inside: Inside,
) -> None:
    async with home_with(session, reload_delay=0.2, patience=60) as home:
        wanted = forward(internal=inside.port)
        granted = await home.open(wanted)
        assert await talk(wanted.external_ports.first, b"hello") == b"HELLO"
        await home.driver.close(granted)
        assert await refused(wanted.external_ports.first)


async def test_a_section_that_the_firewall_skips_is_taken_back(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, reload_delay=60) as home:
        with pytest.raises(NotMappedError) as caught:
            await home.open(forward())
        assert caught.value.left == ()
        assert home.sections == []


async def test_what_the_router_shows(home: Home) -> None:
    await home.router.luci_edit(
        off=redirect(1, enabled="0"),
        wide=redirect(2, src_dport=None, proto="all"),
        itself=redirect(3, dest_ip=None),
        shifted=redirect("40-49", dest_port="140-149"),
        dns=redirect(53, src="lan"),
        odd=redirect("80,443"),
        over=redirect(5, stop_date="2020-01-01T00:00:00"),
        icmp=redirect(6, proto="icmp"),
    )
    shown = await home.shown()
    assert set(shown) == {"off", "wide", "itself", "shifted", "over"}
    assert not shown["off"].enabled
    assert shown["off"].description == "NAS"
    assert str(shown["wide"].external_ports) == "1-65535"
    assert shown["wide"].protocols == BOTH
    assert shown["itself"].internal_host == "the router"
    assert str(shown["shifted"].internal_ports) == "140"
    assert not shown["over"].enabled
    snapshot = await home.driver.snapshot()
    assert snapshot.external_address == IPv4Address("203.0.113.7")
    assert snapshot.external_address6 == IPv6Address("2001:db8:1::7")
    assert snapshot.connected
    assert snapshot.uptime is not None
    home.router.device.external_address = home.router.device.external_address6 = None
    snapshot = await home.driver.snapshot()
    assert (snapshot.external_address, snapshot.connected) == (None, False)
    assert len(snapshot.mappings) == 5


async def test_rules_outlive_a_restart(home: Home) -> None:
    granted = await home.open(forward())
    await home.router.pass_time(timedelta(minutes=10))
    before = await home.driver.snapshot()
    await home.router.reboot()
    after = await home.driver.snapshot()
    assert after.restarted_since(before)
    assert after.find(granted) is not None


async def test_capabilities(session: aiohttp.ClientSession, home: Home) -> None:
    capabilities = home.driver.capabilities
    assert capabilities.listing is Listing.FULL
    assert capabilities.leases is Leases.KEPT
    assert capabilities.hit_counters
    assert capabilities.ipv6
    async with home_with(session, rights=PLAIN) as plain:
        assert not plain.driver.capabilities.hit_counters


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("redirect", {"src": "wan", "proto": ["tcp"], "dest_ip": "192.168.1.2"}),
        ("redirect", {"src_dport": "80", "proto": "all"}),
        ("redirect", {"src_dport": "0", "proto": "tcp"}),
        ("redirect", {"src_dport": "80", "proto": "icmp"}),
        ("rule", {"dest_port": "80", "proto": "tcp", "target": "ACCEPT", "dest": "lan"}),
        ("rule", {"dest_port": "80", "proto": "tcp", "target": "ACCEPT", "dest_ip": "2001:db8::1"}),
        ("rule", {"proto": "tcp", "target": "ACCEPT", "dest": "lan", "dest_ip": "2001:db8::1"}),
    ],
)
async def test_nothing_wide_is_ever_sent(kind: str, options: dict[str, str | list[str]]) -> None:
    with pytest.raises(AssertionError):
        check_narrow(kind, options)
    with pytest.raises(AssertionError):
        list(Edit(name="ha_pf_x_0", type=kind, before=None, options=options).requests())
    check_narrow(kind, options | {"enabled": "0"})


async def test_one_at_a_time(home: Home) -> None:
    """A snapshot in the middle of an opening would show what is not committed."""
    forwards = [forward(forward_id=f"many{number}") for number in range(5)]
    results = await asyncio.gather(
        *(home.driver.open(wanted, HOUR) for wanted in forwards),
        *(home.driver.snapshot() for _ in range(5)),
    )
    assert len(results) == 10
    assert len(home.sections) == 5


async def test_a_look_in_the_middle_of_a_change_waits(home: Home) -> None:
    """It would find changes in the session, and drop them."""
    home.router.fault(Fault.SLOW, "uci add", delay=0.2)
    opened, snapshot = await asyncio.gather(
        home.driver.open(forward(), HOUR), home.driver.snapshot()
    )
    assert home.router.calls["uci add"] == 1
    assert [row.same_rule(opened[0]) for row in snapshot.mappings] == [True]
