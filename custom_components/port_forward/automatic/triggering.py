"""Opens forwards by what happens in the home, and keeps them open as long as it does.

Nothing closes them but their deadline, which is moved ahead again and again:
so the router closes them in time even if Home Assistant is gone.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.event import async_track_state_change_event, async_track_time_interval
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util

from ..const import DOMAIN, LOGGER, SUBENTRY_TYPE_FORWARD
from ..openings import Activity, GivenUpError, Kind, Opening, Reason
from ..routers.errors import RouterError
from ..safety.disabled import async_is_disabled
from .causes import Cause, Caused, Traffic, cause_of, is_active
from .failing import Failing
from .traffic import HomeTraffic, async_withdraw_hidden

if TYPE_CHECKING:
    from ..coordinator import PortForwardConfigEntry, PortForwardCoordinator

_EVERY: Final = timedelta(seconds=10)
# Nobody has decided against these forwards: whatever opened them may do so again.
_MAY_REOPEN: Final = frozenset(
    (
        Reason.TIME_UP,
        Reason.FORWARD_EDITED,
        Reason.HOME_ASSISTANT_STOPPED,
        Reason.ROUTER_DISABLED,
    )
)


@dataclass(kw_only=True, slots=True)
class _Watched:
    """A forward that opens by itself.

    `active` is whether its cause was there when it was last known, None
    before that. One that is `blocked` was closed while its cause was there:
    it opens no more until that has ended once.
    """

    cause: Cause
    active: bool | None = None
    blocked: bool = False
    failing: Failing


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What a look shows of a cause.

    `active`: it is there and for the host that the forward leads to. `ended`:
    it is not there for anybody. `host` is who causes it, None where the forward
    knows by itself where it leads.
    """

    active: bool
    ended: bool
    host: IPv4Address | None = None


async def async_start(coordinator: PortForwardCoordinator) -> None:
    """Watch what opens the forwards of a router, as long as its entry is loaded."""
    entry = coordinator.config_entry
    causes = {
        subentry.subentry_id: cause
        for subentry in entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD)
        if (cause := cause_of(subentry.data))
    }
    if not any(cause.traffic for cause in causes.values()):
        async_withdraw_hidden(coordinator.hass, entry.entry_id)
    if causes:
        await _Triggering(coordinator, causes).async_start()


async def async_forget(hass: HomeAssistant, entry_id: str) -> None:
    """Forget all of a router that is deleted."""
    async_withdraw_hidden(hass, entry_id)
    await _store(hass, entry_id).async_remove()


class _Triggering:
    """Watches the causes of the forwards of one router."""

    def __init__(self, coordinator: PortForwardCoordinator, causes: dict[str, Cause]) -> None:
        self._coordinator = coordinator
        self._hass = coordinator.hass
        self._entry: PortForwardConfigEntry = coordinator.config_entry
        self._watched = {
            forward_id: _Watched(cause=cause, failing=Failing())
            for forward_id, cause in causes.items()
        }
        self._store = _store(self._hass, self._entry.entry_id)
        self._traffic = HomeTraffic(coordinator)
        self._lock = asyncio.Lock()

    async def async_start(self) -> None:
        """Look from now on, until the entry is unloaded."""
        stored = await self._store.async_load() or {}
        for forward_id in stored.get("blocked", ()):
            if watched := self._watched.get(forward_id):
                watched.blocked = True
        shortest = min(watched.cause.linger for watched in self._watched.values())
        every = min(_EVERY, shortest / 4)
        on_unload = self._entry.async_on_unload
        on_unload(self._coordinator.async_listen(self._on_activity))
        on_unload(
            async_track_time_interval(
                self._hass, self._on_time, every, name="port triggering", cancel_on_shutdown=True
            )
        )
        entities = [w.cause.entity_id for w in self._watched.values() if w.cause.entity_id]
        if entities:
            on_unload(async_track_state_change_event(self._hass, entities, self._on_state))
        self._on_time(dt_util.utcnow())

    @callback
    def _on_time(self, _now: datetime) -> None:
        if not self._lock.locked():
            self._look(ask_router=True)

    @callback
    def _on_state(self, _event: Event[EventStateChangedData]) -> None:
        self._look(ask_router=False)

    def _look(self, *, ask_router: bool) -> None:
        self._entry.async_create_background_task(
            self._hass, self._async_look(ask_router=ask_router), "port triggering"
        )

    async def _async_look(self, *, ask_router: bool) -> None:
        """Look at all causes, and do what they are for."""
        async with self._lock:
            by_traffic = [w.cause.traffic for w in self._watched.values() if w.cause.traffic]
            asked = ask_router and bool(by_traffic)
            sources = await self._traffic.async_sources(by_traffic) if asked else None
            for forward_id, watched in self._watched.items():
                traffic = watched.cause.traffic
                if traffic is None:
                    seen = self._seen_of_entity(watched.cause)
                elif sources is None:
                    seen = None
                else:
                    seen = self._seen_of_traffic(forward_id, traffic, sources[traffic])
                if seen:
                    await self._async_follow(forward_id, watched, seen)

    def _seen_of_entity(self, cause: Cause) -> _Seen | None:
        active = is_active(self._hass, cause.entity_id or "")
        return None if active is None else _Seen(active=active, ended=not active)

    def _seen_of_traffic(
        self, forward_id: str, traffic: Traffic, sources: list[IPv4Address]
    ) -> _Seen | None:
        if not traffic.any_device:
            forward = self._coordinator.forwards.get(forward_id)
            if forward is None:
                return None
            active = forward.internal_host in sources
            return _Seen(active=active, ended=not active)
        if opening := self._opening(forward_id):
            # Whoever came first has it until it is closed.
            host = opening.forward.internal_host
            return _Seen(active=host in sources, ended=not sources, host=host)
        host = sources[0] if sources else None
        return _Seen(active=host is not None, ended=host is None, host=host)

    def _opening(self, forward_id: str) -> Opening | None:
        return self._coordinator.keeper.openings.get(forward_id)

    async def _async_follow(self, forward_id: str, watched: _Watched, seen: _Seen) -> None:
        """Open, keep open or leave a forward as its cause wants it."""
        was_active, watched.active = watched.active, seen.active
        if seen.ended:
            watched.failing.clear()
            if watched.blocked:
                watched.blocked = False
                self._save()
        # What the user has switched off is neither opened nor kept open by itself.
        if watched.blocked or async_is_disabled(self._hass, forward_id):
            return
        now = dt_util.utcnow()
        if opening := self._opening(forward_id):
            remaining = opening.deadline - now if opening.deadline else timedelta.max
            if seen.active:
                if remaining < watched.cause.linger / 2:
                    await self._async_prolong(forward_id, watched)
            elif was_active:
                await self._async_prolong(forward_id, watched)
        elif seen.active and not self._coordinator.async_is_open(forward_id):
            if self._coordinator.keeper.is_locked:
                # Turning lockdown off opens nothing.
                self._block(watched)
            else:
                await self._async_open(forward_id, watched, seen.host)

    async def _async_open(
        self, forward_id: str, watched: _Watched, host: IPv4Address | None
    ) -> None:
        if self._hass.loop.time() < watched.failing.before:
            return
        deadline = dt_util.utcnow() + watched.cause.linger
        cause = Caused(host=host, was_told=watched.failing.times > 0)
        try:
            await self._coordinator.async_open(forward_id, deadline=deadline, cause=cause)
        except (RouterError, HomeAssistantError) as error:
            self._note_failure(forward_id, watched, error)
        else:
            watched.failing.clear()

    async def _async_prolong(self, forward_id: str, watched: _Watched) -> None:
        if self._hass.loop.time() < watched.failing.before:
            return
        deadline = dt_util.utcnow() + watched.cause.linger
        try:
            await self._coordinator.keeper.prolong(forward_id, deadline)
        except (RouterError, HomeAssistantError) as error:
            self._note_failure(forward_id, watched, error)
        else:
            watched.failing.clear()

    def _note_failure(self, forward_id: str, watched: _Watched, error: Exception) -> None:
        if isinstance(error, GivenUpError):
            return  # The router is being disabled or deleted, and this ends with it.
        if not watched.failing.times:
            title = self._entry.subentries[forward_id].title
            LOGGER.warning(
                "%s could not be opened, or kept open, by what causes it: %s", title, error
            )
        watched.failing.note(self._hass.loop.time())

    @callback
    def _on_activity(self, activity: Activity) -> None:
        """Let what somebody has closed be closed, even though its cause is still there."""
        watched = self._watched.get(activity.forward_id)
        if watched is None or activity.kind is not Kind.CLOSED or activity.reason in _MAY_REOPEN:
            return
        if watched.active is not False:
            self._block(watched)

    def _block(self, watched: _Watched) -> None:
        if not watched.blocked:
            watched.blocked = True
            self._save()

    def _save(self) -> None:
        """Remember what is blocked over a restart."""
        self._store.async_delay_save(self._blocked, 0)

    def _blocked(self) -> dict[str, list[str]]:
        return {"blocked": [key for key, watched in self._watched.items() if watched.blocked]}


def _store(hass: HomeAssistant, entry_id: str) -> Store[dict[str, list[str]]]:
    return Store(hass, 1, f"{DOMAIN}_triggering.{entry_id}")
