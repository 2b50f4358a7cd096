"""The intent that locks all routers: "turn on lockdown" alone names none of several."""

from typing import Final, override

from homeassistant.auth.permissions.const import POLICY_CONTROL
from homeassistant.components.conversation.const import DOMAIN as CONVERSATION_DOMAIN
from homeassistant.components.homeassistant.exposed_entities import async_should_expose
from homeassistant.components.switch.const import DOMAIN as SWITCH_DOMAIN
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import intent

from .const import DOMAIN
from .coordinator import PortForwardConfigEntry
from .entity import translated_errors
from .speech import async_say_error, async_say_locked
from .targets import async_may

INTENT_LOCKDOWN: Final = "PortForwardLockdown"


class LockdownIntent(intent.IntentHandler):
    """Turns on every lockdown that is exposed."""

    intent_type = INTENT_LOCKDOWN
    description = (
        "Turns on lockdown: closes all port forwards of the home at once, and lets none be opened "
        "until lockdown is turned off."
    )

    @override
    async def async_handle(self, intent_obj: intent.Intent) -> intent.IntentResponse:
        """Lock all that can be locked and say that it is so, or the first thing that went wrong."""
        response = intent_obj.create_response()
        failure: HomeAssistantError | None = None
        switches = _async_exposed(intent_obj)
        if not switches:
            failure = HomeAssistantError(
                translation_domain=DOMAIN, translation_key="no_lockdown_exposed"
            )
        for switch in switches:
            try:
                await _async_lock(intent_obj, switch)
            except HomeAssistantError as error:
                failure = failure or error
        if failure:
            response.async_set_error(
                intent.IntentResponseErrorCode.FAILED_TO_HANDLE,
                await async_say_error(intent_obj.hass, intent_obj.language, failure),
            )
        else:
            response.async_set_speech(await async_say_locked(intent_obj.hass, intent_obj.language))
        return response


@callback
def _async_exposed(intent_obj: intent.Intent) -> list[er.RegistryEntry]:
    """Return the lockdown switches that who asks may use at all."""
    hass = intent_obj.hass
    assistant = intent_obj.assistant or CONVERSATION_DOMAIN
    registry = er.async_get(hass)
    return [
        switch
        for entry in hass.config_entries.async_entries(
            DOMAIN, include_ignore=False, include_disabled=False
        )
        if (
            entity_id := registry.async_get_entity_id(
                SWITCH_DOMAIN, DOMAIN, f"{entry.entry_id}_lockdown"
            )
        )
        and (switch := registry.async_get(entity_id))
        and not switch.disabled
        and async_should_expose(hass, assistant, entity_id)
    ]


async def _async_lock(intent_obj: intent.Intent, switch: er.RegistryEntry) -> None:
    """Lock the router of this switch; raises HomeAssistantError."""
    hass = intent_obj.hass
    entry: PortForwardConfigEntry | None = hass.config_entries.async_get_entry(
        switch.config_entry_id or ""
    )
    router = entry.title if entry else switch.entity_id
    if not await async_may(hass, intent_obj.context, switch.entity_id, POLICY_CONTROL):
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="not_allowed_to_lock",
            translation_placeholders={"router": router},
        )
    if entry is None or entry.state is not ConfigEntryState.LOADED:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="not_all_closed",
            translation_placeholders={"router": router},
        )
    with translated_errors():
        await entry.runtime_data.keeper.lock(entry.runtime_data.forwards, by=intent_obj.context)
