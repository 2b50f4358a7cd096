"""Port Forward: every port forward of the home router is a switch."""

from functools import partial

from homeassistant.const import EVENT_HOMEASSISTANT_STOP, Platform
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import ConfigEntryError, HomeAssistantError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.typing import ConfigType

from .automatic import triggering
from .automatic.traffic import async_withdraw_hidden
from .const import CONF_CLOSE_ON_STOP, DOMAIN, LOGGER
from .coordinator import PortForwardConfigEntry, PortForwardCoordinator
from .devices.lan import async_get_lan
from .entity import router_device_info
from .foreign.watch import async_forget_foreign
from .history import async_forget
from .home import async_setup_home
from .issues import async_withdraw_issues
from .news import async_listen_for_news
from .noting import async_is_noting
from .openings import LedgerTooNewError, Reason
from .reach.internet import async_take_back
from .routers.errors import RouterError
from .runtime import async_get_runtime, async_remove_runtime, async_setup_runtimes
from .services import async_setup_services

PLATFORMS = (
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.EVENT,
    Platform.SENSOR,
    Platform.SWITCH,
)
CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Set up the actions, and begin to close what is due, whatever becomes of the entries."""
    await async_setup_home(hass)
    async_setup_services(hass)
    async_get_lan(hass)
    await async_setup_runtimes(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: PortForwardConfigEntry) -> bool:
    """Set up a router."""
    # First of all: what is changed while this goes on counts, too.
    entry.async_on_unload(entry.add_update_listener(_async_reload))
    try:
        runtime = await async_get_runtime(hass, entry)
    except LedgerTooNewError as error:
        raise ConfigEntryError(
            translation_domain=DOMAIN,
            translation_key=error.translation_key,
            translation_placeholders=error.translation_placeholders,
        ) from error
    coordinator = PortForwardCoordinator(hass, entry, runtime)
    await coordinator.async_config_entry_first_refresh()
    entry.runtime_data = coordinator
    # Left when the entry was disabled; now they are watched again.
    ir.async_delete_issue(hass, DOMAIN, f"left_open_{entry.entry_id}")
    # Before the platforms: the devices of the forwards name it as their hub.
    dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, **router_device_info(coordinator)
    )
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    runtime.async_show()
    coordinator.foreign.teller.async_tell_untold()
    coordinator.probes.async_start()
    await async_listen_for_news(entry)
    coordinator.follower.async_listen()
    await triggering.async_start(coordinator)
    if entry.options.get(CONF_CLOSE_ON_STOP):
        entry.async_on_unload(
            hass.bus.async_listen_once(
                EVENT_HOMEASSISTANT_STOP, partial(_async_close_at_stop, coordinator)
            )
        )
    return True


async def async_unload_entry(hass: HomeAssistant, entry: PortForwardConfigEntry) -> bool:
    """Unload a router. A reload leaves its mappings alone, disabling closes them."""
    if not await hass.config_entries.async_unload_platforms(entry, PLATFORMS):
        return False
    runtime = entry.runtime_data.runtime
    runtime.async_hide()
    if entry.disabled_by is not None:
        async_take_back(hass, entry.entry_id)
        entry.runtime_data.foreign.async_stop_asking()
        await runtime.async_give_up(Reason.ROUTER_DISABLED)
        async_withdraw_issues(hass, entry, ())
        async_withdraw_hidden(hass, entry.entry_id)
    return True


async def async_remove_entry(hass: HomeAssistant, entry: PortForwardConfigEntry) -> None:
    """Close what a router that is being deleted still has open, and forget it."""
    forward_ids = await async_remove_runtime(hass, entry)
    await async_forget_foreign(hass, entry)
    await triggering.async_forget(hass, entry.entry_id)
    async_take_back(hass, entry.entry_id)
    # Of forwards that were deleted before, too.
    async_withdraw_issues(hass, entry, forward_ids)
    async_forget(hass, entry.entry_id)


async def _async_close_at_stop(coordinator: PortForwardCoordinator, _event: Event) -> None:
    """Close everything while there is still time; the lease ends what cannot be closed."""
    try:
        await coordinator.keeper.close_all(Reason.HOME_ASSISTANT_STOPPED, for_good=True)
    except (RouterError, HomeAssistantError) as error:
        LOGGER.warning("Could not close all forwards before stopping: %s", error)


async def _async_reload(hass: HomeAssistant, entry: PortForwardConfigEntry) -> None:
    """Reload after any change of the user's: what is deleted closes, and what was edited moves."""
    if not async_is_noting():
        hass.config_entries.async_schedule_reload(entry.entry_id)
