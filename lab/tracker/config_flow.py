"""Adding it asks nothing."""

from typing import Any, override

from homeassistant.config_entries import ConfigFlow, ConfigFlowResult

from .tracked import DOMAIN


class LabTrackerFlow(ConfigFlow, domain=DOMAIN):
    """Adds it."""

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Add it."""
        return self.async_create_entry(title="Lab Tracker", data={})
