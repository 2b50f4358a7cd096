"""Finding what is ours on the router, and in no ledger."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from ..const import DEFAULT_CLOSE_AFTER
from ..routers.errors import RouterError
from ..routers.model import Forward, Owner, PortMapping, Snapshot
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
    tagged = _by_forward(router, snapshot.mappings)
    for forward in filter(None, forwards.values()):
        if forward.adopted:
            if any(row.enabled and row.same_rule(forward.adopted) for row in snapshot.mappings):
                yield _opening(forward, (forward.adopted,), now)
        elif found := _taken_up(router, forward, tagged.get(forward.id, ()), now):
            yield found


def openings_unknown(
    router: Router,
    snapshot: Snapshot,
    forwards: Mapping[str, Forward | None],
    openings: Mapping[str, Opening],
    now: datetime,
) -> Iterator[Opening]:
    """Return an opening for each forward that is open with our tag, though no ledger says so.

    That is what an older ledger that was restored does not know, or another
    program has made with our tag. Without a tag nobody knows whose it is: that
    is told as a foreign mapping.
    """
    tagged = _by_forward(router, [row for row in snapshot.mappings if row.enabled])
    for forward_id in tagged.keys() - openings.keys():
        forward = forwards.get(forward_id)
        if forward is None or forward.adopted:
            continue
        if found := _taken_up(router, forward, tagged[forward_id], now):
            yield found


def strays_found(  # noqa: PLR0913  all that tells whose a row is
    router: Router,
    snapshot: Snapshot,
    openings: Mapping[str, Opening],
    *,
    known: Collection[str],
    elsewhere: Collection[str],
    home: str,
) -> Iterator[PortMapping]:
    """Return the rows with our tag that belong to no opening: of forwards deleted or edited.

    `home` is what this Home Assistant is called. A tag of an earlier version
    names none, so it proves something only with the id of a forward that is
    `known`. What is of forwards `elsewhere`, on other routers of ours that may
    be this very one, is for these to close.
    """
    for row in snapshot.mappings:
        owner = router.owner_of(row)
        if owner is None or owner.forward_id in elsewhere:
            continue
        opening = openings.get(owner.forward_id)
        is_ours = owner.home == home if owner.home else opening or owner.forward_id in known
        if is_ours and not (opening and any(row.same_rule(m) for m in opening.mappings)):
            yield row


type _Tagged = tuple[PortMapping, Owner]


def _by_forward(router: Router, rows: Iterable[PortMapping]) -> dict[str, list[_Tagged]]:
    """Return the rows that carry a tag, with what it says, by the id of the forward in it."""
    tagged: dict[str, list[_Tagged]] = {}
    for row in rows:
        if owner := router.owner_of(row):
            tagged.setdefault(owner.forward_id, []).append((row, owner))
    return tagged


def _taken_up(
    router: Router, forward: Forward, tagged: Iterable[_Tagged], now: datetime
) -> Opening | None:
    """Return an opening of a forward if one of these rows is ours and leads where it does.

    None for a forward that this router cannot map: what carries its tag is a
    stray. The rows keep their tag, which an earlier version may have written.
    """
    for row, owner in tagged:
        if forward.owner.has_made(owner):
            made_for = replace(forward, home=owner.home)
            try:
                plan = planned(router, made_for)
            except RouterError:
                return None
            if any(map(row.same_rule, plan)):
                return _opening(made_for, plan, now)
    return None


def _opening(forward: Forward, mappings: tuple[PortMapping, ...], now: datetime) -> Opening:
    return Opening(
        forward=forward,
        mappings=mappings,
        phase=Phase.OPENING,
        opened_at=now,
        asked_at=now,
        deadline=now + DEFAULT_CLOSE_AFTER,
    )
