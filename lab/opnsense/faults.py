"""What can go wrong with a request, besides what the request itself does wrong."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """Something that goes wrong; see `OPNsense.fault`."""

    HTML = "html"
    """Replies 200 with the login page; does not act."""
    EMPTY = "empty"
    """Replies 200 with no body, having acted."""
    WRONG_SHAPE = "wrong_shape"
    """Replies 200 with JSON of another shape, having acted."""
    ERROR_INSIDE = "error_inside"
    """Replies 200 with `{"result": "failed"}`; does not act."""
    ERROR_500 = "error_500"
    """Replies 500 as after an exception; does not act."""
    SLOW = "slow"
    """Acts, and replies too late."""
    NEVER = "never"
    """Does not act, and never replies."""
    DROP_BEFORE = "drop_before"
    """Closes the connection without having acted."""
    DROP_AFTER = "drop_after"
    """Acts, then closes the connection without a reply."""
    NOT_APPLIED = "not_applied"
    """An apply that changes nothing and says why in its status."""
    IGNORED = "ignored"
    """Says success to a change, and does nothing."""


@dataclass(kw_only=True, slots=True)
class Injected:
    """A fault that waits for its request."""

    fault: Fault
    action: str | None
    times: int | None


class FaultBox:
    """The faults that wait."""

    def __init__(self) -> None:
        """Let nothing go wrong at first."""
        self.waiting: list[Injected] = []

    def take(self, action: str) -> Fault | None:
        """Take the oldest fault that strikes this action, if any."""
        for injected in self.waiting:
            if injected.action in (None, action):
                if injected.times is not None:
                    injected.times -= 1
                    if injected.times <= 0:
                        self.waiting.remove(injected)
                return injected.fault
        return None
