"""The sensors of the router and of its forwards."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.typing import StateType

from .coordinator import PortForwardConfigEntry, PortForwardCoordinator
from .entity import ForwardEntity, RouterEntity, async_add_for_forwards
from .foreign.sightings import describe_mapping
from .openings import Phase
from .routers.model import Capabilities, Listing

# Only shows what the coordinator has.
PARALLEL_UPDATES = 0


# Mappings in the attribute: a state is sent to every browser that is open.
_MOST_SHOWN: Final = 50


@dataclass(frozen=True, kw_only=True)
class RouterSensorEntityDescription(SensorEntityDescription):
    """A sensor of the router and where its value comes from."""

    value_fn: Callable[[PortForwardCoordinator], StateType]
    has_fn: Callable[[Capabilities], bool] = lambda _: True


def _external_address(coordinator: PortForwardCoordinator) -> str | None:
    address = coordinator.data.external_address
    return str(address) if address else None


def _external_address6(coordinator: PortForwardCoordinator) -> str | None:
    address = coordinator.data.external_address6
    return str(address) if address else None


SENSORS = (
    RouterSensorEntityDescription(
        key="external_ip_address",
        translation_key="external_ip_address",
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=_external_address,
    ),
    RouterSensorEntityDescription(
        key="external_ipv6_address",
        translation_key="external_ipv6_address",
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=_external_address6,
        has_fn=lambda capabilities: capabilities.ipv6 is not False,
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
    coordinator = entry.runtime_data
    capabilities = coordinator.router.capabilities
    async_add_entities(
        RouterSensor(coordinator, description)
        for description in SENSORS
        if description.has_fn(capabilities)
    )

    def sensors_of(subentry: ConfigSubentry) -> list[Entity]:
        sensors: list[Entity] = [ClosesAtSensor(coordinator, subentry, "closes_at")]
        if capabilities.chooses_external_port:
            sensors.append(ExternalPortSensor(coordinator, subentry, "external_port"))
        return sensors

    if capabilities.listing is not Listing.NONE:
        async_add_entities([ForeignMappingsSensor(coordinator, "foreign_mappings")])
    await async_add_for_forwards(entry, async_add_entities, sensors_of)


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


class ForeignMappingsSensor(RouterEntity, SensorEntity):
    """How many port mappings the router holds that no forward accounts for, and which."""

    _attr_state_class = SensorStateClass.MEASUREMENT
    _attr_translation_key = "foreign_mappings"
    # They are on the router. The history of each would only fill the database.
    _unrecorded_attributes = frozenset({"mappings"})

    @property
    @override
    def native_value(self) -> int:
        """Return how many there are, at least."""
        return len(self.coordinator.foreign.rows)

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        """Return the first of them, how many more there are, and whether all are known."""
        foreign = self.coordinator.foreign
        return {
            "mappings": [
                {
                    **describe_mapping(row.mapping),
                    "enabled": row.mapping.enabled,
                    "accepted": foreign.is_accepted(row),
                    "device": foreign.device_of(row.mapping),
                }
                for row in foreign.rows[:_MOST_SHOWN]
            ],
            "more": max(0, len(foreign.rows) - _MOST_SHOWN),
            "complete": foreign.lists_all,
        }


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


class ExternalPortSensor(ForwardEntity, SensorEntity):
    """Where an open forward is reached from outside, for a router that chooses the port."""

    _attr_translation_key = "external_port"

    @property
    @override
    def native_value(self) -> str | None:
        """Return the port as granted, or the ports where the protocols have different ones."""
        opening = self.coordinator.keeper.openings.get(self._forward_id)
        return opening.external_ports if opening and opening.phase is Phase.OPEN else None
