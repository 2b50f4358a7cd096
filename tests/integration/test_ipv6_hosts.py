"""Which address of a machine a forward over IPv6 leads to."""

from collections.abc import Generator
from ipaddress import IPv6Network
from unittest.mock import Mock, patch

import pytest
import pytest_socket
from homeassistant.core import HomeAssistant

from custom_components.port_forward.const import THIS_HOME_ASSISTANT
from custom_components.port_forward.devices.hosts import HostError, async_resolve_host6
from custom_components.port_forward.routers import ipv6

OURS = "2001:db8:77::10"
CAMERA = "2001:db8:77::20"
STRANGER = "2001:db8:99::20"


def adapter(*addresses: str) -> Mock:
    """Return a network adapter with addresses such as 2001:db8::10/64."""
    split = [address.split("/") for address in addresses]
    ips = [Mock(is_IPv6=True, ip=(ip, 0, 0), network_prefix=int(prefix)) for ip, prefix in split]
    return Mock(nice_name="eth0", ips=ips, index=1)


@pytest.fixture(autouse=True)
def adapters() -> Generator[list[Mock]]:
    """The adapters of this machine: those of a common home."""
    found = [adapter(f"{OURS}/64", "fd00:77::10/64", "fe80::10/64")]
    with patch("homeassistant.components.network.util.ifaddr.get_adapters", return_value=found):
        yield found


async def resolve(hass: HomeAssistant, host: str) -> str:
    return str(await async_resolve_host6(hass, host))


async def refused(hass: HomeAssistant, host: str) -> str:
    """Return why a host is refused."""
    with pytest.raises(HostError) as raised:
        await async_resolve_host6(hass, host)
    return raised.value.key


@pytest.mark.parametrize("host", [CAMERA, OURS, "2001:DB8:77:0::20"])
async def test_address_in_a_network_of_ours(hass: HomeAssistant, host: str) -> None:
    assert await resolve(hass, host) in (CAMERA, OURS)


@pytest.mark.parametrize(
    "host",
    [
        STRANGER,
        "fd00:77::20",  # in a network of ours that the internet does not reach
        "fe80::20",
        "::1",
        "::",
        "ff02::1",
        "::ffff:192.168.1.20",
        "192.168.1.20",
    ],
)
async def test_address_that_the_internet_does_not_reach_here(
    hass: HomeAssistant, host: str
) -> None:
    assert await refused(hass, host) == "host_no_ipv6"


async def test_name(hass: HomeAssistant, name_server: dict[str, list[str]]) -> None:
    name_server["camera.lan"] = ["192.168.1.20", "fe80::20", "fd00:77::20", STRANGER, CAMERA]
    assert await resolve(hass, "camera.lan") == CAMERA
    name_server["camera.lan"] = ["192.168.1.20", "fd00:77::20", STRANGER]
    assert await refused(hass, "camera.lan") == "host_no_ipv6"


@pytest.mark.usefixtures("name_server")
@pytest.mark.parametrize("host", ["nobody.lan", "[2001:db8:77::20]", "", "camera" * 11])
async def test_name_of_nobody(hass: HomeAssistant, host: str) -> None:
    assert await refused(hass, host) == "host_no_ipv6"


async def test_machine_without_an_address(hass: HomeAssistant, adapters: list[Mock]) -> None:
    adapters[:] = [adapter("fe80::10/64")]
    assert await refused(hass, CAMERA) == "host_no_ipv6"


async def test_this_home_assistant(hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.0/8", "::1/128"], allow_unix_socket=True)
    monkeypatch.setattr(ipv6, "GLOBAL", IPv6Network("::/0"))
    assert await resolve(hass, THIS_HOME_ASSISTANT) == "::1"


async def test_this_home_assistant_without_a_way_to_the_internet(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without an interface, no way leads to a link-local address, wherever this runs.
    pytest_socket.socket_allow_hosts(["127.0.0.0/8", "fe80::/10"], allow_unix_socket=True)
    monkeypatch.setattr(ipv6, "GLOBAL", IPv6Network("fe80::/10"))
    assert await refused(hass, THIS_HOME_ASSISTANT) == "own_address6_unknown"
