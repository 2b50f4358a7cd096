"""Waiting for what announces itself nowhere."""

import asyncio
from collections.abc import Callable

LOOK_EVERY = 0.02

GUARD = 60
"""Seconds after which what does not come never will: a guard measures nothing, so it is patient."""


async def until(condition: Callable[[], object], within: float = GUARD) -> None:
    """Wait until `condition` holds; raises TimeoutError after `within` seconds.

    For files and counters only: whatever can be awaited should be.
    """
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  neither a file nor a counter sets an event
            await asyncio.sleep(LOOK_EVERY)
