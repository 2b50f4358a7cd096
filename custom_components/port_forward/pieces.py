"""Long work in short pieces: a router may have a thousand forwards, and Home Assistant one loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

# Ten milliseconds and less on a slow machine, with what is done here for each forward.
AT_ONCE: Final = 25


async def in_pieces[T](items: Sequence[T]) -> AsyncIterator[T]:
    """Iterate over what there is now, letting everybody else have a turn after every few."""
    for number, item in enumerate(tuple(items), start=1):
        yield item
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
