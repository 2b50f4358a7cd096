"""The flow that adds a forward to a router, or edits it."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState, SubentryFlowResult
from homeassistant.const import CONF_DEVICE, CONF_NAME
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.translation import async_get_translations

from ..adoption import async_adoptable
from ..automatic.causes import check_cause
from ..automatic.idle import check_idle
from ..const import (
    CAUSING_DEVICE,
    CONF_ADOPTED,
    CONF_ALLOWED_SOURCE,
    CONF_EXTERNAL_PORTS,
    CONF_INTERNAL_HOST,
    CONF_IP_VERSION,
    DOMAIN,
    LOGGER,
)
from ..devices.hosts import ROUTER_UNKNOWN, HostError
from ..forwards import FieldError, ForwardSettings, check_free, check_name
from ..home import async_home
from ..openings import Reason
from ..routers.errors import InvalidForwardError, NotPermittedError, Refusal, RouterError
from .adopt import AdoptingSubentryFlow
from .form import SCHEMA, errors_at, from_form, title_and_data, to_form, unfolded

# No router asks who it is before it opens: it stands for whoever causes it.
_ANY_DEVICE: Final = IPv4Address("192.0.2.1")

# What drivers refuse without asking their routers, and the field that it is about.
REFUSED_AT: Final = {
    Refusal.NO_IPV6: CONF_IP_VERSION,
    Refusal.SAME_PORT_ONLY: CONF_EXTERNAL_PORTS,
    Refusal.ANY_SOURCE_ONLY: CONF_ALLOWED_SOURCE,
    Refusal.ONE_SOURCE_ONLY: CONF_ALLOWED_SOURCE,
}


class ForwardSubentryFlow(AdoptingSubentryFlow):
    """Asks what the user wants to be able to open."""

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Add a forward: a new one, or an existing rule where the router has some."""
        if user_input is None:
            self._rules = await async_adoptable(self._get_entry())
            return await (self.async_step_choose() if self._rules else self.async_step_new())
        return await self._async_submit_new(from_form(user_input))

    async def _async_submit_new(self, values: dict[str, Any]) -> SubentryFlowResult:
        errors, placeholders = await self._async_check(values)
        if errors:
            return await self._async_show("user", values, errors, placeholders)
        if ask := await self._async_ask(values, self._async_submit_new):
            return ask
        return self.async_create_entry(
            **title_and_data(values | await self._async_accepted(values))
        )

    async def async_step_new(self, _: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Show the form of a new forward."""
        # Empty, or the frontend would choose the first host of the list: Home Assistant itself.
        return await self._async_show("user", {CONF_INTERNAL_HOST: ""}, {}, {})

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Edit a forward."""
        subentry = self._get_reconfigure_subentry()
        if CONF_ADOPTED in subentry.data:
            return await self.async_step_reconfigure_adopted()
        if user_input is None:
            shown = {CONF_NAME: subentry.title, **subentry.data}
            return await self._async_show("reconfigure", shown, {}, {})
        return await self._async_submit_edited(from_form(user_input))

    async def _async_submit_edited(self, values: dict[str, Any]) -> SubentryFlowResult:
        errors, placeholders = await self._async_check(values)
        if errors:
            return await self._async_show("reconfigure", values, errors, placeholders)
        if ask := await self._async_ask(values, self._async_submit_edited):
            return ask
        subentry = self._get_reconfigure_subentry()
        host, was = values.get(CONF_INTERNAL_HOST), subentry.data.get(CONF_INTERNAL_HOST)
        if host == CAUSING_DEVICE != was:
            # From now on it leads to whoever it is open for, and that device has caused nothing.
            await self._async_close(subentry.subentry_id)
        return self.async_update_and_abort(
            self._get_entry(),
            subentry,
            **title_and_data(values | await self._async_accepted(values)),
        )

    async def _async_close(self, forward_id: str) -> None:
        """Close a forward that is edited; what fails has been told, and is tried again."""
        entry = self._get_entry()
        if entry.state is not ConfigEntryState.LOADED:
            return
        try:
            await entry.runtime_data.keeper.close(forward_id, None, reason=Reason.FORWARD_EDITED)
        except (RouterError, HomeAssistantError) as error:
            LOGGER.debug("Not closed yet: %s", error)

    async def _async_show(
        self,
        step_id: str,
        values: Mapping[str, Any],
        errors: dict[str, str],
        placeholders: Mapping[str, str],
    ) -> SubentryFlowResult:
        return self.async_show_form(
            step_id=step_id,
            data_schema=self.add_suggested_values_to_schema(
                unfolded(SCHEMA, errors), to_form(values)
            ),
            errors=errors_at(errors),
            description_placeholders={**placeholders, "note": await self._async_note()},
        )

    async def _async_note(self) -> str:
        """Return what the user should know of a router that does not close by itself."""
        entry = self._get_entry()
        loaded = entry.state is ConfigEntryState.LOADED
        if not (loaded and entry.runtime_data.router.capabilities.may_never_close):
            return ""
        texts = await async_get_translations(
            self.hass, self.hass.config.language, "issues", [DOMAIN]
        )
        # The same words as those of the repair that tells of it later.
        return f"\n\n{texts[f'component.{DOMAIN}.issues.router_does_not_close.description']}"

    async def _async_check(
        self, values: Mapping[str, Any]
    ) -> tuple[dict[str, str], Mapping[str, str]]:
        """Return the errors of the form and the placeholders of their texts."""
        try:
            check_name(values[CONF_NAME])
            settings = ForwardSettings.from_input(values)
            check_free(settings, self._others())
            check_cause(self.hass, values, self._router().capabilities)
            hosts = (
                (_ANY_DEVICE, None)
                if settings.internal_host == CAUSING_DEVICE
                else await self._async_hosts(settings)
            )
            # A loaded one knows what it can do, any other is asked when it opens.
            self._router().plan(
                settings.forward("new", values[CONF_NAME], hosts, async_home(self.hass))
            )
            check_idle(values, self._router().capabilities)
        except FieldError as error:
            return {error.field: error.key}, error.placeholders
        except HostError as error:
            host = CONF_DEVICE if CONF_DEVICE in values else CONF_INTERNAL_HOST
            field = "base" if error.key == ROUTER_UNKNOWN else host
            return {field: error.key}, error.placeholders
        except NotPermittedError as error:
            return {REFUSED_AT[error.reason]: error.translation_key}, error.placeholders
        except InvalidForwardError as error:
            return {CONF_EXTERNAL_PORTS: error.translation_key}, error.placeholders
        return {}, {}
