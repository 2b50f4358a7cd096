"""The coordinator: takes snapshots of one router and tells the entities."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_URL
from homeassistant.core import CALLBACK_TYPE, Context, HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed, HomeAssistantError
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util

from .announce import signal_of
from .automatic.causes import Caused
from .automatic.idle import IdleWatch
from .const import (
    CAUSING_DEVICE,
    CONF_REFRESH_INTERVAL,
    DEFAULT_REFRESH_INTERVAL,
    DOMAIN,
    LOGGER,
)
from .devices.follow import Follower
from .devices.hosts import HOST_WAITS, HostError, async_resolve_hosts, async_router_address
from .devices.look import async_find_all
from .foreign.watch import Foreign
from .forwards import ForwardSettings
from .home import async_home
from .identity import async_keep_identity
from .openings import Activity, Kind, Opening, Phase, Reason
from .pieces import in_pieces
from .reach.internet import InternetWatch
from .reach.probes import Probes
from .routers.errors import AuthenticationFailedError, CertificateError, RouterError
from .routers.model import Forward, RouterInfo, Snapshot
from .runtime import RouterRuntime
from .safety.disabled import async_check_enabled
from .safety.rights import async_check_may_open
from .safety.target import async_check_target

type PortForwardConfigEntry = ConfigEntry[PortForwardCoordinator]


class PortForwardCoordinator(DataUpdateCoordinator[Snapshot]):
    """Keeps a snapshot of one router; commands go through its keeper."""

    config_entry: PortForwardConfigEntry
    info: RouterInfo
    router_address: IPv4Address

    def __init__(
        self, hass: HomeAssistant, entry: PortForwardConfigEntry, runtime: RouterRuntime
    ) -> None:
        """Attach to what there is of the router."""
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
        self.runtime = runtime
        self.router = runtime.router
        self.ledger = runtime.ledger
        self.keeper = runtime.keeper
        self.issues = runtime.issues
        runtime.async_attach(self._async_changed)
        self.foreign = Foreign(hass, entry, self.router, self.keeper)
        # What the router last said that it began with (UPnP); kept over a restart of ours.
        self._boot_id = self.ledger.last_seen.boot_id if self.ledger.last_seen else None
        self.follower = Follower(self)
        self.idle = IdleWatch(self)
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
        await self.keeper.note_alive()
        with self.keeper.look() as look:
            try:
                snapshot = await self.router.snapshot(self.keeper.mappings)
            except RouterError as error:
                self.issues.check_troubles()
                raise _update_failed(error) from error
            if snapshot.boot_id is None:
                snapshot = replace(snapshot, boot_id=self._boot_id)
            barred = await self._async_resolve()
            snapshot = await self.keeper.reconcile(
                look, snapshot, self.forwards, barred, self.follower.following
            )
        # A device may have moved while what follows it was made again.
        self.follower.check()
        await self.idle.async_look()
        await self.foreign.async_look(self.forwards)
        self.async_report()
        self.internet.look(snapshot)
        return self.keeper.view.snapshot or snapshot

    async def _async_resolve(self) -> dict[str, Reason]:
        """Find out where every forward leads now; return those that must not be open, and why."""
        barred: dict[str, Reason] = {}
        forwards: dict[str, Forward | None] = {}
        self.issues.homeless.clear()
        for forward_id, found in (await async_find_all(self)).items():
            if reason := self.follower.judge(forward_id, found):
                barred[forward_id] = reason
            if isinstance(found, Forward):
                forwards[forward_id] = found
            elif found.key == HOST_WAITS:
                forwards[forward_id] = None
            else:
                # A name server that is away for a moment is no reason to move
                # an open port; the next opening will name the trouble.
                forwards[forward_id] = self.forwards.get(forward_id)
                self.issues.homeless[forward_id] = found
        # Without those that the user has deleted. The same mapping, as others look into it.
        for forward_id in self.forwards.keys() - forwards.keys():
            del self.forwards[forward_id]
        self.forwards.update(forwards)
        return barred

    async def async_open(  # noqa: PLR0913  what can be said of an opening
        self,
        forward_id: str,
        *,
        deadline: datetime | None = None,
        limit: IPv4Network | IPv6Network | None = None,
        by: Context | None = None,
        cause: Caused | None = None,
        never_shorter: bool = False,
    ) -> Opening:
        """Open a forward until `deadline`, or for its own *close after*.

        `limit` is who may connect, None for the allowed source of the forward;
        `cause` is what opens it where nobody asks for it. With `never_shorter`,
        what is open for longer stays so; a cause shortens nothing either.
        Raises RouterError and HomeAssistantError.
        """
        settings = self.settings_of(forward_id)
        try:
            async_check_enabled(self.hass, self.config_entry, forward_id)
            await async_check_may_open(self.hass, self.config_entry, forward_id, by)
            forward = await self.async_forward(forward_id, caused_by=cause.host if cause else None)
            if settings.only_while_reachable:
                await self.probes.async_check(forward)
        except HomeAssistantError as error:
            # The keeper tells what the router refuses; this never gets that far.
            if not (cause and cause.was_told):
                self.runtime.async_tell(
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
            never_shorter=never_shorter or cause is not None,
        )
        self.idle.note_asked(forward_id)
        # Its device may have moved while others had their turn.
        self.follower.check()
        return opening

    async def async_open_as_it_was(
        self,
        forward_id: str,
        *,
        deadline: datetime | None,
        limit: IPv4Network | IPv6Network | None,
    ) -> Opening:
        """Open a forward until `deadline`, None for until closed, whatever its own *close after*.

        Raises RouterError and HomeAssistantError.
        """
        async_check_enabled(self.hass, self.config_entry, forward_id)
        forward = await self.async_forward(forward_id)
        opening = await self.keeper.open(forward, deadline=deadline, limit=limit)
        self.idle.note_asked(forward_id)
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
            return settings.forward(forward_id, name, (None, None), async_home(self.hass))
        if settings.internal_host == CAUSING_DEVICE:
            settings = replace(settings, internal_host=str(caused_by or self._open_for(forward_id)))
        subentry = self.config_entry.subentries[forward_id]
        opening = self.keeper.openings.get(forward_id)
        hosts = await async_resolve_hosts(
            self.hass,
            settings,
            self.router_address,
            prefer=opening.forward.hosts if opening else (),
        )
        await async_check_target(self.hass, self.config_entry, subentry, hosts, self.router_address)
        return settings.forward(forward_id, name, hosts, async_home(self.hass))

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
            self.async_report()

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
    def async_report(self) -> None:
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
