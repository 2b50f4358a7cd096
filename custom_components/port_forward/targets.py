"""Which forwards a command is for, and whether they can follow it."""

from collections.abc import Sequence
from dataclasses import dataclass

from homeassistant.auth.permissions.const import POLICY_CONTROL
from homeassistant.components.switch.const import DOMAIN as SWITCH_DOMAIN
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import Context, HomeAssistant, ServiceCall, State, callback
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


@callback
def async_chosen(
    hass: HomeAssistant, call: ServiceCall, *, to_open: bool = False
) -> list[er.RegistryEntry]:
    """Return the switches of the forwards that the call is for.

    Home Assistant's own entity actions pass over what is unknown or away in
    silence; whoever opens or closes a port has to be told. Of an area, a call
    `to_open` is for those that are not disabled. Raises
    ServiceValidationError for an entity that is no port forward, and for none.
    """
    selected = async_extract_referenced_entity_ids(hass, TargetSelection(call.data))
    registry = er.async_get(hass)
    found = [
        entity
        for entity_id in sorted(selected.referenced | selected.indirectly_referenced)
        if (entity := registry.async_get(entity_id))
        and _is_forward(entity)
        and not (to_open and entity.disabled and entity_id not in selected.referenced)
    ]
    if unknown := selected.referenced - {entity.entity_id for entity in found}:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="no_port_forward",
            translation_placeholders={"entity": ", ".join(sorted(unknown))},
        )
    if not found:
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="no_target")
    return found


async def async_ready(
    hass: HomeAssistant, context: Context, entities: Sequence[er.RegistryEntry]
) -> list[Target]:
    """Return the forwards of these switches, when all may be changed and are ready.

    Raises Unauthorized, and HomeAssistantError for a router that is away.
    """
    await async_check_rights(hass, context, entities)
    return [async_target(hass, entity) for entity in entities]


async def async_check_rights(
    hass: HomeAssistant, context: Context, entities: Sequence[er.RegistryEntry]
) -> None:
    """Raise Unauthorized when one of the switches may not be changed."""
    for entity in entities:
        if not await async_may(hass, context, entity.entity_id, POLICY_CONTROL):
            raise Unauthorized(
                context=context, entity_id=entity.entity_id, permission=POLICY_CONTROL
            )


async def async_may(hass: HomeAssistant, context: Context, entity_id: str, policy: str) -> bool:
    """Tell what Home Assistant would for its own entity actions: no user is the house itself."""
    if context.user_id is None:
        return True
    user = await hass.auth.async_get_user(context.user_id)
    return user is not None and user.permissions.check_entity(entity_id, policy)


@callback
def async_switches(hass: HomeAssistant) -> list[State]:
    """Return the states of the switches of all forwards."""
    registry = er.async_get(hass)
    return [
        state
        for state in hass.states.async_all(SWITCH_DOMAIN)
        if (entity := registry.async_get(state.entity_id)) and _is_forward(entity)
    ]


@callback
def async_switches_of(hass: HomeAssistant, entry: ConfigEntry) -> list[er.RegistryEntry]:
    """Return the switches of all forwards of a router."""
    entities = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    return [entity for entity in entities if _is_forward(entity)]


@callback
def async_target(hass: HomeAssistant, entity: er.RegistryEntry) -> Target:
    """Return the forward of this switch; raises HomeAssistantError when its router is away."""
    entry: PortForwardConfigEntry | None = hass.config_entries.async_get_entry(
        entity.config_entry_id or ""
    )
    if (
        entry is None
        or entry.state is not ConfigEntryState.LOADED
        or not entry.runtime_data.last_update_success
    ):
        state = hass.states.get(entity.entity_id)
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="router_away",
            translation_placeholders={
                "forward": state.name if state else entity.entity_id,
                "router": entry.title if entry else "?",
            },
        )
    return Target(
        entity_id=entity.entity_id,
        forward_id=entity.config_subentry_id or "",
        coordinator=entry.runtime_data,
    )


def _is_forward(entity: er.RegistryEntry) -> bool:
    return (
        entity.platform == DOMAIN
        and entity.domain == SWITCH_DOMAIN
        and entity.config_subentry_id is not None
    )
