"""The flow that adds a router, or changes where it is."""

from collections.abc import Mapping
from typing import Any, override

import aiohttp
import voluptuous as vol
from homeassistant.config_entries import (
    SOURCE_IGNORE,
    SOURCE_RECONFIGURE,
    SOURCE_SSDP,
    SOURCE_USER,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryFlow,
    FlowType,
    OptionsFlow,
    SubentryFlowContext,
)
from homeassistant.const import CONF_URL
from homeassistant.core import callback
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.selector import (
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
)
from homeassistant.helpers.service_info.ssdp import SsdpServiceInfo
from yarl import URL

from .backend import async_close_all
from .const import CONF_DRIVER, CONF_WAN, DOMAIN, SUBENTRY_TYPE_FORWARD
from .discovery import async_find_routers, async_has_moved, async_trusted_location
from .entity import translated_errors
from .forward_flow import ForwardSubentryFlow
from .hosts import HostError, async_router_address
from .openings import Reason
from .options_flow import PortForwardOptionsFlow
from .routers.errors import RouterError
from .routers.model import RouterInfo
from .routers.upnp import WanSurvey, describe, search
from .routers.upnp import survey as survey_wans

# In the list of routers that were found: the one that was not.
_TYPED_IN = "typed_in"

# A plain text field: browsers refuse an address without http:// in a field for URLs.
_URL_SCHEMA = vol.Schema({vol.Required(CONF_URL): TextSelector()})

# What the forms show for an example.
_PLACEHOLDERS = {"example": "http://192.168.1.1:5000/rootDesc.xml"}


class PortForwardConfigFlow(ConfigFlow, domain=DOMAIN):
    """Adds a router: announced, found, or by its address."""

    VERSION = 1
    MINOR_VERSION = 1

    _info: RouterInfo
    _url: str
    _surveys: tuple[WanSurvey, ...]

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

    async def async_step_wan(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask which WAN is meant."""
        if user_input is not None:
            return await self._async_finish(user_input[CONF_WAN])
        names = {survey.wan.id: _wan_name(survey) for survey in self._surveys}
        suggested = next(iter(names))
        if self.source == SOURCE_RECONFIGURE:
            # Another one closes everything, and must be meant.
            current = self._get_reconfigure_entry().data[CONF_WAN]
            suggested = current if current in names else suggested
        return self.async_show_form(
            step_id="wan",
            data_schema=vol.Schema(
                {
                    vol.Required(CONF_WAN, default=suggested): SelectSelector(
                        SelectSelectorConfig(
                            options=[
                                SelectOptionDict(value=wan, label=name)
                                for wan, name in names.items()
                            ],
                            mode=SelectSelectorMode.LIST,
                        )
                    )
                }
            ),
        )

    @override
    async def async_on_create_entry(self, result: ConfigFlowResult) -> ConfigFlowResult:
        """Lead straight on to the first forward."""
        subentry = await self.hass.config_entries.subentries.async_init(
            (result["result"].entry_id, SUBENTRY_TYPE_FORWARD),
            context=SubentryFlowContext(source=SOURCE_USER),
        )
        result["next_flow"] = (FlowType.CONFIG_SUBENTRIES_FLOW, subentry["flow_id"])
        return result

    @property
    def _session(self) -> aiohttp.ClientSession:
        return async_get_clientsession(self.hass, verify_ssl=False)

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

    async def _async_examine(self, text: str) -> tuple[dict[str, str], dict[str, str]]:
        """Speak to the router before anything is made of it.

        Returns the errors of the form and their placeholders. Aborts when it
        is not a router that this flow may go on with.
        """
        if (url := _web_address(text)) is None:
            return {CONF_URL: "invalid_url"}, {}
        found = None
        if url.host and url.path == "/" and url.explicit_port is None:
            # Few know where on their router the description is; the router does.
            found = await search(url.host)
        self._url = found or str(url)
        try:
            self._info = (await describe(self._session, self._url)).info
            self._surveys = await survey_wans(self._session, self._url)
            await async_router_address(self.hass, self._url)
        except HostError as error:
            return {"base": error.key}, error.placeholders
        except RouterError as error:
            return {"base": error.translation_key}, error.placeholders
        await self._async_identify(self._info.unique_id)
        return {}, {}

    async def _async_identify(self, unique_id: str) -> None:
        """Abort unless the router that answered is one that the flow is about."""
        if self.source == SOURCE_SSDP:
            # Else whoever announces a name of his own could answer with that
            # of a router that is configured, and take its place.
            if unique_id != self.unique_id:
                raise AbortFlow("untrusted_discovery")
            return
        # The card of the same router that was discovered is no obstacle.
        entry = await self.async_set_unique_id(unique_id, raise_on_progress=False)
        if self.source == SOURCE_RECONFIGURE:
            self._abort_if_unique_id_mismatch(reason="another_router")
        elif entry and entry.source != SOURCE_IGNORE:
            moved = await async_has_moved(self._session, entry, self._url)
            self._async_update(entry, {**entry.data, CONF_URL: self._url} if moved else entry.data)
            raise AbortFlow("already_configured")

    @callback
    def _async_update(self, entry: ConfigEntry, data: Mapping[str, Any]) -> None:
        self.hass.config_entries.async_update_entry(entry, data=data)
        if entry.state is ConfigEntryState.SETUP_RETRY:
            # Only a loaded entry listens for its changes.
            self.hass.config_entries.async_schedule_reload(entry.entry_id)

    async def _async_choose_wan(self) -> ConfigFlowResult:
        if len(self._surveys) > 1:
            return await self.async_step_wan()
        return await self._async_finish(self._surveys[0].wan.id)

    async def _async_finish(self, wan: str) -> ConfigFlowResult:
        data = {CONF_DRIVER: "upnp", CONF_URL: self._url, CONF_WAN: wan}
        if self.source != SOURCE_RECONFIGURE:
            return self.async_create_entry(title=self._info.name, data=data)
        entry = self._get_reconfigure_entry()
        if entry.data[CONF_WAN] != wan:
            # The new WAN does not show what is open on the old one.
            try:
                with translated_errors():
                    await async_close_all(self.hass, entry, Reason.WAN_CHANGED)
            except HomeAssistantError as error:
                return self.async_abort(
                    reason="not_closed", description_placeholders={"error": str(error)}
                )
        self._async_update(entry, data)
        return self.async_update_and_abort(entry)


def _web_address(text: str) -> URL | None:
    """Return what was typed in as a URL; an address alone is taken for one."""
    text = text.strip()
    try:
        url = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        return None
    return url if url.scheme in ("http", "https") and url.host else None


def _wan_name(survey: WanSurvey) -> str:
    address = survey.external_address
    return f"{survey.wan.name}: {address}" if address else survey.wan.name
