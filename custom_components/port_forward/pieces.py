"""Long work in short pieces: a router may have a thousand forwards, and Home Assistant one loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from time import perf_counter
from typing import Final

# Seconds. Several of these may follow upon each other before others have their turn.
_PIECE: Final = 0.005


async def in_pieces[T](items: Sequence[T]) -> AsyncIterator[T]:
    """Iterate over what there is now, letting everybody else have a turn every few milliseconds."""
    began = perf_counter()
    for item in tuple(items):
        if perf_counter() - began >= _PIECE:
            await asyncio.sleep(0)
            began = perf_counter()
        yield item
