"""Which machine a forward leads to."""

from collections.abc import Generator
from ipaddress import IPv4Address
from unittest.mock import Mock, patch

import pytest
from homeassistant.core import HomeAssistant

from custom_components.port_forward.const import THIS_HOME_ASSISTANT
from custom_components.port_forward.devices.hosts import (
    HostError,
    async_resolve_host,
    async_router_address,
)

ROUTER = IPv4Address("192.168.1.1")
LOOPBACK_ROUTER = IPv4Address("127.0.0.1")


def adapter(name: str, *addresses: str) -> Mock:
    """Return a network adapter with addresses such as 192.168.1.10/24."""
    split = [address.split("/") for address in addresses]
    ips = [Mock(is_IPv6=False, ip=ip, network_prefix=int(prefix)) for ip, prefix in split]
    return Mock(nice_name=name, ips=ips, index=1)


@pytest.fixture
def adapters() -> Generator[list[Mock]]:
    """The adapters of this machine: those of a common home."""
    found = [adapter("lo", "127.0.0.1/8"), adapter("eth0", "192.168.1.10/24", "10.9.0.2/16")]
    with patch("homeassistant.components.network.util.ifaddr.get_adapters", return_value=found):
        yield found


async def resolve(hass: HomeAssistant, host: str, router: IPv4Address = ROUTER) -> str:
    return str(await async_resolve_host(hass, host, router))


async def refused(hass: HomeAssistant, host: str, router: IPv4Address = ROUTER) -> str:
    """Return why a host is refused."""
    with pytest.raises(HostError) as raised:
        await async_resolve_host(hass, host, router)
    assert raised.value.key == raised.value.translation_key
    assert raised.value.placeholders == raised.value.translation_placeholders
    return raised.value.key


@pytest.mark.usefixtures("adapters")
async def test_address_in_the_network_of_the_router(hass: HomeAssistant) -> None:
    assert await resolve(hass, "192.168.1.20") == "192.168.1.20"
    assert await resolve(hass, "192.168.1.1") == "192.168.1.1"
    assert await resolve(hass, "10.9.7.7", IPv4Address("10.9.0.1")) == "10.9.7.7"


@pytest.mark.usefixtures("adapters")
@pytest.mark.parametrize(
    "host",
    [
        "192.168.2.20",
        "10.9.7.7",  # in a network of ours, but not of this router
        "198.51.100.7",
        "127.0.0.1",
        "192.168.1.0",
        "192.168.1.255",
        "255.255.255.255",
        "0.0.0.0",  # noqa: S104
        "224.0.0.251",
    ],
)
async def test_address_outside(hass: HomeAssistant, host: str) -> None:
    assert await refused(hass, host) == "host_outside"


async def test_smallest_networks_have_no_broadcast(
    hass: HomeAssistant, adapters: list[Mock]
) -> None:
    """RFC 3021."""
    adapters[:] = [adapter("eth0", "192.168.1.0/31")]
    assert await resolve(hass, "192.168.1.0") == "192.168.1.0"
    assert await refused(hass, "192.168.1.2") == "host_outside"


@pytest.mark.usefixtures("adapters")
async def test_name(hass: HomeAssistant, name_server: dict[str, list[str]]) -> None:
    name_server["camera.lan"] = ["192.168.1.20"]
    assert await resolve(hass, "camera.lan") == "192.168.1.20"
    name_server["camera.lan"] = ["192.168.1.21"]
    assert await resolve(hass, "camera.lan") == "192.168.1.21"


@pytest.mark.usefixtures("adapters")
async def test_name_of_a_machine_in_several_networks(
    hass: HomeAssistant, name_server: dict[str, list[str]]
) -> None:
    name_server["nas.lan"] = ["10.9.7.7", "192.168.1.30"]
    assert await resolve(hass, "nas.lan") == "192.168.1.30"
    name_server["nas.lan"] = ["10.9.7.7", "198.51.100.7"]
    assert await refused(hass, "nas.lan") == "host_outside"


@pytest.mark.usefixtures("adapters", "name_server")
@pytest.mark.parametrize(
    "host", ["nobody.lan", "192.168.1.300", "192.168.1.20:80", "http://camera/", "", "camera" * 11]
)
async def test_name_of_nobody(hass: HomeAssistant, host: str) -> None:
    assert await refused(hass, host) == "host_unknown"


async def test_network_of_the_router_is_not_ours(hass: HomeAssistant, adapters: list[Mock]) -> None:
    """Home Assistant in a container with a network of its own."""
    adapters[:] = [adapter("lo", "127.0.0.1/8"), adapter("eth0", "172.17.0.2/16")]
    assert await resolve(hass, "192.168.1.20") == "192.168.1.20"
    assert await refused(hass, "198.51.100.7") == "host_outside"
    assert await refused(hass, "127.0.0.1") == "host_outside"
    assert await refused(hass, "localhost") == "host_outside"


async def test_this_home_assistant(hass: HomeAssistant) -> None:
    assert await resolve(hass, THIS_HOME_ASSISTANT, LOOPBACK_ROUTER) == "127.0.0.1"


async def test_this_home_assistant_in_a_container(
    hass: HomeAssistant, adapters: list[Mock]
) -> None:
    """The router cannot reach the address that it has there."""
    adapters[:] = [adapter("eth0", "172.17.0.2/16")]
    assert await refused(hass, THIS_HOME_ASSISTANT, LOOPBACK_ROUTER) == "own_address_unknown"


async def test_this_home_assistant_without_a_way_to_the_router(hass: HomeAssistant) -> None:
    """The kernel refuses to speak to a broadcast address."""
    router = IPv4Address("127.255.255.255")
    assert await refused(hass, THIS_HOME_ASSISTANT, router) == "own_address_unknown"


async def test_router_by_address_and_by_name(
    hass: HomeAssistant, name_server: dict[str, list[str]]
) -> None:
    name_server["router.lan"] = ["192.168.1.1"]
    for url in ("http://192.168.1.1:5000/rootDesc.xml", "https://router.lan/"):
        assert await async_router_address(hass, url) == ROUTER


@pytest.mark.usefixtures("name_server")
@pytest.mark.parametrize("host", ["router.lan", "[2001:db8::1]"])
async def test_router_without_an_ipv4_address(hass: HomeAssistant, host: str) -> None:
    with pytest.raises(HostError) as raised:
        await async_router_address(hass, f"http://{host}/")
    assert raised.value.key == "router_unknown"
