"""Rules of the user's on the router that a forward may adopt."""

from collections import Counter
from collections.abc import Mapping

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import HomeAssistant
from homeassistant.helpers.translation import async_get_translations

from .const import SUBENTRY_TYPE_FORWARD
from .forwards import ForwardSettings
from .routers.model import PORT_MAX, PortMapping
from .routers.shown import clean


async def async_adoptable(entry: ConfigEntry) -> Mapping[str, PortMapping]:
    """Look at the router, and return the rules that can be adopted, by a key for the form.

    None of a router that is not set up now, or whose rules cannot be switched.
    """
    if entry.state is not ConfigEntryState.LOADED:
        return {}
    coordinator = entry.runtime_data
    if not coordinator.router.capabilities.disabled_rules:
        return {}
    await coordinator.async_refresh()
    return adoptable(entry)


def adoptable(entry: ConfigEntry) -> Mapping[str, PortMapping]:
    """Return the rules that can be adopted as of the last look at a router that is set up."""
    coordinator = entry.runtime_data
    rows: tuple[PortMapping, ...] = coordinator.data.mappings
    adopted = [
        settings.adopted
        for subentry in entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD)
        if (settings := ForwardSettings.from_input(subentry.data)).adopted
    ]
    mappings_of = Counter(row.id for row in rows)
    return {
        f"{row.key} {row.target} {row.id}": row
        for row in rows
        if coordinator.router.owner_of(row) is None
        and row.internal_host
        and row.internal_ports
        # No router switches on what opens all ports.
        and len(row.external_ports) < PORT_MAX
        # A rule for several ranges of ports opens more than one forward is for.
        and (not row.id or mappings_of[row.id] == 1)
        and not any(row.same_rule(rule) for rule in adopted)
    }


async def async_labels(hass: HomeAssistant, rules: Mapping[str, PortMapping]) -> dict[str, str]:
    """Return what each rule is called in a list: its description, what it does, on or off."""
    texts = await async_get_translations(hass, hass.config.language, "entity_component", ["switch"])

    def state_of(rule: PortMapping) -> str:
        state = STATE_ON if rule.enabled else STATE_OFF
        return texts.get(f"component.switch.entity_component._.state.{state}", state)

    return {
        key: " · ".join(filter(None, (clean(rule.description), describe(rule), state_of(rule))))
        for key, rule in rules.items()
    }


def describe(rule: PortMapping) -> str:
    """Return what a rule does: `TCP 8443 → 192.168.1.20:443`, and for whom if not for all."""
    protocols = "+".join(rule.protocols).upper()
    leads = f"{protocols} {rule.external_ports} → {rule.target}"
    return clean(f"{leads} ({rule.allowed_source})" if rule.allowed_source else leads)


def default_name(rule: PortMapping) -> str:
    """Return what a forward is called that is made of a rule, unless the user says otherwise."""
    return clean(rule.description) or describe(rule)
