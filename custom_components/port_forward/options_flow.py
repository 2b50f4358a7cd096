"""The options of a router."""

from typing import Any

import voluptuous as vol
from homeassistant.config_entries import ConfigFlowResult, OptionsFlow
from homeassistant.const import UnitOfTime
from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)

from .const import (
    CONF_ADMINS_ONLY,
    CONF_CHECK_URL,
    CONF_CLOSE_ON_STOP,
    CONF_LEASE,
    CONF_REFRESH_INTERVAL,
    DEFAULT_LEASE,
    DEFAULT_REFRESH_INTERVAL,
)
from .reach.check_url import CheckUrlError, async_seen_address


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


_SCHEMA = vol.Schema(
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
        vol.Required(CONF_CLOSE_ON_STOP, default=False): BooleanSelector(),
        vol.Required(CONF_ADMINS_ONLY, default=False): BooleanSelector(),
        # Nobody is asked unless the user wants it.
        vol.Optional(CONF_CHECK_URL): TextSelector(TextSelectorConfig(type=TextSelectorType.URL)),
    }
)


class PortForwardOptionsFlow(OptionsFlow):
    """Asks how often to look, how long the router keeps a port, who may open, whom to ask."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the options."""
        errors: dict[str, str] = {}
        if user_input is not None:
            url = user_input.pop(CONF_CHECK_URL, "").strip()
            options = user_input | ({CONF_CHECK_URL: url} if url else {})
            errors = await self._async_check(url)
            if not errors:
                return self.async_create_entry(data=options)
            user_input = options
        return self.async_show_form(
            step_id="init",
            data_schema=self.add_suggested_values_to_schema(
                _SCHEMA, self.config_entry.options if user_input is None else user_input
            ),
            errors=errors,
        )

    async def _async_check(self, url: str) -> dict[str, str]:
        """Try a new check URL once; one that was tried before may be silent today."""
        if url and url != self.config_entry.options.get(CONF_CHECK_URL):
            try:
                await async_seen_address(self.hass, url)
            except CheckUrlError as error:
                return {CONF_CHECK_URL: error.key}
        return {}
