"""What the keeper does to one router: open, renew, close, each in the ledger first.

Nothing here waits for its turn: the keeper holds its lock around each call.
"""

import random
from collections.abc import Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from ..const import DOMAIN, LOGGER
from ..routers.errors import RouterError, RouterUnreachableError
from ..routers.model import Leases, PortMapping
from ..routers.router import Router
from .activity import Kind, Reason, Teller
from .alarms import Deadlines, Timers
from .ledger import Ledger
from .opening import Opening, Phase
from .rules import make, planned, unmake
from .turns import KeeperStoppedError
from .view import View

# What failed is tried again after these seconds, the last one for good.
_CLOSE_RETRIES: Final = (1, 2, 5, 10, 30, 60, 120, 300)
_RENEWAL_RETRIES: Final = (15, 30, 60, 120, 300)

_SHORTEST_RETRY: Final = 2.0
_LONG_AGO: Final = timedelta(days=1)
# Seconds. VPN providers grant a minute and expect a renewal after 45 s (ProtonVPN).
_SHORT_LEASE: Final = 60.0

_RETRY: Final = "close what could not be closed"


class Operations:
    """Opens, renews and closes on one router.

    `on_due` is awaited with the forwards whose time is up and the deadlines
    that they had, `renew` with the id of one to renew, `retry` when it is time
    to close again what could not be closed.
    """

    def __init__(  # noqa: PLR0913  all that there is of one router
        self,
        hass: HomeAssistant,
        router: Router,
        ledger: Ledger,
        view: View,
        teller: Teller,
        *,
        lease: timedelta,
        on_due: Callable[[dict[str, datetime]], Coroutine[None, None, None]],
        renew: Callable[[str], Coroutine[None, None, None]],
        retry: Callable[[], Coroutine[None, None, None]],
    ) -> None:
        """Take the router and all that is kept of it; `lease` is asked for each opening."""
        self._router = router
        self._ledger = ledger
        self._view = view
        self._teller = teller
        self._lease = lease
        self._renew = renew
        self._retry = retry
        # True when nothing may be opened any more, only closed.
        self.is_over = False
        self._deadlines = Deadlines(hass, on_due)
        self._timers = Timers(hass)
        self._failed_closes = 0
        # Forwards whose close has failed, so that it is told once.
        self._unclosed: set[str] = set()
        # Forwards that may be open or not where the router does not list, as it
        # did not do what was asked last: how many renewals have failed in a row.
        self._unsure: dict[str, int] = {}
        # Forwards whose alarms are set: what a look shows of their leases is no news.
        self._kept: set[str] = set()
        # When those were last asked for that were open by then.
        self._asked_at: dict[str, datetime] = {}

    def stop(self) -> None:
        """Stop all timers."""
        self._deadlines.stop()
        self._timers.stop()

    async def open(self, asked: Opening, held: Opening | None) -> Opening:
        """Make the mappings of `asked`, or renew those of `held`, and set the alarms.

        Raises RouterError and HomeAssistantError; then nothing has changed.
        """
        # Whatever opens, for whatever reason, comes through here.
        self._check_may_open()
        if held is None:
            await self._ledger.record(asked)
        else:
            self._asked_at[asked.forward.id] = dt_util.utcnow()
        try:
            granted = await make(self._router, asked, held, self._lease_for(asked))
        except RouterError as error:
            if held is None:
                await self._forget_unless_left(asked, error.left)
            raise
        opening = replace(asked, phase=Phase.OPEN, mappings=granted)
        opening = replace(opening, lease_until=lease_end(opening, granted))
        self._ledger.learned = dict(self._router.learned)
        try:
            await self._ledger.record(opening)
        except HomeAssistantError:
            # Open, but not known to be so after a restart: better not open.
            if held is None:
                await self.close([opening], Reason.NOT_SAVED)
            raise
        gone = {mapping.key: mapping for mapping in asked.mappings}
        for mapping in granted:
            gone.pop(mapping.key, None)
        if self._unsure.pop(opening.forward.id, 0):
            LOGGER.info("%s is renewed again", opening.forward.name)
        self._view.update(opening.forward.id, removed=gone.values(), added=granted)
        self.set_alarms(opening)
        if held and held.external_ports != opening.external_ports:
            self._teller.tell(
                Kind.EXTERNAL_PORT_CHANGED,
                opening.forward,
                external_ports=opening.external_ports,
                deadline=opening.deadline,
            )
        return opening

    async def take_over(self, opening: Opening) -> None:
        """Keep an opening whose mappings somebody else has made; raises HomeAssistantError."""
        self._check_may_open()
        opening = replace(opening, lease_until=lease_end(opening, opening.mappings))
        await self._ledger.record(opening)
        self.set_alarms(opening)
        if not opening.forward.adopted:
            # So that the router itself closes it in time, if it can.
            self.renew_now(opening)

    async def close(
        self, openings: Iterable[Opening], reason: Reason | None, by: Context | None = None
    ) -> None:
        """Close all that can be closed, and write the ledger but twice.

        `reason` None is the one that each of them has. What follows its device
        to another address is lost then, which is to be made again there.
        Raises the first RouterError; what could not be closed is tried again,
        all of it at once.
        """
        closing = [opening.within(Phase.CLOSING, reason) for opening in openings]
        if not closing:
            return
        # A disk that is full must not keep a port open. Home Assistant has
        # logged it; without the note a restart would just find the port again.
        with suppress(HomeAssistantError):
            await self._ledger.mark(*closing)
        closed: list[str] = []
        moving: list[Opening] = []
        failure: RouterError | None = None
        for opening in closing:
            self._timers.cancel(opening.forward.id)
            self._deadlines.clear(opening.forward.id)
            self._kept.discard(opening.forward.id)
            self._asked_at.pop(opening.forward.id, None)
            try:
                if isinstance(failure, RouterUnreachableError):
                    raise failure  # The others would take just as long to fail.
                await self.remove(opening)
            except RouterError as error:
                failure = failure or error
                self._note_unclosed(opening, error)
            else:
                self._unclosed.discard(opening.forward.id)
                self._unsure.pop(opening.forward.id, None)
                if opening.reason is Reason.DEVICE_MOVED:
                    moving.append(opening)
                else:
                    closed.append(opening.forward.id)
                    self._tell_closed(opening, by)
        if failure:
            self._schedule_retry()
        else:
            self._failed_closes = 0
        try:
            await self._ledger.strike(*closed)
            await self._leave(moving)
        finally:
            # The deadlines are gone with the openings.
            self._view.update(*(opening.forward.id for opening in closing))
        if failure:
            raise failure

    async def close_quietly(
        self, openings: Iterable[Opening], reason: Reason | None = None
    ) -> None:
        """Close what nobody waits for; what fails has been told and is tried again."""
        try:
            await self.close(openings, reason)
        except (RouterError, HomeAssistantError) as error:
            LOGGER.debug("Not closed yet: %s", error)

    async def remove(self, opening: Opening) -> None:
        """Remove its mappings from the router.

        Raises the first RouterError, after trying all unless the router is silent.
        """
        failure: RouterError | None = None
        for mapping in opening.mappings:
            try:
                left = await unmake(self._router, opening.forward, mapping)
            except RouterUnreachableError:
                raise
            except RouterError as error:
                failure = failure or error
            else:
                self._view.update(
                    opening.forward.id, removed=(mapping,), added=(left,) if left else ()
                )
        if failure:
            raise failure

    def _check_may_open(self) -> None:
        if self.is_over:
            raise KeeperStoppedError
        if self._ledger.is_locked:
            raise ServiceValidationError(translation_domain=DOMAIN, translation_key="lockdown")

    def set_alarms(self, opening: Opening) -> None:
        """Set the deadline of an opening, and its renewal unless one is set."""
        self._set_deadline(opening)
        if opening.phase is Phase.OPEN:
            self.schedule_renewal(opening)

    def schedule_renewal(self, opening: Opening) -> None:
        """Renew at half of what remains, a little earlier or later than the others."""
        forward_id = opening.forward.id
        failures = self._unsure.get(forward_id, 0)
        self._timers.cancel(forward_id)
        self._kept.add(forward_id)
        if opening.forward.adopted:
            return
        now = dt_util.utcnow()
        lease_until = opening.lease_until or now + self._lease
        kept_to_the_end = opening.deadline is not None and (
            lease_until >= opening.deadline - timedelta(seconds=2)
        )
        if kept_to_the_end or self._router.capabilities.leases is Leases.PERMANENT_ONLY:
            return
        remaining = (lease_until - now).total_seconds()
        if failures:
            delay = float(_RENEWAL_RETRIES[min(failures, len(_RENEWAL_RETRIES)) - 1])
            if remaining > 0:
                # More than once before it is lost, however short it is.
                delay = min(delay, max(remaining / 3, _SHORTEST_RETRY))
        elif remaining <= 0:
            # Nothing remains where nobody renewed it, and it is there all the same.
            delay = 1.0
        else:
            share = 0.75 if remaining <= _SHORT_LEASE else 0.5
            delay = remaining * share
        spread = random.uniform(0.9, 1.0)  # noqa: S311  spreads load, guards nothing
        self._renew_in(forward_id, max(delay * spread, _SHORTEST_RETRY))

    def renew_now(self, opening: Opening) -> None:
        """Renew without waiting."""
        self._renew_in(opening.forward.id, 0)

    def _renew_in(self, forward_id: str, delay: float) -> None:
        """Renew after `delay` seconds, and never twice within `_SHORTEST_RETRY`."""
        now = dt_util.utcnow()
        since = (now - self._asked_at.get(forward_id, now - _LONG_AGO)).total_seconds()
        # The clock may have been set back.
        rest = _SHORTEST_RETRY - min(max(since, 0), _SHORTEST_RETRY)
        self._timers.start(forward_id, max(delay, rest), partial(self._renew, forward_id))

    def note_unrenewed(self, opening: Opening, error: Exception) -> None:
        """Try a renewal that failed again."""
        failures = self._unsure.get(opening.forward.id, 0)
        if not failures:
            LOGGER.warning("Could not renew %s: %s", opening.forward.name, error)
        self._unsure[opening.forward.id] = failures + 1
        self._view.update(opening.forward.id)
        self.schedule_renewal(opening)

    def note_unanswered(self, opening: Opening) -> None:
        """Note that the router may have made it again or not: it did not say."""
        self._unsure.setdefault(opening.forward.id, 0)

    def is_sure(self, opening: Opening) -> bool:
        """Tell whether the router has said what it holds of it, and was not silent since."""
        if opening.forward.id in self._unsure:
            return False
        return opening.phase is Phase.LOST or all(map(self._view.holds, opening.mappings))

    def is_renewing(self, forward_id: str) -> bool:
        """Tell whether a renewal of this forward is set, or was found not to be needed."""
        return forward_id in self._timers or forward_id in self._kept

    def _lease_for(self, opening: Opening) -> timedelta:
        """Return the lease to ask for: never longer than the opening lasts."""
        if opening.deadline is None:
            return self._lease
        # In whole seconds, and never 0, which means for ever.
        remaining = int((opening.deadline - dt_util.utcnow()).total_seconds())
        return min(self._lease, timedelta(seconds=max(1, remaining)))

    async def _leave(self, openings: Iterable[Opening]) -> None:
        """Note that they are closed where their device was, and to be made where it is now."""
        for opening in openings:
            try:
                plan = planned(self._router, opening.forward)
            except RouterError:  # It cannot lead there.
                self._tell_closed(opening.within(Phase.CLOSING, Reason.NOT_RESTORED))
                await self._ledger.strike(opening.forward.id)
            else:
                lost = replace(opening, phase=Phase.LOST, mappings=plan, lease_until=None)
                await self._ledger.mark(lost)

    def _tell_closed(self, opening: Opening, by: Context | None = None) -> None:
        self._teller.tell(
            Kind.CLOSED,
            opening.forward,
            reason=opening.reason,
            deadline=opening.deadline,
            context=by,
        )

    async def _forget_unless_left(self, opening: Opening, left: Collection[PortMapping]) -> None:
        """Drop an opening that failed, but never what it left on the router."""
        if left:
            await self._ledger.record(
                replace(opening, phase=Phase.CLOSING, reason=Reason.REFUSED, mappings=tuple(left))
            )
            self._view.update(opening.forward.id, added=left)
            self._schedule_retry()
        else:
            await self._ledger.strike(opening.forward.id)

    def _note_unclosed(self, opening: Opening, error: RouterError) -> None:
        """Tell of a close that failed, once until it succeeds."""
        if opening.forward.id in self._unclosed:
            return
        self._unclosed.add(opening.forward.id)
        LOGGER.warning("Could not close %s, trying again: %s", opening.forward.name, error)
        self._teller.tell(
            Kind.CLOSE_FAILED,
            opening.forward,
            reason=opening.reason,
            deadline=opening.deadline,
            error=error,
        )

    def _schedule_retry(self) -> None:
        """Try what could not be closed again, later each time."""
        delay = _CLOSE_RETRIES[min(self._failed_closes, len(_CLOSE_RETRIES) - 1)]
        self._failed_closes += 1
        self._timers.start(_RETRY, delay, self._retry)

    def _set_deadline(self, opening: Opening) -> None:
        if opening.deadline is None:
            self._deadlines.clear(opening.forward.id)
        else:
            self._deadlines.set(
                opening.forward.id, opening.deadline, opening.deadline - opening.asked_at
            )


def lease_end(opening: Opening, rows: Collection[PortMapping]) -> datetime | None:
    """Return when the router lets go of the first of its rows, None when it does not.

    An adopted rule has no lease of ours; an end that the user gave it is theirs.
    """
    if opening.forward.adopted:
        return None
    leases = [row.lease for row in rows if row.lease]
    return dt_util.utcnow() + min(leases) if leases else None
