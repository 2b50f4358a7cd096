"""The ways out of what a repair tells of one forward."""

from typing import Any

import voluptuous as vol
from homeassistant.components.repairs import RepairsFlow, RepairsFlowResult
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir

from .const import CONF_CONFIRMED, DOMAIN
from .coordinator import PortForwardCoordinator
from .entity import translated_errors
from .foreign.commands import loaded
from .forward_flow.form import CONFIRMED_SCHEMA
from .forwards import FieldError, check_confirmed
from .issues import DATA_ENTRY, DATA_FORWARD, DATA_TARGET
from .routers.shown import as_text
from .safety.target import Target, async_accept


class _ForwardFlow(RepairsFlow):
    """Knows the forward, and what the issue says."""

    @property
    def _forward_id(self) -> str:
        return str((self.data or {})[DATA_FORWARD])

    @property
    def _said(self) -> dict[str, str]:
        issue = ir.async_get(self.hass).async_get_issue(self.handler, self.issue_id)
        return (issue.translation_placeholders if issue else None) or {}

    def _coordinator(self) -> PortForwardCoordinator:
        """Return the router's coordinator; raises HomeAssistantError when it is not set up."""
        coordinator = loaded(self.hass, str((self.data or {})[DATA_ENTRY]))
        if self._forward_id not in coordinator.config_entry.subentries:
            raise HomeAssistantError(translation_domain=DOMAIN, translation_key="no_target")
        return coordinator

    def _failed(self, error: HomeAssistantError) -> RepairsFlowResult:
        return self.async_abort(
            reason="failed", description_placeholders={"error": as_text(str(error))}
        )


class TargetFlow(_ForwardFlow):
    """A name or a device leads to the router or to Home Assistant now: allow it."""

    async def async_step_init(self, _: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Ask."""
        return await self.async_step_accept()

    async def async_step_accept(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Let it lead there from now on; that opens nothing."""
        errors: dict[str, str] = {}
        if user_input is not None:
            try:
                check_confirmed(confirmed=user_input[CONF_CONFIRMED])
                entry = self._coordinator().config_entry
            except FieldError as error:
                errors = {error.field: error.key}
            except HomeAssistantError as error:
                return self._failed(error)
            else:
                target = Target(str((self.data or {})[DATA_TARGET]))
                async_accept(self.hass, entry, entry.subentries[self._forward_id], [target])
                return self.async_create_entry(data={})
        return self.async_show_form(
            step_id="accept",
            data_schema=CONFIRMED_SCHEMA,
            errors=errors,
            description_placeholders=self._said,
        )


class OpenWithoutSwitchFlow(_ForwardFlow):
    """It is open until it is closed, and its switch is disabled: close it."""

    async def async_step_init(self, _: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Ask."""
        return await self.async_step_close()

    async def async_step_close(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Close it."""
        if user_input is None:
            return self.async_show_form(
                step_id="close",
                data_schema=vol.Schema({}),
                description_placeholders=self._said,
            )
        try:
            with translated_errors():
                await self._coordinator().async_close(self._forward_id)
        except HomeAssistantError as error:
            return self._failed(error)
        return self.async_create_entry(data={})
