"""The flow that adds a router, and its options."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, override

import aiohttp
import voluptuous as vol
from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    ConfigEntry,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryFlow,
    FlowType,
    OptionsFlow,
    SubentryFlowContext,
)
from homeassistant.const import CONF_URL, UnitOfTime
from homeassistant.core import callback
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.selector import (
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
from homeassistant.helpers.service_info.ssdp import ATTR_UPNP_FRIENDLY_NAME, SsdpServiceInfo
from yarl import URL

from .backend import async_close_all
from .const import (
    CONF_DRIVER,
    CONF_LEASE,
    CONF_REFRESH_INTERVAL,
    CONF_WAN,
    DEFAULT_LEASE,
    DEFAULT_REFRESH_INTERVAL,
    DOMAIN,
    SUBENTRY_TYPE_FORWARD,
)
from .discovery import async_find_routers, async_is_trusted
from .forward_flow import ForwardSubentryFlow
from .openings import Reason
from .routers.errors import RouterError
from .routers.model import RouterInfo
from .routers.upnp import WanSurvey, describe
from .routers.upnp import survey as survey_wans

# In the list of routers that were found: the one that was not.
_TYPED_IN = "typed_in"

_URL_SCHEMA = vol.Schema(
    {vol.Required(CONF_URL): TextSelector(TextSelectorConfig(type=TextSelectorType.URL))}
)


# What the errors of the forms name when they know nothing better.
_PLACEHOLDERS = {"example": "http://192.168.1.1:5000/rootDesc.xml"}


def _is_web_address(text: str) -> bool:
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.host)


def _seconds(minimum: int, maximum: int) -> NumberSelector:
    return NumberSelector(
        NumberSelectorConfig(
            min=minimum,
            max=maximum,
            step=1,
            mode=NumberSelectorMode.BOX,
            unit_of_measurement=UnitOfTime.SECONDS,
        )
    )


_OPTIONS_SCHEMA = vol.Schema(
    {
        vol.Required(
            CONF_REFRESH_INTERVAL, default=DEFAULT_REFRESH_INTERVAL.total_seconds()
        ): vol.All(_seconds(10, 3600), vol.Coerce(int)),
        # Shorter leases would keep a weak router busy with renewals; a week is
        # the longest that IGD:2 knows, but a port should not wait for a dead
        # Home Assistant longer than a day.
        vol.Required(CONF_LEASE, default=DEFAULT_LEASE.total_seconds()): vol.All(
            _seconds(120, 86400), vol.Coerce(int)
        ),
    }
)


class PortForwardConfigFlow(ConfigFlow, domain=DOMAIN):
    """Adds a router: announced, found, or by the URL of its description."""

    VERSION = 1
    MINOR_VERSION = 1

    def __init__(self) -> None:
        """Start with nothing known."""
        self._found: Mapping[str, str] = {}
        self._url = ""
        self._info: RouterInfo | None = None
        self._surveys: tuple[WanSurvey, ...] = ()

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
        """Ask for the URL of the router's description."""
        errors: dict[str, str] = {}
        placeholders: dict[str, str] = {}
        if user_input is not None:
            errors, placeholders = await self._async_examine(user_input[CONF_URL])
            if not errors:
                return await self._async_choose_wan()
        return self.async_show_form(
            step_id="url",
            data_schema=self.add_suggested_values_to_schema(_URL_SCHEMA, user_input),
            errors=errors,
            description_placeholders=_PLACEHOLDERS | placeholders,
        )

    @override
    async def async_step_ssdp(self, discovery_info: SsdpServiceInfo) -> ConfigFlowResult:
        """Take up a router that announced itself."""
        location, udn = discovery_info.ssdp_location, discovery_info.ssdp_udn
        if not location or not udn or not await async_is_trusted(self.hass, discovery_info):
            return self.async_abort(reason="untrusted_discovery")
        entry = await self.async_set_unique_id(udn)
        if entry and entry.data[CONF_URL] != location and not await self._async_answers(entry):
            # The router has restarted elsewhere (Q36). While the old address
            # answers, nobody can take its place by claiming its name.
            self.hass.config_entries.async_update_entry(
                entry, data={**entry.data, CONF_URL: location}
            )
        self._abort_if_unique_id_configured(reload_on_update=False)
        errors, _ = await self._async_examine(location)
        if errors:
            return self.async_abort(reason="untrusted_discovery")
        name = discovery_info.upnp.get(ATTR_UPNP_FRIENDLY_NAME) or location
        self.context["title_placeholders"] = {"name": name}
        return await self.async_step_confirm()

    async def async_step_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Let the user add the router that announced itself."""
        if user_input is not None:
            return await self._async_choose_wan()
        if TYPE_CHECKING:
            assert self._info
        return self.async_show_form(
            step_id="confirm",
            description_placeholders={"name": self._info.name, "url": self._url},
        )

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Change where the router is, and which of its WANs is meant."""
        entry = self._get_reconfigure_entry()
        errors: dict[str, str] = {}
        placeholders: dict[str, str] = {}
        if user_input is not None:
            errors, placeholders = await self._async_examine(user_input[CONF_URL])
            if not errors:
                return await self._async_choose_wan()
        return self.async_show_form(
            step_id="reconfigure",
            data_schema=self.add_suggested_values_to_schema(
                _URL_SCHEMA, user_input or {CONF_URL: entry.data[CONF_URL]}
            ),
            errors=errors,
            description_placeholders=_PLACEHOLDERS | placeholders,
        )

    async def async_step_wan(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask which WAN is meant."""
        if user_input is not None:
            return await self._async_finish(user_input[CONF_WAN])
        options = [
            SelectOptionDict(
                value=survey.wan.id,
                label=f"{survey.wan.name} ({survey.external_address or '?'})",
            )
            for survey in self._surveys
        ]
        return self.async_show_form(
            step_id="wan",
            data_schema=vol.Schema(
                {
                    vol.Required(CONF_WAN, default=options[0]["value"]): SelectSelector(
                        SelectSelectorConfig(options=options, mode=SelectSelectorMode.LIST)
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

    async def _async_examine(self, url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Speak to the router before anything is made of it.

        Returns the errors of the form and their placeholders. Aborts when the
        router is configured already, and takes over where it is now.
        """
        if not _is_web_address(url):
            return {CONF_URL: "invalid_url"}, {}
        try:
            description = await describe(self._session, url)
            self._surveys = await survey_wans(self._session, url)
        except RouterError as error:
            return {"base": error.translation_key}, error.placeholders
        self._url = url
        self._info = description.info
        await self.async_set_unique_id(description.info.unique_id)
        if self.source == SOURCE_RECONFIGURE:
            self._abort_if_unique_id_mismatch(reason="another_router")
        else:
            self._abort_if_unique_id_configured({CONF_URL: url}, reload_on_update=False)
        return {}, {}

    async def _async_choose_wan(self) -> ConfigFlowResult:
        if len(self._surveys) > 1:
            return await self.async_step_wan()
        return await self._async_finish(self._surveys[0].wan.id)

    async def _async_finish(self, wan: str) -> ConfigFlowResult:
        if TYPE_CHECKING:
            assert self._info
        data = {CONF_DRIVER: "upnp", CONF_URL: self._url, CONF_WAN: wan}
        if self.source != SOURCE_RECONFIGURE:
            return self.async_create_entry(title=self._info.name, data=data)
        entry = self._get_reconfigure_entry()
        if entry.data[CONF_WAN] != wan:
            # The new WAN does not show what is open on the old one.
            try:
                await async_close_all(self.hass, entry, Reason.WAN_CHANGED)
            except RouterError as error:
                return self.async_abort(
                    reason="not_closed",
                    description_placeholders={"error": str(error)},
                )
        return self.async_update_and_abort(entry, data=data)

    async def _async_answers(self, entry: ConfigEntry) -> bool:
        """Tell whether the router still answers where the entry has it."""
        try:
            description = await describe(self._session, entry.data[CONF_URL])
        except RouterError:
            return False
        return description.info.unique_id == entry.unique_id


class PortForwardOptionsFlow(OptionsFlow):
    """Asks how often to look, and how long the router keeps a port by itself."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the options."""
        if user_input is not None:
            return self.async_create_entry(data=user_input)
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(
                _OPTIONS_SCHEMA, self.config_entry.options
            ),
        )
