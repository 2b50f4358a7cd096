"""The keeper: all that may happen to the forwards of one router.

It is the only code that changes a router. Every change is in the ledger
before the router is asked, and every row that the router has confirmed is
shown at once. There is one for each router from the start of Home Assistant
on, whatever becomes of its config entry: what is open closes.
`docs/architecture.md` has the table of what `reconcile` does.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Final

from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from ..const import DOMAIN, LOGGER
from ..home import async_forward_ids, async_home
from ..routers.errors import RouterError, StoppedError
from ..routers.model import Forward, Listing, PortMapping, Snapshot
from ..routers.observed import ObservedRouter
from ..routers.queue import Urgency
from .activity import Activity, Kind, Reason, Teller
from .journal import Journal, Source
from .ledger import Ledger
from .limit import limited
from .opening import Opening, Phase
from .operations import Operations
from .reconcile import Reconciler, Wishes
from .rules import planned
from .schedule import Due, Schedule
from .shown import Shown
from .to_the_end import to_the_end
from .verdict import differs, has_moved
from .view import Look, View

# How often it is noted on the disk that Home Assistant is there, while something is open.
_SIGN_OF_LIFE: Final = timedelta(hours=1)


class Keeper:
    """Keeps the openings of one router true.

    `view` is the newest knowledge of what the router holds; `on_change` is
    told the ids of the forwards that changed between two polls, `on_activity`
    all that happens to a forward, `on_doubt` of an opening that is not simply
    gone on with after a long absence. `exists` says whether the user has a
    forward of that id now.
    """

    def __init__(  # noqa: PLR0913  all that there is of one router
        self,
        hass: HomeAssistant,
        router: ObservedRouter,
        ledger: Ledger,
        *,
        lease: timedelta,
        exists: Callable[[str], bool],
        on_change: Callable[[Collection[str]], None],
        on_activity: Callable[[Activity], None],
        on_doubt: Callable[[Opening], None],
        journal: Journal,
    ) -> None:
        """Take the router, its loaded ledger and its journal; `lease` is asked for each opening."""
        self.hass = hass
        self.view = View(on_change)
        self._router = router
        self._ledger = ledger
        self._journal = journal
        self._exists = exists
        self._teller = Teller(on_activity, journal)
        self._schedule = Schedule(hass, self._on_due)
        self._shown = Shown(router, ledger, self.view)
        self._do = Operations(
            router,
            ledger,
            self.view,
            teller=self._teller,
            schedule=self._schedule,
            lease=lease,
        )
        self._reconciler = Reconciler(
            hass,
            router,
            ledger,
            self.view,
            shown=self._shown,
            operations=self._do,
            teller=self._teller,
            exists=exists,
            on_doubt=on_doubt,
        )

    @callback
    def begin(self) -> None:
        """Close what has to be closed, from now on, before anybody has looked at the router.

        Nothing is renewed or made again before: what became of it is not known.
        """
        for opening in self._ledger.openings.values():
            if opening.deadline:
                # The clock may have been set back while Home Assistant was off.
                at_most = opening.deadline - dt_util.utcnow() - self._ledger.clock_is_behind
                at_most = min(at_most, opening.deadline - opening.asked_at)
                self._schedule.set_deadline(opening.forward.id, opening.deadline, at_most)
        openings = self._ledger.openings.values()
        if self._ledger.is_locked or any(o.phase is Phase.CLOSING for o in openings):
            self._schedule.set_retry(0)

    @callback
    def close_deleted(self) -> None:
        """Close what is open of forwards that the user has deleted."""
        deleted = [
            opening
            for opening in self._ledger.openings.values()
            if not self._exists(opening.forward.id) and opening.phase is not Phase.CLOSING
        ]
        if deleted:
            self.hass.async_create_task(
                self._do.close_quietly(deleted, Reason.FORWARD_DELETED, urgency=Urgency.DUE),
                "close deleted port forwards",
            )

    @property
    def lease(self) -> timedelta:
        """The lease that is asked for each opening."""
        return self._do.lease

    @lease.setter
    def lease(self, lease: timedelta) -> None:
        self._do.lease = lease

    @property
    def openings(self) -> Mapping[str, Opening]:
        """The openings by the id of their forward."""
        return self._ledger.openings

    @property
    def mappings(self) -> list[PortMapping]:
        """The mappings of all openings."""
        return [m for opening in self._ledger.openings.values() for m in opening.mappings]

    @property
    def is_locked(self) -> bool:
        """Tell whether lockdown is on: nothing is opened until it is off."""
        return self._ledger.is_locked

    def is_open(self, forward_id: str, forward: Forward | None) -> bool:
        """Tell whether the router holds a mapping of this forward now, whoever made it."""
        return self._shown.is_open(forward_id, forward)

    def plan_of(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return what opening would ask for, as thought out for the last look."""
        return self._shown.plan_of(forward)

    def why_not_plannable(self, forward: Forward) -> RouterError | None:
        """Return why this router can never open a forward, None where it may."""
        return self._shown.why_not_plannable(forward)

    def is_sure(self, forward_id: str) -> bool:
        """Tell whether it is known if the forward is open.

        A router that does not list its mappings can only be believed as long
        as it renews them.
        """
        opening = self._ledger.openings.get(forward_id)
        if self._router.capabilities.listing is not Listing.NONE or opening is None:
            return True
        return self._do.is_sure(opening)

    @to_the_end
    async def open(  # noqa: PLR0913  what can be said of an opening
        self,
        forward: Forward,
        *,
        deadline: datetime | None = None,
        limit: IPv4Network | IPv6Network | None = None,
        reason: Reason | None = None,
        by: Context | None = None,
        quiet: bool = False,
        never_shorter: bool = False,
    ) -> Opening:
        """Open `forward` until `deadline`, None for until closed; move that when it is open.

        `limit` lets in a part of the sources that the forward does, and counts
        until it is closed or opened with another or none. `reason` is why,
        where nobody asked for it. A failure is not told if `quiet`: it was before.
        With `never_shorter`, what is open for longer stays so.
        Raises RouterError when the router will not, HomeAssistantError when
        the ledger cannot be written; the router holds nothing of it then, or
        what it held before.
        """
        self._journal.note(forward.id, Source.COMMAND, "open", why=reason)
        async with self._do.turn_to_open(forward.id):
            held = self._ledger.openings.get(forward.id)
            try:
                now = dt_util.utcnow()
                if deadline and deadline <= now:
                    # It was still to come when asked for: others had their turn before.
                    raise ServiceValidationError(
                        translation_domain=DOMAIN, translation_key="in_the_past"
                    )
                forward = limited(forward, limit)
                kept = held if never_shorter and _ends_later(held, deadline) else None
                if held and held.phase is not Phase.CLOSING and not differs(held.forward, forward):
                    mappings = held.mappings
                    # Its rules keep the tag that they have.
                    forward = replace(forward, home=held.forward.home)
                else:
                    # Before anything is closed: what cannot be opened changes nothing.
                    mappings = planned(self._router, forward)
                    if held:
                        edited = held.limit == limit
                        why = Reason.FORWARD_EDITED if edited else Reason.SOURCE_CHANGED
                        await self._do.close_held([held], why, by)
                        held = None
                asked = Opening(
                    forward=forward,
                    mappings=mappings,
                    phase=Phase.OPENING,
                    opened_at=held.opened_at if held else now,
                    asked_at=now,
                    deadline=deadline,
                    opened_by=by.user_id if by else None,
                    limit=limit,
                )
                if kept:
                    asked = replace(asked, asked_at=kept.asked_at, deadline=kept.deadline)
                    if held and held.phase is Phase.OPEN:
                        # All of it is as it was, but the router is asked again.
                        return await self._do.open(replace(held, forward=forward), held)
                opening = await self._do.open(asked, held)
            except (RouterError, HomeAssistantError) as error:
                if not quiet:
                    self._teller.tell(
                        Kind.OPEN_FAILED, forward, reason=Reason.REFUSED, context=by, error=error
                    )
                raise
            extended = held is not None and held.phase is Phase.OPEN
            kind = Kind.EXTENDED if extended else Kind.OPENED
            self._teller.tell(
                kind,
                forward,
                external_ports=opening.external_ports,
                reason=reason,
                deadline=opening.deadline,
                context=by,
            )
            return opening

    @to_the_end
    async def prolong(self, forward_id: str, deadline: datetime) -> None:
        """Move the deadline of what is open, as what opened it goes on; nobody is told.

        Nothing is changed where it is closed by now, or open for longer. Raises
        RouterError and HomeAssistantError; it keeps the deadline it has then.
        """
        async with self._do.turn_to_open(forward_id):
            held = self._ledger.openings.get(forward_id)
            if held is None or held.phase is not Phase.OPEN:
                return
            if held.deadline and held.deadline < deadline:
                moved = replace(held, deadline=deadline, asked_at=dt_util.utcnow())
                await self._do.open(moved, held)

    @to_the_end
    async def close(
        self,
        forward_id: str,
        forward: Forward | None,
        *,
        reason: Reason = Reason.TURNED_OFF,
        by: Context | None = None,
    ) -> None:
        """Close the forward, whoever opened it.

        Raises RouterError when it could not be confirmed; it is tried again
        until it is.
        """
        self._journal.note(forward_id, Source.COMMAND, "close", why=reason)
        self._do.stop_opening(forward_id)
        opening = self._shown.to_close(forward_id, forward)
        if opening is None and self._do.is_busy(forward_id):
            # It may be about to be opened, or be taken over.
            async with self._do.forward(forward_id):
                opening = self._shown.to_close(forward_id, forward)
        if opening is not None:
            await self._do.close([opening], reason, by)

    @to_the_end
    async def move(self, forward: Forward) -> None:
        """Lead an opening to where the device of its forward is now, with the same deadline.

        Raises RouterError and HomeAssistantError; what can still succeed is
        tried again after the next looks at the router.
        """
        async with self._do.turn_to_open(forward.id):
            opening = self._ledger.openings.get(forward.id)
            if opening is None or opening.phase not in (Phase.OPEN, Phase.LOST):
                return
            moved = limited(forward, opening.limit)
            if has_moved(opening.forward, moved):
                self._journal.note(forward.id, Source.COMMAND, "move", why=Reason.DEVICE_MOVED)
                await self._reconciler.follow(opening, moved)

    @to_the_end
    async def take_over(
        self, forward: Forward, *, deadline: datetime | None, user_id: str | None
    ) -> None:
        """Keep as our own what leads exactly where `forward` does, whoever made it.

        From now on it is renewed, and closed at the deadline. Nothing happens
        if the router does not hold all of it. Raises HomeAssistantError when
        the ledger cannot be written.
        """
        async with self._do.turn_to_open(forward.id):
            if opening := self._shown.to_take_over(forward, deadline, user_id):
                await self._do.take_over(opening)
                self._teller.tell(
                    Kind.OPENED,
                    forward,
                    external_ports=opening.external_ports,
                    deadline=deadline,
                    context=Context(user_id=user_id),
                )

    @to_the_end
    async def close_foreign(
        self, mapping: PortMapping, opened_elsewhere: Callable[[PortMapping], str | None]
    ) -> None:
        """Close a mapping that no opening accounts for: this very one, or nothing at all.

        `opened_elsewhere` names the forward of another router that does. Raises
        RouterError, and ServiceValidationError if it is ours by now.
        """
        async with self._do.between_openings:
            names = (
                opening.forward.name
                for opening in self._ledger.openings.values()
                if any(map(mapping.same_rule, opening.mappings))
            )
            if name := next(names, None) or opened_elsewhere(mapping):
                raise ServiceValidationError(
                    translation_domain=DOMAIN,
                    translation_key="mapping_is_ours",
                    translation_placeholders={"forward": name},
                )
            with self._router.queue.operation(Urgency.CLOSE) as operation, operation.requests():
                await self._router.close(mapping)
        self.view.update(removed=(mapping,))

    @to_the_end
    async def close_all(
        self,
        reason: Reason,
        forwards: Mapping[str, Forward | None] = MappingProxyType({}),
        *,
        by: Context | None = None,
        for_good: bool = False,
    ) -> None:
        """Close every opening, and of `forwards` what somebody else made.

        `for_good`: this keeper opens nothing any more, unless `go_on` is
        called. Raises the first RouterError after trying all.
        """
        self._journal.note("", Source.COMMAND, "close_all", why=reason)
        if for_good:
            # What waits to be opened is refused, and what is under way is taken back.
            self._do.is_over = True
        self._do.stop_all_opening()
        await self._do.close(self._shown.all_to_close(forwards), reason, by)

    def go_on(self) -> None:
        """Open what is asked for again: not all could be closed, and the router is kept."""
        self._do.is_over = False

    @to_the_end
    async def lock(
        self, forwards: Mapping[str, Forward | None], *, by: Context | None = None
    ) -> None:
        """Turn lockdown on: close all as `close_all` does, and open nothing until `unlock`.

        Raises RouterError for what could not be closed, or HomeAssistantError
        when the disk does not take it. Lockdown is on all the same, and both
        are tried again.
        """
        self._journal.note("", Source.COMMAND, "lock")
        # At once: what waits to be opened is refused, and what is under way is taken back.
        self._ledger.is_locked = True
        self._do.stop_all_opening()
        closing = self._shown.all_to_close(forwards)
        self._ledger.put(*(row.within(Phase.CLOSING, Reason.LOCKDOWN) for row in closing))
        unsaved: HomeAssistantError | None = None
        try:
            await self._ledger.lock()
        except HomeAssistantError as error:
            unsaved = error
        self.view.update()
        await self._do.close(closing, Reason.LOCKDOWN, by, urgency=Urgency.DUE)
        if unsaved:
            raise unsaved

    @to_the_end
    async def unlock(self) -> None:
        """Turn lockdown off, which opens nothing.

        Raises HomeAssistantError when the disk does not take it; it stays on then.
        """
        self._journal.note("", Source.COMMAND, "unlock")
        await self._ledger.unlock()
        self.view.update()

    @callback
    def stop(self) -> None:
        """Forget all times; what is under way goes on to its end."""
        self._do.is_over = True
        self._schedule.stop()

    async def forget_router(self) -> None:
        """Forget all of this router but lockdown: another one takes its place."""
        self._schedule.stop()
        self.view.forget()
        await self._ledger.begin_anew()

    async def note_alive(self) -> None:
        """Note now and then, on the disk, that Home Assistant is there while something is open."""
        saved_at = self._ledger.saved_at
        if (
            self._ledger.openings
            and not self._ledger.is_stale
            and (saved_at is None or abs(dt_util.utcnow() - saved_at) >= _SIGN_OF_LIFE)
        ):
            try:
                await self._ledger.save()
            except HomeAssistantError as error:
                LOGGER.debug("Not noted that Home Assistant is there: %s", error)

    @contextmanager
    def look(self) -> Iterator[Look]:
        """Begin a look at the router, which ends with `reconcile`."""
        with self.view.look() as look:
            yield look

    async def reconcile(
        self,
        look: Look,
        snapshot: Snapshot,
        forwards: Mapping[str, Forward | None],
        barred: Mapping[str, Reason] | None = None,
        following: Collection[str] = (),
    ) -> Snapshot:
        """Make router and ledger agree, and return what the router is known to hold.

        What has to be done for it is only begun. `forwards` holds every forward
        that the user has, None where its host is not known now. `barred` are
        those that must not be open now, and why, `following` those that lead to
        wherever their device is.
        """
        wishes = Wishes(
            forwards=forwards,
            barred=barred or {},
            following=following,
            elsewhere=async_forward_ids(self.hass) - forwards.keys(),
            home=async_home(self.hass),
        )
        await self._reconciler.run(look, snapshot, wishes)
        return self.view.snapshot or snapshot

    @callback
    def _on_due(self, due: Due) -> None:
        if due.deadlines:
            self.hass.async_create_task(
                self._close_due(due.deadlines), "close port forwards whose time is up"
            )
        if due.retry:
            self.hass.async_create_task(
                self._close_again(), "close port forwards that could not be closed"
            )
        for forward_id in due.renewals:
            self.hass.async_create_task(self._renew(forward_id), "renew a port forward")

    async def _close_due(self, deadlines: Mapping[str, datetime]) -> None:
        """Close the forwards whose time is up, unless it was extended meanwhile."""
        due: list[Opening] = []
        for forward_id, deadline in deadlines.items():
            opening = self._ledger.openings.get(forward_id)
            if opening is None or opening.deadline != deadline:
                continue
            if self._do.is_extending(forward_id, deadline):
                self.hass.async_create_task(
                    self._close_unless_extended(forward_id, deadline),
                    "close a port forward unless it is extended",
                )
            else:
                due.append(opening)
        await self._do.close_quietly(due, Reason.TIME_UP, urgency=Urgency.DUE)

    async def _close_unless_extended(self, forward_id: str, deadline: datetime) -> None:
        async with self._do.forward(forward_id):
            pass  # Until it is, or the router has refused to.
        await self._close_due({forward_id: deadline})

    async def _close_again(self) -> None:
        """Close what could not be closed before, and what must not be open under lockdown."""
        closing = []
        for opening in self._ledger.openings.values():
            if opening.phase is Phase.CLOSING:
                closing.append(opening)
            elif self._ledger.is_locked:
                closing.append(opening.within(opening.phase, Reason.LOCKDOWN))
        await self._do.close_quietly(closing)
        self._reconciler.settle_lost()

    async def _renew(self, forward_id: str) -> None:
        """Renew the lease of a forward, if it is open still and not being closed."""
        with suppress(StoppedError, HomeAssistantError):
            async with self._do.turn_to_open(forward_id):
                opening = self._ledger.openings.get(forward_id)
                if opening is None or opening.phase is not Phase.OPEN:
                    return
                try:
                    await self._do.open(opening, opening)
                except StoppedError:
                    raise
                except (RouterError, HomeAssistantError) as error:
                    self._journal.note(forward_id, Source.ACTIVITY, "renewal_failed", error=error)
                    self._do.note_unrenewed(opening, error)
                    if opening.lease_until and opening.lease_until <= dt_util.utcnow():
                        # A look may never meet it between two tries.
                        self._reconciler.settle(forward_id)


def _ends_later(held: Opening | None, deadline: datetime | None) -> bool:
    """Return whether what is open ends no sooner than `deadline`, None being never."""
    if held is None or held.phase is Phase.CLOSING:
        return False
    return held.deadline is None or (deadline is not None and held.deadline >= deadline)
