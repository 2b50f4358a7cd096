"""What the integration itself notes in an entry, which is no reason to set it up again."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from homeassistant.core import callback

# True while the integration itself notes something in an entry.
_IS_NOTING: Final = ContextVar("is_noting", default=False)


@contextmanager
def noting() -> Iterator[None]:
    """Change an entry in a way that is no reason to set it up again."""
    token = _IS_NOTING.set(True)
    try:
        yield
    finally:
        _IS_NOTING.reset(token)


@callback
def async_is_noting() -> bool:
    """Return whether the change of an entry is one that `noting` encloses."""
    return _IS_NOTING.get()
