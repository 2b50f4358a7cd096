"""What happens to the forwards, in sentences for the logbook.

The sentence stands at the forward's switch. The events *Activity* have lines
of their own there ("Activity: Closed"), as every event entity has: Home
Assistant leaves out whole domains and what the user excludes, not what an
integration would like it to. Those lines are short and translated, this one
is what a person would ask for: until when, why, and how late.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.components.logbook.const import (
    LOGBOOK_ENTRY_ENTITY_ID,
    LOGBOOK_ENTRY_MESSAGE,
    LOGBOOK_ENTRY_NAME,
)
from homeassistant.components.logbook.models import LazyEventPartialState
from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from .announce import EVENT_ACTIVITY
from .const import DOMAIN
from .foreign.sightings import EVENT_SIGHTING, SightingKind
from .openings import Kind, Reason

_KINDS: Final = {
    Kind.OPENED: "was opened",
    Kind.EXTENDED: "is now open",
    Kind.RESTORED: "was opened again",
    Kind.MOVED: "was moved",
    Kind.CLOSED: "was closed",
    Kind.OPEN_FAILED: "could not be opened",
    Kind.CLOSE_FAILED: "could not be closed yet",
    Kind.EXTERNAL_PORT_CHANGED: "is now reached at another external port",
}

# Who turned it off is told by Home Assistant.
_REASONS: Final = {
    Reason.TIME_UP: "because its time was up",
    Reason.TURNED_OFF: "",
    Reason.REMOVED_ELSEWHERE: "because somebody removed it at the router",
    Reason.FORWARD_EDITED: "because the forward was edited",
    Reason.SOURCE_CHANGED: "because it is opened for another source",
    Reason.FORWARD_DELETED: "because the forward was deleted",
    Reason.ROUTER_DISABLED: "because its router was disabled",
    Reason.ROUTER_DELETED: "because its router was deleted",
    Reason.WAN_CHANGED: "because another internet connection was chosen",
    Reason.HOME_ASSISTANT_STOPPED: "because Home Assistant stopped",
    Reason.NOT_RESTORED: "because the router had lost it and would not open it again",
    Reason.LONG_AWAY: "because Home Assistant was away for long, or a backup was restored",
    Reason.NOT_SAVED: "because it could not be noted on the disk",
    Reason.LOCKDOWN: "because lockdown was turned on",
    Reason.ALL_CLOSED: "because all forwards were closed",
    Reason.ADDRESS_TAKEN: "because its address belongs to another device now",
    Reason.ADDRESS_UNSTEADY: "because its device changed its address too often",
    Reason.DEVICE_GONE: "because its device is not in the network any more",
    Reason.TARGET_RISKY: "because it would lead to the router or to Home Assistant itself",
    Reason.TARGET_UNREACHABLE: "because its target did not answer",
    Reason.IDLE: "because nobody used it",
    Reason.FOUND: "because it was found open",
    Reason.TRIGGERED: "because what it waits for began",
    Reason.DEVICE_MOVED: "because its device has another address",
    Reason.ROUTER_RESTARTED: "because the router had restarted",
    Reason.LEASE_RAN_OUT: "because its lease had run out",
    Reason.REFUSED: "because it could only be opened in part",
    Reason.INTERRUPTED: "because Home Assistant was interrupted",
}

_SIGHTINGS: Final = {
    SightingKind.APPEARED: "now has",
    SightingKind.DISAPPEARED: "no longer has",
}

# A close that took no longer than that is not worth a word.
_LATE: Final = timedelta(seconds=5)


@callback
def async_describe_events(
    hass: HomeAssistant,
    async_describe_event: Callable[
        [str, str, Callable[[LazyEventPartialState], dict[str, Any]]], None
    ],
) -> None:
    """Tell the logbook how to put what happens into words."""
    async_describe_event(DOMAIN, EVENT_ACTIVITY, _describe)
    async_describe_event(DOMAIN, EVENT_SIGHTING, _describe_sighting)


@callback
def _describe(event: LazyEventPartialState) -> dict[str, Any]:
    return {
        LOGBOOK_ENTRY_NAME: event.data["forward"],
        LOGBOOK_ENTRY_MESSAGE: sentence(event.data),
        LOGBOOK_ENTRY_ENTITY_ID: event.data.get("entity_id"),
    }


@callback
def _describe_sighting(event: LazyEventPartialState) -> dict[str, Any]:
    return {
        LOGBOOK_ENTRY_NAME: event.data["router"],
        LOGBOOK_ENTRY_MESSAGE: sentence_of_sighting(event.data),
        LOGBOOK_ENTRY_ENTITY_ID: event.data.get("entity_id"),
    }


def sentence_of_sighting(data: Mapping[str, Any]) -> str:
    """Return what somebody else did, to follow the name of the router."""
    has = _SIGHTINGS.get(data["kind"], data["kind"])
    if data.get("more"):
        return f"{has} {data['more']} more foreign mappings"
    target = f"{data['internal_host']}:{data['internal_ports'] or '?'}"
    if data.get("device"):
        target += f" ({data['device']})"
    text = f"{has} the foreign mapping {data['protocol'].upper()} {data['external_ports']}"
    text += f" to {target}"
    return f"{text}: {data['description']}" if data.get("description") else text


def sentence(data: Mapping[str, Any]) -> str:
    """Return what happened, to follow the name of the forward.

    The database may hold events of another version of this integration: what
    is not known is told as it is.
    """
    kind, reason = data["kind"], data.get("reason")
    words = [_KINDS.get(kind, kind)]
    if kind in (Kind.OPENED, Kind.EXTENDED, Kind.RESTORED):
        words.append(_until(data))
    if late := _late(data):
        words.append(late)
    if kind == Kind.EXTERNAL_PORT_CHANGED and data.get("external_ports"):
        words[-1] += f", {data['external_ports']}"
    # What failed, failed because of the error; the reason is why it was tried.
    error = data.get("error")
    if reason and not error:
        words.append(_REASONS.get(reason, f"({reason})"))
    text = " ".join(word for word in words if word)
    return f"{text}: {error}" if error else text


def _until(data: Mapping[str, Any]) -> str:
    """Return until when it is open, on the clock of the home."""
    if not data.get("deadline"):
        return "until somebody closes it"
    deadline = dt_util.as_local(datetime.fromisoformat(data["deadline"]))
    at = dt_util.as_local(datetime.fromisoformat(data["at"]))
    # A port may stay open for days: the hour alone would mislead.
    today = deadline.date() == at.date()
    return f"until {deadline:%H:%M}" if today else f"until {deadline:%Y-%m-%d %H:%M}"


def _late(data: Mapping[str, Any]) -> str:
    late = timedelta(seconds=round(data.get("late") or 0))
    return f"{late} too late" if late > _LATE else ""
