"""The actions for foreign mappings, for administrators: close_mapping, adopt_mapping."""

from typing import Final

import voluptuous as vol
from homeassistant.const import ATTR_CONFIG_ENTRY_ID, CONF_NAME, CONF_PROTOCOL
from homeassistant.core import HomeAssistant, ServiceCall, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.service import async_get_config_entry, async_register_admin_service

from ..adoption import default_name, describe
from ..const import (
    CONF_ALLOWED_SOURCE,
    CONF_CLOSE_AFTER,
    CONF_EXTERNAL_PORTS,
    CONF_INTERNAL_HOST,
    CONF_UNTIL_CLOSED,
    DEFAULT_CLOSE_AFTER,
    DOMAIN,
    PROTOCOL_BOTH,
    RISKY_CLOSE_AFTER,
)
from ..coordinator import PortForwardConfigEntry, PortForwardCoordinator
from ..forward_flow.form import fields_of
from ..routers.model import PortMapping, Protocol
from .commands import (
    async_adopt_foreign,
    async_close_foreign,
    async_look,
    async_risks_of,
    async_take_over,
)
from .watch import Row

_MAPPING: Final = {
    vol.Required(ATTR_CONFIG_ENTRY_ID): cv.string,
    vol.Required(CONF_PROTOCOL): vol.In([*Protocol, PROTOCOL_BOTH]),
    vol.Required(CONF_EXTERNAL_PORTS): cv.string,
    vol.Optional(CONF_ALLOWED_SOURCE): cv.string,
    vol.Optional(CONF_INTERNAL_HOST): cv.string,
}
_CLOSE_SCHEMA = vol.Schema(_MAPPING)
_ADOPT_SCHEMA = vol.Schema(
    {
        **_MAPPING,
        vol.Optional(CONF_NAME): cv.string,
        vol.Exclusive(CONF_CLOSE_AFTER, "time"): cv.positive_time_period,
        vol.Exclusive(CONF_UNTIL_CLOSED, "time"): cv.boolean,
    }
)


@callback
def async_setup_foreign_actions(hass: HomeAssistant) -> None:
    """Register them. Without a user, as from an automation, it is the house itself that acts."""
    async_register_admin_service(hass, DOMAIN, "close_mapping", _async_close, _CLOSE_SCHEMA)
    async_register_admin_service(hass, DOMAIN, "adopt_mapping", _async_adopt, _ADOPT_SCHEMA)


async def _async_close(call: ServiceCall) -> None:
    coordinator, row = await _async_found(call)
    await async_close_foreign(coordinator, row)


async def _async_adopt(call: ServiceCall) -> None:
    coordinator, row = await _async_found(call)
    if row.forward_id:
        await async_take_over(coordinator, row, row.forward_id, call.context.user_id)
        return
    risks = await async_risks_of(coordinator, row.mapping)
    usual = RISKY_CLOSE_AFTER if risks else DEFAULT_CLOSE_AFTER
    values = {
        CONF_NAME: call.data.get(CONF_NAME) or default_name(row.mapping),
        CONF_CLOSE_AFTER: fields_of(call.data.get(CONF_CLOSE_AFTER, usual)),
        CONF_UNTIL_CLOSED: call.data.get(CONF_UNTIL_CLOSED, False),
    }
    await async_adopt_foreign(coordinator, row, values, call.context.user_id)


async def _async_found(call: ServiceCall) -> tuple[PortForwardCoordinator, Row]:
    """Look at the router, and return the one foreign mapping that is meant.

    Raises ServiceValidationError for none, for several, and for one of ours.
    """
    entry: PortForwardConfigEntry = async_get_config_entry(
        call.hass, DOMAIN, call.data[ATTR_CONFIG_ENTRY_ID]
    )
    coordinator = entry.runtime_data
    await async_look(coordinator)
    foreign = [row for row in coordinator.foreign.rows if _is_meant(row.mapping, call)]
    if not foreign:
        _check_ours(coordinator, call)
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="mapping_unknown",
            translation_placeholders={"router": entry.title},
        )
    if len(foreign) > 1:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="mapping_ambiguous",
            translation_placeholders={
                "mappings": ", ".join(describe(row.mapping) for row in foreign[:3])
            },
        )
    return coordinator, foreign[0]


def _check_ours(coordinator: PortForwardCoordinator, call: ServiceCall) -> None:
    """Raise ServiceValidationError with the forward whose mapping is meant, if there is one."""
    for row in coordinator.data.mappings:
        if _is_meant(row, call) and (name := coordinator.foreign.opened_elsewhere(row)):
            raise _is_ours(name)
    for forward_id, forward in coordinator.forwards.items():
        opening = coordinator.keeper.openings.get(forward_id)
        held = opening.mappings if opening else ()
        planned = coordinator.keeper.plan_of(forward) if forward else ()
        for mapping in (*held, *planned):
            if _is_meant(mapping, call) and coordinator.keeper.view.holds(mapping):
                raise _is_ours(coordinator.config_entry.subentries[forward_id].title)


def _is_ours(forward: str) -> ServiceValidationError:
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="mapping_is_ours",
        translation_placeholders={"forward": forward},
    )


def _is_meant(mapping: PortMapping, call: ServiceCall) -> bool:
    protocol = call.data[CONF_PROTOCOL]
    protocols = set(Protocol) if protocol == PROTOCOL_BOTH else {Protocol(protocol)}
    source = call.data.get(CONF_ALLOWED_SOURCE)
    host = call.data.get(CONF_INTERNAL_HOST)
    return (
        set(mapping.protocols) == protocols
        and str(mapping.external_ports) == call.data[CONF_EXTERNAL_PORTS].strip()
        and source in (None, mapping.allowed_source)
        and host in (None, mapping.internal_host)
    )
