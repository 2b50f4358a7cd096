"""Work that is not broken off half-way."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Protocol

from homeassistant.core import HomeAssistant


class _HasHass(Protocol):
    """Whatever has Home Assistant at hand."""

    hass: HomeAssistant


def to_the_end[S: _HasHass, **P, R](
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Let a method go on when its caller is cancelled.

    Home Assistant cancels the action that a script is at when the script is
    stopped or starts anew. Between ledger and router that would leave a port
    open without anything that closes it in time.
    """

    @wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        work = method(self, *args, **kwargs)
        return await asyncio.shield(self.hass.async_create_task(work, method.__name__))

    return run
