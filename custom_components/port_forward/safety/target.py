"""Where nobody wants a port to lead by accident: to the router itself, or to Home Assistant.

A name, and a device, may lead to another machine tomorrow. It may be one of
these two only if the user has chosen that: at the form, or in the repair that asks.
"""

from enum import StrEnum
from ipaddress import IPv4Address, ip_address

from homeassistant.components.network import async_get_adapters
from homeassistant.config_entries import ConfigEntry, ConfigEntryState, ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr

from ..const import CONF_ACCEPTED_TARGETS
from ..devices.hosts import HostError, Hosts, is_name
from ..forwards import ForwardSettings
from ..noting import noting
from ..routers.addresses import own_address


class Target(StrEnum):
    """A machine that a forward must not come to lead to unless the user wants that."""

    ROUTER = "router"
    HOME_ASSISTANT = "home_assistant"


class TargetError(HostError):
    """A forward has come to lead to `target`, which the user has not accepted."""

    def __init__(self, target: Target, *, forward: str, host: str, address: str) -> None:
        """Take which machine it is, and what is said of it: here, and in the repair."""
        super().__init__(f"leads_to_{target}", forward=forward, host=host, address=address)
        self.target = target


def may_lead_elsewhere(settings: ForwardSettings) -> bool:
    """Return whether a forward leads to a name or a device, which may change its address."""
    return not settings.adopted and bool(settings.device or is_name(settings.internal_host))


async def async_targets(
    hass: HomeAssistant, settings: ForwardSettings, hosts: Hosts, router: IPv4Address
) -> dict[Target, str]:
    """Return to which of these a forward leads by a name or a device, and at which address.

    Where Home Assistant runs on the router, both have the same address.
    """
    if not may_lead_elsewhere(settings):
        return {}
    own = {
        ip_address(address["address"])
        for adapter in await async_get_adapters(hass)
        for address in (*adapter["ipv4"], *adapter["ipv6"])
    }
    own.add(await own_address(str(router)) or router)
    found = {}
    for host in hosts:
        if host in own:
            found[Target.HOME_ASSISTANT] = str(host)
        elif host == router:
            found[Target.ROUTER] = str(host)
    return found


async def async_check_target(
    hass: HomeAssistant,
    entry: ConfigEntry,
    subentry: ConfigSubentry,
    hosts: Hosts,
    router: IPv4Address,
) -> None:
    """Raise TargetError when a forward leads where the user has not accepted that it does."""
    settings = ForwardSettings.from_input(subentry.data)
    if not may_lead_elsewhere(settings):
        return
    targets = await async_targets(hass, settings, hosts, router)
    accepted = subentry.data.get(CONF_ACCEPTED_TARGETS)
    if accepted is None and entry.state is ConfigEntryState.SETUP_IN_PROGRESS:
        # One of an earlier version, which did not ask: the user has chosen it as it is.
        accepted = sorted(targets)
        with noting():
            async_accept(hass, entry, subentry, accepted)
    for target, address in targets.items():
        if target in (accepted or ()):
            continue
        host = _name_of(hass, settings)
        raise TargetError(target, forward=subentry.title, host=host, address=address)


@callback
def async_accept(
    hass: HomeAssistant, entry: ConfigEntry, subentry: ConfigSubentry, targets: list[Target]
) -> None:
    """Remember that a forward may lead to these, too."""
    accepted = sorted({*subentry.data.get(CONF_ACCEPTED_TARGETS, ()), *(t.value for t in targets)})
    hass.config_entries.async_update_subentry(
        entry, subentry, data={**subentry.data, CONF_ACCEPTED_TARGETS: accepted}
    )


def _name_of(hass: HomeAssistant, settings: ForwardSettings) -> str:
    if settings.device is None:
        return settings.internal_host
    device = dr.async_get(hass).async_get(settings.device, include_child_devices=False)
    return (device and (device.name_by_user or device.name)) or settings.device
