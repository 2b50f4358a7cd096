"""Keeps what not everybody should open from voice assistants, until the user says otherwise."""

from typing import Final

from homeassistant.components.homeassistant.exposed_entities import (
    KNOWN_ASSISTANTS,
    async_expose_entity,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er

from ..const import DOMAIN, LOGGER

# In the options of the switch in the entity registry: the reasons for which it
# was taken from the assistants. As long as there are no others, what the user
# has chosen since stands.
_TAKEN_FOR: Final = "not_exposed_for"


@callback
def async_guard_exposure(hass: HomeAssistant, entity_id: str, reasons: list[str]) -> None:
    """Expose a switch no longer when there are new reasons, such as the keys of risks.

    To be called before the switch has a state, because Assist exposes every
    switch as soon as it has one.
    """
    registry = er.async_get(hass)
    entity = registry.entities[entity_id]
    options = entity.options.get(DOMAIN)
    taken_for = options[_TAKEN_FOR] if options else []
    if reasons == taken_for:
        return
    if not set(reasons) <= set(taken_for):
        for assistant in KNOWN_ASSISTANTS:
            async_expose_entity(hass, assistant, entity_id, should_expose=False)
        LOGGER.info("%s is not exposed to voice assistants: %s", entity_id, ", ".join(reasons))
    registry.async_update_entity_options(
        entity_id, DOMAIN, {_TAKEN_FOR: reasons} if reasons else None
    )
