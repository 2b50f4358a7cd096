"""The contract of `Router`, kept on an OPNsense."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from custom_components.port_forward.routers.model import Leases, Listing, PortRange, Protocol
from custom_components.port_forward.routers.opnsense import from_settings
from lab.opnsense import Privilege
from lab.virtual_router import free_port, free_range
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from ..forwards import forward
from .home import CAMERA, HOUR, Home


async def test_connect(home: Home) -> None:
    info = await home.driver.connect()
    assert info.unique_id == "02:00:00:00:00:01"
    assert info.version == "OPNsense 26.7.2-amd64"
    assert info.configuration_url == home.firewall.url
    assert home.driver.interfaces == {"lan": "LAN", "wan": "WAN"}
    assert home.driver.missing_rights == ()
    assert not home.firewall.table.uuids


async def test_rights_are_checked_with_nothing_open(home: Home) -> None:
    home.add_foreign(8080)
    before = home.saved()
    seen: list[str] = []

    def on_request(action: str) -> None:
        seen.append(action)
        for rule in home.firewall.table.in_order():
            assert rule["destination.port"] == "8080" or rule["disabled"] == "1"

    home.firewall.on_request = on_request
    await home.driver.check_rights()
    assert seen == ["addRule", "delRule"]
    assert home.saved() == before


async def test_capabilities(home: Home) -> None:
    can = home.driver.capabilities
    assert can.listing is Listing.FULL
    assert can.leases is Leases.PERMANENT_ONLY
    assert not can.closes_by_itself
    assert can.allowed_source
    assert can.other_hosts
    assert can.port_ranges
    assert can.both_protocols


async def test_open_really_forwards_and_close_really_ends(home: Home, inside: Inside) -> None:
    wanted = forward(internal=inside.port)
    port = wanted.external_ports.first
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")
    (granted,) = await home.driver.open(wanted, HOUR)
    assert granted.same_rule(home.driver.plan(wanted)[0])
    assert granted.id == home.firewall.table.uuids[0]
    assert granted.lease is None
    assert granted.enabled
    assert str(home.driver.owner_of(granted)) == "camera1"
    assert await talk(port, b"hello") == b"HELLO"
    snapshot = await home.driver.snapshot()
    assert snapshot.find(granted) == granted
    await home.driver.close(granted)
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")
    assert not home.firewall.table.uuids


async def test_snapshot(home: Home) -> None:
    uuid = home.add_foreign("8000-8010", protocol="tcp/udp", source={"network": "203.0.113.0/24"})
    snapshot = await home.driver.snapshot()
    assert snapshot.external_address == IPv4Address("203.0.113.7")
    assert snapshot.connected is True
    assert snapshot.uptime is None
    (row,) = snapshot.mappings
    assert row.id == uuid
    assert row.protocols == (Protocol.TCP, Protocol.UDP)
    assert row.external_ports == PortRange(first=8000, last=8010)
    assert row.internal_ports == PortRange(first=80, last=90)
    assert row.internal_host == CAMERA
    assert row.allowed_source == "203.0.113.0/24"
    assert row.description == "Camera by hand"
    assert home.driver.owner_of(row) is None


async def test_rows_of_all_kinds(home: Home) -> None:
    home.firewall.table.aliases["web"] = "Web"
    home.add_foreign("web", descr="an alias of ports")
    home.add_foreign("https", **{"local-port": ""}, descr="a name for a port")
    home.add_foreign(85, **{"local-port": "web"}, descr="to an alias of ports")
    home.add_foreign("1000-2000", **{"local-port": "65000"}, descr="beyond the last port")
    home.add_foreign(81, disabled="1", descr="off")
    home.add_foreign(82, source={"network": "203.0.113.5", "not": "1"}, descr="all but one")
    home.add_foreign("", protocol="", **{"local-port": ""}, descr="everything")
    home.add_foreign("", protocol="gre", **{"local-port": ""}, descr="another protocol")
    home.add_foreign(84, nordr="1", descr="leads nowhere")
    home.add_foreign(53, interface="lan", target="127.0.0.1", descr="catches DNS at home")
    rows = {row.description: row for row in (await home.driver.snapshot()).mappings}
    assert set(rows) == {
        "off",
        "all but one",
        "everything",
        "a name for a port",
        "to an alias of ports",
        "beyond the last port",
    }
    assert rows["a name for a port"].target == f"{CAMERA}:443"
    assert rows["to an alias of ports"].internal_ports is None
    assert rows["beyond the last port"].internal_ports is None
    assert not rows["off"].enabled
    assert rows["all but one"].allowed_source == "!203.0.113.5"
    assert rows["everything"].external_ports == PortRange(first=1, last=65535)


async def test_both_protocols_and_a_range_in_one_rule(home: Home) -> None:
    first = free_range(3)
    ports, inner = PortRange(first=first, last=first + 2), PortRange(first=9000, last=9002)
    both = (Protocol.UDP, Protocol.TCP)
    wanted = forward(ports, internal=inner, protocols=both)
    (granted,) = await home.driver.open(wanted, HOUR)
    assert home.saved() == [("tcp/udp", "", str(ports), "127.0.0.1", "0")]
    assert home.firewall.table[granted.id]["local-port"] == "9000"
    assert granted.internal_ports == inner
    assert granted.key == home.driver.plan(wanted)[0].key


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        ("203.0.113.50/32", "203.0.113.50"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("0.0.0.0/0", ""),
    ],
)
async def test_allowed_source(home: Home, source: str, sent: str) -> None:
    wanted = forward(source=source)
    (granted,) = await home.driver.open(wanted, HOUR)
    assert home.saved()[0][1] == sent
    assert granted.allowed_source == sent
    assert granted.same_rule(home.driver.plan(wanted)[0])


async def test_only_the_allowed_source_gets_in(home: Home, inside: Inside) -> None:
    wanted = forward(internal=inside.port, source="127.0.0.3/32")
    await home.driver.open(wanted, HOUR)
    port = wanted.external_ports.first
    assert await talk(port, b"hello", source="127.0.0.3") == b"HELLO"
    with pytest.raises(ConnectionResetError):
        await talk(port, b"hello", source="127.0.0.4")


async def test_ipv6_is_for_packets_to_the_host_itself(home: Home) -> None:
    wanted = forward(8443, host=CAMERA, host6="2001:db8::10")
    granted = await home.driver.open(wanted, HOUR)
    assert [mapping.internal_host for mapping in granted] == [CAMERA, "2001:db8::10"]
    six = home.firewall.table[granted[1].id]
    assert six["ipprotocol"] == "inet6"
    assert six["destination.network"] == six["target"] == "2001:db8::10"
    for mapping in granted:
        await home.driver.close(mapping)
    assert not home.firewall.table.uuids


async def test_ipv6_source(home: Home) -> None:
    wanted = forward(8443, host=None, host6="2001:db8::10", source="2001:db8:1::/48")
    (granted,) = await home.driver.open(wanted, HOUR)
    assert granted.allowed_source == "2001:db8:1::/48"


async def test_another_interface(home: Home) -> None:
    home.firewall.table.interfaces = {"lan": "LAN", "wan": "WAN", "opt1": "LTE"}
    driver = home.another_driver(interface="opt1")
    await driver.connect()
    (granted,) = await driver.open(forward(), HOUR)
    assert home.firewall.table[granted.id]["interface"] == "opt1"
    assert home.firewall.table[granted.id]["destination.network"] == "opt1ip"


async def test_opening_again_keeps_the_rule(home: Home) -> None:
    wanted = forward()
    (first,) = await home.driver.open(wanted, HOUR)
    home.firewall.requests.clear()
    assert await home.driver.open(wanted, HOUR, ours=[first]) == (first,)
    assert await home.driver.open(wanted, HOUR) == (first,)
    assert not home.firewall.requests["addRule"]
    assert not home.firewall.requests["apply"]


async def test_opening_after_the_forward_was_edited(home: Home) -> None:
    wanted = forward()
    (first,) = await home.driver.open(wanted, HOUR)
    moved = replace(wanted, internal_host=IPv4Address("127.0.0.9"))
    (second,) = await home.driver.open(moved, HOUR, ours=[first])
    assert home.saved() == [("tcp", "", str(wanted.external_ports), "127.0.0.9", "0")]
    assert second.id != first.id


async def test_close_is_idempotent_and_applies_all_the_same(home: Home) -> None:
    (granted,) = await home.driver.open(forward(), HOUR)
    # Somebody deletes it and does not apply: it is still in force.
    home.firewall.table.delete(granted.id)
    assert home.in_force() == {str(granted.external_ports)}
    await home.driver.close(granted)
    assert not home.in_force()
    await home.driver.close(granted)


async def test_connections_end_with_the_rule_and_no_others(home: Home, inside: Inside) -> None:
    await home.driver.connect()
    (ours,) = await home.driver.open(forward(internal=inside.port), HOUR)
    other_port = free_port()
    home.add_foreign(other_port, target="127.0.0.1", **{"local-port": str(inside.port)})
    await home.firewall.pf.load(home.firewall.table.in_order())
    mine = await asyncio.open_connection("127.0.0.1", ours.external_ports.first)
    theirs = await asyncio.open_connection("127.0.0.1", other_port)
    for reader, writer in (mine, theirs):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"HELLO"
    await home.driver.close(ours)
    with pytest.raises(ConnectionResetError):
        await mine[0].read()
    theirs[1].write(b"still")
    assert await theirs[0].readexactly(5) == b"STILL"
    for _, writer in (mine, theirs):
        writer.close()


@pytest.mark.parametrize("last", [8443, 8444])
async def test_ipv6_connections_end(home: Home, monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    """The firewall cannot search for an IPv6 address: it takes the colons out."""
    ports = PortRange(first=8443, last=last)
    (granted,) = await home.driver.open(forward(ports, host=None, host6="2001:db8::10"), HOUR)
    asked: list[str] = []
    killed: list[str] = []

    def find(text: str) -> list[dict[str, str]]:
        asked.append(text)
        common = {"proto": "tcp", "nat_port": "", "src_addr": "2001:db8:9::1"}
        ours = {**common, "dst_addr": "2001:db8::10", "dst_port": "8443", "src_port": "50001"}
        return [
            {**ours, "direction": "in", "id": "1/a"},
            {**ours, "direction": "out", "id": "2/a"},
            {**ours, "direction": "in", "dst_port": "9999", "id": "3/a"},
            {**ours, "direction": "in", "dst_addr": "2001:db8::11", "id": "4/a"},
            {**ours, "direction": "in", "proto": "udp", "id": "5/a"},
        ]

    monkeypatch.setattr(home.firewall.pf, "find", find)
    monkeypatch.setattr(home.firewall.pf, "kill", killed.extend)
    await home.driver.close(granted)
    assert asked == ["8443" if last == 8443 else ""]
    assert killed == ["1/a", "2/a"]


async def test_connections_outlive_a_close_without_the_right(home: Home, inside: Inside) -> None:
    home.firewall.accounts[0].privileges.discard(Privilege.SHOW_STATES)
    await home.driver.connect()
    assert home.driver.missing_rights == ("Diagnostics: Show States",)
    assert home.driver.learned == {"keeps_connections": "missing_rights"}
    (granted,) = await home.driver.open(forward(internal=inside.port), HOUR)
    reader, writer = await asyncio.open_connection("127.0.0.1", granted.external_ports.first)
    writer.write(b"hello")
    await reader.readexactly(5)
    await home.driver.close(granted)
    writer.write(b"still")
    assert await reader.readexactly(5) == b"STILL"
    writer.close()
    # Granted later, it is noticed when the driver connects again.
    home.firewall.accounts[0].privileges.add(Privilege.SHOW_STATES)
    await home.driver.connect()
    assert home.driver.learned == {}


async def test_without_the_optional_rights(home: Home) -> None:
    home.firewall.accounts[0].privileges = {Privilege.DESTINATION_NAT}
    info = await home.driver.connect()
    assert info.unique_id == "127.0.0.1"
    assert info.version is None
    assert set(home.driver.missing_rights) == set(Privilege) - {Privilege.DESTINATION_NAT}
    snapshot = await home.driver.snapshot()
    assert snapshot.external_address is None
    assert snapshot.connected is None
    await home.driver.snapshot()
    assert home.firewall.requests["interfacesInfo"] == 1
    (granted,) = await home.driver.open(forward(), HOUR)
    await home.driver.close(granted)


async def test_rules_outlive_a_restart(home: Home, inside: Inside) -> None:
    wanted = forward(internal=inside.port)
    (granted,) = await home.driver.open(wanted, HOUR)
    await home.firewall.stop()
    await home.firewall.start()
    assert await talk(wanted.external_ports.first, b"hello") == b"HELLO"
    await home.driver.close(granted)
    assert not home.saved()


async def test_registry_factory(home: Home) -> None:
    driver = from_settings(home.session, home.firewall.settings, learned={"a": "b"})
    assert driver.learned == {"a": "b"}
    await driver.connect()
