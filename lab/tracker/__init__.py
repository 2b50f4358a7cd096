"""An integration for Home Assistant: a router that tracks the devices that it is told of.

Put in as `custom_components/lab_tracker`. Its action `lab_tracker.see` says
where a device is: `mac`, `name`, `ip` (none for a device without an address)
and `home`.
"""

from typing import Final

import voluptuous as vol
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, ServiceCall, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.dispatcher import async_dispatcher_send

from .tracked import DOMAIN, SIGNAL, Tracked

_SEE: Final = vol.Schema(
    {
        vol.Required("mac"): str,
        vol.Required("name"): str,
        vol.Required("ip"): vol.Any(str, None),
        vol.Optional("home", default=True): bool,
    }
)


async def async_setup_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Begin to track."""

    @callback
    def see(call: ServiceCall) -> None:
        dr.async_get(hass).async_get_or_create(
            config_entry_id=entry.entry_id,
            connections={(dr.CONNECTION_NETWORK_MAC, call.data["mac"])},
            name=call.data["name"],
        )
        async_dispatcher_send(hass, SIGNAL, Tracked(**call.data))

    await hass.config_entries.async_forward_entry_setups(entry, (Platform.DEVICE_TRACKER,))
    hass.services.async_register(DOMAIN, "see", see, _SEE)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Track no more."""
    hass.services.async_remove(DOMAIN, "see")
    return await hass.config_entries.async_unload_platforms(entry, (Platform.DEVICE_TRACKER,))
