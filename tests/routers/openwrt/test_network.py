"""Which side is the internet, on routers that are set up in other ways."""

from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import InvalidForwardError, UnsupportedError
from custom_components.port_forward.routers.openwrt import OpenWrtRouter
from custom_components.port_forward.routers.openwrt.network import Network, read_network
from custom_components.port_forward.routers.openwrt.sections import Section
from lab.openwrt.uci import Section as UciSection

from ..forwards import forward
from .home import HOUR, PATIENCE, Home, redirect, settings_of

DEFAULT_ROUTE = {"target": "0.0.0.0", "mask": 0}  # noqa: S104  a route


def interface(name: str, address: str, **more: object) -> dict[str, object]:
    host, _, mask = address.partition("/")
    kind = "ipv6-address" if ":" in host else "ipv4-address"
    row: dict[str, object] = {"interface": name, "up": True, "l3_device": f"{name}0", "uptime": 60}
    return row | {kind: [{"address": host, "mask": int(mask)}], "route": []} | more


def zone(name: str, network: str | list[str], **more: str | list[str]) -> Section:
    options = {"name": name, "network": network, **more}
    return Section(name=f"cfg_{name}", type="zone", options=options)


def network(*zones: Section, picked: str = "", dump: list[dict[str, object]]) -> Network:
    return read_network({"interface": dump}, zones, picked)


LAN = interface("lan", "192.168.1.1/24")
WAN = interface("wan", "203.0.113.7/24", route=[DEFAULT_ROUTE])


def test_the_zone_with_the_uplink() -> None:
    found = network(zone("home", "lan"), zone("net", ["wan", "wan6"]), dump=[LAN, WAN])
    assert found.zone == "net"
    assert found.external_address == IPv4Address("203.0.113.7")
    assert found.uptime == timedelta(seconds=60)
    assert found.zone_of(ip_address("192.168.1.9")) == "home"
    assert found.zone_of(ip_address("192.168.7.9")) is None


def test_a_zone_of_the_home_that_translates_addresses_is_no_internet() -> None:
    found = network(zone("lan", "lan", masq="1"), zone("wan", "wan", masq="1"), dump=[LAN, WAN])
    assert found.outside == ("wan",)
    down = interface("wan", "203.0.113.7/24") | {"up": False}
    found = network(zone("lan", "lan", masq="1"), zone("wan", "wan", masq="1"), dump=[LAN, down])
    assert (found.outside, found.connected, found.external_address) == (("wan",), False, None)


def test_a_second_way_out_does_not_move_the_rules() -> None:
    zones = (zone("lan", "lan"), zone("wan", "wan", masq="1"), zone("lte", "lte", masq="1"))
    lte = interface("lte", "198.51.100.5/30", route=[DEFAULT_ROUTE])
    down = interface("wan", "203.0.113.7/24") | {"up": False}
    assert network(*zones, dump=[LAN, down, lte]).zone == "lte"
    assert network(*zones, picked="wan", dump=[LAN, down, lte]).zone == "wan"
    assert network(*zones, picked="gone", dump=[LAN, down, lte]).zone == "lte"


def test_ipv6_networks_of_the_home() -> None:
    prefix = {"ipv6-prefix-assignment": [{"address": "2001:db8:1:100::", "mask": 60}]}
    guests = interface("guest", "192.168.9.1/24") | prefix
    found = network(
        zone("lan", "lan"), zone("guests", "guest"), zone("wan", "wan"), dump=[LAN, WAN, guests]
    )
    assert found.zone_of(ip_address("2001:db8:1:10f::5")) == "guests"
    assert found.zone_of(ip_address("2001:db8:9::5")) == "lan"
    wan6 = interface("wan6", "2001:db8:1::7/64", route=[{"target": "::", "mask": 0}])
    wan6["ipv6-address"] = [
        {"address": "fe80::1", "mask": 64},
        {"address": "2001:db8:1::7", "mask": 64},
    ]
    found = network(zone("lan", "lan"), zone("wan", ["wan", "wan6"]), dump=[LAN, WAN, wan6])
    assert found.external_address6 == IPv6Address("2001:db8:1::7")


async def test_a_router_without_a_zone_of_the_internet(
    session: aiohttp.ClientSession, home: Home
) -> None:
    settings = settings_of(home.router) | {"zone": "nowhere"}
    with pytest.raises(UnsupportedError):
        await OpenWrtRouter(session, settings, patience=PATIENCE).connect()
    package = home.router._packages["firewall"]
    package.sections = [section for section in package.sections if section.type != "zone"]
    with pytest.raises(UnsupportedError):
        await home.another_driver().connect()
    with pytest.raises(UnsupportedError):
        await home.driver.open(forward(), HOUR)


async def test_a_host_in_no_zone(home: Home) -> None:
    package = home.router._packages["firewall"]
    for section in package.sections:
        if section.type == "zone" and section.text("name") == "lan":
            section.options["name"] = "home"
    with pytest.raises(InvalidForwardError):
        await home.driver.open(forward(host="10.99.0.1"), HOUR)
    assert (await home.open(forward(host="192.168.1.9"))).enabled


async def test_the_zone_that_was_picked_is_remembered(home: Home) -> None:
    assert home.driver.learned["zone"] == "wan"
    package = home.router._packages["firewall"]
    options: dict[str, str | list[str]] = {"name": "vpn", "network": ["vpn"], "masq": "1"}
    package.sections.insert(1, UciSection(type="zone", name="", anonymous=True, options=options))
    package.renumber()
    home.router.device.external_address = home.router.device.external_address6 = None
    again = home.another_driver(learned=home.driver.learned)
    await again.connect()
    (granted,) = await again.open(forward(), HOUR)
    section = home.router.section(granted.id)
    assert section is not None
    assert section.options["src"] == "wan"
    await home.router.luci_edit(other=redirect(81, src="vpn"))
    assert {row.id for row in (await again.snapshot()).mappings} == {granted.id, "other"}
