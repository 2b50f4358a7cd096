"""What nobody has seen of this API, so that the router may do either, and what goes wrong."""

from dataclasses import dataclass
from enum import StrEnum


class Habit(StrEnum):
    """A way in which a router may differ. Without any it does the likelier thing."""

    NO_WHOLE = "no_whole"
    """0.0.0.0/0 and ::/0 are refused in an address list."""
    WHOLE_MANGLED = "whole_mangled"
    """0.0.0.0/0 is stored as the address 0.0.0.0."""
    NO_PATCH = "no_patch"
    """The timeout of a dynamic address cannot be changed."""
    PATCH_IGNORED = "patch_ignored"
    """A new timeout of a dynamic address is answered well, and forgotten."""
    DELETE_IGNORED = "delete_ignored"
    """Items stay when they are deleted, with the right answer."""
    LIST_DROPPED = "list_dropped"
    """New rules lose their src-address-list: what is asked for is not what is made."""
    NO_IPV6 = "no_ipv6"
    """IPv6 is switched off, and with it its menus."""


class Fault(StrEnum):
    """What goes wrong with one request."""

    HTML = "html"
    """A page in place of the answer, and nothing is done."""
    ERROR_INSIDE = "error_inside"
    """200 with an error in it, and nothing is done."""
    SERVER_ERROR = "server_error"
    """500 with the router's own words, and nothing is done."""
    WRONG_SHAPE = "wrong_shape"
    """JSON that is neither a list nor an object."""
    HALF_BODY = "half_body"
    """Done, and answered with half of the JSON."""
    SLOW = "slow"
    """Done, but the answer does not come."""
    STUCK = "stuck"
    """No answer comes, and nothing is done."""
    DROP_BEFORE = "drop_before"
    """The connection breaks, and nothing is done."""
    DROP_AFTER = "drop_after"
    """Done, and the connection breaks."""


@dataclass(slots=True, kw_only=True)
class Injected:
    """A fault that waits for its request."""

    fault: Fault
    request: str | None
    times: int | None


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

    def take(self, request: str) -> Fault | None:
        """Take the fault that strikes this request, if any."""
        for injected in self._waiting:
            if injected.request in (None, request):
                if injected.times is not None:
                    injected.times -= 1
                    if injected.times <= 0:
                        self._waiting.remove(injected)
                return injected.fault
        return None
