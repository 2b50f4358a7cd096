"""Devices of the home, as trackers and the `dhcp` integration tell of them."""

import sys
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from types import ModuleType
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.devices.lan import async_get_lan

CAMERA, NAS = "aa:bb:cc:00:00:05", "aa:bb:cc:00:00:06"


def add_device(hass: HomeAssistant, name: str, *macs: str) -> dr.DeviceEntry:
    """Register a device as the integration that it belongs to would."""
    owner = MockConfigEntry(domain="camera_maker")
    owner.add_to_hass(hass)
    return dr.async_get(hass).async_get_or_create(
        config_entry_id=owner.entry_id,
        identifiers={("camera_maker", name)},
        connections={(dr.CONNECTION_NETWORK_MAC, mac) for mac in macs},
        name=name,
    )


def add_tracker(
    hass: HomeAssistant, name: str, device: dr.DeviceEntry | None = None, unique_id: str = ""
) -> str:
    """Register a tracker of a router's integration; return its entity id."""
    return (
        er.async_get(hass)
        .async_get_or_create(
            "device_tracker",
            "router_maker",
            unique_id or name,
            suggested_object_id=name,
            device_id=device.id if device else None,
        )
        .entity_id
    )


def track(
    hass: HomeAssistant,
    name: str,
    mac: str | None,
    address: str | None,
    *,
    state: str = "home",
    **more: Any,
) -> None:
    """Let a tracker show this."""
    entity_id = f"device_tracker.{name}"
    said = {"mac": mac, "ip": address}
    shown = {key: value for key, value in said.items() if value is not None}
    hass.states.async_set(entity_id, state, {"source_type": "router", **shown, **more})


def forget(hass: HomeAssistant) -> None:
    """Forget who is where, as Home Assistant does when it stops."""
    for state in hass.states.async_all("device_tracker"):
        hass.states.async_remove(state.entity_id)
    del hass.data[f"{DOMAIN}_lan"]
    cached: Any = async_get_lan
    cached.cache_clear()


class Dhcp:
    """Home Assistant's own integration, with what it hears."""

    def __init__(self, hass: HomeAssistant) -> None:
        from homeassistant.components.dhcp import DHCPWatcher  # noqa: PLC0415
        from homeassistant.components.dhcp.models import DATA_DHCP  # noqa: PLC0415

        self._watcher = DHCPWatcher(hass, hass.data[DATA_DHCP])

    def hear(self, mac: str, address: str, hostname: str = "") -> None:
        """Let a device ask for an address."""
        self._watcher.async_process_client(address, hostname, mac)


class _Address(IPv4Address):
    """One of the home: `dhcp` passes over those of loopback, which is the home of all tests."""

    is_loopback = False


@cache
def _address(text: str) -> IPv4Address | IPv6Address:
    return IPv6Address(text) if ":" in text else _Address(text)


async def set_up_dhcp(hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> Dhcp:
    """Set the `dhcp` integration up, without the packages that listen on the wire."""
    names = ("aiodhcpwatcher", "aiodiscover", "aiodiscover.discovery", "cached_ipaddress")
    modules: dict[str, Any] = {name: ModuleType(name) for name in names}
    modules["aiodhcpwatcher"].DHCPRequest = object
    modules["aiodiscover"].DiscoverHosts = object
    for name in ("HOSTNAME", "IP_ADDRESS", "MAC_ADDRESS"):
        setattr(modules["aiodiscover.discovery"], name, name.lower())
    modules["cached_ipaddress"].cached_ip_addresses = _address
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    assert await async_setup_component(hass, "dhcp", {})
    await hass.async_block_till_done()
    return Dhcp(hass)
