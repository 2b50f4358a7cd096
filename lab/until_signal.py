"""Running until somebody asks to stop."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress


async def until_signal(run: Coroutine[None, None, None]) -> None:
    """Run until a signal asks to stop; a second one does not wait for a good order."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(run)

    def terminal_is_gone() -> None:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.dup2(devnull, sys.stderr.fileno())
        task.cancel()

    loop.add_signal_handler(signal.SIGINT, task.cancel)
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    loop.add_signal_handler(signal.SIGHUP, terminal_is_gone)
    with suppress(asyncio.CancelledError):
        await task
