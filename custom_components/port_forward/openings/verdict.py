"""What is to be done with an opening, given what the router shows: the reconcile table."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from homeassistant.exceptions import ServiceValidationError

from ..routers.model import Forward
from .limit import limited
from .opening import Opening, Phase

# A lease is asked in whole seconds and never for longer than remains, so the
# router may be a little earlier than the deadline. That is no loss.
_ABOUT_TO_END = timedelta(seconds=5)


class Verdict(Enum):
    """What is to be done with one opening."""

    KEEP = auto()
    CLOSE = auto()
    CLOSE_OVERDUE = auto()
    CLOSE_DELETED = auto()
    CLOSE_BARRED = auto()
    CLOSE_UNLIMITED = auto()
    DROP_HALF_MADE = auto()
    MOVE = auto()
    RESTORE = auto()
    REMOVED_ELSEWHERE = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What is known about one opening at one moment.

    `deleted`: the user has deleted the forward. `barred`: it must not be open
    now. `wanted`: the forward as it is now, None when its host does not
    resolve. `complete`: the router shows all its mappings. `lists_all`: the
    router shows every mapping that it holds. `lost`: the router has lost its
    mappings since the last look. `now` is when all that was so.
    """

    deleted: bool
    barred: bool
    wanted: Forward | None
    complete: bool
    lists_all: bool
    lost: bool
    now: datetime


def judge(opening: Opening, evidence: Evidence) -> Verdict:
    """Return what is to be done; the first row that fits decides."""
    if opening.phase is Phase.CLOSING:
        return Verdict.CLOSE
    if evidence.deleted:
        return Verdict.CLOSE_DELETED
    if evidence.barred:
        return Verdict.CLOSE_BARRED
    if opening.is_overdue(evidence.now):
        return Verdict.CLOSE_OVERDUE
    if opening.phase is Phase.OPENING and not evidence.complete:
        return Verdict.DROP_HALF_MADE
    return _judge_open(opening, evidence)


def _judge_open(opening: Opening, evidence: Evidence) -> Verdict:
    """Judge an opening that should be open."""
    if evidence.wanted:
        try:
            wanted = limited(evidence.wanted, opening.limit)
        except ServiceValidationError:
            return Verdict.CLOSE_UNLIMITED
        if differs(opening.forward, wanted):
            return Verdict.MOVE
    if opening.phase is Phase.LOST:
        return Verdict.RESTORE
    if evidence.complete or opening.is_overdue(evidence.now + _ABOUT_TO_END):
        return Verdict.KEEP
    # What remains of a lease is told in whole seconds, too: it may be over
    # before it was expected to be.
    ran_out = opening.lease_until and opening.lease_until <= evidence.now + _ABOUT_TO_END
    # A rule of the user's outlives a restart: what became of it was decided.
    if (evidence.lost or ran_out) and not opening.forward.adopted:
        return Verdict.RESTORE
    return Verdict.REMOVED_ELSEWHERE if evidence.lists_all else Verdict.KEEP


def differs(opened: Forward, wanted: Forward) -> bool:
    """Return whether the router would have to change.

    A new name is no reason, nor is a tag of an earlier version, which names no home.
    """
    return replace(opened, name=wanted.name, home=wanted.home) != wanted


def has_moved(opened: Forward, wanted: Forward) -> bool:
    """Return whether nothing but the addresses of its host are others."""
    before, now = opened.hosts, wanted.hosts
    if before == now or [host is None for host in before] != [host is None for host in now]:
        return False
    return not differs(replace(opened, internal_host=now[0], internal_host6=now[1]), wanted)
