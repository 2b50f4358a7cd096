"""What all triggers of this integration share: what they are for is chosen as a target."""

from typing import cast, override

import voluptuous as vol
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.target import TargetSelection, async_extract_referenced_entity_ids
from homeassistant.helpers.trigger import ENTITY_STATE_TRIGGER_SCHEMA, Trigger, TriggerConfig
from homeassistant.helpers.typing import ConfigType


class TargetTrigger(Trigger):
    """A trigger whose target is chosen by entity, device, area, floor or label."""

    _schema: vol.Schema = ENTITY_STATE_TRIGGER_SCHEMA

    @override
    @classmethod
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Check the target and the options."""
        return cast(ConfigType, cls._schema(config))

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        """Take the checked configuration."""
        super().__init__(hass, config)
        self._target = TargetSelection(config.target or {})
        self._options = config.options or {}

    @callback
    def _meant(self) -> set[str]:
        """Return the ids of the entities that are meant now."""
        selected = async_extract_referenced_entity_ids(self._hass, self._target, expand_group=False)
        return selected.referenced | selected.indirectly_referenced
