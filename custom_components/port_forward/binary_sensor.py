"""The binary sensors: whether the internet reaches the router, and whether targets answer."""

from typing import Any, override

from homeassistant.components.binary_sensor import BinarySensorEntity
from homeassistant.components.binary_sensor.const import BinarySensorDeviceClass
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import PortForwardConfigEntry
from .entity import ForwardEntity, RouterEntity, async_add_for_forwards

# Only shows what the coordinator has.
PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: PortForwardConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add one for the router and one for each forward."""
    async_add_entities([ReachableSensor(entry.runtime_data, "reachable")])
    await async_add_for_forwards(
        entry,
        async_add_entities,
        lambda subentry: [TargetSensor(entry.runtime_data, subentry, "target_reachable")],
    )


class ReachableSensor(RouterEntity, BinarySensorEntity):
    """Whether the internet can reach the router, and if not, why."""

    _attr_translation_key = "reachable"
    _attr_device_class = BinarySensorDeviceClass.CONNECTIVITY
    _attr_entity_category = EntityCategory.DIAGNOSTIC

    @property
    @override
    def is_on(self) -> bool | None:
        """Tell what the newest look at the router has shown."""
        return self.coordinator.internet.reachability.is_reachable

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        """Return the reason, and what the check URL has answered."""
        seen = self.coordinator.internet.seen_address
        return {
            "reason": self.coordinator.internet.reachability,
            "seen_address": str(seen) if seen else None,
        }


class TargetSensor(ForwardEntity, BinarySensorEntity):
    """Whether the device that a forward leads to answers there."""

    _attr_translation_key = "target_reachable"
    _attr_device_class = BinarySensorDeviceClass.CONNECTIVITY
    _attr_entity_category = EntityCategory.DIAGNOSTIC

    @override
    async def async_added_to_hass(self) -> None:
        """Listen for as long as the entity exists."""
        await super().async_added_to_hass()
        probes = self.coordinator.probes
        self.async_on_remove(probes.async_listen(self._forward_id, self.async_write_ha_state))

    @property
    @override
    def available(self) -> bool:
        """Tell of the target while the router is away, too: it is not asked about it."""
        return True

    @property
    @override
    def is_on(self) -> bool | None:
        """Tell what the last try has shown."""
        return self.coordinator.probes.answer(self._forward_id)
