"""What there is of a router as long as it has a config entry, whatever state that is in.

A port that is open has to close while its entry is set up, waits to be tried
again, has failed, is disabled or is being deleted. So its ledger, its driver and
its keeper are here from the start of Home Assistant on. Setting up an entry
attaches a coordinator and entities to them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Final

import aiohttp
from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    ConfigEntry,
    ConfigEntryChange,
    ConfigEntryState,
)
from homeassistant.const import EVENT_HOMEASSISTANT_CLOSE
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.aiohttp_client import async_create_clientsession
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.singleton import singleton
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .announce import async_announce, async_show
from .const import CONF_DRIVER, CONF_LEASE, DEFAULT_LEASE, DOMAIN, LOGGER
from .history import async_history
from .issues import Issues, Need, async_tell, async_withdraw_questions
from .openings import (
    Activity,
    Keeper,
    Kind,
    Ledger,
    LedgerTooNewError,
    LedgerUnreadableError,
    Reason,
)
from .routers.errors import RouterError
from .routers.observed import ObservedRouter
from .routers.registry import DRIVERS
from .routers.router import Router

# Two for each of a thousand openings. More can only happen without entities
# if something is wrong, and must not fill the memory then.
MOST_UNTOLD: Final = 2000

_RUNNING: Final = (ConfigEntryState.LOADED, ConfigEntryState.SETUP_RETRY)


class RouterRuntime:
    """The ledger, the driver and the keeper of one router, and what they tell."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry, ledger: Ledger) -> None:
        """Take the entry and its loaded ledger."""
        history = async_history(hass, entry.entry_id)
        self.entry = entry
        self.ledger = ledger
        self.issues = Issues(hass, entry)
        self.router = ObservedRouter(
            make_router(hass, entry, ledger.learned), history.observations, history.patience
        )
        self.keeper = Keeper(
            hass,
            self.router,
            ledger,
            lease=lease_of(entry),
            exists=lambda forward_id: forward_id in entry.subentries,
            on_change=lambda forward_ids: self._on_change(forward_ids),  # noqa: PLW0108  replaced
            on_activity=self.async_tell,
            on_doubt=self.issues.ask_to_reopen,
            journal=history.journal,
        )
        self._hass = hass
        self._patience = history.patience
        self._note_credentials()
        self._on_change: Callable[[Collection[str]], None] = lambda _: None
        # What happened while there were no entities to show it. None while there are.
        self._untold: deque[Activity] | None = deque(maxlen=MOST_UNTOLD)
        self._giving_up: asyncio.Task[None] | None = None
        self._given_up: Reason | None = None

    @callback
    def async_begin(self) -> None:
        """Close what has to be closed from now on."""
        self.keeper.begin()
        self.async_check_entry()

    @callback
    def async_attach(self, on_change: Callable[[Collection[str]], None]) -> None:
        """Begin to set up the entry: what commands change is told `on_change` from now on.

        What was set of the entry may be new, so the router is spoken to by a new driver.
        """
        self._on_change = on_change
        self._given_up = None
        self._note_credentials()
        self.router.replace(make_router(self._hass, self.entry, self.ledger.learned))
        self.keeper.lease = lease_of(self.entry)
        self.keeper.go_on()

    def _note_credentials(self) -> None:
        credentials = hash(repr(sorted(self.entry.data.items())))
        self._patience.begin(credentials, self._ask_to_log_in)

    @callback
    def _ask_to_log_in(self) -> None:
        """Let the user log in again, whatever it was that the router refused.

        At a set-up Home Assistant does so by itself, and of a router that is
        being deleted or disabled nobody wants to be asked.
        """
        if self.entry.disabled_by is None and self.entry.state in _RUNNING:
            self.entry.async_start_reauth(self._hass)

    @callback
    def async_show(self) -> None:
        """Tell the entities, which are there now, what happened before they were."""
        untold, self._untold = self._untold, None
        for activity in untold or ():
            async_show(self._hass, self.entry.entry_id, activity)

    @callback
    def async_hide(self) -> None:
        """Keep what happens from now on for the next entities: these are gone."""
        self._on_change = lambda _: None
        if self._untold is None:
            self._untold = deque(maxlen=MOST_UNTOLD)

    @callback
    def async_tell(self, activity: Activity) -> None:
        """Tell of what happened to a forward."""
        self.issues.on_activity(activity)
        if activity.kind is Kind.CLOSED and self._given_up and not self._others(activity):
            # What was left is closed after all.
            ir.async_delete_issue(self._hass, DOMAIN, f"left_open_{self.entry.entry_id}")
        if self._untold is None:
            async_show(self._hass, self.entry.entry_id, activity)
        else:
            self._untold.append(activity)
        async_announce(self._hass, self.entry.entry_id, activity)

    def _others(self, activity: Activity) -> set[str]:
        """Return the forwards that are open besides the one that this is about."""
        return self.ledger.openings.keys() - {activity.forward_id}

    @callback
    def async_check_entry(self) -> None:
        """Close what must not be open any more, as the entry is now."""
        async_withdraw_questions(self._hass, self.entry, kept=self.entry.subentries)
        if self.entry.disabled_by is None:
            self.keeper.close_deleted()
        elif self._given_up is None:
            self._async_begin_to_give_up(Reason.ROUTER_DISABLED)

    async def async_give_up(self, reason: Reason) -> None:
        """Close all, and open nothing until the entry is set up again.

        What cannot be closed is told, and tried for as long as Home Assistant runs.
        """
        if self._given_up is not reason:
            self._async_begin_to_give_up(reason)
        if self._giving_up:
            await asyncio.shield(self._giving_up)

    @callback
    def _async_begin_to_give_up(self, reason: Reason) -> None:
        self._given_up = reason
        self._giving_up = self._hass.async_create_task(
            self._async_close_for_good(reason), f"{DOMAIN} give up {self.entry.title}"
        )

    async def _async_close_for_good(self, reason: Reason) -> None:
        try:
            await self.keeper.close_all(reason, for_good=True)
        except RouterError:
            self._report_left_open()
        except HomeAssistantError as error:
            LOGGER.error("Closed all on %s, but could not note it: %s", self.entry.title, error)

    def _report_left_open(self) -> None:
        """Tell which ports may still be open on a router that nobody watches any more."""
        openings = self.ledger.openings.values()
        self.issues.withdraw_unclosed()  # This says more, and outlives a restart.
        ports = ", ".join(
            sorted(f"{row.forward.external_ports} ({row.forward.name})" for row in openings)
        )
        LOGGER.warning("Could not close on %s: %s", self.entry.title, ports)
        need = Need(key="left_open", placeholders={"router": self.entry.title, "ports": ports})
        _tell_for_good(self._hass, self.entry, need)

    async def async_close_all(self, reason: Reason) -> None:
        """Close every opening, as ports will be opened elsewhere from now on.

        Raises RouterError and HomeAssistantError when one could not be closed;
        then the router is kept.
        """
        try:
            # What waits to be opened would be forgotten on the router that is left.
            await self.keeper.close_all(reason, for_good=True)
        except RouterError, HomeAssistantError:
            self.keeper.go_on()
            raise

    def seconds_to_run_out(self) -> float | None:
        """Return when the router has closed all by itself: 0 when it has, None if never."""
        openings = self.ledger.openings.values()
        ends = [opening.lease_until for opening in openings if opening.lease_until]
        if len(ends) < len(openings):
            return None
        now = dt_util.utcnow()
        return max([(end - now).total_seconds() for end in ends] + [0.0])

    async def async_forget_router(self) -> None:
        """Forget all of the router but lockdown: another one takes its place."""
        # All leases have run out by now, which closes as well as we would have.
        self.issues.withdraw_unclosed()
        await self.keeper.forget_router()


RUNTIMES: Final = HassKey[dict[str, asyncio.Future[RouterRuntime]]](f"{DOMAIN}_runtimes")


async def async_setup_runtimes(hass: HomeAssistant) -> None:
    """Begin to close what is open on every router, and learn what becomes of their entries."""

    @callback
    def on_entry(change: ConfigEntryChange, entry: ConfigEntry) -> None:
        if change is ConfigEntryChange.UPDATED and (runtime := runtime_of(hass, entry.entry_id)):
            runtime.async_check_entry()

    async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, on_entry)
    await async_load_runtimes(hass)


async def async_load_runtimes(hass: HomeAssistant) -> None:
    """Read what is open on every router, and begin to close it when its time is up."""
    for entry in hass.config_entries.async_entries(DOMAIN, include_ignore=False):
        try:
            await async_get_runtime(hass, entry)
        except (LedgerTooNewError, KeyError) as error:
            # Told when the entry is set up.
            LOGGER.debug("Nothing can be closed on %s: %s", entry.title, error)


async def async_get_runtime(hass: HomeAssistant, entry: ConfigEntry) -> RouterRuntime:
    """Return what there is of the router of this entry: one, ever.

    Raises LedgerTooNewError.
    """
    runtimes = hass.data.setdefault(RUNTIMES, {})
    if (found := runtimes.get(entry.entry_id)) is not None:
        return await asyncio.shield(found)
    future = runtimes[entry.entry_id] = hass.loop.create_future()
    try:
        runtime = RouterRuntime(hass, entry, await _async_load_ledger(hass, entry))
    except BaseException as error:
        del runtimes[entry.entry_id]
        if not future.cancelled():
            future.set_exception(error)
            future.exception()  # It is raised here; nobody else may be waiting.
        raise
    future.set_result(runtime)
    runtime.async_begin()
    return runtime


@callback
def runtime_of(hass: HomeAssistant, entry_id: str) -> RouterRuntime | None:
    """Return what there is of a router, None where nothing is yet."""
    future = hass.data.get(RUNTIMES, {}).get(entry_id)
    return future.result() if future and future.done() and not future.cancelled() else None


@callback
def async_runtimes(hass: HomeAssistant) -> list[RouterRuntime]:
    """Return what there is of every router."""
    found = (runtime_of(hass, entry_id) for entry_id in hass.data.get(RUNTIMES, {}))
    return list(filter(None, found))


async def async_remove_runtime(hass: HomeAssistant, entry: ConfigEntry) -> frozenset[str]:
    """Close what is open on a router that is being deleted, and return what that was of.

    What cannot be closed is told, and tried for as long as Home Assistant runs.
    """
    # Left when the entry was disabled; it is tried once more, and told again.
    ir.async_delete_issue(hass, DOMAIN, f"left_open_{entry.entry_id}")
    ledger = Ledger(hass, entry.entry_id)
    forward_ids: frozenset[str] = frozenset()
    try:
        runtime = await async_get_runtime(hass, entry)
    except LedgerTooNewError as error:
        LOGGER.warning("Nothing could be closed on %s: %s", entry.title, error)
    else:
        ledger = runtime.ledger
        forward_ids = frozenset(ledger.openings)
        await runtime.async_give_up(Reason.ROUTER_DELETED)
        del hass.data[RUNTIMES][entry.entry_id]
    await ledger.remove()
    ir.async_delete_issue(hass, DOMAIN, f"ledger_unreadable_{entry.entry_id}")
    return forward_ids


def lease_of(entry: ConfigEntry) -> timedelta:
    """Return the lease that the user wants each opening to be asked for with."""
    return timedelta(seconds=entry.options.get(CONF_LEASE, DEFAULT_LEASE.total_seconds()))


def make_router(hass: HomeAssistant, entry: ConfigEntry, learned: Mapping[str, str]) -> Router:
    """Return the driver of the entry, not yet connected."""
    return DRIVERS[entry.data[CONF_DRIVER]](async_session(hass), entry.data, learned=learned)


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


async def _async_load_ledger(hass: HomeAssistant, entry: ConfigEntry) -> Ledger:
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


def _tell_for_good(hass: HomeAssistant, entry: ConfigEntry, need: Need) -> None:
    """Tell of it until the user has seen to it."""
    issue_id = f"{need.key}_{entry.entry_id}"
    async_tell(hass, issue_id, need, severity=ir.IssueSeverity.ERROR, is_persistent=True)
