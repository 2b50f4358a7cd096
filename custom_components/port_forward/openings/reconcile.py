"""Making router and ledger agree, after each look at the router: what the table of `verdict` says.

A look is only judged here. What it takes is done behind it, so that nobody
waits for fifty openings who only wanted to look.
"""

from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util

from ..const import DEFAULT_CLOSE_AFTER, LOGGER
from ..pieces import in_pieces
from ..routers.errors import (
    NotPermittedError,
    ProtocolError,
    Refusal,
    RouterError,
    RouterUnreachableError,
    StoppedError,
)
from ..routers.model import Forward, Listing, Snapshot
from ..routers.queue import Urgency
from ..routers.router import Router
from .activity import Kind, Reason, Teller
from .journal import Source
from .ledger import Ledger
from .limit import limited
from .opening import Opening, Phase
from .operations import GivenUpError, Operations, lease_end
from .recovery import openings_found, openings_unknown, strays_found
from .rules import planned
from .shown import Shown
from .verdict import Evidence, Verdict, has_moved, judge
from .view import Look, View

# Routers tell what remains of a lease in whole seconds, and some in steps.
_LEASES_ARE_COARSE: Final = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What the user wants of the forwards, by their ids.

    `forwards` holds every one that there is, None where its host is not known
    now. `barred` are those that must not be open now, and why. `following` are
    those that lead to wherever their device is. `elsewhere` are the forwards of
    our other routers, and `home` is what tags call this Home Assistant.
    """

    forwards: Mapping[str, Forward | None]
    barred: Mapping[str, Reason]
    following: Collection[str]
    elsewhere: Collection[str]
    home: str


class Reconciler:
    """Brings the openings of one router in order.

    `exists` says of the id of a forward whether the user has it now, whatever
    was known when a look began. `on_doubt` is told of openings that are not
    simply gone on with, as Home Assistant was away for long, or restored from
    a backup.
    """

    def __init__(  # noqa: PLR0913  all that there is of one router
        self,
        hass: HomeAssistant,
        router: Router,
        ledger: Ledger,
        view: View,
        *,
        shown: Shown,
        operations: Operations,
        teller: Teller,
        exists: Callable[[str], bool],
        on_doubt: Callable[[Opening], None],
    ) -> None:
        """Take the router and all that is kept of it."""
        self._hass = hass
        self._router = router
        self._ledger = ledger
        self._view = view
        self._shown = shown
        self._do = operations
        self._teller = teller
        self._exists = exists
        self._on_doubt = on_doubt
        # Forwards that could not be brought in order, so that it is logged once.
        self._troubled: set[str] = set()
        # None before the first look.
        self._wishes: Wishes | None = None
        # Forwards whose mappings the router has lost since they were last judged.
        self._lost: set[str] = set()
        # Forwards that have to be brought in order, in this order.
        self._unsettled: dict[str, None] = {}
        self._is_settling = False

    async def run(self, look: Look, snapshot: Snapshot, wishes: Wishes) -> None:
        """Take up what a look has found, and begin to make it what is wished."""
        if self._has_lost_its_mappings(snapshot):
            self._lost.update(self._ledger.openings)
        self._lost.intersection_update(self._ledger.openings)
        snapshot = self._view.take(look, snapshot)
        self._ledger.last_seen = snapshot
        # A full disk is logged by Home Assistant, and tried again next time.
        with suppress(HomeAssistantError):
            if self._ledger.is_lost:
                await self._recover(snapshot, wishes)
            if self._ledger.is_unsaved:
                await self._ledger.save()
            if not self._ledger.is_locked:
                await self._take_up_unknown(snapshot, wishes.forwards)
        closing: list[Opening] = []
        if self._ledger.is_locked:
            wishes, closing = self._locked(wishes)
        self._wishes = wishes
        if self._ledger.is_stale:
            await self._doubt()
        await self._judge_all(closing)

    async def _judge_all(self, closing: list[Opening]) -> None:
        """Begin what the table says of each opening, and to close what is `closing` besides."""
        # What is under way now is judged at the next look.
        idle = [o for o in self._ledger.openings.values() if not self._do.is_busy(o.forward.id)]
        async for opening in in_pieces(idle):
            verdict = self._judge(opening)
            self._note(opening, verdict)
            if verdict in _CLOSED:
                closing.append(self._with_reason(opening, verdict))
            elif verdict is not Verdict.KEEP or self._needs_settling(opening):
                self._unsettled[opening.forward.id] = None
        # What is open and should not be goes together, and ahead of all else.
        if closing:
            self._in_background(self._close_first(closing), "close what must not be open")
        self._begin_to_settle()

    async def _close_first(self, closing: Collection[Opening]) -> None:
        await self._do.close_quietly(closing, urgency=Urgency.DUE)
        self.settle_lost()

    @callback
    def settle_lost(self) -> None:
        """Make again what was closed where its device was, now that it is."""
        openings = self._ledger.openings.values()
        self.settle(*(o.forward.id for o in openings if o.phase is Phase.LOST))

    @callback
    def settle(self, *forward_ids: str) -> None:
        """Begin what the table says of these now, without waiting for the next look."""
        if self._wishes is not None:
            self._unsettled.update(dict.fromkeys(forward_ids))
            self._begin_to_settle()

    def _begin_to_settle(self) -> None:
        if self._unsettled and not self._is_settling:
            self._is_settling = True
            self._in_background(self._settle_all(), "bring port forwards in order")

    @property
    def _wished(self) -> Wishes:
        """What the newest look knows of the wishes of the user."""
        assert self._wishes is not None  # noqa: S101  nothing is judged before a look
        return self._wishes

    def _note(self, opening: Opening, verdict: Verdict) -> None:
        if verdict is not Verdict.KEEP:
            forward_id = opening.forward.id
            why = self._wished.barred.get(forward_id, opening.reason)
            journal = self._teller.journal
            journal.note(forward_id, Source.VERDICT, verdict.name.lower(), why=why)

    def _with_reason(self, opening: Opening, verdict: Verdict) -> Opening:
        """Return an opening that has to be closed with the reason for that."""
        if verdict is Verdict.CLOSE_BARRED:
            reason: Reason | None = self._wished.barred[opening.forward.id]
        else:
            reason = _CLOSED_FIRST[verdict]
        return opening.within(opening.phase, reason)

    def _in_background(self, work: Coroutine[None, None, None], name: str) -> None:
        """Do it behind the look; a start of Home Assistant does not wait for it either."""
        if self._hass.is_running:
            self._hass.async_create_task(work, name)
        else:
            self._hass.async_create_background_task(work, name)

    async def _settle_all(self) -> None:
        try:
            while self._unsettled:
                forward_id = next(iter(self._unsettled))
                del self._unsettled[forward_id]
                # It is closed in the place of that.
                with suppress(StoppedError, HomeAssistantError):
                    async with self._do.turn_to_open(forward_id):
                        # By what is known now: a look may be newer than the one that began this.
                        if opening := self._ledger.openings.get(forward_id):
                            await self._try_to_settle(opening)
        finally:
            self._is_settling = False

    async def _doubt(self) -> None:
        """Do not simply go on with what was open when Home Assistant went away, or was backed up.

        It may have been closed since. What the router has lost stays closed.
        What it still holds with no deadline gets an end.
        """
        self._ledger.note_settled()
        now = dt_util.utcnow()
        for opening in self._ledger.openings.values():
            if self._judge(opening) in _CLOSED:
                continue
            if not all(map(self._view.holds, opening.mappings)):
                self._ledger.put(opening.within(Phase.CLOSING, Reason.LONG_AWAY))
                self._on_doubt(opening)
            elif opening.deadline is None:
                self._ledger.put(replace(opening, deadline=now + DEFAULT_CLOSE_AFTER, asked_at=now))
                self._on_doubt(opening)
        with suppress(HomeAssistantError):
            await self._ledger.save()

    def _locked(self, wishes: Wishes) -> tuple[Wishes, list[Opening]]:
        """Bar everything; return what is to be closed besides what is in the ledger.

        That is what somebody switched on at the router meanwhile, and what was
        open when Home Assistant was killed in the middle of locking.
        """
        known = self._ledger.openings
        everything = dict.fromkeys((*known, *wishes.forwards), Reason.LOCKDOWN)
        unknown = [
            opening.within(Phase.CLOSING, Reason.LOCKDOWN)
            for opening in self._shown.all_to_close(wishes.forwards)
            if opening.forward.id not in known
        ]
        return replace(wishes, barred={**everything, **wishes.barred}), unknown

    async def _take_up_unknown(
        self, snapshot: Snapshot, forwards: Mapping[str, Forward | None]
    ) -> None:
        """Give an end to what is open with our tag, and in no ledger."""
        known = self._ledger.openings
        found = openings_unknown(self._router, snapshot, forwards, known, dt_util.utcnow())
        if unknown := list(found):
            await self._ledger.record(*unknown)
        for opening in unknown:
            self._teller.tell(
                Kind.OPENED,
                opening.forward,
                external_ports=opening.external_ports,
                reason=Reason.FOUND,
                deadline=opening.deadline,
            )

    async def _recover(self, snapshot: Snapshot, wishes: Wishes) -> None:
        """Fill a ledger that was lost from what the router shows, and close what has no forward."""
        found = openings_found(self._router, snapshot, wishes.forwards, dt_util.utcnow())
        # Once each: if this has to be tried again, their time must not begin anew.
        known = self._ledger.openings
        await self._ledger.record(*(row for row in found if row.forward.id not in known))
        strays = strays_found(
            self._router,
            snapshot,
            self._ledger.openings,
            known=wishes.forwards.keys(),
            elsewhere=wishes.elsewhere,
            home=wishes.home,
        )
        for row in strays:
            LOGGER.warning("Closing %s: its forward is not known any more", row.external_ports)
            try:
                await self._router.close(row)
            except RouterError as error:
                LOGGER.warning("Could not close %s: %s", row.external_ports, error)
                return
            self._view.update(removed=(row,))
        self._ledger.note_found()

    def _has_lost_its_mappings(self, snapshot: Snapshot) -> bool:
        """Tell whether mappings that are missing now were lost and not removed."""
        earlier = self._ledger.last_seen
        if earlier is None:
            return False
        # Of what was seen, we may have closed something since.
        held = self._view.snapshot.mappings if self._view.snapshot else ()
        return snapshot.restarted_since(earlier) or (len(held) > 1 and not snapshot.mappings)

    async def _try_to_settle(self, opening: Opening) -> None:
        """Settle one opening, so that its trouble does not become that of the others."""
        forward = opening.forward
        try:
            await self._settle(opening)
        except StoppedError, GivenUpError:
            raise
        except (RouterError, HomeAssistantError) as error:
            if forward.id not in self._troubled:
                self._troubled.add(forward.id)
                LOGGER.warning(
                    "Could not bring %s in order on the router, trying again: %s",
                    forward.name,
                    error,
                )
        else:
            if forward.id in self._troubled:
                self._troubled.discard(forward.id)
                LOGGER.info("%s is in order on the router again", forward.name)

    def _judge(self, opening: Opening) -> Verdict:
        """Look one opening up in the reconcile table."""
        forward_id = opening.forward.id
        evidence = Evidence(
            deleted=not self._exists(forward_id),
            barred=forward_id in self._wished.barred,
            wanted=self._wished.forwards.get(forward_id),
            complete=all(map(self._view.holds, opening.mappings)),
            lists_all=self._router.capabilities.listing is Listing.FULL,
            lost=forward_id in self._lost,
            now=dt_util.utcnow(),
        )
        return judge(opening, evidence)

    def _needs_settling(self, opening: Opening) -> bool:
        """Return whether there is something to do for an opening that stands."""
        unsure = self._router.capabilities.listing is Listing.NONE and not self._do.is_sure(opening)
        if not unsure and self._do.is_renewing(opening.forward.id):
            self._lost.discard(opening.forward.id)
            return False
        return True

    async def _settle(self, opening: Opening) -> None:
        """Do what the reconcile table says about one opening; who calls holds its locks."""
        forward_id = opening.forward.id
        wanted = self._wished.forwards.get(forward_id)
        verdict = self._judge(opening)
        if verdict is Verdict.KEEP:
            await self._keep(opening)
        elif verdict is Verdict.RESTORE:
            lost = forward_id in self._lost
            await self._restore(opening, Reason.ROUTER_RESTARTED if lost else Reason.LEASE_RAN_OUT)
        elif verdict is Verdict.MOVE and wanted:
            moved = limited(wanted, opening.limit)
            follows = wanted.id in self._wished.following and has_moved(opening.forward, moved)
            await (self.follow if follows else self._move)(opening, moved)
        elif verdict is Verdict.DROP_HALF_MADE:
            await self._do.remove(opening)
            self._ledger.drop(forward_id)
            await self._ledger.save()
            self._view.update(forward_id)
            self._teller.tell(Kind.OPEN_FAILED, opening.forward, reason=Reason.INTERRUPTED)
        elif verdict is Verdict.REMOVED_ELSEWHERE:
            await self._do.close_held([opening], Reason.REMOVED_ELSEWHERE)
        else:  # Due since the others were closed.
            await self._do.close_held([self._with_reason(opening, verdict)], None)
        self._lost.discard(forward_id)

    async def _keep(self, opening: Opening) -> None:
        """Go on with an opening that stands: after a restart its alarms are not set yet."""
        if not self._do.is_renewing(opening.forward.id):
            await self._take_up(opening)
        if self._router.capabilities.listing is Listing.NONE and not self._do.is_sure(opening):
            # The only way to find out whether it is still there.
            self._do.renew_now(opening)

    async def _take_up(self, opening: Opening) -> None:
        """Note what is known of an opening that stands, and set its alarms.

        Home Assistant may have died between the router's answer and the
        ledger: the router's lease may end before the ledger thinks.
        """
        noted, shown = opening.lease_until, lease_end(opening, self._view.find(opening.mappings))
        if self._router.capabilities.never_closes:
            shown = None  # Whatever it says of leases.
        if shown and (noted is None or shown < noted - _LEASES_ARE_COARSE):
            opening = replace(opening, phase=Phase.OPEN, lease_until=shown)
            await self._ledger.record(opening)
        elif opening.phase is Phase.OPENING and not opening.forward.adopted:
            opening = opening.within(Phase.OPEN)
            await self._ledger.record(opening)
        self._do.set_alarms(opening)
        if opening.phase is Phase.OPENING:
            # Some list a rule as on that is saved, and not in force before this.
            await self._do.open(opening, opening)

    async def _move(self, opening: Opening, wanted: Forward) -> None:
        """Close an opening whose forward was edited, and open what it is now."""
        await self._do.close_held([opening], Reason.FORWARD_EDITED)
        try:
            moved = replace(
                opening, forward=wanted, mappings=planned(self._router, wanted), phase=Phase.OPENING
            )
            moved = await self._do.open(moved, None)
        except (RouterError, HomeAssistantError) as error:
            self._teller.tell(Kind.OPEN_FAILED, wanted, reason=Reason.REFUSED, error=error)
        else:
            self._teller.tell(
                Kind.OPENED, wanted, external_ports=moved.external_ports, deadline=moved.deadline
            )

    async def follow(self, opening: Opening, wanted: Forward) -> None:
        """Close an opening where its device was, and make it again where it is now.

        Until that is confirmed the ledger has the new forward with the old
        mappings, so that a restart in the middle of it goes on.
        """
        leaving = replace(opening, forward=wanted, reason=Reason.DEVICE_MOVED)
        await self._do.close_held([leaving], None)
        if lost := self._ledger.openings.get(wanted.id):
            await self._restore(lost, Reason.DEVICE_MOVED, held=opening)

    async def _restore(
        self, opening: Opening, reason: Reason, *, held: Opening | None = None
    ) -> None:
        """Make again what the router lost; tried at each snapshot while it is away.

        `held` is what the router held of it, where that is not what it should.
        """
        lost = opening.within(Phase.LOST, opening.reason or reason)
        if lost != opening:
            await self._ledger.record(lost)
        self._do.set_alarms(lost)
        try:
            restored = await self._do.open(
                replace(lost, phase=Phase.OPENING, reason=None), held or lost
            )
        except RouterError as error:
            if isinstance(error, RouterUnreachableError):
                self._do.note_unanswered(opening)
            if _may_pass(error):
                raise
            LOGGER.warning("%s could not be opened again: %s", opening.forward.name, error)
            # Where it has never been, the very same mapping is somebody else's.
            ours = tuple(error.left) if held else lost.mappings
            await self._do.close_held([replace(lost, mappings=ours)], Reason.NOT_RESTORED)
        else:
            self._teller.tell(
                Kind.MOVED if lost.reason is Reason.DEVICE_MOVED else Kind.RESTORED,
                opening.forward,
                external_ports=restored.external_ports,
                reason=lost.reason,
                deadline=opening.deadline,
            )


# What closes without a look at the router, and why; CLOSE goes on for the reason that there was.
_CLOSED_FIRST = {
    Verdict.CLOSE: None,
    Verdict.CLOSE_DELETED: Reason.FORWARD_DELETED,
    Verdict.CLOSE_OVERDUE: Reason.TIME_UP,
    Verdict.CLOSE_UNLIMITED: Reason.FORWARD_EDITED,
}


_CLOSED = frozenset((*_CLOSED_FIRST, Verdict.CLOSE_BARRED))


def _may_pass(error: RouterError) -> bool:
    """Tell whether the router may only be starting: it answers before its WAN has an address."""
    return isinstance(error, RouterUnreachableError | ProtocolError | StoppedError) or (
        isinstance(error, NotPermittedError) and error.reason is Refusal.DOUBLE_NAT
    )
