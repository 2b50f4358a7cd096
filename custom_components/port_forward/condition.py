"""The condition *Port forward is open*."""

from collections.abc import Mapping
from typing import Final, override

from homeassistant.components.switch.const import DOMAIN as SWITCH_DOMAIN
from homeassistant.const import STATE_ON
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.condition import Condition, EntityStateConditionBase

from .const import DOMAIN


class IsOpenCondition(EntityStateConditionBase):
    """Tests the switches of port forwards, and no others in the same room."""

    _domain_specs: Mapping[str, DomainSpec] = {SWITCH_DOMAIN: DomainSpec()}
    _states: set[str | bool] = {STATE_ON}  # noqa: RUF012  the base class wants a set

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        """Keep the switches that are port forwards."""
        registry = er.async_get(self._hass)
        return {
            entity_id
            for entity_id in super().entity_filter(entities)
            if (entity := registry.async_get(entity_id))
            and entity.platform == DOMAIN
            and entity.config_subentry_id
        }

    @override
    def _should_include(self, _state: State) -> bool:
        """Count a port whose router is away: it is not known to be open.

        Home Assistant would leave it out, and take *all are open* for true
        when not one can be seen.
        """
        return True


CONDITIONS: Final[dict[str, type[Condition]]] = {"is_open": IsOpenCondition}


async def async_get_conditions(hass: HomeAssistant) -> dict[str, type[Condition]]:
    """Return the conditions."""
    return CONDITIONS
