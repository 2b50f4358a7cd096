"""Closing: our forwards go, one of the user's is switched off, and nothing else is touched."""

from ..errors import NotClosedError, Refusal
from ..model import PortMapping
from ..refusals import not_permitted
from ..rule_texts import rule_id_of
from ..tag import owner_in
from .api import Api, ApiError, Document
from .forwards import id_of, is_on, is_ours, leads_like, read


async def remove(api: Api, wan: str, mapping: PortMapping, *, ours_only: bool = False) -> bool:
    """Close `mapping`, and make sure; tell whether there was anything to close.

    Its document is found by what it does: one of ours by its tag besides,
    whatever its id is. One that is not ours is meant only where the mapping
    has no id (the user switches off what leads exactly there) or its very id.
    It is switched off, so that nothing of it is lost. Raises NotClosedError
    and NotPermittedError.
    """
    rows = await api.forwards()
    ours = [row for row in rows if is_ours(row, mapping)]
    theirs = [row for row in rows if _is_meant(row, mapping, wan)]
    if ours or ours_only:
        theirs = []
    if any(len(list(read(row))) > 1 for row in theirs):
        raise not_permitted(Refusal.REFUSED, mapping, "its rule is for other ports too")
    try:
        for row in ours:
            await api.delete(id_of(row))
        for row in theirs:
            await api.replace(id_of(row), {**row, "enabled": False})
    except ApiError as error:
        raise not_permitted(Refusal.REFUSED, mapping, error.placeholders["detail"]) from error
    touched = {id_of(row) for row in (*ours, *theirs)}
    if touched and any(
        id_of(row) in touched
        and row.get("enabled") is not False
        and (is_ours(row, mapping) or leads_like(row, mapping))
        for row in await api.forwards()
    ):
        raise NotClosedError(port=str(mapping.external_ports))
    return bool(touched)


def _is_meant(row: Document, mapping: PortMapping, wan: str) -> bool:
    """Tell whether a document that is not ours is the one to close, and closes something."""
    is_foreign = owner_in(str(row.get("name"))) is None
    is_open = row.get("enabled") is not False and is_on(row, wan)
    is_named = rule_id_of(mapping) in ("", id_of(row))
    return is_foreign and is_open and is_named and leads_like(row, mapping)
