"""What was promised of one forward, by nothing but the answers that Home Assistant gave."""

from dataclasses import dataclass, field
from math import inf

# A lease is asked for in whole seconds and never for longer than remains: the router may close by
# itself up to a second before the deadline.
EARLY = 1.0

# How soon after its deadline a port is closed while Home Assistant runs.
LATE = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """Open until some time from `earliest` to `latest`, in seconds of the epoch."""

    earliest: float
    latest: float

    @classmethod
    def until(cls, deadline: float) -> Promise:
        """Open until exactly then; -inf is closed, inf is until somebody closes it."""
        return cls(earliest=deadline, latest=deadline)

    def fits(self, deadline: float) -> bool:
        """Tell whether this deadline is what was promised; times lose microseconds on their way."""
        if deadline == inf:
            return self.latest == inf
        return self.earliest - 0.001 <= deadline <= self.latest + 0.001


CLOSED = Promise.until(-inf)


@dataclass(eq=False, slots=True)
class Call:
    """One call, what it would make of the forward, and when it was sent and came to its end."""

    promise: Promise
    sent: float
    ended: float = inf


@dataclass(slots=True)
class Account:
    """What one forward may be by now.

    A call that was answered is a promise. One that was under way when Home
    Assistant died may have gone either way, and so may two that overlapped.
    """

    _possible: list[Call] = field(default_factory=lambda: [Call(CLOSED, -inf, -inf)])
    # What it was before the house was changed so that it closes, and until when a kill undoes that.
    _before: list[Call] = field(default_factory=list)
    _undone_until: float = -inf

    def send(self, promise: Promise, now: float) -> Call:
        """Note a call before it is sent."""
        call = Call(promise, now)
        self._possible.append(call)
        return call

    def answer(self, call: Call, promise: Promise, now: float) -> None:
        """Note that it was carried out, and what exactly was promised."""
        call.promise, call.ended = promise, now
        if call in self._possible:
            self._possible = [other for other in self._possible if other.ended >= call.sent]
            self._before = []

    def refuse(self, call: Call) -> None:
        """Note that it changed nothing."""
        self._possible = [other for other in self._possible if other is not call]
        self._before = [other for other in self._before if other is not call]

    def close(self, now: float, by: float) -> None:
        """Note that the house was changed so that it is closed by then, whatever was called before.

        Home Assistant writes such a change to the disk a second later: killed
        meanwhile, it may have forgotten it, and have closed the port or not.
        """
        undoable = self._before if now < self._undone_until else []
        self._before, self._undone_until = undoable + self._possible, by
        self._possible = [Call(Promise(earliest=-inf, latest=by - LATE), -inf, -inf)]

    def die(self, now: float) -> None:
        """Note that Home Assistant was killed."""
        if now < self._undone_until:
            self._possible = self._before + self._possible
        self._before, self._undone_until = [], -inf

    def may_be_closed(self) -> None:
        """Note that it was killed while a mapping was moved, which may be closed and not yet made.

        See *What remains* in docs/reliability.md.
        """
        self._possible = [*self._possible, Call(CLOSED, -inf, -inf)]

    def lose(self, call: Call, now: float) -> None:
        """Note that Home Assistant died in it; if it counts a duration, it began before that."""
        latest = call.promise.latest + (now - call.sent)
        call.promise, call.ended = Promise(earliest=call.promise.earliest, latest=latest), now

    def settle(self, promise: Promise) -> None:
        """Take what a new Home Assistant found, once it was seen to be possible."""
        self._possible = [Call(promise, -inf, -inf)]
        self._before = []

    @property
    def promises(self) -> list[Promise]:
        """All that it may be."""
        return [call.promise for call in self._possible]

    @property
    def latest(self) -> float:
        """Until when it may be open at the most."""
        return max(promise.latest for promise in self.promises)

    def must_be_open(self, now: float, early: float = EARLY) -> bool:
        """Tell whether a port that is closed now, or `early` seconds ago, breaks a promise."""
        return all(promise.earliest > now + early for promise in self.promises)

    def may_be_open(self, now: float) -> bool:
        """Tell whether a port that is open now breaks none."""
        return self.latest > now - LATE

    def allows(self, deadline: float) -> bool:
        """Tell whether it may be open until exactly then."""
        return any(promise.fits(deadline) for promise in self.promises)
