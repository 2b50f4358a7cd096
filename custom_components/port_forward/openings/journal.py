"""The journal: what was asked, judged and done last, for whoever has to find out why."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util

from ..routers.errors import RouterError

_LONGEST: Final = 200


class Source(StrEnum):
    """Who says it: somebody who asked for it, the reconcile table, or the router's confirmation."""

    COMMAND = "command"
    VERDICT = "verdict"
    ACTIVITY = "activity"


@dataclass(kw_only=True, slots=True)
class Line:
    """One thing that happened to one forward, or the same thing several `times` in a row.

    `forward_id` is "" for all of them. `error` is the translation key of an
    error, as its text may name hosts. `late` is how long after its deadline.
    Times are UTC.
    """

    forward_id: str
    source: Source
    what: str
    why: str | None
    error: str | None
    late: timedelta | None
    first: datetime
    last: datetime
    times: int = 1


class Journal:
    """The newest lines of one router, in memory; what is judged at each look is one line."""

    def __init__(self) -> None:
        """Begin with an empty page."""
        self.lines: deque[Line] = deque(maxlen=_LONGEST)
        # The newest line of each forward that has one.
        self._newest: dict[str, Line] = {}

    def note(  # noqa: PLR0913  what a line is made of
        self,
        forward_id: str,
        source: Source,
        what: str,
        *,
        why: str | None = None,
        error: Exception | None = None,
        late: timedelta | None = None,
    ) -> None:
        """Add a line, or count the last one of this forward once more if it says the same."""
        now, name = dt_util.utcnow(), name_of(error) if error else None
        newest = self._newest.get(forward_id)
        if newest and (source, what, why, name) == (
            newest.source,
            newest.what,
            newest.why,
            newest.error,
        ):
            newest.times += 1
            newest.last = now
            return
        if len(self.lines) == _LONGEST:
            oldest = self.lines[0]
            if self._newest.get(oldest.forward_id) is oldest:
                del self._newest[oldest.forward_id]
        line = Line(
            forward_id=forward_id,
            source=source,
            what=what,
            why=why,
            error=name,
            late=late,
            first=now,
            last=now,
        )
        self.lines.append(line)
        self._newest[forward_id] = line


def name_of(error: BaseException) -> str:
    """Return a name of an error without anything personal in it."""
    if isinstance(error, RouterError | HomeAssistantError) and error.translation_key:
        return error.translation_key
    return type(error).__name__
