"""The keeper: all that may happen to the forwards of one router, one thing at a time.

It is the only code that changes a router. Every change is in the ledger
before the router is asked, and every row that the router has confirmed is
shown at once. `docs/architecture.md` has the table of what `reconcile` does.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType

from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util import dt as dt_util

from ..const import DOMAIN
from ..home import async_forward_ids, async_home
from ..routers.errors import RouterError
from ..routers.model import Forward, Listing, PortMapping, Snapshot
from ..routers.router import Router
from .activity import Activity, Kind, Reason, Teller
from .due import Due
from .journal import Journal, Source
from .ledger import Ledger
from .limit import limited
from .opening import Opening, Phase
from .operations import Operations
from .reconcile import Reconciler, Wishes
from .rules import planned
from .shown import Shown
from .to_the_end import to_the_end
from .turns import Turns
from .verdict import differs, has_moved
from .view import View


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
        journal: Journal,
    ) -> None:
        """Take the router, its loaded ledger and its journal; `lease` is asked for each opening."""
        self.hass = hass
        self.view = View(on_change)
        self._router = router
        self._ledger = ledger
        self._journal = journal
        self._teller = Teller(on_activity, journal)
        self._turns = Turns(self.view)
        self._shown = Shown(router, ledger, self.view)
        self._do = Operations(
            hass,
            router,
            ledger,
            self.view,
            self._teller,
            lease=lease,
            # Not there before what it does everything with.
            on_due=lambda deadlines: self._due.close(deadlines),  # noqa: PLW0108
            renew=lambda forward_id: self._due.renew(forward_id),  # noqa: PLW0108
            retry=lambda: self._due.close_again(),  # noqa: PLW0108
        )
        self._due = Due(ledger, self._do, self._turns, journal)
        self._reconciler = Reconciler(
            router,
            ledger,
            self.view,
            shown=self._shown,
            operations=self._do,
            teller=self._teller,
        )

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
    ) -> Opening:
        """Open `forward` until `deadline`, None for until closed; move that when it is open.

        `limit` lets in a part of the sources that the forward does, and counts
        until it is closed or opened with another or none. `reason` is why,
        where nobody asked for it. A failure is not told if `quiet`: it was before.
        Raises RouterError when the router will not, HomeAssistantError when
        the ledger cannot be written; the router holds nothing of it then, or
        what it held before.
        """
        self._journal.note(forward.id, Source.COMMAND, "open", why=reason)
        async with self._turns.to_change():
            held = self._ledger.openings.get(forward.id)
            try:
                now = dt_util.utcnow()
                if deadline and deadline <= now:
                    # It was still to come when asked for: others had their turn before.
                    raise ServiceValidationError(
                        translation_domain=DOMAIN, translation_key="in_the_past"
                    )
                forward = limited(forward, limit)
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
                        await self._do.close([held], why, by)
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
                deadline=deadline,
                context=by,
            )
            return opening

    @to_the_end
    async def prolong(self, forward_id: str, deadline: datetime) -> None:
        """Move the deadline of what is open, as what opened it goes on; nobody is told.

        Nothing is changed where it is closed by now, or open for longer. Raises
        RouterError and HomeAssistantError; it keeps the deadline it has then.
        """
        async with self._turns.to_change():
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
        async with self._turns.to_change():
            opening = self._shown.to_close(forward_id, forward)
            if opening is not None:
                await self._do.close([opening], reason, by)

    @to_the_end
    async def move(self, forward: Forward) -> None:
        """Lead an opening to where the device of its forward is now, with the same deadline.

        Raises RouterError and HomeAssistantError; what can still succeed is
        tried again after the next looks at the router.
        """
        async with self._turns.to_change():
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
        async with self._turns.to_change():
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
        async with self._turns.to_change():
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
            # Not only when its turn has come: what waits behind it is refused, too.
            self._do.is_over = True
        async with self._turns.to_change():
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
        # Not only when its turn has come: what waits there to be opened is refused.
        self._ledger.is_locked = True
        async with self._turns.to_change():
            closing = self._shown.all_to_close(forwards)
            unsaved: HomeAssistantError | None = None
            try:
                await self._ledger.lock(
                    *(opening.within(Phase.CLOSING, Reason.LOCKDOWN) for opening in closing)
                )
            except HomeAssistantError as error:
                unsaved = error
            self.view.update()
            await self._do.close(closing, Reason.LOCKDOWN, by)
            if unsaved:
                raise unsaved

    @to_the_end
    async def unlock(self) -> None:
        """Turn lockdown off, which opens nothing.

        Raises HomeAssistantError when the disk does not take it; it stays on then.
        """
        self._journal.note("", Source.COMMAND, "unlock")
        async with self._turns.to_change():
            await self._ledger.unlock()
            self.view.update()

    async def stop(self) -> None:
        """Stop for good, after what is under way; the router keeps its mappings.

        From now on another keeper may have the ledger.
        """
        async with self._turns.to_end():
            self._do.stop()

    @to_the_end
    async def reconcile(
        self,
        snapshot: Snapshot,
        changes: int,
        forwards: Mapping[str, Forward | None],
        barred: Mapping[str, Reason] | None = None,
        following: Collection[str] = (),
    ) -> Snapshot:
        """Make router and ledger agree, and return what the router holds then.

        `changes` is the view's count before `snapshot` was taken. `forwards`
        holds every forward that the user has, None where its host is not
        known now. `barred` are those that must not be open now, and why,
        `following` those that lead to wherever their device is.
        """
        if self.view.snapshot and self._turns.is_taken:
            return self.view.snapshot
        async with self._turns.to_look():
            if self.view.snapshot and (self._turns.are_over or changes != self.view.changes):
                return self.view.snapshot
            wishes = Wishes(
                forwards=forwards,
                barred=barred or {},
                following=following,
                elsewhere=async_forward_ids(self.hass) - forwards.keys(),
                home=async_home(self.hass),
            )
            await self._reconciler.run(snapshot, wishes)
            return self.view.snapshot or snapshot
