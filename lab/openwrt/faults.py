"""Faults: what goes wrong with a call, once, a few times, or until cleared."""

from dataclasses import dataclass
from enum import Enum, auto

LOGIN_PAGE = """<!DOCTYPE html>
<html><head><title>LuCI</title></head><body><form method=post>Password</form></body></html>
"""


class Fault(Enum):
    """What may go wrong."""

    HTML = auto()
    """A page in place of JSON, with status 200."""
    GARBAGE = auto()
    """Bytes that are nothing."""
    HTTP_500 = auto()
    """A server error, without a body."""
    TRUNCATED = auto()
    """Half of the JSON."""
    DROP_BEFORE = auto()
    """The connection breaks, and nothing was done."""
    DROP_AFTER = auto()
    """It was done, and the connection breaks before the reply."""
    SLOW = auto()
    """It is done, and the reply comes late."""
    EXPIRE = auto()
    """The session ends just before the call."""
    FAIL = auto()
    """HTTP 200 and JSON, with the status given inside."""
    IGNORE = auto()
    """Says yes and does nothing."""
    HUGE = auto()
    """A body that does not end."""


@dataclass(slots=True, kw_only=True)
class Injected:
    """A fault that waits for its call."""

    fault: Fault
    call: str | None
    times: int | None
    skip: int
    delay: float
    status: int


class FaultBox:
    """The faults that wait."""

    def __init__(self) -> None:
        """Nothing goes wrong at first."""
        self._waiting: list[Injected] = []

    def add(self, injected: Injected) -> None:
        """Let it strike after those added before."""
        self._waiting.append(injected)

    def clear(self) -> None:
        """Let nothing more go wrong."""
        self._waiting.clear()

    def take(self, call: str) -> Injected | None:
        """Take the fault that strikes this call ("uci apply") now, if any."""
        for injected in self._waiting:
            if injected.call not in (None, call):
                continue
            if injected.skip:
                injected.skip -= 1
                continue
            if injected.times is not None:
                injected.times -= 1
                if injected.times <= 0:
                    self._waiting.remove(injected)
            return injected
        return None
