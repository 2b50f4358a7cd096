"""Closing: our rules go, a rule of the user's is switched off, and nothing else is touched."""

from collections.abc import Sequence

from ..errors import NotClosedError, Refusal
from ..model import PortMapping
from ..refusals import not_permitted
from ..rule_texts import owner_of, rule_id_of
from ..tag import owner_in
from .admission import Admission
from .rest import ID, Rest, RestError, Row
from .rules import FILTER6, NAT, is_marked, is_ours, leads_like, list_of, read_row
from .table import read_filter6_rows
from .wan import Wan
from .words import is_on


async def remove(rest: Rest, wan: Wan, mapping: PortMapping, *, ours_only: bool = False) -> bool:
    """Close `mapping`, and make sure; tell whether there was anything to close.

    Its rule is found by what it does: one of ours by its tag besides, whatever
    its id is by now. One that is not ours is meant only where the mapping has
    no id (the user switches off what leads exactly there) or its very id. It
    is switched off, so that nothing of it is lost. Raises NotClosedError and
    NotPermittedError.
    """
    path = FILTER6 if mapping.is_pinhole else NAT
    rows = await _rows(rest, path)
    ours = [row for row in rows if is_ours(row, mapping)]
    theirs = [row for row in rows if _is_meant(row, mapping, wan)]
    if ours or ours_only:
        theirs = []
    if any(len(read_row(row)) > 1 for row in theirs):
        raise not_permitted(Refusal.REFUSED, mapping, "its rule is for other ports too")
    try:
        for row in ours:
            await rest.remove(path, row[ID])
        for row in theirs:
            await rest.set(path, row[ID], {"disabled": "true"})
    except RestError as error:
        raise not_permitted(Refusal.REFUSED, mapping, error.placeholders["detail"]) from error
    touched = {row[ID] for row in (*ours, *theirs)}
    if touched:
        rows = await _rows(rest, path)
        if any(
            row[ID] in touched
            and not is_on(row.get("disabled"))
            and (is_ours(row, mapping) or leads_like(row, mapping))
            for row in rows
        ):
            raise NotClosedError(port=str(mapping.external_ports))
    # Without a single pinhole there may be no IPv6 at all.
    if path == NAT or touched or rows:
        await _clear_lists(rest, mapping, ours, rows)
    return bool(touched)


async def _clear_lists(
    rest: Rest, mapping: PortMapping, removed: Sequence[Row], rows: Sequence[Row]
) -> None:
    """Empty the lists that no rule names any more.

    A rule that an earlier version has made has another list than the plan says.
    """
    owners = {owner_of(mapping), *(owner_in(row.get("comment", "")) for row in removed)}
    for owner in filter(None, owners):
        if not any(is_marked(row, owner) for row in rows):
            await Admission(rest, list_of(owner), 6 if mapping.is_pinhole else 4, {}).clear()


async def _rows(rest: Rest, path: str) -> Sequence[Row]:
    rows = await read_filter6_rows(rest, {}) if path == FILTER6 else await rest.rows(path)
    return [row for row in rows if ID in row]


def _is_meant(row: Row, mapping: PortMapping, wan: Wan) -> bool:
    """Tell whether a rule that is not ours is the one to close, and closes something."""
    is_foreign = owner_in(row.get("comment", "")) is None
    is_open = not is_on(row.get("disabled")) and (mapping.is_pinhole or wan.hears(row))
    is_named = rule_id_of(mapping) in ("", row[ID])
    return is_foreign and is_open and is_named and leads_like(row, mapping)
