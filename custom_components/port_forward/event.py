"""The events: *Activity* of each forward and of the router, and *Foreign mappings* of the router.

The first tell what happened last, why and by whom; the other what somebody
else has opened or closed.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, override

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


class EventOfRouter(CoordinatorEntity[PortForwardCoordinator], EventEntity):
    """Shows what it is told, with who is behind it."""

    @property
    @override
    def available(self) -> bool:
        """Tell of a router that is away, too: what was last, and that it could not be closed."""
        return True

    def _show(self, kind: str, attributes: Mapping[str, Any], by: Context | None = None) -> None:
        # Without a new one, what the integration does by itself would be put
        # down to whoever did something a moment ago.
        self.async_set_context(by or Context())
        self._trigger_event(kind, dict(attributes))
        self.async_write_ha_state()


class ActivityEntity(EventOfRouter):
    """Shows activities."""

    _attr_translation_key = "activity"
    _attr_event_types = list(Kind)  # noqa: RUF012  the base class wants a list

    @override
    async def async_added_to_hass(self) -> None:
        """Listen for as long as the entity exists."""
        await super().async_added_to_hass()
        forward_id: str | None = self.coordinator_context  # None for all those of the router
        self.async_on_remove(self.coordinator.async_listen(self._on_activity, forward_id))

    @callback
    def _on_activity(self, activity: Activity) -> None:
        self._show(activity.kind, self._attributes(activity), activity.context)

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


class ForeignMappings(RouterEntity, EventOfRouter):
    """What has come and gone on the router that no forward accounts for."""

    _attr_translation_key = "foreign_mappings"
    _attr_event_types = list(SightingKind)  # noqa: RUF012  the base class wants a list

    @override
    async def async_added_to_hass(self) -> None:
        """Listen for as long as the entity exists."""
        await super().async_added_to_hass()
        self.async_on_remove(self.coordinator.foreign.teller.async_listen(self._on_sighting))

    @callback
    def _on_sighting(self, sighting: Sighting) -> None:
        self._show(sighting.kind, details_of_sighting(sighting))
