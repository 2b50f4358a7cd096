"""The intents: open a forward for a spoken time, close it, and lock all down.

Home Assistant reads sentences from its configuration only; `docs/voice.md`
has them ready.
"""

from abc import abstractmethod
from datetime import timedelta
from typing import Any, Final, override

import voluptuous as vol
from homeassistant.components.conversation.const import DOMAIN as CONVERSATION_DOMAIN
from homeassistant.components.switch.const import DOMAIN as SWITCH_DOMAIN
from homeassistant.core import HomeAssistant, State, callback
from homeassistant.exceptions import HomeAssistantError, Unauthorized
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import intent

from .const import DOMAIN
from .entity import translated_errors
from .lockdown_intent import LockdownIntent
from .safety.rights import async_is_for_admins, only_admins
from .services import deadline_of
from .speech import async_say_closed, async_say_error, async_say_open
from .targets import Target, async_ready, async_switches

INTENT_OPEN: Final = "PortForwardOpen"
INTENT_CLOSE: Final = "PortForwardClose"

_UNITS: Final = ("hours", "minutes", "seconds")

type Slots = dict[str, dict[str, Any]]


async def async_setup_intents(hass: HomeAssistant) -> None:
    """Register the intents."""
    intent.async_register(hass, OpenIntent())
    intent.async_register(hass, CloseIntent())
    intent.async_register(hass, LockdownIntent())


class ForwardIntent(intent.IntentHandler):
    """Does something to the one forward that was named."""

    @property
    @override
    def slot_schema(self) -> dict[vol.Marker, Any]:
        """Take a name, where needed the area that tells two of a name apart."""
        return {
            vol.Required("name", description="Name of the port forward"): cv.string,
            vol.Optional("area", description="Area that it is in"): cv.string,
            # Where the one who speaks is.
            vol.Optional("preferred_area_id"): cv.string,
            vol.Optional("preferred_floor_id"): cv.string,
        }

    @override
    async def async_handle(self, intent_obj: intent.Intent) -> intent.IntentResponse:
        """Do it and say what is now, or why not.

        Raises MatchFailedError, for which Home Assistant has words of its own.
        """
        hass = intent_obj.hass
        slots: Slots = self.async_validate_slots(intent_obj.slots)
        state = _async_named(intent_obj, slots)
        response = intent_obj.create_response()
        try:
            target = await _async_target(intent_obj, state)
            with translated_errors():
                answer = await self._async_do(intent_obj, target, state.name, slots)
        except HomeAssistantError as error:
            response.async_set_error(
                intent.IntentResponseErrorCode.FAILED_TO_HANDLE,
                await async_say_error(hass, intent_obj.language, error),
            )
            return response
        entity = intent.IntentResponseTarget(
            type=intent.IntentResponseTargetType.ENTITY, name=state.name, id=state.entity_id
        )
        response.async_set_results([entity])
        response.async_set_states([hass.states.get(state.entity_id) or state])
        response.async_set_speech(answer)
        return response

    @abstractmethod
    async def _async_do(
        self, intent_obj: intent.Intent, target: Target, name: str, slots: Slots
    ) -> str:
        """Do it and return what to say; raises RouterError and HomeAssistantError."""


class OpenIntent(ForwardIntent):
    """Opens a forward."""

    intent_type = INTENT_OPEN
    description = (
        "Opens a port forward, so that anybody on the internet can reach a device at home, "
        "for the given time, or for its usual time when none is given. Used while it is open, "
        "it changes when it closes. It closes by itself."
    )

    @property
    @override
    def slot_schema(self) -> dict[vol.Marker, Any]:
        """Take how long as well, as for a timer."""
        return super().slot_schema | {vol.Optional(unit): cv.positive_int for unit in _UNITS}

    @override
    async def _async_do(
        self, intent_obj: intent.Intent, target: Target, name: str, slots: Slots
    ) -> str:
        entry = target.coordinator.config_entry
        if intent_obj.context.user_id is None and async_is_for_admins(entry, target.forward_id):
            # No automation, but somebody who speaks: it might be anybody.
            raise only_admins(entry, target.forward_id)
        deadline = deadline_of(_duration(slots), None)
        opening = await target.coordinator.async_open(
            target.forward_id, deadline=deadline, by=intent_obj.context
        )
        return await async_say_open(intent_obj.hass, intent_obj.language, name, opening.deadline)


class CloseIntent(ForwardIntent):
    """Closes a forward."""

    intent_type = INTENT_CLOSE
    description = "Closes a port forward, so that nobody on the internet gets through it any more."

    @override
    async def _async_do(
        self, intent_obj: intent.Intent, target: Target, name: str, slots: Slots
    ) -> str:
        await target.coordinator.async_close(target.forward_id, by=intent_obj.context)
        return await async_say_closed(intent_obj.hass, intent_obj.language, name)


@callback
def _async_named(intent_obj: intent.Intent, slots: Slots) -> State:
    """Return the switch that was named; raises MatchFailedError."""

    def value(slot: str) -> str | None:
        return slots.get(slot, {}).get("value")

    constraints = intent.MatchTargetsConstraints(
        name=value("name"),
        area_name=value("area"),
        domains=[SWITCH_DOMAIN],
        # Whoever does not say on whose behalf it asks gets no more than Assist.
        assistant=intent_obj.assistant or CONVERSATION_DOMAIN,
        single_target=True,
    )
    preferences = intent.MatchTargetsPreferences(
        area_id=value("preferred_area_id"), floor_id=value("preferred_floor_id")
    )
    switches = async_switches(intent_obj.hass)
    result = (
        intent.async_match_targets(intent_obj.hass, constraints, preferences, switches)
        if switches
        # It would take an empty list for the switches of everybody.
        else intent.MatchTargetsResult(
            is_match=False, no_match_reason=intent.MatchFailedReason.NAME
        )
    )
    if not result.is_match:
        raise intent.MatchFailedError(result, constraints, preferences)
    return result.states[0]


async def _async_target(intent_obj: intent.Intent, state: State) -> Target:
    """Return the forward of a switch; raises HomeAssistantError."""
    entity = er.async_get(intent_obj.hass).entities[state.entity_id]
    try:
        (target,) = await async_ready(intent_obj.hass, intent_obj.context, [entity])
    except Unauthorized as error:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="not_allowed",
            translation_placeholders={"forward": state.name},
        ) from error
    return target


def _duration(slots: Slots) -> timedelta | None:
    """Return how long was said, None when nothing was."""
    said = {unit: slots[unit]["value"] for unit in _UNITS if unit in slots}
    try:
        return timedelta(**said) if said else None
    except OverflowError:
        return timedelta.max  # too long all the same
