"""Routers with an API of their own that announce themselves by SSDP."""

from typing import Final

from homeassistant.config_entries import ConfigFlowResult
from homeassistant.helpers.service_info.ssdp import (
    ATTR_UPNP_FRIENDLY_NAME,
    ATTR_UPNP_MANUFACTURER,
    SsdpServiceInfo,
)
from yarl import URL

from ..discovery import async_trusted_location
from ..identity import async_entries_at
from ..routers.errors import RouterError
from ..routers.upnp import describe
from .kinds import KINDS
from .login import LoginSteps

# What the manifest asks for.
_FRITZBOX: Final = "urn:schemas-upnp-org:device:fritzbox:1"
_UBIQUITI: Final = "Ubiquiti Networks"

# Where a FRITZ!Box says what it is, on the port that it announces; a repeater has no WAN there.
_TR064: Final = "tr64desc.xml"


def kind_of(info: SsdpServiceInfo) -> str | None:
    """Return the kind of router that is announced, None for one that only says UPnP."""
    if _FRITZBOX in (info.ssdp_st, info.ssdp_nt):
        return "fritzbox"
    return "unifi" if info.upnp.get(ATTR_UPNP_MANUFACTURER) == _UBIQUITI else None


class AnnouncedSteps(LoginSteps):
    """Leads from an announcement to the form of the account."""

    async def _async_take_announced(self, driver: str, info: SsdpServiceInfo) -> ConfigFlowResult:
        location = await async_trusted_location(self.hass, info)
        if not location or not info.ssdp_udn:
            return self.async_abort(reason="untrusted_discovery")
        there = URL(location)
        name, udn = str(info.upnp.get(ATTR_UPNP_FRIENDLY_NAME) or there.host), info.ssdp_udn
        if driver == "fritzbox":
            try:
                found = (await describe(self._session, str(there.with_path(_TR064)))).info
            except RouterError:
                return self.async_abort(reason="untrusted_discovery")
            name, udn = found.name, found.unique_id
        await self.async_set_unique_id(f"{driver}-{udn}")
        self._abort_if_unique_id_configured(reload_on_update=False)
        if await async_entries_at(self.hass, location):
            # By UPnP, or as one of its sites: nobody has to be told of it again.
            return self.async_abort(reason="already_configured")
        # Whoever looks at the card knows it from that of UPnP.
        self.context["title_placeholders"] = {"name": f"{name} ({KINDS[driver].protocol})"}
        port = KINDS[driver].port
        url = URL.build(scheme="https", host=there.host or "", port=port)
        return await self._async_log_in(driver, url=str(url))
