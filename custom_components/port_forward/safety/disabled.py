"""Forwards whose switch is disabled in Home Assistant: the user wants nothing to open them."""

from homeassistant.components.switch.const import DOMAIN as SWITCH_DOMAIN
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import entity_registry as er

from ..const import DOMAIN


@callback
def async_is_disabled(hass: HomeAssistant, forward_id: str) -> bool:
    """Return whether the switch of a forward is disabled, by itself or with its device."""
    registry = er.async_get(hass)
    entity_id = registry.async_get_entity_id(SWITCH_DOMAIN, DOMAIN, f"{forward_id}_switch")
    return entity_id is not None and registry.entities[entity_id].disabled


@callback
def async_check_enabled(hass: HomeAssistant, entry: ConfigEntry, forward_id: str) -> None:
    """Raise ServiceValidationError when the switch of a forward is disabled."""
    if async_is_disabled(hass, forward_id):
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="switch_disabled",
            translation_placeholders={"forward": entry.subentries[forward_id].title},
        )
