"""The step that asks before a risky forward is kept."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigSubentryFlow, SubentryFlowResult
from homeassistant.const import CONF_NAME, CONF_URL
from homeassistant.helpers import config_validation as cv

from ..const import (
    CONF_ACCEPTED_TARGETS,
    CONF_ADMINS_ONLY,
    CONF_CLOSE_AFTER,
    CONF_CONFIRMED,
    CONF_UNTIL_CLOSED,
    DEFAULT_CLOSE_AFTER,
    RISKY_CLOSE_AFTER,
)
from ..devices.hosts import HostError, async_resolve_hosts, async_router_address
from ..forwards import FieldError, ForwardSettings, check_confirmed
from ..routers.shown import code
from ..safety.risk import Risk, async_is_on_router, risks_of
from ..safety.risk_texts import async_describe_risks, async_describe_until_closed
from ..safety.target import Target, async_targets, may_lead_elsewhere
from .form import CONFIRM_SCHEMA, fields_of

# Besides the keys of risks: it is for everybody, and not for an allowed source alone.
_EVERYBODY: Final = "everybody"

type Submit = Callable[[dict[str, Any]], Awaitable[SubentryFlowResult]]
"""Checks flat values once more, and keeps them."""


class ConfirmingSubentryFlow(ConfigSubentryFlow):
    """Keeps nothing that is risky before the user has confirmed exactly that."""

    _asked: dict[str, Any]
    """The flat values that are to be confirmed."""
    _submit: Submit
    _confirmed: frozenset[str] = frozenset()
    """What the user has confirmed in this flow."""

    async def _async_ask(self, values: dict[str, Any], submit: Submit) -> SubentryFlowResult | None:
        """Return the step that asks, None when there is nothing to ask any more.

        `submit` goes on when it is confirmed.
        """
        known = self._confirmed
        if self.source == SOURCE_RECONFIGURE:
            known |= await self._async_to_confirm(self._get_reconfigure_subentry().data)
        if await self._async_to_confirm(values) <= known:
            return None
        self._asked, self._submit = values, submit
        close_after = cv.time_period_dict(values[CONF_CLOSE_AFTER])
        return await self._async_show_risks(
            {
                CONF_CLOSE_AFTER: _shorter(close_after),
                # It has to be switched on twice.
                CONF_UNTIL_CLOSED: False,
                CONF_ADMINS_ONLY: values[CONF_ADMINS_ONLY],
            },
            {},
            {},
        )

    async def async_step_confirm_risk(self, user_input: dict[str, Any]) -> SubentryFlowResult:
        """Go on when it is confirmed. Closed without it, nothing is kept."""
        values = self._asked | {
            key: user_input[key] for key in (CONF_CLOSE_AFTER, CONF_UNTIL_CLOSED, CONF_ADMINS_ONLY)
        }
        try:
            check_confirmed(confirmed=user_input[CONF_CONFIRMED])
            ForwardSettings.from_input(values)
        except FieldError as error:
            return await self._async_show_risks(
                user_input, {error.field: error.key}, error.placeholders
            )
        self._confirmed = await self._async_to_confirm(values)
        return await self._submit(values)

    async def _async_show_risks(
        self, shown: Mapping[str, Any], errors: dict[str, str], placeholders: Mapping[str, str]
    ) -> SubentryFlowResult:
        risks = await self._async_risks(self._asked)
        until_closed = (
            f"\n\n{await async_describe_until_closed(self.hass)}"
            if self._asked[CONF_UNTIL_CLOSED]
            else ""
        )
        return self.async_show_form(
            step_id="confirm_risk",
            data_schema=self.add_suggested_values_to_schema(CONFIRM_SCHEMA, shown),
            errors=errors,
            description_placeholders={
                **placeholders,
                "name": code(self._asked[CONF_NAME]),
                "risks": await async_describe_risks(self.hass, risks),
                "until_closed": until_closed,
            },
        )

    async def _async_to_confirm(self, data: Mapping[str, Any]) -> frozenset[str]:
        """Return what the user has to know of: the risks, for how long and for whom."""
        risks = await self._async_risks(data)
        keys = {risk.key for risk in risks}
        if risks and data.get(CONF_UNTIL_CLOSED):
            keys.add(CONF_UNTIL_CLOSED)
        if risks and ForwardSettings.from_input(data).allowed_source is None:
            keys.add(_EVERYBODY)
        return frozenset(keys)

    async def _async_accepted(self, values: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return what is kept of where the values lead now, if that may change: it was chosen.

        What its name has come to lead to since it was chosen is asked about
        elsewhere, unless this flow has asked.
        """
        settings = ForwardSettings.from_input(values)
        if not may_lead_elsewhere(settings):
            return {}
        try:
            router = await async_router_address(self.hass, self._get_entry().data[CONF_URL])
            hosts = await self._async_hosts(settings)
        except HostError:
            return {CONF_ACCEPTED_TARGETS: []}
        targets = {*await async_targets(self.hass, settings, hosts, router)}
        if self.source == SOURCE_RECONFIGURE:
            before = self._get_reconfigure_subentry().data
            old = ForwardSettings.from_input(before)
            is_same = (settings.internal_host, settings.device) == (old.internal_host, old.device)
            if is_same and CONF_ACCEPTED_TARGETS in before:
                targets &= {Target.ROUTER}
                targets |= set(map(Target, before[CONF_ACCEPTED_TARGETS]))
        return {CONF_ACCEPTED_TARGETS: sorted(target.value for target in targets)}

    async def _async_risks(self, data: Mapping[str, Any]) -> tuple[Risk, ...]:
        settings = ForwardSettings.from_input(data)
        try:
            router = await async_router_address(self.hass, self._get_entry().data[CONF_URL])
            host, _ = (None, None) if settings.adopted else await self._async_hosts(settings)
            on_router = await async_is_on_router(settings, host, router)
            if may_lead_elsewhere(settings) and CONF_ACCEPTED_TARGETS in data:
                # It may have come to lead there since it was confirmed.
                on_router = on_router and Target.ROUTER in data[CONF_ACCEPTED_TARGETS]
        except HostError:
            # It leads nowhere now; what is submitted has been checked before.
            on_router = False
        return risks_of(settings, self.hass.config.api, on_router=on_router)

    async def _async_hosts(
        self, settings: ForwardSettings
    ) -> tuple[IPv4Address | None, IPv6Address | None]:
        """Return where a forward leads right now; raises HostError."""
        router = await async_router_address(self.hass, self._get_entry().data[CONF_URL])
        return await async_resolve_hosts(self.hass, settings, router)


def _shorter(close_after: timedelta) -> dict[str, int]:
    """Return what to propose: what the user has chosen, a shorter time if that is the usual one."""
    return fields_of(RISKY_CLOSE_AFTER if close_after == DEFAULT_CLOSE_AFTER else close_after)
