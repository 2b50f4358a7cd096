"""The flow that adds a forward to a router, or edits it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, override

import voluptuous as vol
from homeassistant.config_entries import (
    ConfigEntry,
    ConfigEntryState,
    ConfigSubentryFlow,
    SubentryFlowResult,
)
from homeassistant.const import CONF_NAME, CONF_PROTOCOL, CONF_URL
from homeassistant.helpers.selector import (
    BooleanSelector,
    DurationSelector,
    DurationSelectorConfig,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
)

from .backend import make_router
from .const import (
    CONF_ALLOWED_SOURCE,
    CONF_CLOSE_AFTER,
    CONF_EXTERNAL_PORTS,
    CONF_INTERNAL_HOST,
    CONF_INTERNAL_PORTS,
    CONF_IP_VERSION,
    CONF_UNTIL_CLOSED,
    DEFAULT_CLOSE_AFTER,
    PROTOCOL_BOTH,
    SUBENTRY_TYPE_FORWARD,
    THIS_HOME_ASSISTANT,
)
from .forwards import FieldError, ForwardSettings, IpVersion, check_free, check_name
from .hosts import ROUTER_UNKNOWN, HostError, async_resolve_hosts, async_router_address
from .routers.errors import NotPermittedError, Refusal
from .routers.model import Forward, Protocol


class _AnyDuration(DurationSelector):
    """Takes also what is too long for Python, so that the error is told at the field.

    Home Assistant's own raises OverflowError, and the form just fails.
    """

    @override
    def __call__(self, data: Any) -> dict[str, float]:
        try:
            return super().__call__(data)
        except OverflowError:
            return dict(data)


def _fields_of(duration: timedelta) -> dict[str, int]:
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return {"days": duration.days, "hours": hours, "minutes": minutes, "seconds": seconds}


_SCHEMA = vol.Schema(
    {
        vol.Required(CONF_NAME): TextSelector(),
        vol.Required(CONF_INTERNAL_HOST): SelectSelector(
            SelectSelectorConfig(
                options=[SelectOptionDict(value=THIS_HOME_ASSISTANT, label=THIS_HOME_ASSISTANT)],
                custom_value=True,
                mode=SelectSelectorMode.DROPDOWN,
            )
        ),
        vol.Required(CONF_PROTOCOL, default=Protocol.TCP.value): SelectSelector(
            SelectSelectorConfig(
                options=[*Protocol, PROTOCOL_BOTH],
                mode=SelectSelectorMode.DROPDOWN,
                translation_key="protocol",
            )
        ),
        vol.Required(CONF_INTERNAL_PORTS): TextSelector(),
        vol.Optional(CONF_EXTERNAL_PORTS): TextSelector(),
        vol.Optional(CONF_ALLOWED_SOURCE): TextSelector(),
        vol.Required(CONF_IP_VERSION, default=IpVersion.IPV4.value): SelectSelector(
            SelectSelectorConfig(
                options=list(IpVersion),
                mode=SelectSelectorMode.DROPDOWN,
                translation_key="ip_version",
            )
        ),
        vol.Required(CONF_CLOSE_AFTER, default=_fields_of(DEFAULT_CLOSE_AFTER)): _AnyDuration(
            DurationSelectorConfig(enable_day=True)
        ),
        vol.Required(CONF_UNTIL_CLOSED, default=False): BooleanSelector(),
    }
)


class ForwardSubentryFlow(ConfigSubentryFlow):
    """Asks what the user wants to be able to open."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Add a forward."""
        errors, placeholders = await self._async_check(user_input)
        if user_input is not None and not errors:
            return self.async_create_entry(**_title_and_data(user_input))
        # Empty, or the frontend would choose the first host of the list: Home Assistant itself.
        shown = user_input or {CONF_INTERNAL_HOST: ""}
        return self._show("user", shown, errors, placeholders)

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Edit a forward."""
        subentry = self._get_reconfigure_subentry()
        errors, placeholders = await self._async_check(user_input)
        if user_input is not None and not errors:
            return self.async_update_and_abort(
                self._get_entry(), subentry, **_title_and_data(user_input)
            )
        shown = user_input or {CONF_NAME: subentry.title, **subentry.data}
        return self._show("reconfigure", shown, errors, placeholders)

    def _show(
        self,
        step_id: str,
        values: Mapping[str, Any],
        errors: dict[str, str],
        placeholders: Mapping[str, str],
    ) -> SubentryFlowResult:
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(_SCHEMA, values),
            errors=errors,
            description_placeholders=placeholders,
        )

    async def _async_check(
        self, user_input: Mapping[str, Any] | None
    ) -> tuple[dict[str, str], Mapping[str, str]]:
        """Return the errors of the form and the placeholders of their texts."""
        if user_input is None:
            return {}, {}
        entry = self._get_entry()
        edited = self.context.get("subentry_id")
        try:
            check_name(user_input[CONF_NAME])
            settings = ForwardSettings.from_input(user_input)
            check_free(
                settings,
                (
                    subentry
                    for subentry in entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD)
                    if subentry.subentry_id != edited
                ),
            )
            router = await async_router_address(self.hass, entry.data[CONF_URL])
            hosts = await async_resolve_hosts(
                self.hass, settings.internal_host, router, settings.ip_version
            )
            self._check_router(entry, settings.forward("new", user_input[CONF_NAME], hosts))
        except FieldError as error:
            return {error.field: error.key}, error.placeholders
        except HostError as error:
            field = "base" if error.key == ROUTER_UNKNOWN else CONF_INTERNAL_HOST
            return {field: error.key}, error.placeholders
        except NotPermittedError as error:
            # What a driver refuses without asking its router: IPv6, or else a source.
            no_ipv6 = error.reason is Refusal.NO_IPV6
            field = CONF_IP_VERSION if no_ipv6 else CONF_ALLOWED_SOURCE
            return {field: error.translation_key}, error.placeholders
        return {}, {}

    def _check_router(self, entry: ConfigEntry, forward: Forward) -> None:
        """Raise NotPermittedError for what this router could not map.

        A loaded one knows what it can do, any other is asked when it opens.
        """
        loaded = entry.state is ConfigEntryState.LOADED
        router = entry.runtime_data.router if loaded else make_router(self.hass, entry, {})
        router.plan(forward)


def _title_and_data(user_input: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the subentry keeps: the name is its title, and no field is empty."""
    stripped = {
        key: value.strip() if isinstance(value, str) else value for key, value in user_input.items()
    }
    data = {key: value for key, value in stripped.items() if value != ""}
    return {"title": data.pop(CONF_NAME), "data": data}
