"""The actions: open and close for the switches, close_all and list_mappings for a router."""

from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Final

import voluptuous as vol
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import ATTR_CONFIG_ENTRY_ID
from homeassistant.core import (
    Context,
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
    callback,
)
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.service import async_get_config_entry
from homeassistant.util import dt as dt_util
from homeassistant.util.json import JsonObjectType

from .const import CONF_ALLOWED_SOURCE, DOMAIN, LONGEST_OPENING
from .coordinator import PortForwardConfigEntry, PortForwardCoordinator
from .entity import translated_errors
from .foreign.actions import async_setup_foreign_actions
from .forwards import FieldError, parse_source
from .openings import Opening, Reason, limited
from .routers.model import PortMapping
from .routers.shown import clean
from .safety.disabled import async_check_enabled
from .targets import (
    async_check_rights,
    async_chosen,
    async_ready,
    async_switches_of,
    async_target,
)

ATTR_DURATION: Final = "duration"
ATTR_UNTIL: Final = "until"


def _duration(value: object) -> timedelta:
    try:
        period: timedelta = cv.time_period(value)
    except OverflowError:
        return timedelta.max  # too long all the same
    return period


# How long is checked by `deadline_of`, whose errors say what to do and are translated.
_OPEN_SCHEMA = cv.make_entity_service_schema(
    {
        vol.Optional(ATTR_DURATION): _duration,
        vol.Optional(ATTR_UNTIL): cv.datetime,
        vol.Optional(CONF_ALLOWED_SOURCE): cv.string,
    }
)
_CLOSE_SCHEMA = cv.make_entity_service_schema({})
_CLOSE_ALL_SCHEMA = vol.Schema({vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string})
_LIST_SCHEMA = vol.Schema({vol.Required(ATTR_CONFIG_ENTRY_ID): cv.string})


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions."""
    hass.services.async_register(
        DOMAIN,
        "open",
        _async_open,
        schema=_OPEN_SCHEMA,
        supports_response=SupportsResponse.OPTIONAL,
    )
    hass.services.async_register(DOMAIN, "close", _async_close, schema=_CLOSE_SCHEMA)
    hass.services.async_register(DOMAIN, "close_all", _async_close_all, schema=_CLOSE_ALL_SCHEMA)
    async_setup_foreign_actions(hass)
    hass.services.async_register(
        DOMAIN,
        "list_mappings",
        _async_list_mappings,
        schema=_LIST_SCHEMA,
        supports_response=SupportsResponse.ONLY,
    )


async def _async_open(call: ServiceCall) -> ServiceResponse:
    """Open the forwards, and answer where each can be reached until when."""
    chosen = deadline_of(call.data.get(ATTR_DURATION), call.data.get(ATTR_UNTIL))
    limit = _limit_of(call.data.get(CONF_ALLOWED_SOURCE))
    targets = await async_ready(
        call.hass, call.context, async_chosen(call.hass, call, to_open=True)
    )
    for target in targets:
        async_check_enabled(call.hass, target.coordinator.config_entry, target.forward_id)
        if forward := target.coordinator.forwards.get(target.forward_id):
            limited(forward, limit)  # which raises, before anything is opened
    answer: dict[str, JsonObjectType] = {}
    for target in targets:
        coordinator = target.coordinator
        with translated_errors():
            opening = await coordinator.async_open(
                target.forward_id, deadline=chosen, limit=limit, by=call.context
            )
        answer[target.entity_id] = _describe_opening(coordinator, opening)
    return {**answer} if call.return_response else None


async def _async_close(call: ServiceCall) -> None:
    """Close the forwards: all that can be closed, before the first failure is told."""
    failure: HomeAssistantError | None = None
    entities = async_chosen(call.hass, call)
    await async_check_rights(call.hass, call.context, entities)
    for entity in entities:
        try:
            target = async_target(call.hass, entity)
            with translated_errors():
                await target.coordinator.async_close(target.forward_id, by=call.context)
        except HomeAssistantError as error:
            failure = failure or error
    if failure:
        raise failure


async def _async_close_all(call: ServiceCall) -> None:
    """Close whatever is open on one router or on all, before the first failure is told."""
    failure: HomeAssistantError | None = None
    entry_id = call.data.get(ATTR_CONFIG_ENTRY_ID)
    entries: list[PortForwardConfigEntry] = (
        [async_get_config_entry(call.hass, DOMAIN, entry_id)]
        if entry_id
        # Disabling one has closed everything.
        else call.hass.config_entries.async_entries(
            DOMAIN, include_ignore=False, include_disabled=False
        )
    )
    switches = [switch for entry in entries for switch in async_switches_of(call.hass, entry)]
    await async_check_rights(call.hass, call.context, switches)
    for entry in entries:
        try:
            await _async_close_all_on(entry, call.context)
        except HomeAssistantError as error:
            failure = failure or error
    if failure:
        raise failure


async def _async_close_all_on(entry: PortForwardConfigEntry, by: Context) -> None:
    if entry.state is not ConfigEntryState.LOADED:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="not_all_closed",
            translation_placeholders={"router": entry.title},
        )
    coordinator = entry.runtime_data
    with translated_errors():
        await coordinator.keeper.close_all(Reason.ALL_CLOSED, coordinator.forwards, by=by)


async def _async_list_mappings(call: ServiceCall) -> ServiceResponse:
    """Answer every mapping that the router holds now, ours and foreign."""
    entry: PortForwardConfigEntry = async_get_config_entry(
        call.hass, DOMAIN, call.data[ATTR_CONFIG_ENTRY_ID]
    )
    coordinator = entry.runtime_data
    await coordinator.async_refresh()
    if not coordinator.last_update_success:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="not_listed",
            translation_placeholders={"router": entry.title},
        )
    # What an opening holds, and what leads exactly where a forward does, adopted rules among it.
    names = {
        (mapping.key, mapping.target): forward.name
        for forward in filter(None, coordinator.forwards.values())
        for mapping in coordinator.keeper.plan_of(forward)
    } | {
        (mapping.key, mapping.target): opening.forward.name
        for opening in coordinator.keeper.openings.values()
        for mapping in opening.mappings
    }
    foreign = {(row.mapping.key, row.mapping.target) for row in coordinator.foreign.rows}
    address, address6 = coordinator.data.external_address, coordinator.data.external_address6
    return {
        "external_address": str(address) if address else None,
        "external_ipv6_address": str(address6) if address6 else None,
        "mappings": [
            _describe_mapping(row, names.get(place), is_foreign=place in foreign)
            if place in foreign or place in names
            else _describe_mapping(row, coordinator.foreign.opened_elsewhere(row), is_foreign=False)
            for row in coordinator.data.mappings
            for place in ((row.key, row.target),)
        ],
    }


def _limit_of(text: str | None) -> IPv4Network | IPv6Network | None:
    """Return the source that was chosen, None where none is given.

    An empty text is no source: a template that fails must not open to everybody.
    """
    if text is None:
        return None
    try:
        return parse_source(text)
    except FieldError as error:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="invalid_source",
            translation_placeholders={"source": text},
        ) from error


def deadline_of(duration: timedelta | None, until: datetime | None) -> datetime | None:
    """Return the deadline that was chosen, None where neither is given.

    A time without a zone is one of Home Assistant's own. Raises
    ServiceValidationError for both, for a time that has passed, and for more
    than 30 days.
    """
    if duration is None and until is None:
        return None
    if duration is not None and until is not None:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="duration_and_until"
        )
    now = dt_util.utcnow()
    # Compared before it is added: no clock reaches as far as the longest duration.
    ahead = _from(now, until) if until else duration or timedelta()
    if ahead <= timedelta():
        raise ServiceValidationError(translation_domain=DOMAIN, translation_key="in_the_past")
    if ahead > LONGEST_OPENING:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="too_long",
            translation_placeholders={"days": str(LONGEST_OPENING.days)},
        )
    return now + ahead


def _from(now: datetime, until: datetime) -> timedelta:
    try:
        return dt_util.as_utc(until) - now
    except OverflowError:  # UTC has no such time: at the first or the last day of the calendar
        return timedelta.min if until.year == 1 else timedelta.max


def _describe_opening(coordinator: PortForwardCoordinator, opening: Opening) -> JsonObjectType:
    forward = opening.forward
    # Over IPv6 nothing is translated: the device is reached at its own address.
    address6 = forward.internal_host6
    address = coordinator.data.external_address if forward.internal_host else None
    ports = opening.external_ports
    return {
        "external_address": str(address) if address else None,
        "external_ports": ports,
        "address": f"{address}:{ports}" if address else None,
        "ipv6_address": f"[{address6}]:{forward.external_ports}" if address6 else None,
        "deadline": opening.deadline.isoformat() if opening.deadline else None,
        "allowed_source": str(forward.allowed_source) if forward.allowed_source else None,
    }


def _describe_mapping(row: PortMapping, forward: str | None, *, is_foreign: bool) -> JsonObjectType:
    return {
        "protocols": [protocol.value for protocol in row.protocols],
        "external_ports": str(row.external_ports),
        "internal_host": clean(row.internal_host),
        "internal_ports": str(row.internal_ports) if row.internal_ports else None,
        "allowed_source": clean(row.allowed_source),
        "enabled": row.enabled,
        "description": clean(row.description),
        "lease": row.lease.total_seconds() if row.lease else None,
        "hits": row.hits,
        "foreign": is_foreign,
        "forward": forward,
    }
