"""Port Forward: every port forward of the home router is a switch."""

from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr

from .backend import async_close_all, async_load_ledger, make_router, report_left_open
from .coordinator import PortForwardConfigEntry, PortForwardCoordinator
from .entity import router_device_info
from .openings import Ledger, Reason
from .routers.errors import RouterError

PLATFORMS = (Platform.SENSOR, Platform.SWITCH)


async def async_setup_entry(hass: HomeAssistant, entry: PortForwardConfigEntry) -> bool:
    """Set up a router."""
    ledger = await async_load_ledger(hass, entry)
    coordinator = PortForwardCoordinator(
        hass, entry, make_router(hass, entry, ledger.learned), ledger
    )
    await coordinator.async_config_entry_first_refresh()
    entry.runtime_data = coordinator
    # Before the platforms: the devices of the forwards name it as their hub.
    dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, **router_device_info(coordinator)
    )
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    entry.async_on_unload(entry.add_update_listener(_async_reload))
    return True


async def async_unload_entry(hass: HomeAssistant, entry: PortForwardConfigEntry) -> bool:
    """Unload a router. A reload leaves its mappings alone, disabling closes them."""
    if not await hass.config_entries.async_unload_platforms(entry, PLATFORMS):
        return False
    keeper = entry.runtime_data.keeper
    if entry.disabled_by is not None:
        try:
            await keeper.close_all(Reason.ROUTER_DISABLED)
        except RouterError:
            # The ledger keeps them for the day on which the entry is enabled.
            report_left_open(hass, entry, keeper.openings.values())
    await keeper.stop()
    return True


async def async_remove_entry(hass: HomeAssistant, entry: PortForwardConfigEntry) -> None:
    """Close what a router that is being deleted still has open."""
    ledger = await async_load_ledger(hass, entry)
    try:
        await async_close_all(hass, entry, Reason.ROUTER_DELETED)
    except RouterError:
        # The entry is gone after this: only the user can still close them.
        report_left_open(hass, entry, ledger.openings.values())
    await Ledger(hass, entry.entry_id).remove()


async def _async_reload(hass: HomeAssistant, entry: PortForwardConfigEntry) -> None:
    """Reload after any change: the keeper closes what is deleted and moves what was edited."""
    hass.config_entries.async_schedule_reload(entry.entry_id)
