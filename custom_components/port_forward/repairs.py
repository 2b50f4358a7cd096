"""The ways out of what a repair tells of."""

from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_network
from typing import Any

import voluptuous as vol
from homeassistant.components.repairs import ConfirmRepairFlow, RepairsFlow, RepairsFlowResult
from homeassistant.const import CONF_NAME, CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir

from .adoption import default_name
from .const import CONF_CLOSE_AFTER, CONF_CONFIRMED, DOMAIN, RISKY_CLOSE_AFTER
from .coordinator import PortForwardCoordinator
from .entity import translated_errors
from .foreign.commands import (
    async_adopt_foreign,
    async_close_foreign,
    async_look,
    async_risks_of,
    async_take_over,
    foreign_row,
    loaded,
)
from .foreign.issues import DATA_MARK
from .foreign.watch import Row
from .forward_flow.form import (
    CONFIRMED_SCHEMA,
    NAME_AND_TIMES_SCHEMA,
    RISKY_NAME_AND_TIMES_SCHEMA,
    fields_of,
)
from .forwards import FieldError, check_confirmed
from .identity import async_accept
from .issues import DATA_ENTRY, DATA_FORWARD, DATA_TARGET, DATA_UDN
from .routers.shown import as_text
from .safety.risk_texts import async_describe_risks
from .safety.target import Target
from .safety.target import async_accept as async_accept_target


async def async_create_fix_flow(
    hass: HomeAssistant, issue_id: str, data: dict[str, str | int | float | None] | None
) -> RepairsFlow:
    """Return the flow of an issue that can be fixed."""
    flows: dict[str, type[RepairsFlow]] = {
        "foreign_mapping_": ForeignMappingFlow,
        "foreign_flood_": ForeignFloodFlow,
        "reopen_": ReopenFlow,
        "leads_to_": TargetFlow,
        "open_without_switch_": OpenWithoutSwitchFlow,
        "router_unconfirmed_": SameRouterFlow,
        "router_moved_": SameRouterFlow,
    }
    found = (flow for prefix, flow in flows.items() if issue_id.startswith(prefix))
    return next(found, ConfirmRepairFlow)()


class _RouterIssueFlow(RepairsFlow):
    """Knows the router, and what the issue says."""

    @property
    def _entry_id(self) -> str:
        return str((self.data or {})[DATA_ENTRY])

    @property
    def _said(self) -> dict[str, str]:
        issue = ir.async_get(self.hass).async_get_issue(self.handler, self.issue_id)
        return (issue.translation_placeholders if issue else None) or {}

    def _failed(self, error: HomeAssistantError) -> RepairsFlowResult:
        return self.async_abort(
            reason="failed", description_placeholders={"error": as_text(str(error))}
        )


class ForeignMappingFlow(_RouterIssueFlow):
    """A mapping that is new: close it, make a forward of it, or accept it."""

    async def async_step_init(self, _: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Ask what is to become of it."""
        return self.async_show_menu(
            step_id="init",
            menu_options=["close", "adopt", "accept"],
            description_placeholders=self._said,
        )

    async def async_step_close(self, _: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Close it, if it is still the same."""
        try:
            await async_close_foreign(*await self._found())
        except HomeAssistantError as error:
            return self._failed(error)
        return self.async_create_entry(data={})

    async def async_step_adopt(self, user_input: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Ask for the name and the times of the forward that it is to be."""
        errors: dict[str, str] = {}
        refusal = ""
        try:
            coordinator, row = await self._found()
        except HomeAssistantError as error:
            return self._failed(error)
        if row.forward_id:
            return await self._async_take_over(coordinator, row, row.forward_id)
        risks = await async_risks_of(coordinator, row.mapping)
        if user_input is not None:
            values = {key: value for key, value in user_input.items() if key != CONF_CONFIRMED}
            try:
                check_confirmed(confirmed=not risks or user_input.get(CONF_CONFIRMED, False))
                await async_adopt_foreign(coordinator, row, values)
            except FieldError as error:
                errors = {error.field: error.key}
            except HomeAssistantError as error:
                errors, refusal = {"base": "refused"}, str(error)
            else:
                return self.async_create_entry(data={})
        shown: Mapping[str, Any] = user_input or {CONF_NAME: default_name(row.mapping)}
        if risks and user_input is None:
            shown = {**shown, CONF_CLOSE_AFTER: fields_of(RISKY_CLOSE_AFTER)}
        told = f"\n\n{await async_describe_risks(self.hass, risks)}" if risks else ""
        return self.async_show_form(
            step_id="adopt",
            data_schema=self.add_suggested_values_to_schema(
                RISKY_NAME_AND_TIMES_SCHEMA if risks else NAME_AND_TIMES_SCHEMA, shown
            ),
            errors=errors,
            description_placeholders={**self._said, "error": refusal, "risks": told},
        )

    async def _async_take_over(
        self, coordinator: PortForwardCoordinator, row: Row, forward_id: str
    ) -> RepairsFlowResult:
        """Make it an opening of its forward, which says for how long."""
        try:
            await async_take_over(coordinator, row, forward_id)
        except HomeAssistantError as error:
            return self._failed(error)
        return self.async_create_entry(data={})

    async def async_step_accept(self, _: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Take it for granted until it changes."""
        try:
            coordinator, row = await self._found()
        except HomeAssistantError as error:
            return self._failed(error)
        await coordinator.foreign.async_accept(row.mark)
        coordinator.async_update_listeners()
        return self.async_create_entry(data={})

    async def _found(self) -> tuple[PortForwardCoordinator, Row]:
        """Look at the router, and return the mapping if it is as it was when it was told of."""
        coordinator = loaded(self.hass, self._entry_id)
        await async_look(coordinator)
        return coordinator, foreign_row(coordinator, str((self.data or {})[DATA_MARK]))


class ForeignFloodFlow(_RouterIssueFlow):
    """More new mappings than anybody could answer for one by one."""

    async def async_step_init(self, _: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Say how many there are, and what to do."""
        return await self.async_step_accept_all()

    async def async_step_accept_all(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Accept all that are there now."""
        if user_input is None:
            return self.async_show_form(
                step_id="accept_all",
                data_schema=vol.Schema({}),
                description_placeholders=self._said,
            )
        try:
            coordinator = loaded(self.hass, self._entry_id)
        except HomeAssistantError as error:
            return self._failed(error)
        await coordinator.foreign.async_accept_all()
        coordinator.async_update_listeners()
        return self.async_create_entry(data={})


class _ForwardFlow(_RouterIssueFlow):
    """Knows the forward, too."""

    @property
    def _forward_id(self) -> str:
        return str((self.data or {})[DATA_FORWARD])

    def _coordinator(self) -> PortForwardCoordinator:
        """Return the router's coordinator; raises HomeAssistantError when it is not set up."""
        coordinator = loaded(self.hass, self._entry_id)
        if self._forward_id not in coordinator.config_entry.subentries:
            raise HomeAssistantError(translation_domain=DOMAIN, translation_key="forward_deleted")
        return coordinator


class ReopenFlow(_ForwardFlow):
    """What was open before a long absence, or when a backup was made: open it as it was, or not."""

    async def async_step_init(self, _: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Ask whether it has to be open."""
        return self.async_show_menu(
            step_id="init",
            menu_options=["reopen", "leave"],
            description_placeholders=self._said,
        )

    async def async_step_reopen(self, _: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Open it until it was to be closed."""
        data = self.data or {}
        deadline, limit = data["deadline"], data["limit"]
        try:
            with translated_errors():
                await self._coordinator().async_open_as_it_was(
                    self._forward_id,
                    deadline=datetime.fromisoformat(str(deadline)) if deadline else None,
                    limit=ip_network(str(limit)) if limit else None,
                )
        except HomeAssistantError as error:
            return self._failed(error)
        return self.async_create_entry(data={})

    async def async_step_leave(self, _: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Leave it as it is."""
        return self.async_create_entry(data={})


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
                async_accept_target(self.hass, entry, entry.subentries[self._forward_id], [target])
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


class SameRouterFlow(_RouterIssueFlow):
    """A router that may be the one that was set up, or another one in its place."""

    async def async_step_init(self, _: dict[str, Any] | None = None) -> RepairsFlowResult:
        """Say what answers, and where."""
        return await self.async_step_confirm()

    async def async_step_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Go on with it."""
        if user_input is None:
            return self.async_show_form(
                step_id="confirm",
                data_schema=vol.Schema({}),
                description_placeholders=self._said,
            )
        data = self.data or {}
        udn = data.get(DATA_UDN)
        try:
            entry = self.hass.config_entries.async_get_known_entry(self._entry_id)
            with translated_errors():
                await async_accept(
                    self.hass, entry, str(data[CONF_URL]), udn=None if udn is None else str(udn)
                )
        except HomeAssistantError as error:
            return self._failed(error)
        return self.async_create_entry(data={})
