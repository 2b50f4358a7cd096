"""The flow that adds a router, or changes where it is.

Its steps are those of the kinds of routers, in `router_flow`; here is what
leads to them.
"""

from collections.abc import Mapping
from typing import Any, override

import voluptuous as vol
from homeassistant.config_entries import (
    SOURCE_USER,
    ConfigEntry,
    ConfigFlowResult,
    ConfigSubentryFlow,
    FlowType,
    OptionsFlow,
    SubentryFlowContext,
)
from homeassistant.const import CONF_URL
from homeassistant.core import callback
from homeassistant.helpers.selector import (
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
)
from homeassistant.helpers.service_info.ssdp import SsdpServiceInfo

from .const import DOMAIN, SUBENTRY_TYPE_FORWARD
from .discovery import async_find_routers, async_has_moved, async_trusted_location
from .forward_flow import ForwardSubentryFlow
from .options_flow import PortForwardOptionsFlow
from .router_flow.upnp import UpnpSteps

# In the list of routers that were found: the one that was not.
_TYPED_IN = "typed_in"

# A plain text field: browsers refuse an address without http:// in a field for URLs.
_URL_SCHEMA = vol.Schema({vol.Required(CONF_URL): TextSelector()})

# What the forms show for an example.
_PLACEHOLDERS = {"example": "http://192.168.1.1:5000/rootDesc.xml"}


class PortForwardConfigFlow(UpnpSteps, domain=DOMAIN):
    """Adds a router: announced, found, or by its address."""

    VERSION = 1
    MINOR_VERSION = 1

    def __init__(self) -> None:
        """Start with nothing found."""
        self._found: Mapping[str, str] = {}

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(
        cls, config_entry: ConfigEntry
    ) -> dict[str, type[ConfigSubentryFlow]]:
        """Return the forward, the only subentry."""
        return {SUBENTRY_TYPE_FORWARD: ForwardSubentryFlow}

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: ConfigEntry) -> OptionsFlow:
        """Return the flow of the options."""
        return PortForwardOptionsFlow()

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Offer the routers that can be found."""
        errors: dict[str, str] = {}
        placeholders: dict[str, str] = {}
        if user_input is not None:
            if user_input[CONF_URL] == _TYPED_IN:
                return await self.async_step_url()
            errors, placeholders = await self._async_examine(user_input[CONF_URL])
            if not errors:
                return await self._async_choose_wan()
        else:
            self._found = await async_find_routers(self.hass, self._session)
            if not self._found:
                return await self.async_step_url()
        options = [
            SelectOptionDict(value=url, label=f"{name} ({url})")
            for url, name in self._found.items()
        ]
        options.append(SelectOptionDict(value=_TYPED_IN, label=_TYPED_IN))
        return self.async_show_form(
            step_id="user",
            data_schema=vol.Schema(
                {
                    vol.Required(CONF_URL, default=options[0]["value"]): SelectSelector(
                        SelectSelectorConfig(
                            options=options,
                            mode=SelectSelectorMode.LIST,
                            translation_key="router",
                        )
                    )
                }
            ),
            errors=errors,
            description_placeholders=_PLACEHOLDERS | placeholders,
        )

    async def async_step_url(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the address of the router."""
        return await self._async_ask_address("url", user_input, suggested=None)

    @override
    async def async_step_ssdp(self, discovery_info: SsdpServiceInfo) -> ConfigFlowResult:
        """Take up a router that announced itself."""
        location = await async_trusted_location(self.hass, discovery_info)
        udn = discovery_info.ssdp_udn
        if not location or not udn:
            return self.async_abort(reason="untrusted_discovery")
        entry = await self.async_set_unique_id(udn)
        if entry and await async_has_moved(self._session, entry, location):
            self._async_update(entry, {**entry.data, CONF_URL: location})
        self._abort_if_unique_id_configured()
        errors, _ = await self._async_examine(location)
        if errors:
            return self.async_abort(reason="untrusted_discovery")
        self.context["title_placeholders"] = {"name": self._info.name}
        return await self.async_step_confirm()

    async def async_step_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Let the user add the router that announced itself."""
        errors: dict[str, str] = {}
        placeholders: dict[str, str] = {}
        if user_input is not None:
            # It may have been announced days ago.
            errors, placeholders = await self._async_examine(self._url)
            if not errors:
                return await self._async_choose_wan()
        return self.async_show_form(
            step_id="confirm",
            errors=errors,
            description_placeholders={"name": self._info.name, "url": self._url} | placeholders,
        )

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Change where the router is, and which of its WANs is meant."""
        suggested = {CONF_URL: self._get_reconfigure_entry().data[CONF_URL]}
        return await self._async_ask_address("reconfigure", user_input, suggested)

    @override
    async def async_on_create_entry(self, result: ConfigFlowResult) -> ConfigFlowResult:
        """Lead straight on to the first forward."""
        subentry = await self.hass.config_entries.subentries.async_init(
            (result["result"].entry_id, SUBENTRY_TYPE_FORWARD),
            context=SubentryFlowContext(source=SOURCE_USER),
        )
        result["next_flow"] = (FlowType.CONFIG_SUBENTRIES_FLOW, subentry["flow_id"])
        return result

    async def _async_ask_address(
        self,
        step_id: str,
        user_input: dict[str, Any] | None,
        suggested: dict[str, Any] | None,
    ) -> ConfigFlowResult:
        errors: dict[str, str] = {}
        placeholders: dict[str, str] = {}
        if user_input is not None:
            errors, placeholders = await self._async_examine(user_input[CONF_URL])
            if not errors:
                return await self._async_choose_wan()
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(_URL_SCHEMA, user_input or suggested),
            errors=errors,
            description_placeholders=_PLACEHOLDERS | placeholders,
        )
