"""Who may open: whoever may control the switch, or administrators alone.

Closing is never limited: whoever sees a port that should not be open may close it.
"""

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.exceptions import ServiceValidationError

from ..const import CONF_ADMINS_ONLY, DOMAIN


@callback
def async_is_for_admins(entry: ConfigEntry, forward_id: str | None) -> bool:
    """Tell whether only administrators may open this forward; None: ports of this router."""
    forward = entry.subentries.get(forward_id) if forward_id else None
    return bool(
        entry.options.get(CONF_ADMINS_ONLY) or (forward and forward.data.get(CONF_ADMINS_ONLY))
    )


async def async_check_may_open(
    hass: HomeAssistant, entry: ConfigEntry, forward_id: str | None, context: Context | None
) -> None:
    """Raise ServiceValidationError when who asks may not open this forward.

    Without a forward it is about what lets any port of the router be opened,
    such as the end of a lockdown. A context without a user is Home Assistant
    itself: automations are made by administrators.
    """
    if context is None or context.user_id is None:
        return
    user = await hass.auth.async_get_user(context.user_id)
    if (user is None or not user.is_admin) and async_is_for_admins(entry, forward_id):
        raise only_admins(entry, forward_id)


def only_admins(entry: ConfigEntry, forward_id: str | None) -> ServiceValidationError:
    """Return the error for somebody who is no administrator."""
    if forward_id is None:
        return ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="only_admins_router",
            translation_placeholders={"router": entry.title},
        )
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="only_admins",
        translation_placeholders={"forward": entry.subentries[forward_id].title},
    )
