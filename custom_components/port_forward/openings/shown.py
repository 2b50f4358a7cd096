"""Which forwards show as open, and what there is to close of them."""

from collections.abc import Mapping
from datetime import datetime

from homeassistant.util import dt as dt_util

from ..routers.errors import RouterError
from ..routers.model import Forward, Listing, PortMapping
from ..routers.router import Router
from .ledger import Ledger
from .opening import Opening, Phase
from .rules import planned
from .view import View


class Shown:
    """What the ledger and the newest view of the router tell of the forwards."""

    def __init__(self, router: Router, ledger: Ledger, view: View) -> None:
        """Take the router and all that is known of it."""
        self._router = router
        self._ledger = ledger
        self._view = view
        self._plans: dict[str, tuple[Forward, tuple[PortMapping, ...], RouterError | None]] = {}

    def is_open(self, forward_id: str, forward: Forward | None) -> bool:
        """Tell whether the router holds a mapping of this forward now.

        One of several is enough: an open port must never show as closed. A
        mapping that somebody else made, but that leads exactly where the
        forward would, counts too.
        """
        opening = self._ledger.openings.get(forward_id)
        if opening is None:
            return forward is not None and any(map(self._view.holds, self.plan_of(forward)))
        if any(map(self._view.holds, opening.mappings)):
            return True
        lists_all = self._router.capabilities.listing is Listing.FULL
        return not lists_all and opening.phase is not Phase.LOST

    def to_close(self, forward_id: str, forward: Forward | None) -> Opening | None:
        """Return what has to be closed that the forward is closed, None where nothing has to be.

        That is its opening, whatever the router shows of it, or else the
        mappings that somebody else made.
        """
        opening = self._ledger.openings.get(forward_id)
        if opening is None and forward is not None and self.is_open(forward_id, forward):
            now = dt_util.utcnow()
            opening = Opening(
                forward=forward,
                mappings=self._held(forward),
                phase=Phase.CLOSING,
                opened_at=now,
                asked_at=now,
            )
        return opening

    def all_to_close(self, forwards: Mapping[str, Forward | None]) -> list[Opening]:
        """Return what has to be closed that every forward is, and every opening without one."""
        ids = self._ledger.openings | dict(forwards)
        found = (self.to_close(forward_id, forwards.get(forward_id)) for forward_id in ids)
        return list(filter(None, found))

    def to_take_over(
        self, forward: Forward, deadline: datetime | None, user_id: str | None
    ) -> Opening | None:
        """Return an opening of what the router holds without one, None if that is not all of it."""
        plan = self.plan_of(forward)
        is_held = bool(plan) and all(map(self._view.holds, plan))
        if forward.id in self._ledger.openings or not is_held:
            return None
        now = dt_util.utcnow()
        return Opening(
            forward=forward,
            mappings=tuple(self._view.find(plan)),
            phase=Phase.OPEN,
            opened_at=now,
            asked_at=now,
            deadline=deadline,
            opened_by=user_id,
        )

    def plan_of(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return what opening would ask for, thought out once for each look at the router.

        Nothing for what this router can never hold: that is not open.
        """
        return self._planned(forward)[0]

    def why_not_plannable(self, forward: Forward) -> RouterError | None:
        """Return why this router can never open a forward, None where it may."""
        return self._planned(forward)[1]

    def _planned(self, forward: Forward) -> tuple[tuple[PortMapping, ...], RouterError | None]:
        known = self._plans.get(forward.id)
        if known and known[0] is forward:
            return known[1:]
        plan: tuple[PortMapping, ...] = ()
        why_not = None
        try:
            plan = planned(self._router, forward)
        except RouterError as error:
            why_not = error
        self._plans[forward.id] = forward, plan, why_not
        return plan, why_not

    def _held(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return what the router holds of it, as it shows that: with the ids of these rules."""
        plan = self.plan_of(forward)
        if forward.adopted:
            return plan
        return tuple(row for row in self._view.find(plan) if row.enabled)
