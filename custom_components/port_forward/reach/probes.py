"""Tries now and then whether targets answer; some forwards are not open for longer than that."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from ipaddress import ip_address
from random import uniform
from typing import TYPE_CHECKING, Final

from homeassistant.core import CALLBACK_TYPE, HassJob, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.event import async_call_later

from ..const import DOMAIN, LOGGER
from ..devices.hosts import HostError, async_resolve_host, async_resolve_host6
from ..openings import Activity, Kind, Phase, Reason
from ..routers.errors import RouterError
from ..routers.model import Forward
from .probing import Address, is_target_reachable

if TYPE_CHECKING:
    from ..coordinator import PortForwardCoordinator

# Seconds between two tries: usually, of an open forward that must not outlast
# its target, and before a target counts as gone. No two come in step for long.
_USUALLY: Final = 300.0
_WATCHED: Final = 60.0
_ONCE_MORE: Final = 30.0
_JITTER: Final = 0.1

# The first tries after a start: so many seconds apart from each other.
_APART: Final = 0.2

# Many targets may be asleep, and each of those takes its whole time.
_AT_ONCE: Final = 4

# So often in a row a target has to fail before its forward is closed.
_FAILURES_TO_CLOSE: Final = 2

# After these, where the port leads is tried at once.
_OPENINGS: Final = (Kind.OPENED, Kind.RESTORED, Kind.MOVED)


class TargetUnreachableError(HomeAssistantError):
    """The target does not answer, and the forward may be open only while it does."""

    def __init__(self, forward: str) -> None:
        """Take the name of the forward."""
        super().__init__(
            translation_domain=DOMAIN,
            translation_key="target_unreachable",
            translation_placeholders={"forward": forward},
        )


class Probes:
    """What is known of the targets of all forwards of one router."""

    def __init__(self, coordinator: PortForwardCoordinator) -> None:
        """Take the router's coordinator; nothing is tried before `async_start`."""
        self._coordinator = coordinator
        self._answers: dict[str, bool | None] = {}
        # Who shows the answer. Not by the coordinator: with a thousand forwards, its other
        # entities would make much of each.
        self._listeners: dict[str, Callable[[], None]] = {}
        # How often in a row a target has failed, while its forward was open.
        self._failures: dict[str, int] = {}
        self._timers: dict[str, CALLBACK_TYPE] = {}
        self._trying: set[str] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def answer(self, forward_id: str) -> bool | None:
        """Tell whether the target answered last time; None where nobody knows."""
        return self._answers.get(forward_id)

    @callback
    def async_listen(self, forward_id: str, listener: Callable[[], None]) -> Callable[[], None]:
        """Tell the one `listener` of a forward of each new answer; returns what ends it."""
        self._listeners[forward_id] = listener

        def end() -> None:
            del self._listeners[forward_id]

        return end

    @callback
    def async_start(self) -> None:
        """Try all targets from now on, until the entry is unloaded."""
        entry = self._coordinator.config_entry
        for number, forward_id in enumerate(self._coordinator.forwards):
            self._try_in(forward_id, number * _APART)
        entry.async_on_unload(self._coordinator.async_listen(self._on_activity))
        entry.async_on_unload(self._stop)

    @callback
    def _stop(self) -> None:
        for cancel in self._timers.values():
            cancel()
        self._timers.clear()

    @callback
    def _on_activity(self, activity: Activity) -> None:
        if activity.kind in _OPENINGS:
            self._failures.pop(activity.forward_id, None)
            self._try_now(activity.forward_id)

    async def async_check(self, forward: Forward) -> None:
        """Try the target now; raises TargetUnreachableError when it does not answer."""
        answer = await self._ask(forward)
        self._note(forward.id, answer=answer)
        if answer is False:
            raise TargetUnreachableError(forward.name)

    def _try_in(self, forward_id: str, delay: float) -> None:
        if cancel := self._timers.pop(forward_id, None):
            cancel()
        job = HassJob(partial(self._on_timer, forward_id), cancel_on_shutdown=True)
        self._timers[forward_id] = async_call_later(self._coordinator.hass, delay, job)

    @callback
    def _on_timer(self, forward_id: str, _now: datetime) -> None:
        self._try_now(forward_id)

    @callback
    def _try_now(self, forward_id: str) -> None:
        if cancel := self._timers.pop(forward_id, None):
            cancel()
        # One at a time: two that fail together are one failure.
        if forward_id not in self._trying:
            # In the background: neither a start nor a stop of Home Assistant waits for a target.
            self._coordinator.config_entry.async_create_background_task(
                self._coordinator.hass,
                self._try(forward_id),
                f"{DOMAIN} try the target of {forward_id}",
            )

    async def _try(self, forward_id: str) -> None:
        self._trying.add(forward_id)
        try:
            async with self._turns:
                forward = self._coordinator.forwards.get(forward_id)
                answer = await self._ask(forward) if forward else None
        finally:
            self._trying.discard(forward_id)
        self._note(forward_id, answer=answer)
        pause = _USUALLY
        if watched := self._is_watched(forward_id):
            pause = _ONCE_MORE if answer is False else _WATCHED
        self._try_in(forward_id, pause * uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311  no secret
        if watched and answer is False:
            await self._failed(forward_id)

    def _is_watched(self, forward_id: str) -> bool:
        """Tell whether we hold it open, and only as long as the target answers."""
        opening = self._coordinator.keeper.openings.get(forward_id)
        return (
            opening is not None
            and opening.phase is not Phase.CLOSING
            # It may have been deleted a moment ago.
            and forward_id in self._coordinator.config_entry.subentries
            and self._coordinator.settings_of(forward_id).only_while_reachable
        )

    async def _failed(self, forward_id: str) -> None:
        """Close the forward unless this may have been a moment's weakness."""
        self._failures[forward_id] = self._failures.get(forward_id, 0) + 1
        if not self._is_gone(forward_id):
            return
        # A router that restarts takes the way to the target with it. What it has lost is made
        # again when it is back, which that look may tell, and then the target is tried anew.
        await self._coordinator.async_refresh()
        if not self._coordinator.last_update_success:
            self._failures.pop(forward_id, None)
        if not self._is_gone(forward_id):
            return
        try:
            await self._coordinator.keeper.close(forward_id, None, reason=Reason.TARGET_UNREACHABLE)
        except (RouterError, HomeAssistantError) as error:
            # Told and reported by the keeper, which goes on trying until it is confirmed.
            LOGGER.debug("Not closed yet: %s", error)

    def _is_gone(self, forward_id: str) -> bool:
        return self._failures.get(forward_id, 0) >= _FAILURES_TO_CLOSE

    def _note(self, forward_id: str, *, answer: bool | None) -> None:
        if answer is not False:
            self._failures.pop(forward_id, None)
        before, self._answers[forward_id] = self._answers.get(forward_id), answer
        if before is not answer and (listener := self._listeners.get(forward_id)):
            listener()

    async def _ask(self, forward: Forward) -> bool | None:
        if forward.adopted is None:
            hosts: list[Address] = [
                host for host in (forward.internal_host, forward.internal_host6) if host
            ]
        else:
            hosts = await self._hosts_of_rule(forward.adopted.internal_host)
        return await is_target_reachable(hosts, forward.protocols, forward.internal_ports)

    async def _hosts_of_rule(self, text: str) -> list[Address]:
        """Return where an adopted rule leads, if that is an address in the home.

        Of all others it was made sure when their host was resolved.
        """
        hass = self._coordinator.hass
        try:
            address = ip_address(text)
            if address.version == 6:  # noqa: PLR2004  IP version
                return [await async_resolve_host6(hass, text)]
            return [await async_resolve_host(hass, text, self._coordinator.router_address)]
        except ValueError, HostError:
            return []
