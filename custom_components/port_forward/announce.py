"""Tells of an activity: entities and triggers by a signal, everybody else by an event."""

from typing import Final

from homeassistant.components.switch.const import DOMAIN as SWITCH_DOMAIN
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.util.signal_type import SignalType

from .const import DOMAIN
from .hearing import async_when_heard
from .openings import Activity

# Of every router, with the id of its config entry. Not the event: anybody may fire that one,
# and an entity or an automation must not believe in a port that never opened.
SIGNAL_ACTIVITY: Final = SignalType[str, Activity](f"{DOMAIN}_activity")

# For the logbook, and for whatever the triggers do not cover.
EVENT_ACTIVITY: Final = f"{DOMAIN}_activity"

type Details = dict[str, str | float | None]


def signal_of(owner_id: str) -> SignalType[Activity]:
    """Return the signal of one forward, or of all those of one router, by its id."""
    return SignalType(f"{DOMAIN}_activity_{owner_id}")


@callback
def async_show(hass: HomeAssistant, entry_id: str, activity: Activity) -> None:
    """Let the entities of a forward and of its router show what happened."""
    async_dispatcher_send(hass, signal_of(activity.forward_id), activity)
    async_dispatcher_send(hass, signal_of(entry_id), activity)


@callback
def async_announce(hass: HomeAssistant, entry_id: str, activity: Activity) -> None:
    """Tell triggers, the logbook and others what happened, once Home Assistant has started."""
    # As it is now: by then the forward may be deleted.
    data = {
        "entity_id": async_switch_of(hass, activity.forward_id),
        "device_id": _device_of(hass, entry_id, activity.forward_id),
        "config_entry_id": entry_id,
        "forward": activity.name,
        "forward_id": activity.forward_id,
        "kind": activity.kind,
        "at": activity.at.isoformat(),
        **details_of(activity),
    }

    @callback
    def tell() -> None:
        async_dispatcher_send(hass, SIGNAL_ACTIVITY, entry_id, activity)
        hass.bus.async_fire(
            EVENT_ACTIVITY,
            data,
            context=activity.context or Context(),
            time_fired=activity.at.timestamp(),
        )

    async_when_heard(hass, tell)


def details_of(activity: Activity) -> Details:
    """Return all that there is to say of an activity besides its kind and its forward.

    `deadline` is ISO 8601 in UTC, `late` is in seconds.
    """
    return {
        "external_ports": activity.external_ports,
        "reason": activity.reason,
        "deadline": activity.deadline.isoformat() if activity.deadline else None,
        "late": activity.late.total_seconds() if activity.late is not None else None,
        "user_id": activity.context.user_id if activity.context else None,
        "error": activity.error,
    }


@callback
def async_switch_of(hass: HomeAssistant, forward_id: str) -> str | None:
    """Return the entity id of a forward's switch, None when it is deleted."""
    return er.async_get(hass).async_get_entity_id(SWITCH_DOMAIN, DOMAIN, f"{forward_id}_switch")


def _device_of(hass: HomeAssistant, entry_id: str, forward_id: str) -> str | None:
    """Return the device of the forward, or of its router when it is deleted."""
    registry = dr.async_get(hass)
    devices = (
        registry.async_get_device_by_identifier((DOMAIN, identifier), entry_id)
        for identifier in (forward_id, entry_id)
    )
    return next((device.id for device in devices if device), None)
