"""The base of all entities, and the mapping of errors for commands."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from homeassistant.config_entries import ConfigSubentry
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import DOMAIN, SUBENTRY_TYPE_FORWARD
from .coordinator import PortForwardConfigEntry, PortForwardCoordinator
from .forwards import ForwardSettings
from .pieces import in_pieces
from .routers.errors import RouterError


class RouterEntity(CoordinatorEntity[PortForwardCoordinator]):
    """An entity of the router itself."""

    _attr_has_entity_name = True

    def __init__(self, coordinator: PortForwardCoordinator, key: str) -> None:
        """Name the entity by its key."""
        super().__init__(coordinator)
        self._attr_unique_id = f"{coordinator.config_entry.entry_id}_{key}"
        self._attr_device_info = router_device_info(coordinator)


class ForwardEntity(CoordinatorEntity[PortForwardCoordinator]):
    """An entity of one forward, on a device of its own."""

    _attr_has_entity_name = True

    def __init__(
        self, coordinator: PortForwardCoordinator, subentry: ConfigSubentry, key: str
    ) -> None:
        """Name the entity by its key."""
        super().__init__(coordinator, context=subentry.subentry_id)
        self._forward_id = subentry.subentry_id
        self._attr_unique_id = f"{subentry.subentry_id}_{key}"
        entry_id = coordinator.config_entry.entry_id
        settings = ForwardSettings.from_input(subentry.data)
        protocols = "+".join(settings.protocols).upper()
        self._attr_device_info = DeviceInfo(
            identifiers={(DOMAIN, subentry.subentry_id)},
            name=subentry.title,
            model=f"{protocols} {settings.external_ports}",
            via_device_id=dr.async_get_device_id_by_identifier(
                coordinator.hass, (DOMAIN, entry_id), config_entry_id=entry_id
            ),
        )


async def async_add_for_forwards(
    entry: PortForwardConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    entities_of: Callable[[ConfigSubentry], Sequence[Entity]],
) -> None:
    """Add what `entities_of` returns for each forward; many would hold Home Assistant up."""
    forwards = tuple(entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD))
    async for subentry in in_pieces(forwards):
        async_add_entities(entities_of(subentry), config_subentry_id=subentry.subentry_id)


def router_device_info(coordinator: PortForwardCoordinator) -> DeviceInfo:
    """Return the device of the router."""
    info = coordinator.info
    return DeviceInfo(
        identifiers={(DOMAIN, coordinator.config_entry.entry_id)},
        name=info.name,
        manufacturer=info.manufacturer,
        model=info.model,
        sw_version=info.version,
        serial_number=info.serial_number,
        configuration_url=info.configuration_url,
    )


@contextmanager
def translated_errors() -> Iterator[None]:
    """Map the drivers' errors for writes; `coordinator.py` has the one for reads."""
    try:
        yield
    except RouterError as error:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key=error.translation_key,
            translation_placeholders=error.placeholders,
        ) from error
