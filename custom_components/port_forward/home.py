"""Which Home Assistant a forward belongs to, where several use one router."""

import hashlib
from typing import Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import instance_id
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN

# Room for a name beside it in the 63 characters that a router keeps of a description.
_DIGITS: Final = 8

_HOME: Final = HassKey[str](f"{DOMAIN}_home")


async def async_setup_home(hass: HomeAssistant) -> None:
    """Work out what this Home Assistant is called in the tags on routers.

    Not its id itself: anyone who lists the mappings could read it.
    """
    instance = await instance_id.async_get(hass)
    hass.data[_HOME] = hashlib.sha256(f"{DOMAIN} {instance}".encode()).hexdigest()[:_DIGITS]


@callback
def async_home(hass: HomeAssistant) -> str:
    """Return what this Home Assistant is called in the tags on routers.

    It is "" before the integration is set up, when nothing can be opened.
    """
    return hass.data.get(_HOME, "")


@callback
def async_forward_ids(hass: HomeAssistant) -> set[str]:
    """Return the ids of all forwards of this Home Assistant, of whichever router."""
    return {
        forward_id
        for entry in hass.config_entries.async_entries(DOMAIN)
        for forward_id in entry.subentries
    }
