"""Start everything, tell what to try, and stop everything."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..camera import Camera
from ..home_assistant import REPOSITORY, RealHomeAssistant
from ..virtual_router import VirtualMapping, VirtualRouter
from .dashboard import camera_url, router_url
from .home import furnish, move
from .state import LOOPBACK, InUseError, State, choose_ports, new_memory

# As `lab.seed` makes the administrator; importing that would import all of Home Assistant.
USER = PASSWORD = "admin"  # noqa: S105  of a server that only this computer can reach

# How Home Assistant ends when somebody chooses to restart it (homeassistant.const).
RESTART_EXIT_CODE = 100

READY = """
  Home Assistant   {home}   user: {user}   password: {password}

  Three things to try
  1. Log in and switch on "Front door camera". Then open {camera}
     The camera answers there only while its switch is on.
  2. Look at the router's own page, {router}
     It shows what the router really holds.
  3. Add a port forward of your own: Settings, Devices & services, Port Forward,
     Add port forward. The camera is at internal host {host}, port {port}.

  All of it answers on this computer only. Ctrl-C stops everything; the next run
  goes on where this one ended, and scripts/demo --reset starts anew.
"""


def main() -> int:
    """Read the command line, run until a signal comes, return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="A virtual router, a camera and a real Home Assistant, on this computer only.",
    )
    parser.add_argument(
        "--port", type=int, default=8123, help="port of Home Assistant (default: %(default)s)"
    )
    parser.add_argument("--reset", action="store_true", help="forget the last run and start anew")
    parser.add_argument(
        "--state",
        type=Path,
        default=REPOSITORY / ".dev" / "demo",
        metavar="DIR",
        help="where the demo keeps its state (default: .dev/demo)",
    )
    options = parser.parse_args()
    state = State(options.state.resolve())
    try:
        with state.claim():
            if options.reset:
                state.reset()
            asyncio.run(_until_signal(_run(state, options.port)))
    except InUseError as error:
        _say(str(error))
        return 1
    return 0


async def _until_signal(run: Coroutine[None, None, None]) -> None:
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


async def _run(state: State, wanted_port: int) -> None:
    started = time.monotonic()
    known = state.load()
    ports = choose_ports(wanted_port, known.ports if known else None)
    memory = replace(known, ports=ports) if known else new_memory(ports)
    if ports.home_assistant != wanted_port:
        _say(f"port {wanted_port} is taken; Home Assistant gets {ports.home_assistant}")
    async with AsyncExitStack() as stack:
        stack.callback(_say, "everything is stopped")
        await stack.enter_async_context(Camera(LOOPBACK, ports.camera))
        # No SSDP: Home Assistant does not listen for it on loopback.
        router = await stack.enter_async_context(
            VirtualRouter(
                port=ports.router, udn=memory.udn, friendly_name="Demo router", on_change=_tell
            )
        )
        _say("starting Home Assistant …")
        ha = await stack.enter_async_context(
            # The demo runs in the environment of the Home Assistant that it starts.
            RealHomeAssistant(Path(sys.prefix), state.config, port=ports.home_assistant)
        )
        stack.callback(_say, "stopping …")
        if known is None:
            _say("adding the router and two port forwards, as you would in the browser …")
            await furnish(ha, router.description_url, ports)
        elif replace(known.ports, home_assistant=ports.home_assistant) != ports:
            _say("other ports than last time are free; telling Home Assistant …")
            await move(ha, router.description_url, ports)
        state.save(memory)
        _say(f"ready after {time.monotonic() - started:.1f} s")
        print(
            READY.format(
                home=f"{ha.url}/",
                user=USER,
                password=PASSWORD,
                camera=camera_url(ports),
                router=router_url(ports),
                host=LOOPBACK,
                port=ports.camera,
            ),
            flush=True,
        )
        while await ha.wait() == RESTART_EXIT_CODE:
            _say("Home Assistant restarts …")
            await ha.start()
        _say(f"Home Assistant has ended; its log is {ha.log}")


def _tell(what: Literal["opened", "closed"], mapping: VirtualMapping) -> None:
    _say(f"the router has {what} {mapping}")


def _say(text: str) -> None:
    print(f"demo: {text}", flush=True)
