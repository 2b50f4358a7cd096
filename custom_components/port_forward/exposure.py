"""Keeps what is risky to open from voice assistants, until the user says otherwise."""

from typing import Final

from homeassistant.components.homeassistant.exposed_entities import (
    KNOWN_ASSISTANTS,
    async_expose_entity,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er

from .const import DOMAIN, LOGGER
from .risk import Risk

# In the options of the switch in the entity registry: the risks for which it
# was taken from the assistants. As long as there are no others, what the user
# has chosen since stands.
_TAKEN_FOR: Final = "not_exposed_for"


@callback
def async_guard_exposure(hass: HomeAssistant, entity_id: str, risks: tuple[Risk, ...]) -> None:
    """Expose a switch no longer when its forward has become risky, or risky in another way.

    To be called before the switch has a state, because Assist exposes every
    switch as soon as it has one.
    """
    registry = er.async_get(hass)
    entity = registry.entities[entity_id]
    options = entity.options.get(DOMAIN)
    taken_for = options[_TAKEN_FOR] if options else []
    keys = [risk.key for risk in risks]
    if keys == taken_for:
        return
    if not set(keys) <= set(taken_for):
        for assistant in KNOWN_ASSISTANTS:
            async_expose_entity(hass, assistant, entity_id, should_expose=False)
        names = ", ".join(risk.name for risk in risks)
        LOGGER.info("%s is not exposed to voice assistants: %s", entity_id, names)
    registry.async_update_entity_options(entity_id, DOMAIN, {_TAKEN_FOR: keys} if keys else None)
