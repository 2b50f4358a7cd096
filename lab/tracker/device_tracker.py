"""Its trackers, as the integrations of routers have them."""

from typing import override

from homeassistant.components.device_tracker.entity import ScannerEntity
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.device_registry import CONNECTION_NETWORK_MAC, DeviceInfo
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .tracked import SIGNAL, Tracked


async def async_setup_entry(
    hass: HomeAssistant, entry: ConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Make a tracker of each device when it is first seen."""
    trackers: dict[str, LabTracker] = {}

    @callback
    def on_seen(seen: Tracked) -> None:
        if tracker := trackers.get(seen.mac):
            tracker.show(seen)
            tracker.async_write_ha_state()
        else:
            trackers[seen.mac] = LabTracker(seen)
            async_add_entities([trackers[seen.mac]])

    entry.async_on_unload(async_dispatcher_connect(hass, SIGNAL, on_seen))


class LabTracker(ScannerEntity):
    """Shows where a device is."""

    _attr_should_poll = False
    # Home Assistant 2026.11 disables them unless they say otherwise.
    _attr_entity_registry_enabled_default = True

    def __init__(self, seen: Tracked) -> None:
        """Take what was said first."""
        self._attr_mac_address = seen.mac
        self._attr_hostname = self._attr_name = seen.name
        # Home Assistant 2026.10 takes none, and finds the device by its MAC.
        device_info = DeviceInfo(connections={(CONNECTION_NETWORK_MAC, seen.mac)})
        self._attr_device_info = device_info  # type: ignore[assignment]  # 2026.11 wants one
        self.show(seen)

    @property
    @override
    def is_connected(self) -> bool:
        """Whether the device is at home."""
        return self._home

    def show(self, seen: Tracked) -> None:
        """Take what is said now."""
        self._attr_ip_address = seen.ip
        self._home = seen.home
