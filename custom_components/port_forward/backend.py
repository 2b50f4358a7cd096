"""What stands behind a config entry: its driver and its ledger."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial

import aiohttp
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_CLOSE
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.aiohttp_client import async_create_clientsession
from homeassistant.helpers.singleton import singleton
from homeassistant.util import dt as dt_util

from .announce import async_announce
from .const import CONF_DRIVER, DOMAIN, LOGGER
from .history import async_history
from .issues import Need, async_tell
from .openings import Keeper, Ledger, LedgerUnreadableError, Opening, Reason
from .routers.errors import RouterError, UnconfirmedRouterError
from .routers.observed import ObservedRouter
from .routers.registry import DRIVERS
from .routers.router import Router


def make_router(hass: HomeAssistant, entry: ConfigEntry, learned: Mapping[str, str]) -> Router:
    """Return the driver of the entry, not yet connected."""
    router = DRIVERS[entry.data[CONF_DRIVER]](async_session(hass), entry.data, learned=learned)
    return ObservedRouter(router, async_history(hass, entry.entry_id).observations)


@singleton(f"{DOMAIN}_session")
@callback
def async_session(hass: HomeAssistant) -> aiohttp.ClientSession:
    """Return the session for all routers.

    It keeps no cookies: those of two accounts of one router would get mixed.
    UPnP speaks no TLS; the drivers that do say for each request whom to trust.
    """
    session = async_create_clientsession(
        hass, verify_ssl=False, auto_cleanup=False, cookie_jar=aiohttp.DummyCookieJar()
    )
    hass.bus.async_listen_once(EVENT_HOMEASSISTANT_CLOSE, lambda _: session.detach())
    return session


async def async_load_ledger(hass: HomeAssistant, entry: ConfigEntry) -> Ledger:
    """Return the ledger of the entry, empty when its file is damaged; the user is told."""
    ledger = Ledger(hass, entry.entry_id)
    try:
        await ledger.load()
    except LedgerUnreadableError as error:
        LOGGER.error("%s", error)
        need = Need(
            key="ledger_unreadable",
            placeholders={"router": entry.title, "path": str(error.kept_as)},
        )
        _tell_for_good(hass, entry, need)
    return ledger


async def async_close_all(hass: HomeAssistant, entry: ConfigEntry, reason: Reason) -> None:
    """Close every opening of the router, whether its entry is loaded or not.

    The caller holds the lock of the entry's set-up: nobody else may have the
    ledger of one that is not loaded.
    Raises RouterError when one could not be closed; it is in the ledger then.
    """
    if entry.state is ConfigEntryState.LOADED:
        keeper = entry.runtime_data.keeper
        try:
            # What waits to be opened would be forgotten on the router that is given up.
            await keeper.close_all(reason, for_good=True)
        except RouterError, HomeAssistantError:
            keeper.go_on()
            raise
        return
    ledger = await async_load_ledger(hass, entry)
    if ledger.openings:
        router = make_router(hass, entry, ledger.learned)
        with suppress(UnconfirmedRouterError):  # It closes what is certainly ours.
            await router.connect()
        keeper = Keeper(
            hass,
            router,
            ledger,
            lease=timedelta(0),
            on_change=lambda _: None,
            on_activity=partial(async_announce, hass, entry.entry_id),
            journal=async_history(hass, entry.entry_id).journal,
        )
        try:
            await keeper.close_all(reason)
        finally:
            # To try again would be to write a ledger that is another keeper's by then.
            await keeper.stop()


async def async_seconds_to_run_out(hass: HomeAssistant, entry: ConfigEntry) -> float | None:
    """Return after how long the router has closed all by itself: 0 when it has, None if never."""
    openings = (await async_load_ledger(hass, entry)).openings.values()
    ends = [opening.lease_until for opening in openings if opening.lease_until]
    if len(ends) < len(openings):
        return None
    now = dt_util.utcnow()
    return max([(end - now).total_seconds() for end in ends] + [0.0])


async def async_begin_anew(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Unload the entry and forget all of its router but lockdown: another one takes its place."""
    await hass.config_entries.async_unload(entry.entry_id)
    ledger = await async_load_ledger(hass, entry)
    for forward_id in ledger.openings:
        # Its lease has run out by now, which closes as well as we would have.
        ir.async_delete_issue(hass, DOMAIN, f"not_closed_{forward_id}")
    await ledger.begin_anew()


def report_left_open(hass: HomeAssistant, entry: ConfigEntry, openings: Iterable[Opening]) -> None:
    """Tell which ports may still be open on a router that nobody watches any more."""
    openings = list(openings)
    for opening in openings:
        # Which says that it is still tried.
        ir.async_delete_issue(hass, DOMAIN, f"not_closed_{opening.forward.id}")
    ports = sorted(
        f"{opening.forward.external_ports} ({opening.forward.name})" for opening in openings
    )
    LOGGER.warning("Could not close on %s: %s", entry.title, ", ".join(ports))
    need = Need(key="left_open", placeholders={"router": entry.title, "ports": ", ".join(ports)})
    _tell_for_good(hass, entry, need)


def _tell_for_good(hass: HomeAssistant, entry: ConfigEntry, need: Need) -> None:
    """Tell of it until the user has seen to it."""
    issue_id = f"{need.key}_{entry.entry_id}"
    async_tell(hass, issue_id, need, severity=ir.IssueSeverity.ERROR, is_persistent=True)
