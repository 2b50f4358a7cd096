"""The coordinator: takes snapshots of one router and tells the entities."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Final, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_URL
from homeassistant.core import CALLBACK_TYPE, Context, HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed, HomeAssistantError
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util

from .announce import async_announce, signal_of
from .automatic.causes import Caused
from .automatic.idle import IdleWatch
from .const import (
    CAUSING_DEVICE,
    CONF_LEASE,
    CONF_REFRESH_INTERVAL,
    DEFAULT_LEASE,
    DEFAULT_REFRESH_INTERVAL,
    DOMAIN,
    LOGGER,
    SUBENTRY_TYPE_FORWARD,
)
from .devices.follow import Follower
from .devices.hosts import HOST_WAITS, HostError, async_resolve_hosts, async_router_address
from .foreign.watch import Foreign
from .forwards import ForwardSettings
from .history import async_history
from .identity import async_keep_identity
from .issues import Issues
from .openings import Activity, Keeper, Kind, Ledger, Opening, Phase, Reason
from .pieces import in_pieces
from .reach.internet import InternetWatch
from .reach.probes import Probes
from .routers.errors import AuthenticationFailedError, CertificateError, RouterError
from .routers.model import Forward, RouterInfo, Snapshot
from .routers.router import Router
from .safety.rights import async_check_may_open

# Two for each of a thousand openings. More can only happen between a start
# and its entities if something is wrong, and must not fill the memory then.
_MOST_UNTOLD: Final = 2000

type PortForwardConfigEntry = ConfigEntry[PortForwardCoordinator]


class PortForwardCoordinator(DataUpdateCoordinator[Snapshot]):
    """Keeps a snapshot of one router; commands go through its keeper."""

    config_entry: PortForwardConfigEntry
    info: RouterInfo
    router_address: IPv4Address

    def __init__(
        self, hass: HomeAssistant, entry: PortForwardConfigEntry, router: Router, ledger: Ledger
    ) -> None:
        """Take the driver and the loaded ledger of the entry."""
        super().__init__(
            hass,
            LOGGER,
            config_entry=entry,
            name=f"{DOMAIN} {entry.title}",
            update_interval=timedelta(
                seconds=entry.options.get(
                    CONF_REFRESH_INTERVAL, DEFAULT_REFRESH_INTERVAL.total_seconds()
                )
            ),
        )
        self.router = router
        self.ledger = ledger
        self.keeper = Keeper(
            hass,
            router,
            ledger,
            lease=timedelta(seconds=entry.options.get(CONF_LEASE, DEFAULT_LEASE.total_seconds())),
            on_change=self._async_changed,
            on_activity=self._async_tell,
            journal=async_history(hass, entry.entry_id).journal,
        )
        self.foreign = Foreign(hass, entry, router, self.keeper)
        # What happened before there were entities to show it: at start, the
        # openings are brought in order first. None once there are.
        self._untold: deque[Activity] | None = deque(maxlen=_MOST_UNTOLD)
        # What the router last said that it began with (UPnP); kept over a restart of ours.
        self._boot_id = ledger.last_seen.boot_id if ledger.last_seen else None
        self.follower = Follower(self)
        self.idle = IdleWatch(self)
        self.issues = Issues(hass, entry)
        self._showing: asyncio.Task[None] | None = None
        # Every forward of the user; None while its host does not resolve.
        self.forwards: dict[str, Forward | None] = {}
        self.internet = InternetWatch(self)
        self.probes = Probes(self)

    @override
    async def _async_setup(self) -> None:
        """Find out who the router is."""
        try:
            self.router_address = await async_router_address(
                self.hass, self.config_entry.data[CONF_URL]
            )
            self.info = await self.router.connect()
            await async_keep_identity(
                self.hass, self.config_entry, self.router, self.ledger, self.info
            )
        except RouterError as error:
            self.issues.check_troubles()
            raise _update_failed(error) from error
        except HostError as error:
            raise UpdateFailed(
                translation_domain=DOMAIN,
                translation_key=error.key,
                translation_placeholders=error.placeholders,
            ) from error

    @override
    async def _async_update_data(self) -> Snapshot:
        """Take a snapshot and let the keeper bring the openings in order."""
        changes = self.keeper.view.changes
        try:
            snapshot = await self.router.snapshot(self.keeper.mappings)
        except RouterError as error:
            self.issues.check_troubles()
            raise _update_failed(error) from error
        if snapshot.boot_id is None:
            snapshot = replace(snapshot, boot_id=self._boot_id)
        barred: dict[str, Reason] = {}
        self.issues.homeless.clear()
        forwards = tuple(self.config_entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD))
        async for subentry in in_pieces(forwards):
            try:
                self.forwards[subentry.subentry_id] = await self.async_forward(subentry.subentry_id)
            except HostError as error:
                if error.key == HOST_WAITS:
                    self.forwards[subentry.subentry_id] = None
                    continue
                # A name server that is away for a moment is no reason to move
                # an open port; the next opening will name the trouble.
                self.forwards.setdefault(subentry.subentry_id, None)
                self.issues.homeless[subentry.subentry_id] = error
                if reason := self.follower.why_not(subentry.subentry_id, error):
                    barred[subentry.subentry_id] = reason
        snapshot = await self.keeper.reconcile(
            snapshot, changes, self.forwards, barred, self.follower.devices
        )
        # A device may have moved while what follows it was made again.
        self.follower.check()
        await self.idle.async_look()
        await self.foreign.async_look(self.forwards)
        self._async_report()
        self.internet.look(snapshot)
        return self.keeper.view.snapshot or snapshot

    async def async_open(
        self,
        forward_id: str,
        *,
        deadline: datetime | None = None,
        limit: IPv4Network | IPv6Network | None = None,
        by: Context | None = None,
        cause: Caused | None = None,
    ) -> Opening:
        """Open a forward until `deadline`, or for its own *close after*.

        `limit` is who may connect, None for the allowed source of the forward;
        `cause` is what opens it where nobody asks for it.
        Raises RouterError and HomeAssistantError.
        """
        settings = self.settings_of(forward_id)
        try:
            await async_check_may_open(self.hass, self.config_entry, forward_id, by)
            forward = await self.async_forward(forward_id, caused_by=cause.host if cause else None)
            if settings.only_while_reachable:
                await self.probes.async_check(forward)
        except HomeAssistantError as error:
            # The keeper tells what the router refuses; this never gets that far.
            if not (cause and cause.was_told):
                self._async_tell(
                    Activity(
                        kind=Kind.OPEN_FAILED,
                        forward_id=forward_id,
                        name=self.config_entry.subentries[forward_id].title,
                        at=dt_util.utcnow(),
                        context=by,
                        error=str(error),
                    )
                )
            raise
        if deadline is None and settings.close_after:
            deadline = dt_util.utcnow() + settings.close_after
        opening = await self.keeper.open(
            forward,
            deadline=deadline,
            limit=limit,
            reason=Reason.TRIGGERED if cause else None,
            by=by,
            quiet=cause is not None and cause.was_told,
        )
        self.idle.note_asked(forward_id)
        # Its device may have moved while others had their turn.
        self.follower.check()
        return opening

    async def async_close(self, forward_id: str, *, by: Context | None = None) -> None:
        """Close a forward; raises RouterError and HomeAssistantError."""
        await self.keeper.close(forward_id, self.forwards.get(forward_id), by=by)

    async def async_forward(
        self, forward_id: str, *, caused_by: IPv4Address | None = None
    ) -> Forward:
        """Return the forward with its host resolved now; raises HostError.

        One that leads to the device that causes it leads to `caused_by`, or to
        the one for which it is open.
        """
        settings = self.settings_of(forward_id)
        name = self.config_entry.subentries[forward_id].title
        if settings.adopted:
            # Where it leads is the rule's own affair.
            return settings.forward(forward_id, name, (None, None))
        if settings.internal_host == CAUSING_DEVICE:
            settings = replace(settings, internal_host=str(caused_by or self._open_for(forward_id)))
        hosts = await async_resolve_hosts(self.hass, settings, self.router_address)
        return settings.forward(forward_id, name, hosts)

    def _open_for(self, forward_id: str) -> IPv4Address:
        """Return the device for which a forward is open; raises HostError when it is not."""
        opening = self.keeper.openings.get(forward_id)
        if opening and opening.phase is not Phase.CLOSING and opening.forward.internal_host:
            return opening.forward.internal_host
        raise HostError(HOST_WAITS)

    def settings_of(self, forward_id: str) -> ForwardSettings:
        """Return what the user has set of a forward."""
        return ForwardSettings.from_input(self.config_entry.subentries[forward_id].data)

    @callback
    def note_boot_id(self, boot_id: str | None) -> bool:
        """Take what the router announced; tell whether it is new (UDA 1.1 section 1.2).

        The first one is, too: the next look has to hold it, or the one after
        the restart would have nothing to be compared with.
        """
        if boot_id is None or boot_id == self._boot_id:
            return False
        self._boot_id = boot_id
        return True

    @callback
    def async_is_open(self, forward_id: str) -> bool:
        """Tell whether the router holds a mapping of this forward now."""
        return self.keeper.is_open(forward_id, self.forwards.get(forward_id))

    @callback
    def _async_changed(self, forward_ids: Collection[str]) -> None:
        """Show what a command has changed of these forwards; polling goes on as planned.

        The entities of all others would write the state that they have: with
        many forwards, most of the time that a command takes.
        """
        if self.keeper.view.snapshot is not None:
            self.data = self.keeper.view.snapshot
            for update, forward_id in list(self._listeners.values()):
                if forward_id is None or forward_id in forward_ids:
                    update()
            self._async_report()

    @callback
    @override
    def async_update_listeners(self) -> None:
        """Let the entities show what a look has found, many of them in pieces."""
        if self._showing:
            self._showing.cancel()
        # Eager: with few of them, all is shown when this returns.
        self._showing = self.config_entry.async_create_task(
            self.hass, self._async_show(), f"show {self.name}"
        )

    async def _async_show(self) -> None:
        async for listener_id in in_pieces(tuple(self._listeners)):
            if listener_id in self._listeners:  # It may have gone meanwhile.
                update, _ = self._listeners[listener_id]
                try:
                    update()
                except Exception:  # noqa: BLE001  as the base class has it: one is not the others
                    LOGGER.exception("Could not show %s", self.name)

    @callback
    def async_listen(
        self, listener: Callable[[Activity], None], forward_id: str | None = None
    ) -> CALLBACK_TYPE:
        """Tell `listener` of all that happens to a forward, or to any; returns what ends it."""
        signal = signal_of(forward_id or self.config_entry.entry_id)
        return async_dispatcher_connect(self.hass, signal, listener)

    @callback
    def async_tell_untold(self) -> None:
        """Tell what happened before there were entities; from now on it is told at once."""
        untold, self._untold = self._untold, None
        for activity in untold or ():
            async_announce(self.hass, self.config_entry.entry_id, activity)

    @callback
    def _async_tell(self, activity: Activity) -> None:
        self.issues.on_activity(activity)
        if self._untold is None:
            async_announce(self.hass, self.config_entry.entry_id, activity)
        else:
            self._untold.append(activity)

    @callback
    def _async_report(self) -> None:
        """Tell of what needs the user."""
        self.issues.after_a_look(self.keeper, self.ledger, self.router.capabilities, self.forwards)


def _update_failed(error: RouterError) -> ConfigEntryAuthFailed | UpdateFailed:
    """Map the drivers' errors for reads; `entity.py` has the one for writes."""
    # Only the user can help: the router would lock out whoever goes on trying.
    needs_user = isinstance(error, AuthenticationFailedError | CertificateError)
    return (ConfigEntryAuthFailed if needs_user else UpdateFailed)(
        translation_domain=DOMAIN,
        translation_key=error.translation_key,
        translation_placeholders=error.placeholders,
    )
