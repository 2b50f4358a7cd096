"""Which forwards an action was called for."""

from dataclasses import dataclass

from homeassistant.auth.permissions.const import POLICY_CONTROL
from homeassistant.components.switch.const import DOMAIN as SWITCH_DOMAIN
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.target import TargetSelection, async_extract_referenced_entity_ids

from .const import DOMAIN
from .coordinator import PortForwardConfigEntry, PortForwardCoordinator


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One forward, by its switch."""

    entity_id: str
    forward_id: str
    coordinator: PortForwardCoordinator


async def async_targets(hass: HomeAssistant, call: ServiceCall) -> list[Target]:
    """Return the forwards that the call is for, all of them ready.

    Home Assistant's own entity actions pass over what is unknown or away in
    silence; whoever opens or closes a port has to be told. Raises
    ServiceValidationError for an entity that is no port forward,
    HomeAssistantError for a router that is away, and Unauthorized.
    """
    selected = async_extract_referenced_entity_ids(hass, TargetSelection(call.data))
    registry = er.async_get(hass)
    found = [
        entity
        for entity_id in sorted(selected.referenced | selected.indirectly_referenced)
        if (entity := registry.async_get(entity_id)) and _is_forward(entity)
    ]
    if unknown := selected.referenced - {entity.entity_id for entity in found}:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="no_port_forward",
            translation_placeholders={"entity": ", ".join(sorted(unknown))},
        )
    if not found:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_target")
    await _async_check_rights(hass, call, found)
    return [_target(hass, entity) for entity in found]


def _is_forward(entity: er.RegistryEntry) -> bool:
    return (
        entity.platform == DOMAIN
        and entity.domain == SWITCH_DOMAIN
        and entity.config_subentry_id is not None
    )


async def _async_check_rights(
    hass: HomeAssistant, call: ServiceCall, entities: list[er.RegistryEntry]
) -> None:
    """Do what Home Assistant does for its own entity actions."""
    if call.context.user_id is None:
        return
    user = await hass.auth.async_get_user(call.context.user_id)
    for entity in entities:
        if user is None or not user.permissions.check_entity(entity.entity_id, POLICY_CONTROL):
            raise Unauthorized(
                context=call.context, entity_id=entity.entity_id, permission=POLICY_CONTROL
            )


def _target(hass: HomeAssistant, entity: er.RegistryEntry) -> Target:
    entry: PortForwardConfigEntry | None = hass.config_entries.async_get_entry(
        entity.config_entry_id or ""
    )
    if (
        entry is None
        or entry.state is not ConfigEntryState.LOADED
        or not entry.runtime_data.last_update_success
    ):
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="router_away",
            translation_placeholders={
                "forward": entity.name or entity.original_name or entity.entity_id,
                "router": entry.title if entry else "?",
            },
        )
    return Target(
        entity_id=entity.entity_id,
        forward_id=entity.config_subentry_id or "",
        coordinator=entry.runtime_data,
    )
