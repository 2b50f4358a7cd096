"""Waiting for what announces itself nowhere."""

import asyncio
from collections.abc import Callable

LOOK_EVERY = 0.02


async def until(condition: Callable[[], object], within: float = 10) -> None:
    """Wait until `condition` holds; raises TimeoutError after `within` seconds.

    For files and counters only: whatever can be awaited should be.
    """
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  neither a file nor a counter sets an event
            await asyncio.sleep(LOOK_EVERY)
