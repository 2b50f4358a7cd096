"""How long a router is left alone that does not accept our credentials.

Every further log in with them may lock the account, or prolong that, whether a
look, a renewal, a close or somebody's click asks for it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from .clock import monotonic
from .errors import AuthenticationFailedError, LockedOutError

# Seconds after each refusal in a row, the last one for good: seven log ins in a day.
_PAUSES: Final = (300.0, 1800.0, 3600.0, 21600.0)
_LOCKED_OUT: Final = 3600.0

# Seconds after the last log in until a new driver may try at once.
_RELOADED: Final = 60.0


class Patience:
    """Lets calls to a router through, unless its last log in was refused a short time ago.

    It outlives the drivers: what it knows is of the credentials.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Know of no refusal; `clock` returns seconds and never goes back."""
        self._clock = clock
        # What the router said last, None when it let us in.
        self.refusal: AuthenticationFailedError | None = None
        self._in_a_row = 0
        # Of all times, to know calls that began before one.
        self._refusals = 0
        self._tried_at = 0.0
        self._until = 0.0
        self._credentials: int | None = None
        self._on_refused: Callable[[], None] | None = None

    def begin(self, credentials: int, on_refused: Callable[[], None]) -> None:
        """Note that a driver was made with these credentials, known by their hash.

        With others everything starts over. With the same it may try once: the
        account may have been put in order at the router. `on_refused` is called
        whenever the router does not let it in.
        """
        self._on_refused = on_refused
        if credentials != self._credentials:
            self._credentials = credentials
            self.end()
        elif self._clock() - self._tried_at >= _RELOADED:
            self._until = self._clock()

    def end(self) -> None:
        """Forget what was refused: the router has let us in."""
        self.refusal = None
        self._in_a_row = 0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask the router something; raises the error of the last refusal while it is left alone."""
        refusals, is_trial = self._refusals, self.refusal is not None
        if self.refusal:
            if self._clock() < self._until:
                raise type(self.refusal)(**self.refusal.placeholders)
            # Whatever else comes meanwhile waits for what becomes of this one.
            self._until = self._clock() + self._pause(self.refusal)
            self._tried_at = self._clock()
        is_known = False
        try:
            yield
            is_known = True
            if refusals == self._refusals:
                self.end()
        except AuthenticationFailedError as error:
            is_known = True
            if refusals == self._refusals:
                self._note(error)
            raise
        finally:
            if is_trial and not is_known:
                self._until = self._clock()

    def _note(self, refusal: AuthenticationFailedError) -> None:
        self.refusal = refusal
        self._refusals += 1
        self._tried_at = self._clock()
        self._until = self._tried_at + self._pause(refusal)
        self._in_a_row += 1
        if self._on_refused:
            self._on_refused()

    def _pause(self, refusal: AuthenticationFailedError) -> float:
        pause = _PAUSES[min(self._in_a_row, len(_PAUSES) - 1)]
        return max(pause, _LOCKED_OUT) if isinstance(refusal, LockedOutError) else pause
