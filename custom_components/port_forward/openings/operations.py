"""What is done to one router: open, renew, close, each in the ledger first.

Closing gets ahead of all else: an opening of the same forward is stopped, and
whatever another operation asks of the router waits, see `routers/queue.py`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakValueDictionary

from homeassistant.core import Context
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from ..const import DOMAIN, LOGGER
from ..routers.errors import RouterError, RouterUnreachableError, StoppedError
from ..routers.model import Leases, PortMapping
from ..routers.observed import ObservedRouter
from ..routers.queue import Operation, Urgency
from .activity import Kind, Reason, Teller
from .ledger import Ledger
from .opening import Opening, Phase
from .rules import make, planned, unmake
from .schedule import Schedule
from .view import View

# What failed is tried again after these seconds, the last one for good.
_CLOSE_RETRIES: Final = (1, 2, 5, 10, 30, 60, 120, 300)
_RENEWAL_RETRIES: Final = (15, 30, 60, 120, 300)

_SHORTEST_RETRY: Final = 2.0
_LONG_AGO: Final = timedelta(days=1)
# Seconds. VPN providers grant a minute and expect a renewal after 45 s (ProtonVPN).
_SHORT_LEASE: Final = 60.0


class GivenUpError(HomeAssistantError):
    """Nothing is opened any more on a router that is being disabled, deleted or left."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__(translation_domain=DOMAIN, translation_key="given_up")


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """An opening or a renewal that the router is being asked for, and until when it would be."""

    operation: Operation
    deadline: datetime | None


@dataclass(eq=False, slots=True)
class _Waiting:
    """What waits for its turn to open something of a forward."""

    forward_id: str
    is_stopped: bool = False


class Operations:
    """Opens, renews and closes on one router.

    One thing at a time is done to a forward. Closing waits for nothing but
    that, and opening also for what else is being opened.
    """

    def __init__(  # noqa: PLR0913  all that there is of one router
        self,
        router: ObservedRouter,
        ledger: Ledger,
        view: View,
        *,
        teller: Teller,
        schedule: Schedule,
        lease: timedelta,
    ) -> None:
        """Take the router and all that is kept of it; `lease` is asked for each opening."""
        self.lease = lease
        # True when nothing may be opened any more, only closed.
        self.is_over = False
        self._router = router
        self._ledger = ledger
        self._view = view
        self._teller = teller
        self._schedule = schedule
        self._opening = asyncio.Lock()
        self._forwards: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        # Of equal urgency one mapping after the other, each as it comes.
        self._removing = {urgency: asyncio.Lock() for urgency in Urgency}
        self._under_way: dict[str, _UnderWay] = {}
        self._waiting: list[_Waiting] = []
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

    def forward(self, forward_id: str) -> asyncio.Lock:
        """Return the lock of one forward."""
        if (lock := self._forwards.get(forward_id)) is None:
            lock = self._forwards[forward_id] = asyncio.Lock()
        return lock

    @property
    def between_openings(self) -> asyncio.Lock:
        """The lock in which nothing is being opened."""
        return self._opening

    def is_busy(self, forward_id: str) -> bool:
        """Return whether something is being done to the forward now."""
        lock = self._forwards.get(forward_id)
        return lock is not None and lock.locked()

    def is_extending(self, forward_id: str, deadline: datetime) -> bool:
        """Return whether the forward is being opened for longer than until `deadline`."""
        under_way = self._under_way.get(forward_id)
        return under_way is not None and (
            under_way.deadline is None or under_way.deadline > deadline
        )

    @asynccontextmanager
    async def turn_to_open(self, forward_id: str) -> AsyncIterator[None]:
        """Wait for the turn to open or renew a forward.

        Raises StoppedError if it is closed before, and HomeAssistantError if
        nothing may be opened any more.
        """
        waiting = _Waiting(forward_id)
        self._waiting.append(waiting)
        async with AsyncExitStack() as locks:
            try:
                await locks.enter_async_context(self._opening)
                await locks.enter_async_context(self.forward(forward_id))
            finally:
                self._waiting.remove(waiting)
            if waiting.is_stopped:
                self._check_may_open()  # It says more.
                raise StoppedError
            yield

    def stop_opening(self, *forward_ids: str) -> None:
        """Let what is being opened or renewed of these forwards break off and be taken back.

        What waits for its turn to do so raises StoppedError then.
        """
        for waiting in self._waiting:
            if waiting.forward_id in forward_ids:
                waiting.is_stopped = True
        for forward_id in forward_ids:
            if under_way := self._under_way.get(forward_id):
                under_way.operation.stop()

    def stop_all_opening(self) -> None:
        """Let all that is being opened or renewed break off and be taken back."""
        self.stop_opening(*self._under_way, *(waiting.forward_id for waiting in self._waiting))

    async def open(self, asked: Opening, held: Opening | None) -> Opening:
        """Make the mappings of `asked`, or renew those of `held`, and set the alarms.

        The caller has the turn to open. Raises
        RouterError and HomeAssistantError; then nothing has changed.
        """
        # Whatever opens, for whatever reason, comes through here.
        self._check_may_open()
        forward_id = asked.forward.id
        with self._router.queue.operation(Urgency.NORMAL) as operation:
            self._under_way[forward_id] = _UnderWay(operation, asked.deadline)
            try:
                if held is None:
                    await self._ledger.record(asked)
                    # Opening many ports takes a while, and they are open one by one.
                    self._set_deadline(asked)
                else:
                    self._asked_at[forward_id] = dt_util.utcnow()
                granted = await self._make(operation, asked, held)
            finally:
                del self._under_way[forward_id]
        opening = replace(asked, phase=Phase.OPEN, mappings=granted)
        opening = replace(opening, lease_until=lease_end(opening, granted))
        self._ledger.learned = dict(self._router.learned)
        try:
            await self._ledger.record(opening)
        except HomeAssistantError:
            # Open, but not known to be so after a restart: better not open.
            if held is None:
                await self.close_held([opening], Reason.NOT_SAVED)
            raise
        gone = {mapping.key: mapping for mapping in asked.mappings}
        for mapping in granted:
            gone.pop(mapping.key, None)
        if self._unsure.pop(forward_id, 0):
            LOGGER.info("%s is renewed again", opening.forward.name)
        self._view.update(forward_id, removed=gone.values(), added=granted)
        self.set_alarms(opening)
        if held and held.external_ports != opening.external_ports:
            self._teller.tell(
                Kind.EXTERNAL_PORT_CHANGED,
                opening.forward,
                external_ports=opening.external_ports,
                deadline=opening.deadline,
            )
        return opening

    async def _make(
        self, operation: Operation, asked: Opening, held: Opening | None
    ) -> tuple[PortMapping, ...]:
        """Ask the router; what fails is dropped, but never what it left there."""
        try:
            # It may have been locked while the ledger was written.
            self._check_may_open()
            with operation.requests():
                return await make(self._router, asked, held, self._lease_for(asked))
        except (RouterError, HomeAssistantError) as error:
            if held is None:
                left = error.left if isinstance(error, RouterError) else ()
                await self._forget_unless_left(asked, left)
            if isinstance(error, StoppedError):
                self._check_may_open()  # It says more.
            raise

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
        self,
        openings: Iterable[Opening],
        reason: Reason | None,
        by: Context | None = None,
        *,
        urgency: Urgency = Urgency.CLOSE,
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
        await self._mark(closing)
        failure: RouterError | None = None
        # What is being opened is taken back first, and the others need not wait for it.
        for opening in sorted(closing, key=lambda opening: self.is_busy(opening.forward.id)):
            async with self.forward(opening.forward.id):
                failure = await self._close_one(opening, by, urgency, failure) or failure
        await self._end(closing, failure)

    async def close_held(
        self, openings: Iterable[Opening], reason: Reason | None, by: Context | None = None
    ) -> None:
        """Do what `close` does, for who holds the locks of these forwards."""
        closing = [opening.within(Phase.CLOSING, reason) for opening in openings]
        await self._mark(closing)
        failure: RouterError | None = None
        for opening in closing:
            failure = await self._close_one(opening, by, Urgency.CLOSE, failure) or failure
        await self._end(closing, failure)

    async def _mark(self, closing: Collection[Opening]) -> None:
        """Note what has to go, and let nothing of it be opened meanwhile."""
        for opening in closing:
            forward_id = opening.forward.id
            self._schedule.clear_deadline(forward_id)
            self._schedule.clear_renewal(forward_id)
            self._kept.discard(forward_id)
            self._asked_at.pop(forward_id, None)
            known = self._ledger.openings.get(forward_id)
            if known is None or known.phase is not Phase.CLOSING:
                # Who waits to open what is closed again and again asked for it after that.
                self.stop_opening(forward_id)
        self._ledger.put(*closing)
        # A disk that is full must not keep a port open. Home Assistant has
        # logged it; without the note a restart would just find the port again.
        with suppress(HomeAssistantError):
            await self._ledger.save()

    async def _close_one(
        self, asked: Opening, by: Context | None, urgency: Urgency, failure: RouterError | None
    ) -> RouterError | None:
        """Close one opening, and return why that failed; see `failure` of the one before."""
        forward_id = asked.forward.id
        if (opening := self._ledger.openings.get(forward_id)) is None:
            return None  # It was being opened, and is taken back by now; or closed by another.
        # What it was made of may be known better by now.
        others = [m for m in asked.mappings if not any(map(m.same_rule, opening.mappings))]
        opening = replace(asked, mappings=(*opening.mappings, *others))
        self._ledger.put(opening)
        try:
            if isinstance(failure, RouterUnreachableError):
                raise failure  # The others would take just as long to fail.
            await self.remove(opening, urgency)
        except RouterError as error:
            self._note_unclosed(opening, error)
            return error
        self._unclosed.discard(forward_id)
        self._unsure.pop(forward_id, None)
        if opening.reason is Reason.DEVICE_MOVED:
            self._leave(opening)
        else:
            self._ledger.drop(forward_id)
            self._tell_closed(opening, by)
        return None

    async def _end(self, closing: Iterable[Opening], failure: RouterError | None) -> None:
        if failure:
            self._schedule_retry()
        else:
            self._failed_closes = 0
        try:
            await self._ledger.save()
        finally:
            # The deadlines are gone with the openings.
            self._view.update(*(opening.forward.id for opening in closing))
        if failure:
            raise failure

    async def close_quietly(
        self,
        openings: Iterable[Opening],
        reason: Reason | None = None,
        *,
        urgency: Urgency = Urgency.CLOSE,
    ) -> None:
        """Close what nobody waits for; what fails has been told and is tried again."""
        try:
            await self.close(openings, reason, urgency=urgency)
        except (RouterError, HomeAssistantError) as error:
            LOGGER.debug("Not closed yet: %s", error)

    async def remove(self, opening: Opening, urgency: Urgency = Urgency.CLOSE) -> None:
        """Remove its mappings from the router.

        Raises the first RouterError, after trying all unless the router is silent.
        """
        failure: RouterError | None = None
        with self._router.queue.operation(urgency) as operation:
            for mapping in opening.mappings:
                try:
                    async with self._removing[urgency]:
                        with operation.requests():
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
            raise GivenUpError
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
        self._schedule.clear_renewal(forward_id)
        self._kept.add(forward_id)
        if opening.forward.adopted:
            return
        now = dt_util.utcnow()
        lease_until = opening.lease_until or now + self.lease
        kept_to_the_end = opening.deadline is not None and (
            # Whole seconds were asked for, and no more than remained.
            lease_until >= opening.deadline - timedelta(seconds=1)
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
        self._renew_in(forward_id, delay * spread)

    def renew_now(self, opening: Opening) -> None:
        """Renew without waiting."""
        self._renew_in(opening.forward.id, 0)

    def _renew_in(self, forward_id: str, delay: float) -> None:
        """Renew after `delay` seconds, and never twice within `_SHORTEST_RETRY`."""
        now = dt_util.utcnow()
        since = (now - self._asked_at.get(forward_id, now - _LONG_AGO)).total_seconds()
        # The clock may have been set back.
        rest = _SHORTEST_RETRY - min(max(since, 0), _SHORTEST_RETRY)
        self._schedule.set_renewal(forward_id, max(delay, rest))

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
        """Return whether a renewal of this forward is set, or was found not to be needed."""
        return self._schedule.is_renewing(forward_id) or forward_id in self._kept

    def _lease_for(self, opening: Opening) -> timedelta:
        """Return the lease to ask for: never longer than the opening lasts."""
        if opening.deadline is None:
            return self.lease
        # In whole seconds, and never 0, which means for ever.
        remaining = int((opening.deadline - dt_util.utcnow()).total_seconds())
        return min(self.lease, timedelta(seconds=max(1, remaining)))

    def _leave(self, opening: Opening) -> None:
        """Note that it is closed where its device was, and to be made where it is now."""
        try:
            plan = planned(self._router, opening.forward)
        except RouterError:  # It cannot lead there.
            self._tell_closed(opening.within(Phase.CLOSING, Reason.NOT_RESTORED))
            self._ledger.drop(opening.forward.id)
        else:
            lost = replace(opening, phase=Phase.LOST, mappings=plan, lease_until=None)
            self._ledger.put(lost)

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
        forward_id = opening.forward.id
        self._schedule.clear_deadline(forward_id)
        if left:
            self._ledger.put(
                replace(opening, phase=Phase.CLOSING, reason=Reason.REFUSED, mappings=tuple(left))
            )
            self._schedule_retry()
        else:
            self._ledger.drop(forward_id)
        try:
            await self._ledger.save()
        finally:
            self._view.update(forward_id, added=left)

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
        self._schedule.set_retry(delay)

    def _set_deadline(self, opening: Opening) -> None:
        if opening.deadline is None:
            self._schedule.clear_deadline(opening.forward.id)
        else:
            self._schedule.set_deadline(
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
