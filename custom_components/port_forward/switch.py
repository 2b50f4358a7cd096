"""The switch of a forward: on while the router holds its port mapping."""

from typing import Any, override

from homeassistant.components.switch import SwitchEntity
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import PortForwardConfigEntry
from .entity import ForwardEntity, async_add_for_forwards, translated_errors
from .exposure import async_guard_exposure
from .forwards import ForwardSettings
from .risk import risks_of

# Routers fail under parallel requests; one command at a time.
PARALLEL_UPDATES = 1


async def async_setup_entry(
    hass: HomeAssistant,
    entry: PortForwardConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add a switch for each forward."""
    await async_add_for_forwards(
        entry,
        async_add_entities,
        lambda subentry: [ForwardSwitch(entry.runtime_data, subentry, "switch")],
    )


class ForwardSwitch(ForwardEntity, SwitchEntity):
    """Opens and closes one forward."""

    _attr_name = None
    _attr_translation_key = "forward"

    @override
    async def async_added_to_hass(self) -> None:
        """Keep a risky forward from voice assistants."""
        await super().async_added_to_hass()
        subentry = self.coordinator.config_entry.subentries[self._forward_id]
        risks = risks_of(ForwardSettings.from_input(subentry.data), self.hass.config.api)
        async_guard_exposure(self.hass, self.entity_id, risks)

    @property
    @override
    def available(self) -> bool:
        """Tell whether the state is known: of a router that lists nothing, by its renewals."""
        return super().available and self.coordinator.keeper.is_sure(self._forward_id)

    @property
    @override
    def is_on(self) -> bool:
        """Tell what the router holds, not what was last asked."""
        return self.coordinator.async_is_open(self._forward_id)

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Open the forward for as long as it is set to."""
        with translated_errors():
            await self.coordinator.async_open(self._forward_id, by=self._context)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Close the forward."""
        with translated_errors():
            await self.coordinator.async_close(self._forward_id, by=self._context)
