"""The button of the router: close all."""

from typing import override

from homeassistant.components.button import ButtonEntity
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import PortForwardConfigEntry
from .entity import RouterEntity, translated_errors
from .openings import Reason

# The queue of the router sees to it that there is one request at a time (`routers/queue.py`).
PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: PortForwardConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the one of the router."""
    async_add_entities([CloseAllButton(entry.runtime_data, "close_all")])


class CloseAllButton(RouterEntity, ButtonEntity):
    """Closes every forward of one router that is open."""

    _attr_translation_key = "close_all"

    @property
    @override
    def available(self) -> bool:
        """Tell that it can be used while the router is away: what cannot be closed now is later."""
        return True

    @override
    async def async_press(self) -> None:
        """Close them."""
        with translated_errors():
            await self.coordinator.keeper.close_all(
                Reason.ALL_CLOSED, self.coordinator.forwards, by=self._context
            )
