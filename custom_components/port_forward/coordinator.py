"""The coordinator: takes snapshots of one router and tells the entities."""

from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv4Address
from typing import override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_URL
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed

from .const import (
    CONF_LEASE,
    CONF_REFRESH_INTERVAL,
    DEFAULT_LEASE,
    DEFAULT_REFRESH_INTERVAL,
    DOMAIN,
    LOGGER,
    SUBENTRY_TYPE_FORWARD,
)
from .forwards import ForwardSettings
from .hosts import HostError, async_resolve_host, async_router_address
from .openings import Activity, Keeper, Ledger
from .routers.errors import RouterError
from .routers.model import Forward, Leases, RouterInfo, Snapshot
from .routers.router import Router

type PortForwardConfigEntry = ConfigEntry[PortForwardCoordinator]


class PortForwardCoordinator(DataUpdateCoordinator[Snapshot]):
    """Keeps a snapshot of one router; commands go through its keeper."""

    config_entry: PortForwardConfigEntry
    info: RouterInfo
    _router_address: IPv4Address

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
        self.keeper = Keeper(
            hass,
            router,
            ledger,
            lease=timedelta(seconds=entry.options.get(CONF_LEASE, DEFAULT_LEASE.total_seconds())),
            on_change=self._async_changed,
            on_activity=self._async_tell,
        )
        self._activity_listeners: list[Callable[[Activity], None]] = []
        # What happened before anybody listened: at start, the openings are
        # brought in order before there are entities.
        self._untold: list[Activity] = []
        # Every forward of the user; None while its host does not resolve.
        self.forwards: dict[str, Forward | None] = {}

    @override
    async def _async_setup(self) -> None:
        """Find out who the router is."""
        try:
            self._router_address = await async_router_address(
                self.hass, self.config_entry.data[CONF_URL]
            )
            self.info = await self.router.connect()
        except RouterError as error:
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
            snapshot = await self.router.snapshot()
        except RouterError as error:
            raise _update_failed(error) from error
        for subentry in self.config_entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD):
            try:
                self.forwards[subentry.subentry_id] = await self.async_forward(subentry.subentry_id)
            except HostError:
                # A name server that is away for a moment is no reason to move
                # an open port; the next opening will name the trouble.
                self.forwards.setdefault(subentry.subentry_id, None)
        snapshot = await self.keeper.reconcile(snapshot, changes, self.forwards)
        self._async_report_leases()
        return snapshot

    async def async_forward(self, forward_id: str) -> Forward:
        """Return the forward with its host resolved now; raises HostError."""
        subentry = self.config_entry.subentries[forward_id]
        settings = ForwardSettings.from_input(subentry.data)
        host = await async_resolve_host(self.hass, settings.internal_host, self._router_address)
        return settings.forward(forward_id, subentry.title, host)

    @callback
    def async_is_open(self, forward_id: str) -> bool:
        """Tell whether the router holds a mapping of this forward now."""
        return self.keeper.is_open(forward_id, self.forwards.get(forward_id))

    @callback
    def _async_changed(self) -> None:
        """Show what a command has changed; polling goes on as planned."""
        if self.keeper.view.snapshot is not None:
            self.data = self.keeper.view.snapshot
            self.async_update_listeners()
            self._async_report_leases()

    @callback
    def async_listen(self, listener: Callable[[Activity], None]) -> CALLBACK_TYPE:
        """Tell `listener` of all that happens to a forward; returns what ends it."""
        self._activity_listeners.append(listener)
        return lambda: self._activity_listeners.remove(listener)

    @callback
    def async_tell_untold(self) -> None:
        """Tell what happened before there was anybody to tell."""
        untold, self._untold = self._untold, []
        for activity in untold:
            self._async_tell(activity)

    @callback
    def _async_tell(self, activity: Activity) -> None:
        if not self._activity_listeners:
            self._untold.append(activity)
            return
        for listener in list(self._activity_listeners):
            listener(activity)

    @callback
    def _async_report_leases(self) -> None:
        """Tell the user of a router that keeps ports open when Home Assistant is gone."""
        issue_id = f"router_does_not_close_{self.config_entry.entry_id}"
        if self.router.capabilities.leases in (Leases.IGNORED, Leases.PERMANENT_ONLY):
            ir.async_create_issue(
                self.hass,
                DOMAIN,
                issue_id,
                is_fixable=False,
                severity=ir.IssueSeverity.WARNING,
                translation_key="router_does_not_close",
                translation_placeholders={"router": self.config_entry.title},
            )
        else:
            ir.async_delete_issue(self.hass, DOMAIN, issue_id)


def _update_failed(error: RouterError) -> UpdateFailed:
    """Map the drivers' errors for reads; `entity.py` has the one for writes."""
    return UpdateFailed(
        translation_domain=DOMAIN,
        translation_key=error.translation_key,
        translation_placeholders=error.placeholders,
    )
