"""The keeper: all that may happen to the forwards of one router, one thing at a time.

It is the only code that changes a router. Every change is in the ledger
before the router is asked, and every row that the router has confirmed is
shown at once. `docs/architecture.md` has the table of what `reconcile` does.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from ..const import DOMAIN, LOGGER
from ..routers.errors import (
    NotPermittedError,
    ProtocolError,
    Refusal,
    RouterError,
    RouterUnreachableError,
)
from ..routers.model import Forward, Listing, PortMapping, Snapshot
from ..routers.router import Router
from .activity import Activity, Kind, Reason, Teller
from .ledger import Ledger, Opening, Phase
from .operations import Operations, lease_end
from .recovery import openings_found, strays_found
from .to_the_end import to_the_end
from .verdict import Evidence, Verdict, differs, judge
from .view import View

# Routers tell what remains of a lease in whole seconds, and some in steps.
_LEASES_ARE_COARSE: Final = timedelta(seconds=5)


class KeeperStoppedError(HomeAssistantError):
    """The router is being set up anew, with another keeper."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__(translation_domain=DOMAIN, translation_key="reloading")


class Keeper:
    """Keeps the openings of one router true.

    `view` is the newest knowledge of what the router holds; `on_change` is
    told the ids of the forwards that changed between two polls, `on_activity`
    all that happens to a forward.
    """

    def __init__(  # noqa: PLR0913  all that there is of one router
        self,
        hass: HomeAssistant,
        router: Router,
        ledger: Ledger,
        *,
        lease: timedelta,
        on_change: Callable[[Collection[str]], None],
        on_activity: Callable[[Activity], None],
    ) -> None:
        """Take the router and its loaded ledger; `lease` is asked for each opening."""
        self.hass = hass
        self.view = View(on_change)
        self._router = router
        self._ledger = ledger
        self._teller = Teller(on_activity)
        self._lock = asyncio.Lock()
        self._stopped = False
        self._do = Operations(
            hass,
            router,
            ledger,
            self.view,
            self._teller,
            lease=lease,
            on_due=self._close_due,
            renew=self._renew,
            retry=self._close_again,
        )
        # Forwards that could not be brought in order, so that it is logged once.
        self._troubled: set[str] = set()

    @property
    def openings(self) -> Mapping[str, Opening]:
        """The openings by the id of their forward."""
        return self._ledger.openings

    def is_open(self, forward_id: str, forward: Forward | None) -> bool:
        """Tell whether the router holds a mapping of this forward now.

        One of several is enough: an open port must never show as closed. A
        mapping that somebody else made, but that leads exactly where the
        forward would, counts too.
        """
        opening = self._ledger.openings.get(forward_id)
        if opening is None:
            return forward is not None and any(map(self.view.holds, self._planned(forward)))
        if any(map(self.view.holds, opening.mappings)):
            return True
        lists_all = self._router.capabilities.listing is Listing.FULL
        return not lists_all and opening.phase is not Phase.LOST

    @to_the_end
    async def open(
        self, forward: Forward, *, deadline: datetime | None = None, by: Context | None = None
    ) -> Opening:
        """Open `forward` until `deadline`, None for until closed; move that when it is open.

        Raises RouterError when the router will not, HomeAssistantError when
        the ledger cannot be written; the router holds nothing of it then, or
        what it held before.
        """
        async with self._turn():
            held = self._ledger.openings.get(forward.id)
            try:
                now = dt_util.utcnow()
                if deadline and deadline <= now:
                    # It was still to come when asked for: others had their turn before.
                    raise ServiceValidationError(
                        translation_domain=DOMAIN, translation_key="in_the_past"
                    )
                if held and (held.phase is Phase.CLOSING or differs(held.forward, forward)):
                    await self._do.close([held], Reason.FORWARD_EDITED, by)
                    held = None
                asked = Opening(
                    forward=forward,
                    mappings=self._router.plan(forward),
                    phase=Phase.OPENING,
                    opened_at=held.opened_at if held else now,
                    asked_at=now,
                    deadline=deadline,
                    opened_by=by.user_id if by else None,
                )
                opening = await self._do.open(asked, held)
            except (RouterError, HomeAssistantError) as error:
                self._teller.tell(
                    Kind.OPEN_FAILED, forward, reason=Reason.REFUSED, context=by, error=error
                )
                raise
            extended = held is not None and held.phase is Phase.OPEN
            kind = Kind.EXTENDED if extended else Kind.OPENED
            self._teller.tell(kind, forward, deadline=deadline, context=by)
            return opening

    @to_the_end
    async def close(
        self, forward_id: str, forward: Forward | None, *, by: Context | None = None
    ) -> None:
        """Close the forward, whoever opened it.

        Raises RouterError when it could not be confirmed; it is tried again
        until it is.
        """
        async with self._turn():
            opening = self._ledger.openings.get(forward_id)
            if opening is None and forward is not None and self.is_open(forward_id, forward):
                now = dt_util.utcnow()
                opening = Opening(
                    forward=forward,
                    mappings=self._router.plan(forward),
                    phase=Phase.CLOSING,
                    opened_at=now,
                    asked_at=now,
                )
            if opening is not None:
                await self._do.close([opening], Reason.TURNED_OFF, by)

    @to_the_end
    async def close_all(self, reason: Reason, *, by: Context | None = None) -> None:
        """Close every opening; raises the first RouterError after trying all."""
        async with self._turn():
            await self._do.close(self._ledger.openings.values(), reason, by)

    async def stop(self) -> None:
        """Stop for good, after what is under way; the router keeps its mappings.

        From now on another keeper may have the ledger: what waits for its turn
        behind this must change nothing any more.
        """
        async with self._lock:
            self._stopped = True
            self._do.stop()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for the turn to change something; raises KeeperStoppedError when it is too late."""
        async with self._lock:
            if self._stopped:
                raise KeeperStoppedError
            self.view.changes += 1
            yield

    @to_the_end
    async def reconcile(
        self, snapshot: Snapshot, changes: int, forwards: Mapping[str, Forward | None]
    ) -> Snapshot:
        """Make router and ledger agree, and return what the router holds then.

        `changes` is the view's count before `snapshot` was taken. `forwards`
        holds every forward that the user has, None where its host is not
        known now.
        """
        if self.view.snapshot and self._lock.locked():
            return self.view.snapshot
        async with self._lock:
            if self.view.snapshot and (self._stopped or changes != self.view.changes):
                return self.view.snapshot
            lost = self._has_lost_its_mappings(snapshot)
            self.view.take(snapshot)
            self._ledger.last_seen = snapshot
            # A full disk is logged by Home Assistant, and tried again next time.
            with suppress(HomeAssistantError):
                if self._ledger.is_lost:
                    await self._recover(snapshot, forwards)
                if self._ledger.is_unsaved:
                    await self._ledger.strike()
            # What is open and should not be comes first, and together.
            for verdict, reason in _CLOSED_FIRST.items():
                overdue = [
                    opening
                    for opening in self._ledger.openings.values()
                    if self._judge(opening, forwards, lost=lost) is verdict
                ]
                await self._close_quietly(overdue, reason)
            for opening in list(self._ledger.openings.values()):
                if opening.phase is not Phase.CLOSING:
                    await self._try_to_settle(opening, forwards, lost=lost)
            return self.view.snapshot or snapshot

    async def _recover(self, snapshot: Snapshot, forwards: Mapping[str, Forward | None]) -> None:
        """Fill a ledger that was lost from what the router shows, and close what has no forward."""
        found = openings_found(self._router, snapshot, forwards, dt_util.utcnow())
        # Once each: if this has to be tried again, their time must not begin anew.
        known = self._ledger.openings
        await self._ledger.record(*(row for row in found if row.forward.id not in known))
        for row in strays_found(self._router, snapshot, self._ledger.openings):
            LOGGER.warning("Closing %s: its forward is not known any more", row.external_ports)
            try:
                await self._router.close(row)
            except RouterError as error:
                LOGGER.warning("Could not close %s: %s", row.external_ports, error)
                return
            self.view.update(removed=(row,))
        self._ledger.note_found()

    def _has_lost_its_mappings(self, snapshot: Snapshot) -> bool:
        """Tell whether mappings that are missing now were lost and not removed."""
        earlier = self._ledger.last_seen
        if earlier is None:
            return False
        # Of what was seen, we may have closed something since.
        held = self.view.snapshot.mappings if self.view.snapshot else ()
        return snapshot.restarted_since(earlier) or (len(held) > 1 and not snapshot.mappings)

    async def _try_to_settle(
        self, opening: Opening, forwards: Mapping[str, Forward | None], *, lost: bool
    ) -> None:
        """Settle one opening, so that its trouble does not become that of the others."""
        forward = opening.forward
        try:
            await self._settle(opening, forwards, lost=lost)
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

    def _judge(
        self, opening: Opening, forwards: Mapping[str, Forward | None], *, lost: bool
    ) -> Verdict:
        """Look one opening up in the reconcile table."""
        evidence = Evidence(
            deleted=opening.forward.id not in forwards,
            wanted=forwards.get(opening.forward.id),
            complete=all(map(self.view.holds, opening.mappings)),
            lists_all=self._router.capabilities.listing is Listing.FULL,
            lost=lost,
            now=dt_util.utcnow(),
        )
        return judge(opening, evidence)

    async def _settle(
        self, opening: Opening, forwards: Mapping[str, Forward | None], *, lost: bool
    ) -> None:
        """Do what the reconcile table says about one opening."""
        wanted = forwards.get(opening.forward.id)
        verdict = self._judge(opening, forwards, lost=lost)
        if verdict is Verdict.KEEP:
            await self._keep(opening)
        elif verdict is Verdict.RESTORE:
            await self._restore(opening, Reason.ROUTER_RESTARTED if lost else Reason.LEASE_RAN_OUT)
        elif verdict is Verdict.MOVE and wanted:
            await self._move(opening, wanted)
        elif verdict is Verdict.DROP_HALF_MADE:
            await self._do.remove(opening)
            await self._ledger.strike(opening.forward.id)
            self._teller.tell(Kind.OPEN_FAILED, opening.forward, reason=Reason.INTERRUPTED)
        elif verdict is Verdict.REMOVED_ELSEWHERE:
            await self._do.close([opening], Reason.REMOVED_ELSEWHERE)
        else:  # Due since the others were closed.
            await self._do.close([opening], _CLOSED_FIRST[verdict])

    async def _keep(self, opening: Opening) -> None:
        """Go on with an opening that stands: after a restart its alarms are not set yet.

        Home Assistant may have died between the router's answer and the
        ledger: the router's lease may end before the ledger thinks.
        """
        if self._do.is_renewing(opening.forward.id):
            return
        noted, shown = opening.lease_until, lease_end(self.view.find(opening.mappings))
        if shown and (noted is None or shown < noted - _LEASES_ARE_COARSE):
            opening = replace(opening, phase=Phase.OPEN, lease_until=shown)
            await self._ledger.record(opening)
        elif opening.phase is Phase.OPENING:
            opening = opening.within(Phase.OPEN)
            await self._ledger.record(opening)
        self._do.set_alarms(opening)

    async def _move(self, opening: Opening, wanted: Forward) -> None:
        """Close an opening whose forward was edited, and open what it is now."""
        await self._do.close([opening], Reason.FORWARD_EDITED)
        moved = replace(
            opening, forward=wanted, mappings=self._router.plan(wanted), phase=Phase.OPENING
        )
        await self._do.open(moved, None)
        self._teller.tell(Kind.OPENED, wanted, deadline=moved.deadline)

    async def _restore(self, opening: Opening, reason: Reason) -> None:
        """Make again what the router lost; tried at each snapshot while it is away."""
        lost = opening.within(Phase.LOST, opening.reason or reason)
        await self._ledger.record(lost)
        self._do.set_alarms(lost)
        try:
            await self._do.open(replace(lost, phase=Phase.OPENING, reason=None), lost)
        except RouterError as error:
            if _may_pass(error):
                raise
            LOGGER.warning("%s could not be opened again: %s", opening.forward.name, error)
            await self._do.close([lost], Reason.NOT_RESTORED)
        else:
            self._teller.tell(
                Kind.RESTORED, opening.forward, reason=lost.reason, deadline=opening.deadline
            )

    async def _close_due(self, deadlines: dict[str, datetime]) -> None:
        """Close the forwards whose time is up, unless it was extended meanwhile."""
        async with self._lock:
            if self._stopped:
                return
            self.view.changes += 1
            due = [
                opening
                for opening in self._ledger.openings.values()
                if opening.deadline and deadlines.get(opening.forward.id) == opening.deadline
            ]
            await self._close_quietly(due, Reason.TIME_UP)

    async def _close_again(self) -> None:
        """Close what could not be closed before."""
        async with self._lock:
            if self._stopped:
                return
            self.view.changes += 1
            openings = self._ledger.openings.values()
            await self._close_quietly([o for o in openings if o.phase is Phase.CLOSING])

    async def _close_quietly(self, openings: list[Opening], reason: Reason | None = None) -> None:
        """Close what nobody waits for; what fails has been told and is tried again."""
        try:
            await self._do.close(openings, reason)
        except (RouterError, HomeAssistantError) as error:
            LOGGER.debug("Not closed yet: %s", error)

    async def _renew(self, forward_id: str, failures: int) -> None:
        async with self._lock:
            if self._stopped:
                return
            self.view.changes += 1
            opening = self._ledger.openings.get(forward_id)
            if opening is None or opening.phase is not Phase.OPEN:
                return
            try:
                await self._do.open(opening, opening)
            except (RouterError, HomeAssistantError) as error:
                if not failures:
                    LOGGER.warning("Could not renew %s: %s", opening.forward.name, error)
                self._do.schedule_renewal(opening, failures + 1)
            else:
                if failures:
                    LOGGER.info("%s is renewed again", opening.forward.name)

    def _planned(self, forward: Forward) -> tuple[PortMapping, ...]:
        try:
            return self._router.plan(forward)
        except RouterError:
            return ()  # What this router can never hold is not open.


# What closes without a look at the router, and why; CLOSE goes on for the reason that there was.
_CLOSED_FIRST = {
    Verdict.CLOSE: None,
    Verdict.CLOSE_DELETED: Reason.FORWARD_DELETED,
    Verdict.CLOSE_OVERDUE: Reason.TIME_UP,
}


def _may_pass(error: RouterError) -> bool:
    """Tell whether the router may only be starting: it answers before its WAN has an address."""
    return isinstance(error, RouterUnreachableError | ProtocolError) or (
        isinstance(error, NotPermittedError) and error.reason is Refusal.DOUBLE_NAT
    )
