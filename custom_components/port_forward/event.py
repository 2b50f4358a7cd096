"""The events: *Activity* of each forward and of the router, and *Foreign mappings* of the router.

The first tell what happened last, why and by whom; the other what somebody
else has opened or closed.
"""

from abc import abstractmethod
from typing import override

from homeassistant.components.event import EventEntity
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .announce import Details, details_of
from .coordinator import PortForwardConfigEntry, PortForwardCoordinator
from .entity import ForwardEntity, RouterEntity, async_add_for_forwards
from .foreign.sightings import Sighting, SightingKind, details_of_sighting
from .openings import Activity, Kind
from .routers.model import Listing

# They ask nothing of the router.
PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: PortForwardConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add one for the router and one for each forward."""
    async_add_entities([RouterActivity(entry.runtime_data, "activity")])
    if entry.runtime_data.router.capabilities.listing is not Listing.NONE:
        async_add_entities([ForeignMappings(entry.runtime_data, "foreign_mappings")])
    await async_add_for_forwards(
        entry,
        async_add_entities,
        lambda subentry: [ForwardActivity(entry.runtime_data, subentry, "activity")],
    )


class ActivityEntity(CoordinatorEntity[PortForwardCoordinator], EventEntity):
    """Shows activities, with who is behind them."""

    _attr_translation_key = "activity"
    _attr_event_types = list(Kind)  # noqa: RUF012  the base class wants a list

    @property
    @override
    def available(self) -> bool:
        """Tell of a router that is away, too: that it could not be asked to close."""
        return True

    @override
    async def async_added_to_hass(self) -> None:
        """Listen for as long as the entity exists."""
        await super().async_added_to_hass()
        forward_id: str | None = self.coordinator_context  # None for all those of the router
        self.async_on_remove(self.coordinator.async_listen(self._on_activity, forward_id))

    @callback
    def _on_activity(self, activity: Activity) -> None:
        # Without a new one, what the integration does by itself would be put
        # down to whoever did something a moment ago.
        self.async_set_context(activity.context or Context())
        self._trigger_event(activity.kind, self._attributes(activity))
        self.async_write_ha_state()

    @abstractmethod
    def _attributes(self, activity: Activity) -> Details:
        """Return what to show of it."""


class ForwardActivity(ForwardEntity, ActivityEntity):
    """What happens to one forward."""

    @override
    def _attributes(self, activity: Activity) -> Details:
        return details_of(activity)


class RouterActivity(RouterEntity, ActivityEntity):
    """What happens to all forwards of a router, those that are being deleted too."""

    @override
    def _attributes(self, activity: Activity) -> Details:
        return {
            "forward": activity.name,
            "forward_id": activity.forward_id,
            **details_of(activity),
        }


class ForeignMappings(RouterEntity, EventEntity):
    """What has come and gone on the router that no forward accounts for."""

    _attr_translation_key = "foreign_mappings"
    _attr_event_types = list(SightingKind)  # noqa: RUF012  the base class wants a list

    @property
    @override
    def available(self) -> bool:
        """Tell what was seen last of a router that is away, too."""
        return True

    @override
    async def async_added_to_hass(self) -> None:
        """Listen for as long as the entity exists."""
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.foreign.teller.async_listen(self._on_sighting))

    @callback
    def _on_sighting(self, sighting: Sighting) -> None:
        self.async_set_context(Context())
        self._trigger_event(sighting.kind, details_of_sighting(sighting))
        self.async_write_ha_state()
