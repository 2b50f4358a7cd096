"""What is to be done with an opening, given what the router shows: the reconcile table."""

from dataclasses import dataclass, replace
from enum import Enum, auto

from ..routers.model import Forward
from .ledger import Opening, Phase


class Verdict(Enum):
    """What is to be done with one opening."""

    KEEP = auto()
    CLOSE = auto()
    MOVE = auto()
    RESTORE = auto()
    REMOVED_ELSEWHERE = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What is known about one opening at one moment.

    `deleted`: the user has deleted the forward. `wanted`: the forward as it is
    now, None when its host does not resolve. `complete`: the router shows all
    its mappings. `lists_all`: the router shows every mapping that it holds.
    `lost`: the router has lost its mappings since the last look. `expired`:
    the lease has run out.
    """

    deleted: bool
    wanted: Forward | None
    complete: bool
    lists_all: bool
    lost: bool
    expired: bool


def judge(opening: Opening, evidence: Evidence) -> Verdict:
    """Return what is to be done; the first row that fits decides."""
    half_made = opening.phase is Phase.OPENING and not evidence.complete
    if evidence.deleted or opening.phase is Phase.CLOSING or half_made:
        return Verdict.CLOSE
    if evidence.wanted and differs(opening.forward, evidence.wanted):
        return Verdict.MOVE
    if opening.phase is Phase.LOST:
        return Verdict.RESTORE
    if evidence.complete:
        return Verdict.KEEP
    if evidence.lost or evidence.expired:
        return Verdict.RESTORE
    return Verdict.REMOVED_ELSEWHERE if evidence.lists_all else Verdict.KEEP


def differs(opened: Forward, wanted: Forward) -> bool:
    """Tell whether the router would have to change; a new name is no reason."""
    return replace(opened, name=wanted.name) != wanted
