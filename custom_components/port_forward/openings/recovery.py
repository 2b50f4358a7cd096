"""Finding what is ours on the router when the ledger is lost."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from ..const import DEFAULT_CLOSE_AFTER
from ..routers.model import Forward, PortMapping, Snapshot
from ..routers.router import Router
from .opening import Opening, Phase
from .rules import planned


def openings_found(
    router: Router, snapshot: Snapshot, forwards: Mapping[str, Forward | None], now: datetime
) -> Iterator[Opening]:
    """Return an opening for each forward whose mappings carry our tag and lead where it does.

    Until when it was to be open is lost with the ledger, so it closes after
    the time that is usual. One that is not complete is half made, which
    closes it at once. A rule that was adopted carries no tag: whoever switched
    it on, it is safer off than forgotten.
    """
    for forward in filter(None, forwards.values()):
        plan = planned(router, forward)
        if any(
            row.same_rule(mapping)
            and (row.enabled if forward.adopted else router.owner_of(row) == forward.id)
            for mapping in plan
            for row in snapshot.mappings
        ):
            yield Opening(
                forward=forward,
                mappings=plan,
                phase=Phase.OPENING,
                opened_at=now,
                asked_at=now,
                deadline=now + DEFAULT_CLOSE_AFTER,
            )


def strays_found(
    router: Router, snapshot: Snapshot, openings: Mapping[str, Opening]
) -> Iterator[PortMapping]:
    """Return the rows with our tag that belong to no opening: of forwards deleted or edited."""
    for row in snapshot.mappings:
        owner = router.owner_of(row)
        opening = openings.get(owner) if owner else None
        if owner and not (opening and any(row.same_rule(m) for m in opening.mappings)):
            yield row
