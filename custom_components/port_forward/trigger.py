"""The triggers: a port forward was opened or closed, is about to close, would not open.

They follow what the keeper tells and not the states of the switches: a state
cannot say why, and a mapping that somebody else made, or a router that is
away for a moment, is nobody's opening or closing.
"""

from datetime import datetime, timedelta
from typing import Final, override

import voluptuous as vol
from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    ConfigEntry,
    ConfigEntryChange,
)
from homeassistant.const import ATTR_ENTITY_ID, CONF_OPTIONS
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.trigger import (
    ENTITY_STATE_TRIGGER_SCHEMA,
    Trigger,
    TriggerActionRunner,
    TriggerConfig,
    TriggerNotTriggeredReporter,
)
from homeassistant.util import dt as dt_util

from .announce import SIGNAL_ACTIVITY, async_switch_of, details_of
from .const import DOMAIN
from .coordinator import PortForwardConfigEntry
from .foreign.trigger import ForeignMappingAppearedTrigger, ForeignMappingDisappearedTrigger
from .openings import Activity, Kind, Opening, Phase, Reason
from .target_trigger import TargetTrigger

CONF_REASON: Final = "reason"
CONF_BEFORE: Final = "before"
_DEFAULT_BEFORE: Final = timedelta(minutes=5)

# How often the clock is looked at while a deadline is set: a timer alone would
# be late by as much as the clock is set forward, or the machine sleeps.
_LOOK_AT_THE_CLOCK: Final = 10.0

# Why a forward may be closed that still has a switch, which is what triggers are for.
CLOSE_REASONS: Final = tuple(
    reason
    for reason in Reason
    if reason
    not in {
        Reason.FORWARD_DELETED,
        Reason.ROUTER_RESTARTED,
        Reason.LEASE_RAN_OUT,
        Reason.INTERRUPTED,
        Reason.FOUND,
        Reason.TRIGGERED,
        Reason.DEVICE_MOVED,
    }
)


class ForwardTrigger(TargetTrigger):
    """A trigger for some forwards, by their switches."""

    @callback
    def _switch(self, forward_id: str) -> str | None:
        """Return the switch of a forward if it is meant, and None for all others."""
        entity_id = async_switch_of(self._hass, forward_id)
        return entity_id if entity_id in self._meant() else None


class ActivityTrigger(ForwardTrigger):
    """Triggers on one kind of activity."""

    _kind: Kind

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        """Run the action whenever it happens."""
        # Without the option, every reason will do.
        reasons = self._options.get(CONF_REASON)

        @callback
        def on_activity(_entry_id: str, activity: Activity) -> None:
            if activity.kind is not self._kind or (reasons and activity.reason not in reasons):
                return
            if entity_id := self._switch(activity.forward_id):
                run_action(
                    {ATTR_ENTITY_ID: entity_id, "forward": activity.name, **details_of(activity)},
                    f"{self._kind} of {entity_id}",
                    activity.context,
                )

        return async_dispatcher_connect(self._hass, SIGNAL_ACTIVITY, on_activity)


class OpenedTrigger(ActivityTrigger):
    """A port forward was opened: not longer than before, and not again after a restart."""

    _kind = Kind.OPENED


class ClosedTrigger(ActivityTrigger):
    """A port forward was closed, for any reason or one of some."""

    _kind = Kind.CLOSED
    _schema = ENTITY_STATE_TRIGGER_SCHEMA.extend(
        {
            vol.Required(CONF_OPTIONS, default={}): {
                vol.Optional(CONF_REASON): vol.All(cv.ensure_list, [vol.In(CLOSE_REASONS)])
            }
        }
    )


class OpeningFailedTrigger(ActivityTrigger):
    """A port forward could not be opened."""

    _kind = Kind.OPEN_FAILED


class ExternalPortChangedTrigger(ActivityTrigger):
    """The router has given an open port forward another external port."""

    _kind = Kind.EXTERNAL_PORT_CHANGED


class AboutToCloseTrigger(ForwardTrigger):
    """The deadline of an open port forward has come near.

    Once for each deadline, and again when it was moved away and comes near
    once more. Not for a deadline that was never farther away: whoever opens
    for two minutes knows that these end in two minutes. And an automation
    that answers by opening for a little longer would otherwise trigger itself.
    """

    _schema = ENTITY_STATE_TRIGGER_SCHEMA.extend(
        {
            vol.Required(CONF_OPTIONS, default={}): {
                vol.Optional(CONF_BEFORE, default=_DEFAULT_BEFORE): vol.All(
                    cv.positive_time_period, vol.Range(min=timedelta(seconds=1))
                )
            }
        }
    )

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        """Know of no deadline yet."""
        super().__init__(hass, config)
        self._before: timedelta = self._options[CONF_BEFORE]
        # The deadlines that are farther away than `before`, by forward.
        self._far: dict[str, datetime] = {}
        self._cancel_timer: CALLBACK_TYPE | None = None

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        """Run the action whenever a deadline comes near."""

        @callback
        def look(*_: object) -> None:
            near = self._came_near()
            self._stop_timer()
            if (delay := self._next_look()) is not None:
                self._cancel_timer = async_call_later(self._hass, delay, job)
            # Last, for an action may be to switch off its own automation.
            for opening in near:
                if entity_id := self._switch(opening.forward.id):
                    self._run(run_action, entity_id, opening)

        @callback
        def on_entry_change(_change: ConfigEntryChange, entry: ConfigEntry) -> None:
            if entry.domain == DOMAIN:
                look()

        job = HassJob(look, "port forwards that are about to close", cancel_on_shutdown=True)
        disconnect = (
            async_dispatcher_connect(self._hass, SIGNAL_ACTIVITY, look),
            async_dispatcher_connect(self._hass, SIGNAL_CONFIG_ENTRY_CHANGED, on_entry_change),
        )
        look()

        @callback
        def detach() -> None:
            self._stop_timer()
            for stop in disconnect:
                stop()

        return detach

    def _came_near(self) -> list[Opening]:
        """Return the openings whose deadline was far away before, and is near now."""
        now = dt_util.utcnow()
        near = []
        for opening in self._openings():
            forward_id, deadline = opening.forward.id, opening.deadline
            if deadline is None:
                self._far.pop(forward_id, None)
            elif deadline - self._before > now:
                self._far[forward_id] = deadline
            elif self._far.pop(forward_id, None) == deadline and deadline > now:
                near.append(opening)
        self._far = {key: deadline for key, deadline in self._far.items() if deadline > now}
        return near

    def _next_look(self) -> float | None:
        """Return in how many seconds the next deadline may come near.

        One that is near and was not told of is closed already, or its router
        is being reloaded; both are told.
        """
        now = dt_util.utcnow()
        away = [(deadline - self._before - now).total_seconds() for deadline in self._far.values()]
        ahead = [min(seconds, _LOOK_AT_THE_CLOCK) for seconds in away if seconds > 0]
        return min(ahead, default=None)

    def _openings(self) -> list[Opening]:
        """Return what is open on all routers."""
        entries: list[PortForwardConfigEntry] = self._hass.config_entries.async_loaded_entries(
            DOMAIN
        )
        return [
            opening
            for entry in entries
            for opening in entry.runtime_data.keeper.openings.values()
            if opening.phase is not Phase.CLOSING
        ]

    def _run(self, run_action: TriggerActionRunner, entity_id: str, opening: Opening) -> None:
        """Run the action for one of them."""
        deadline = opening.deadline
        run_action(
            {
                ATTR_ENTITY_ID: entity_id,
                "forward": opening.forward.name,
                "deadline": deadline.isoformat() if deadline else None,
                "user_id": opening.opened_by,
            },
            f"{entity_id} is about to close",
        )

    def _stop_timer(self) -> None:
        if self._cancel_timer:
            self._cancel_timer()
            self._cancel_timer = None


TRIGGERS: Final[dict[str, type[Trigger]]] = {
    "opened": OpenedTrigger,
    "closed": ClosedTrigger,
    "about_to_close": AboutToCloseTrigger,
    "opening_failed": OpeningFailedTrigger,
    "external_port_changed": ExternalPortChangedTrigger,
    "foreign_mapping_appeared": ForeignMappingAppearedTrigger,
    "foreign_mapping_disappeared": ForeignMappingDisappearedTrigger,
}


async def async_get_triggers(hass: HomeAssistant) -> dict[str, type[Trigger]]:
    """Return the triggers."""
    return TRIGGERS
