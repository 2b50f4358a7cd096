"""The page *System information*: how all routers are, in numbers that may be shown to strangers."""

from typing import Any

from homeassistant.components.system_health import SystemHealthRegistration
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN
from .coordinator import PortForwardConfigEntry
from .history import async_history


@callback
def async_register(hass: HomeAssistant, register: SystemHealthRegistration) -> None:
    """Take part in the page."""
    register.async_register_info(_async_info, f"/config/integrations/integration/{DOMAIN}")


async def _async_info(hass: HomeAssistant) -> dict[str, Any]:
    entries: list[PortForwardConfigEntry] = hass.config_entries.async_entries(
        DOMAIN, include_disabled=False
    )
    loaded = [e.runtime_data for e in entries if e.state is ConfigEntryState.LOADED]
    newest = [async_history(hass, entry.entry_id).observations.newest for entry in entries]
    info: dict[str, Any] = {
        "routers": len(entries),
        "routers_answering": sum(one.last_update_success for one in loaded),
        "routers_locked": sum(one.keeper.is_locked for one in loaded),
        "open_forwards": sum(sum(map(one.async_is_open, one.forwards)) for one in loaded),
        "foreign_mappings": sum(len(one.foreign.rows) for one in loaded),
        "records_unsaved": sum(one.ledger.is_unsaved for one in loaded),
    }
    if errors := list(filter(None, newest)):
        at, error = max(errors, key=lambda told: told[0])
        # Its text would name hosts.
        info["last_error"] = f"{error.translation_key} ({at:%Y-%m-%d %H:%M:%S} UTC)"
    return info
