"""The sensors of the router and of its forwards."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.typing import StateType

from .const import SUBENTRY_TYPE_FORWARD
from .coordinator import PortForwardConfigEntry, PortForwardCoordinator
from .entity import ForwardEntity, RouterEntity

# Only shows what the coordinator has.
PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class RouterSensorEntityDescription(SensorEntityDescription):
    """A sensor of the router and where its value comes from."""

    value_fn: Callable[[PortForwardCoordinator], StateType]


def _external_address(coordinator: PortForwardCoordinator) -> str | None:
    address = coordinator.data.external_address
    return str(address) if address else None


SENSORS = (
    RouterSensorEntityDescription(
        key="external_ip_address",
        translation_key="external_ip_address",
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=_external_address,
    ),
    RouterSensorEntityDescription(
        key="open_forwards",
        translation_key="open_forwards",
        state_class=SensorStateClass.MEASUREMENT,
        value_fn=lambda coordinator: sum(map(coordinator.async_is_open, coordinator.forwards)),
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: PortForwardConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the sensors of the router and those of each forward."""
    async_add_entities(RouterSensor(entry.runtime_data, description) for description in SENSORS)
    for subentry in entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD):
        async_add_entities(
            [ClosesAtSensor(entry.runtime_data, subentry, "closes_at")],
            config_subentry_id=subentry.subentry_id,
        )


class RouterSensor(RouterEntity, SensorEntity):
    """A value of the router."""

    entity_description: RouterSensorEntityDescription

    def __init__(
        self, coordinator: PortForwardCoordinator, description: RouterSensorEntityDescription
    ) -> None:
        """Take the description, which holds all that differs."""
        super().__init__(coordinator, description.key)
        self.entity_description = description

    @property
    @override
    def native_value(self) -> StateType:
        """Return the value of the newest snapshot."""
        return self.entity_description.value_fn(self.coordinator)


class ClosesAtSensor(ForwardEntity, SensorEntity):
    """When an open forward closes; unknown while it is closed, or open until closed."""

    _attr_device_class = SensorDeviceClass.TIMESTAMP
    _attr_translation_key = "closes_at"

    @property
    @override
    def native_value(self) -> datetime | None:
        """Return the deadline."""
        opening = self.coordinator.keeper.openings.get(self._forward_id)
        return opening.deadline if opening else None
