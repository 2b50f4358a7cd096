"""Tells of foreign mappings: entities and triggers by a signal, everybody else by an event."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from homeassistant.components.event.const import DOMAIN as EVENT_DOMAIN
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.util.signal_type import SignalType

from ..const import DOMAIN
from ..routers.model import PortMapping
from ..routers.shown import clean


class SightingKind(StrEnum):
    """What happened to a port mapping that no forward accounts for."""

    APPEARED = "foreign_mapping_appeared"
    DISAPPEARED = "foreign_mapping_disappeared"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """One foreign mapping that has come or gone.

    `device` is the name of the device that it leads to, where Home Assistant
    knows it. Where too many come or go at once, the last sighting has no
    `mapping` but says how many `more` there are.
    """

    kind: SightingKind
    at: datetime
    mapping: PortMapping | None
    device: str | None = None
    more: int = 0


# With the id of the config entry. Not the event: anybody may fire that one.
SIGNAL_SIGHTING: Final = SignalType[str, Sighting](f"{DOMAIN}_foreign_mapping")

# For the logbook, and for whatever the triggers do not cover.
EVENT_SIGHTING: Final = f"{DOMAIN}_foreign_mapping"

type MappingDetails = dict[str, str | bool | None]


def describe_mapping(mapping: PortMapping) -> MappingDetails:
    """Return what a mapping is, in texts that are fit to be shown."""
    return {
        "protocol": "+".join(mapping.protocols),
        "external_ports": str(mapping.external_ports),
        "internal_host": clean(mapping.internal_host),
        "internal_ports": str(mapping.internal_ports) if mapping.internal_ports else None,
        "allowed_source": clean(mapping.allowed_source),
        "description": clean(mapping.description),
    }


def details_of_sighting(sighting: Sighting) -> dict[str, str | bool | int | None]:
    """Return all that there is to say of a sighting besides its kind."""
    nothing = dict.fromkeys(
        (
            "protocol",
            "external_ports",
            "internal_host",
            "internal_ports",
            "allowed_source",
            "description",
        )
    )
    return {
        **(describe_mapping(sighting.mapping) if sighting.mapping else nothing),
        "device": sighting.device,
        "more": sighting.more,
    }


@callback
def async_announce_sighting(
    hass: HomeAssistant, entry_id: str, router: str, sighting: Sighting
) -> None:
    """Tell of a foreign mapping on the router `entry_id` that is called `router`."""
    async_dispatcher_send(hass, SIGNAL_SIGHTING, entry_id, sighting)
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, entry_id), entry_id)
    hass.bus.async_fire(
        EVENT_SIGHTING,
        {
            "entity_id": async_event_of(hass, entry_id),
            "device_id": device.id if device else None,
            "config_entry_id": entry_id,
            "router": router,
            "kind": sighting.kind,
            "at": sighting.at.isoformat(),
            **details_of_sighting(sighting),
        },
        context=Context(),
        time_fired=sighting.at.timestamp(),
    )


@callback
def async_event_of(hass: HomeAssistant, entry_id: str) -> str | None:
    """Return the entity id of the router's event *Foreign mappings*, None where it has none."""
    return er.async_get(hass).async_get_entity_id(
        EVENT_DOMAIN, DOMAIN, f"{entry_id}_foreign_mappings"
    )
