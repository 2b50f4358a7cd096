"""What a method of ubus answers other than data."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from .sessions import Session

type Args = Mapping[str, object]
type Method = Callable[[Session | None, Args], Awaitable[object]]
"""Takes the session and the arguments, returns the data of the reply, None for none."""

INVALID_ARGUMENT: Final = 2
NOT_FOUND: Final = 4
NO_DATA: Final = 5
PERMISSION_DENIED: Final = 6
TIMED_OUT: Final = 7


class StatusError(Exception):
    """A reply with this ubus status and nothing else."""

    def __init__(self, status: int) -> None:
        """Take the status."""
        super().__init__(status)
        self.status = status


def text(args: Args, name: str) -> str | None:
    """Return an argument that has to be text where it is given."""
    value = args.get(name)
    if value is not None and not isinstance(value, str):
        raise StatusError(INVALID_ARGUMENT)
    return value


def needed(args: Args, name: str) -> str:
    """Return an argument that may not be left out."""
    value = text(args, name)
    if not value:
        raise StatusError(INVALID_ARGUMENT)
    return value


def mapping(args: Args, name: str) -> Mapping[str, object]:
    """Return an argument that is an object, empty where it is left out."""
    value = args.get(name) or {}
    if not isinstance(value, dict):
        raise StatusError(INVALID_ARGUMENT)
    return value
