"""The flow that adds a router, or changes where it is.

Its steps are those of the kinds of routers, in `router_flow`; here is what
leads to them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, override

import voluptuous as vol
from homeassistant.config_entries import (
    SOURCE_IGNORE,
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

from .const import CONF_DRIVER, DOMAIN, SUBENTRY_TYPE_FORWARD
from .discovery import async_find_routers, async_trusted_location
from .forward_flow.flow import ForwardSubentryFlow
from .identity import (
    Verdict,
    async_ask_whether_moved,
    async_entries_at,
    async_has_moved,
    async_take_up_renamed,
)
from .options_flow import PortForwardOptionsFlow
from .router_flow.address import PCP
from .router_flow.announced import AnnouncedSteps, kind_of
from .router_flow.base import FORM_ERRORS
from .router_flow.kinds import KINDS
from .router_flow.pcp import PcpSteps
from .router_flow.typed_in import async_look_at
from .router_flow.upnp import UpnpSteps

# In the list of routers that were found: the one that was not.
_TYPED_IN = "typed_in"

# A plain text field: browsers refuse an address without http:// in a field for URLs.
_URL_SCHEMA = vol.Schema({vol.Required(CONF_URL): TextSelector()})

# What the forms show for an example.
_PLACEHOLDERS = {
    "example": "http://192.168.1.1:5000/rootDesc.xml",
    "example_pcp": "pcp://192.168.1.1:5351",
}


class PortForwardConfigFlow(AnnouncedSteps, PcpSteps, UpnpSteps, domain=DOMAIN):
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
        if user_input is None:
            self._found = await async_find_routers(self.hass, self._session)
        elif user_input[CONF_URL] == _TYPED_IN:
            return await self.async_step_url()
        elif user_input[CONF_URL] in KINDS:
            return await self._async_log_in(user_input[CONF_URL])
        return await self._async_ask_which("user", user_input, others=(_TYPED_IN, *KINDS))

    async def async_step_url(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the address of the router."""
        return await self._async_ask_address("url", user_input)

    async def async_step_protocol(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask how to speak to a router that speaks several protocols."""
        return await self._async_ask_which("protocol", user_input)

    @override
    async def async_step_ssdp(self, discovery_info: SsdpServiceInfo) -> ConfigFlowResult:
        """Take up a router that announced itself."""
        if kind := kind_of(discovery_info):
            return await self._async_take_announced(kind, discovery_info)
        location = await async_trusted_location(self.hass, discovery_info)
        udn = discovery_info.ssdp_udn
        if not location or not udn:
            return self.async_abort(reason="untrusted_discovery")
        try:
            entry = await self.async_set_unique_id(udn)
            if entry and entry.source != SOURCE_IGNORE:
                await self._async_follow(entry, location)
            elif known := await async_entries_at(self.hass, location):
                # Whatever is spoken to it, nobody has to be told of it again.
                for entry in known:
                    await async_take_up_renamed(self.hass, self._session, entry, location)
                return self.async_abort(reason="already_configured")
            self._abort_if_unique_id_configured()
            await self._async_examine(location)
        except FORM_ERRORS:
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
            try:
                # It may have been announced days ago.
                return await self._async_take_upnp(self._url)
            except FORM_ERRORS as error:
                errors, placeholders = await self._async_told(error)
        return self.async_show_form(
            step_id="confirm",
            errors=errors,
            description_placeholders={"name": self._info.name, "url": self._url} | placeholders,
        )

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Change what there is to change of a router of its kind."""
        driver = self._get_reconfigure_entry().data[CONF_DRIVER]
        if driver in KINDS:
            return await self._async_log_in(driver)
        if driver == PCP:
            return await self.async_step_reconfigure_pcp()
        return await self._async_ask_address("reconfigure", user_input, only="http")

    async def async_step_reconfigure_pcp(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Change which gateway it is."""
        return await self._async_ask_address("reconfigure_pcp", user_input, only=PCP)

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """Ask for the account again: the router does not accept what it was given."""
        return await self._async_log_in(entry_data[CONF_DRIVER])

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
        self, step_id: str, user_input: dict[str, Any] | None, *, only: str | None = None
    ) -> ConfigFlowResult:
        errors: dict[str, str] = {}
        placeholders: dict[str, str] = {}
        suggested = user_input
        if user_input is not None:
            try:
                self._found = await async_look_at(
                    self.hass, self._session, user_input[CONF_URL], only=only
                )
                if len(self._found) > 1:
                    return await self.async_step_protocol()
                return await self._async_take(next(iter(self._found)))
            except FORM_ERRORS as error:
                errors, placeholders = await self._async_told(error)
        elif only:
            suggested = {CONF_URL: self._get_reconfigure_entry().data[CONF_URL]}
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(_URL_SCHEMA, suggested),
            errors=errors,
            description_placeholders=_PLACEHOLDERS | placeholders,
        )

    async def _async_ask_which(
        self, step_id: str, user_input: dict[str, Any] | None, others: Sequence[str] = ()
    ) -> ConfigFlowResult:
        """Let the user choose among what was found, and `others`, which have texts."""
        errors: dict[str, str] = {}
        placeholders: dict[str, str] = {}
        if user_input is not None:
            try:
                return await self._async_take(user_input[CONF_URL])
            except FORM_ERRORS as error:
                errors, placeholders = await self._async_told(error)
        options = [SelectOptionDict(value=url, label=name) for url, name in self._found.items()]
        options += [SelectOptionDict(value=other, label=other) for other in others]
        return self.async_show_form(
            step_id=step_id,
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

    async def _async_take(self, url: str) -> ConfigFlowResult:
        """Go on with a router that was found; raises what a form can show."""
        if url.startswith(f"{PCP}:"):
            return await self._async_take_pcp(url)
        return await self._async_take_upnp(url)

    async def _async_follow(self, entry: ConfigEntry, location: str) -> None:
        """Let an entry be where its router is announced, if that is certain, or else ask."""
        match await async_has_moved(self.hass, self._session, entry, location):
            case Verdict.YES:
                self._async_update(entry, {**entry.data, CONF_URL: location})
            case Verdict.ASK:
                await async_ask_whether_moved(self.hass, self._session, entry, location)
