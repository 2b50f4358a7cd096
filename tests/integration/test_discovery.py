"""Which routers are found, and which announcements are believed."""

from collections.abc import AsyncGenerator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.service_info.ssdp import SsdpServiceInfo

from custom_components.port_forward import gateway
from custom_components.port_forward.discovery import async_find_routers, async_trusted_location
from custom_components.port_forward.routers import ipv4
from lab.virtual_router import Fault, Quirk, VirtualRouter

from .announcing import GATEWAY, announce, set_up_ssdp
from .routes import HEADER, route


@pytest.fixture
async def gateway_router(
    route_table: Path, own_loopback: str, loopback_enabled: None
) -> AsyncGenerator[VirtualRouter]:
    """A router that is the default gateway and answers unicast searches only."""
    route_table.write_text(HEADER + route("lo", own_loopback))
    async with VirtualRouter(
        lan_host=own_loopback,
        ssdp=True,
        quirks={Quirk.Q43_UNICAST},
        friendly_name="The gateway",
    ) as router:
        yield router


async def find(hass: HomeAssistant) -> dict[str, str]:
    return dict(await async_find_routers(hass, async_get_clientsession(hass)))


def named(router: VirtualRouter, name: str) -> dict[str, str]:
    """Return what is found of a router that speaks UPnP only."""
    return {router.description_url: f"UPnP: {name} ({router.description_url})"}


def test_default_gateways(route_table: Path) -> None:
    route_table.write_text(
        HEADER
        + route("eth0", "192.168.1.1")
        + route("eth0", "192.168.1.254", destination="10.0.0.0")
        + route("eth0", "0.0.0.0", destination="192.168.1.0", flags=1)  # noqa: S104
        + route("ppp0", "0.0.0.0", flags=1)  # noqa: S104
        + route("tun0", "10.8.0.1")
    )
    assert gateway.default_gateways({"eth0", "ppp0"}) == [IPv4Address("192.168.1.1")]
    assert gateway.default_gateways({"eth0", "tun0"}) == [
        IPv4Address("192.168.1.1"),
        IPv4Address("10.8.0.1"),
    ]
    assert gateway.default_gateways(set()) == []


def test_no_route_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipv4, "ROUTE_TABLE", tmp_path / "missing")
    assert gateway.default_gateways({"eth0"}) == []


@pytest.mark.parametrize("notify", [False, True], ids=["answer", "notify"])
async def test_announced_router_is_found(
    hass: HomeAssistant,
    router: VirtualRouter,
    notify: bool,  # noqa: FBT001
) -> None:
    await announce(hass, router, notify=notify)
    assert await find(hass) == named(router, "Virtual Router")


async def test_announced_both_ways_is_found_once(
    hass: HomeAssistant, router: VirtualRouter
) -> None:
    await announce(hass, router)
    await announce(hass, router, notify=True)
    await announce(hass, router, ST=GATEWAY.replace(":2", ":1"))
    assert await find(hass) == named(router, "Virtual Router")


async def test_router_without_a_readable_description_is_named_by_its_host(
    hass: HomeAssistant, router: VirtualRouter
) -> None:
    router.fault(Fault.GARBAGE, times=None)
    await announce(hass, router)
    assert await find(hass) == named(router, "127.0.0.1")


@pytest.mark.parametrize("notify", [False, True], ids=["answer", "notify"])
async def test_announcement_of_another_host_is_not_believed(
    hass: HomeAssistant,
    router: VirtualRouter,
    route_table: Path,
    notify: bool,  # noqa: FBT001
) -> None:
    await announce(hass, router, notify=notify, sender="127.0.0.66")
    assert await find(hass) == {}


async def test_sender_cannot_be_claimed(
    hass: HomeAssistant, router: VirtualRouter, route_table: Path
) -> None:
    await announce(
        hass, router, sender="127.0.0.66", _host="127.0.0.1", _HOST="127.0.0.1", _Host="127.0.0.1"
    )
    assert await find(hass) == {}


async def test_announcement_that_names_the_gateway_is_believed(
    hass: HomeAssistant, route_table: Path, loopback_enabled: None
) -> None:
    """Q34: Google Wifi."""
    async with VirtualRouter(quirks={Quirk.Q34}) as router:
        await announce(hass, router)
        assert await find(hass) == {}

        route_table.write_text(HEADER + route("lo", "127.0.0.77"))
        infos = [
            SsdpServiceInfo("", "", {}, router.description_url, ssdp_headers={"_host": sender})
            for sender in ("127.0.0.1", "127.0.0.66")
        ]
        for info in infos:
            assert await async_trusted_location(hass, info) == router.description_url


V4, V6 = "http://127.0.0.77:5000/rootDesc.xml", "http://[fd77::1]:5000/rootDesc.xml"


@pytest.mark.parametrize(
    ("last", "sender"), [(V4, "127.0.0.77"), (V6, "fe80::1%2")], ids=["IPv4", "IPv6"]
)
async def test_announced_over_ipv4_and_ipv6(
    hass: HomeAssistant, route_table: Path, loopback_enabled: None, last: str, sender: str
) -> None:
    """miniupnpd does so, and which of them comes last is left to chance."""
    route_table.write_text(HEADER + route("lo", "127.0.0.77"))
    info = SsdpServiceInfo(
        "", "", {}, last, ssdp_headers={"_host": sender}, ssdp_all_locations={V4, V6}
    )
    assert await async_trusted_location(hass, info) == V4


async def test_older_announcement_of_another_host_is_not_believed(
    hass: HomeAssistant, route_table: Path, loopback_enabled: None
) -> None:
    route_table.write_text(HEADER + route("lo", "127.0.0.1"))
    info = SsdpServiceInfo(
        "", "", {}, V6, ssdp_headers={"_host": "fe80::1%2"}, ssdp_all_locations={V4, V6}
    )
    assert await async_trusted_location(hass, info) is None


@pytest.mark.parametrize(
    ("location", "headers"),
    [
        (None, {"_host": "127.0.0.1"}),
        ("", {"_host": "127.0.0.1"}),
        ("http://127.0.0.1/", {}),
        ("http://[::1]/", {"_host": "127.0.0.1"}),
        ("http://[fe80::1]/", {"_host": "fe80::1%2"}),
        ("http://router.lan/", {"_host": "127.0.0.1"}),
        ("ftp://127.0.0.1/", {"_host": "127.0.0.1"}),
        ("127.0.0.1", {"_host": "127.0.0.1"}),
    ],
)
async def test_not_believed(
    hass: HomeAssistant, route_table: Path, location: str | None, headers: dict[str, str]
) -> None:
    info = SsdpServiceInfo("", "", {}, location, ssdp_headers=headers)
    assert await async_trusted_location(hass, info) is None


async def test_gateway_is_asked_directly(
    hass: HomeAssistant, gateway_router: VirtualRouter
) -> None:
    """Q43: it answers no multicast."""
    await set_up_ssdp(hass)
    assert await find(hass) == named(gateway_router, "The gateway")


async def test_gateway_that_announced_itself_is_found_once(
    hass: HomeAssistant, gateway_router: VirtualRouter
) -> None:
    await announce(hass, gateway_router, sender=gateway_router.lan_host)
    before = gateway_router.requests["GET /rootDesc.xml"]
    assert await find(hass) == named(gateway_router, "The gateway")
    assert gateway_router.requests["GET /rootDesc.xml"] == before


async def test_gateway_that_is_no_router_is_left_out(
    hass: HomeAssistant, gateway_router: VirtualRouter
) -> None:
    gateway_router.fault(Fault.HTML, times=None)
    await set_up_ssdp(hass)
    assert await find(hass) == {}
    assert gateway_router.requests["GET /rootDesc.xml"] == 1


async def test_gateway_of_an_adapter_that_is_not_enabled_is_not_asked(
    hass: HomeAssistant, gateway_router: VirtualRouter, hass_storage: dict[str, Any]
) -> None:
    hass_storage["core.network"]["data"]["configured_adapters"] = ["eth0"]
    await set_up_ssdp(hass)
    assert await find(hass) == {}
