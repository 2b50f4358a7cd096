"""What the user may do about a foreign mapping: close it, or make a forward of it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import CONF_NAME, CONF_PROTOCOL
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers.translation import async_get_translations
from homeassistant.util import dt as dt_util

from ..adoption import adoptable, describe
from ..const import (
    CONF_ADOPTED,
    CONF_ALLOWED_SOURCE,
    CONF_EXTERNAL_PORTS,
    CONF_INTERNAL_HOST,
    CONF_INTERNAL_PORTS,
    CONF_IP_VERSION,
    DOMAIN,
    PROTOCOL_BOTH,
    SUBENTRY_TYPE_FORWARD,
)
from ..coordinator import PortForwardConfigEntry, PortForwardCoordinator
from ..devices.hosts import async_resolve_hosts
from ..entity import translated_errors
from ..forward_flow.form import title_and_data
from ..forwards import FieldError, ForwardSettings, IpVersion, check_free, check_name
from ..home import async_home
from ..kept_mapping import mapping_to_json
from ..routers.model import Forward, PortMapping
from ..safety.risk import Risk, async_is_on_router, risks_of
from .watch import Row


async def async_look(coordinator: PortForwardCoordinator) -> None:
    """Look at the router; raises HomeAssistantError when it does not answer."""
    await coordinator.async_refresh()
    if not coordinator.last_update_success:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="not_listed",
            translation_placeholders={"router": coordinator.config_entry.title},
        )


async def async_close_foreign(coordinator: PortForwardCoordinator, row: Row) -> None:
    """Close this very mapping, which a look has just shown, and make sure that it is gone.

    Raises HomeAssistantError.
    """
    foreign = coordinator.foreign
    forward = coordinator.forwards.get(row.forward_id) if row.forward_id else None
    with translated_errors():
        if forward and forward.adopted:
            # A rule of the user's is switched off, never deleted.
            await coordinator.keeper.close(forward.id, forward)
        else:
            for alike in foreign.find(row.mark):
                await coordinator.keeper.close_foreign(alike.mapping, foreign.opened_elsewhere)
    await coordinator.async_refresh()
    # Some routers show rows that they then do not find by what they have shown.
    if coordinator.foreign.find(row.mark):
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="mapping_not_closed",
            translation_placeholders={"router": coordinator.config_entry.title},
        )
    await coordinator.foreign.async_forget(row.mark)


async def async_take_over(
    coordinator: PortForwardCoordinator, row: Row, forward_id: str, user_id: str | None = None
) -> None:
    """Make this mapping an opening of the forward that it leads where, for its *close after*.

    Raises HomeAssistantError, also where the router holds only a part of the forward.
    """
    forward = coordinator.forwards.get(forward_id)
    close_after = coordinator.settings_of(forward_id).close_after
    if forward:
        deadline = dt_util.utcnow() + close_after if close_after else None
        await coordinator.keeper.take_over(forward, deadline=deadline, user_id=user_id)
    if forward_id not in coordinator.keeper.openings:
        raise ServiceValidationError(
            translation_domain=DOMAIN,
            translation_key="mapping_in_part",
            translation_placeholders={
                "mapping": describe(row.mapping),
                "forward": coordinator.config_entry.subentries[forward_id].title,
            },
        )
    await coordinator.async_refresh()


async def async_adopt_foreign(
    coordinator: PortForwardCoordinator,
    row: Row,
    values: Mapping[str, Any],
    user_id: str | None = None,
) -> None:
    """Make a forward of this mapping, which a look has just shown.

    `values` are the name and the times as the form gives them. The router
    changes nothing: it is open before and after. From the reload on that a new
    forward means, it is ours. Raises HomeAssistantError.
    """
    hass, entry, mapping = coordinator.hass, coordinator.config_entry, row.mapping
    by_rule = coordinator.router.capabilities.disabled_rules
    try:
        kept = _rule(coordinator, mapping) if by_rule else _fields(mapping)
        check_name(values[CONF_NAME])
        added = title_and_data({**values, **kept})
        settings = ForwardSettings.from_input(added["data"])
        check_free(settings, entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD))
    except FieldError as error:
        raise await _async_not_adoptable(hass, mapping, error) from error
    subentry = ConfigSubentry(
        data=MappingProxyType(added["data"]),
        subentry_type=SUBENTRY_TYPE_FORWARD,
        title=added["title"],
        unique_id=None,
    )
    if not by_rule:
        hosts = await async_resolve_hosts(hass, settings, coordinator.router_address)
        forward = settings.forward(subentry.subentry_id, "", hosts, async_home(hass))
        _check_same(coordinator, forward, mapping)
    deadline = dt_util.utcnow() + settings.close_after if settings.close_after else None
    await coordinator.foreign.async_expect(subentry.subentry_id, deadline, user_id)
    hass.config_entries.async_add_subentry(entry, subentry)


async def async_risks_of(
    coordinator: PortForwardCoordinator, mapping: PortMapping
) -> tuple[Risk, ...]:
    """Return what is risky about a mapping, as about a forward that leads where it does."""
    settings = ForwardSettings.from_input({CONF_ADOPTED: mapping_to_json(mapping)})
    on_router = await async_is_on_router(settings, None, coordinator.router_address)
    return risks_of(settings, coordinator.hass.config.api, on_router=on_router)


def foreign_row(coordinator: PortForwardCoordinator, mark: str) -> Row:
    """Return the foreign mapping of this fingerprint; raises HomeAssistantError if it is gone."""
    rows = coordinator.foreign.find(mark)
    if not rows:
        raise HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key="mapping_gone",
            translation_placeholders={"router": coordinator.config_entry.title},
        )
    return rows[0]


def loaded(hass: HomeAssistant, entry_id: str) -> PortForwardCoordinator:
    """Return the coordinator of a router; raises HomeAssistantError when it is not set up."""
    entry: PortForwardConfigEntry | None = next(
        (e for e in hass.config_entries.async_loaded_entries(DOMAIN) if e.entry_id == entry_id),
        None,
    )
    if entry is None:
        raise HomeAssistantError(translation_domain=DOMAIN, translation_key="not_set_up")
    return entry.runtime_data


def _rule(coordinator: PortForwardCoordinator, mapping: PortMapping) -> dict[str, Any]:
    """Return what a forward keeps of a rule that it switches."""
    rules = adoptable(coordinator.config_entry).values()
    if not any(rule.same_rule(mapping) and rule.id == mapping.id for rule in rules):
        raise _no_forward(mapping)
    return {CONF_ADOPTED: mapping_to_json(mapping)}


def _fields(mapping: PortMapping) -> dict[str, Any]:
    """Return what the form of a forward would hold that opens just this."""
    if mapping.internal_ports is None or mapping.is_pinhole:
        raise _no_forward(mapping)
    both = len(mapping.protocols) > 1
    source = mapping.key.rpartition("/")[2]  # "" in all spellings of any
    return {
        CONF_INTERNAL_HOST: mapping.internal_host,
        CONF_PROTOCOL: PROTOCOL_BOTH if both else mapping.protocols[0].value,
        CONF_INTERNAL_PORTS: str(mapping.internal_ports),
        CONF_EXTERNAL_PORTS: str(mapping.external_ports),
        CONF_ALLOWED_SOURCE: source,
        CONF_IP_VERSION: IpVersion.IPV4.value,
    }


def _check_same(
    coordinator: PortForwardCoordinator, forward: Forward, mapping: PortMapping
) -> None:
    """Make sure that the forward would open just what the mapping does."""
    with translated_errors():
        plan = coordinator.router.plan(forward)
    # To the letter: another spelling of "any source" may be another rule to the router (Q18).
    same = len(plan) == 1 and plan[0].allowed_source == mapping.allowed_source
    if not same or not plan[0].same_rule(mapping):
        raise _no_forward(mapping)


def _no_forward(mapping: PortMapping) -> ServiceValidationError:
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="mapping_no_forward",
        translation_placeholders={"mapping": describe(mapping)},
    )


async def _async_not_adoptable(
    hass: HomeAssistant, mapping: PortMapping, error: FieldError
) -> ServiceValidationError:
    """Return the error with the words of the form."""
    texts = await async_get_translations(hass, hass.config.language, "config_subentries", [DOMAIN])
    prefix = f"component.{DOMAIN}.config_subentries.{SUBENTRY_TYPE_FORWARD}.error"
    text = texts.get(f"{prefix}.{error.key}", error.key)
    for name, value in error.placeholders.items():
        text = text.replace(f"{{{name}}}", value)
    return ServiceValidationError(
        translation_domain=DOMAIN,
        translation_key="mapping_not_adopted",
        translation_placeholders={"mapping": describe(mapping), "why": text},
    )
