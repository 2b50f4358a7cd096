"""The storms of calls and the instants of the kills, as plans: nothing runs here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from random import Random

# Of ten calls; extending needs something that is open.
_OPEN, _SWITCH_ON, _CLOSE = 6, 1, 2
_CALLS_PER_SECOND = 40
_SHORTEST_OPENING = 2.0

# A storm has so many changes of the house, at least and at most: each reloads a router.
_CHANGES = (2, 6)


class Kind(Enum):
    """What is called."""

    OPEN_FOR = auto()
    OPEN_UNTIL = auto()
    OPEN = auto()
    SWITCH_ON = auto()
    CLOSE = auto()
    SWITCH_OFF = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedCall:
    """One call, `at` seconds after the storm began."""

    at: float
    forward: int
    kind: Kind
    seconds: float
    """How long an opening lasts; of no meaning for the others."""


class Change(Enum):
    """What is changed in the house meanwhile."""

    RELOAD = auto()
    TOGGLE = auto()
    """A router is disabled, or enabled again."""
    OPTIONS = auto()
    ADD = auto()
    EDIT = auto()
    DELETE = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedChange:
    """One change of a router or of a forward, `at` seconds after the storm began."""

    at: float
    kind: Change
    router: int
    forward: int
    number: int
    """What an edit or an option becomes depends on it."""


class Blow(Enum):
    """What the kill waits for."""

    CLOCK = auto()
    CALL = auto()
    ROW = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """The instant: `after` seconds after `blow` happened for the `nth` time in the storm."""

    blow: Blow
    nth: int
    after: float
    dead_for: float
    """Seconds until Home Assistant is started again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Storm:
    """One round of a trial."""

    calls: Sequence[PlannedCall]
    changes: Sequence[PlannedChange]
    kill: Kill
    lasts: float


def plan(  # noqa: PLR0913  all that a storm depends on
    seed: int, number: int, forwards: int, *, routers: int, longest: float, lease: float
) -> Storm:
    """Return the storm of this number: the same for the same seed."""
    rng = Random(f"{seed}/{number}")  # noqa: S311  chance that can be repeated
    lasts = rng.uniform(1.0, 3.0)
    calls = sorted(
        (_call(rng, lasts, forwards, longest) for _ in range(int(lasts * _CALLS_PER_SECOND))),
        key=lambda call: call.at,
    )
    kill = _kill(rng, lasts, len(calls), lease)
    changes = [
        change for _ in range(rng.randint(*_CHANGES)) for change in _changes(rng, lasts, routers)
    ]
    return Storm(calls=calls, changes=changes, kill=kill, lasts=lasts)


def _call(rng: Random, lasts: float, forwards: int, longest: float) -> PlannedCall:
    dice = rng.randrange(10)
    if dice < _OPEN:
        kind = rng.choice([Kind.OPEN_FOR, Kind.OPEN_FOR, Kind.OPEN_UNTIL, Kind.OPEN])
    elif dice < _OPEN + _SWITCH_ON:
        kind = Kind.SWITCH_ON
    elif dice < _OPEN + _SWITCH_ON + _CLOSE:
        kind = Kind.CLOSE
    else:
        kind = Kind.SWITCH_OFF
    return PlannedCall(
        # Some of them at once.
        at=rng.choice([rng.uniform(0, lasts), round(rng.uniform(0, lasts), 1)]),
        forward=rng.randrange(forwards),
        kind=kind,
        # Many short ones: they become due during a storm, a kill or a start.
        seconds=round(_SHORTEST_OPENING + (longest - _SHORTEST_OPENING) * rng.random() ** 2, 3),
    )


def _changes(rng: Random, lasts: float, routers: int) -> Sequence[PlannedChange]:
    change = PlannedChange(
        # Rather early: the kill may come at any time.
        at=rng.uniform(0, lasts / 2),
        kind=rng.choice(list(Change)),
        router=rng.randrange(routers),
        forward=rng.randrange(1000),
        number=rng.randrange(1000),
    )
    if change.kind is not Change.TOGGLE:
        return [change]
    # Soon enabled again, or there would be little to kill.
    return [change, replace(change, at=change.at + rng.uniform(0.1, 0.6))]


def _kill(rng: Random, lasts: float, calls: int, lease: float) -> Kill:
    blow = rng.choice(list(Blow))
    if blow is Blow.CLOCK:
        after = rng.uniform(0, lasts)
    elif blow is Blow.CALL:
        # An opening takes 20 to 50 ms: two writes to the disk and four requests.
        after = rng.uniform(0, 0.05)
    else:
        after = rng.choice([0.0, rng.uniform(0, 0.02)])
    # Now and then for so long that leases run out.
    dead_for = rng.uniform(0, lease) if rng.random() < 0.2 else rng.uniform(0, 1)  # noqa: PLR2004
    return Kill(
        blow=blow,
        nth=rng.randrange(1, calls // 2) if blow is not Blow.CLOCK else 1,
        after=after,
        dead_for=dead_for,
    )
