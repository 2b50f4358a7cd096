"""Start everything, tell what to try, and stop everything."""

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from ..home_assistant import REPOSITORY, RealHomeAssistant
from ..netns import UnavailableError
from ..until_signal import until_signal
from .home import furnish, move
from .scene import real_scene, virtual_scene
from .state import InUseError, State, choose_ports, new_memory

# As `lab.seed` makes the administrator; importing that would import all of Home Assistant.
USER = PASSWORD = "admin"  # noqa: S105  of a server that only this computer can reach

# How Home Assistant ends when somebody chooses to restart it (homeassistant.const).
RESTART_EXIT_CODE = 100

READY = """
  Home Assistant   {home}   user: {user}   password: {password}

  Three things to try
  1. Log in and switch on "Front door camera". Then open {camera}
     The camera answers there only while its switch is on.
  2. Look at {look}
     It shows what the router really holds.
  3. Add a port forward of your own: Settings, Devices & services, Port Forward,
     Add port forward. The camera is at internal host {host}, port {port}.

  All of it answers on this computer only. Ctrl-C stops everything; the next run
  goes on where this one ended, and {again} --reset starts anew.
"""


def main() -> int:
    """Read the command line, run until a signal comes, return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="A router, a camera and a real Home Assistant, on this computer only.",
    )
    parser.add_argument(
        "--real-router",
        action="store_true",
        help="miniupnpd in network namespaces in place of the virtual router; needs root",
    )
    parser.add_argument(
        "--port", type=int, default=8123, help="port of Home Assistant (default: %(default)s)"
    )
    parser.add_argument("--reset", action="store_true", help="forget the last run and start anew")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="where the demo keeps its state (default: .dev/demo, or .dev/demo-real-router)",
    )
    options = parser.parse_args()
    usual = REPOSITORY / ".dev" / ("demo-real-router" if options.real_router else "demo")
    state = State((options.state or usual).resolve())
    try:
        with state.claim():
            if options.reset:
                state.reset()
            asyncio.run(until_signal(_run(state, options.port, real_router=options.real_router)))
    except (InUseError, UnavailableError) as error:
        _say(str(error))
        return 1
    return 0


async def _run(state: State, wanted_port: int, *, real_router: bool) -> None:
    started = time.monotonic()
    known = state.load()
    ports = choose_ports(wanted_port, known.ports if known else None)
    memory = replace(known, ports=ports) if known else new_memory(ports)
    if ports.home_assistant != wanted_port:
        _say(f"port {wanted_port} is taken; Home Assistant gets {ports.home_assistant}")
    async with AsyncExitStack() as stack:
        stack.callback(_say, "everything is stopped")
        make_scene = real_scene if real_router else virtual_scene
        scene = await stack.enter_async_context(make_scene(memory))
        _say("starting Home Assistant …")
        ha = await stack.enter_async_context(
            # The demo runs in the environment of the Home Assistant that it starts.
            RealHomeAssistant(
                Path(sys.prefix),
                state.config,
                port=ports.home_assistant,
                namespace=scene.namespace,
            )
        )
        stack.callback(_say, "stopping …")
        if known is None:
            _say("adding the router and two port forwards, as you would in the browser …")
            await furnish(ha, scene)
        elif replace(known.ports, home_assistant=ports.home_assistant) != ports:
            _say("other ports than last time are free; telling Home Assistant …")
            await move(ha, scene)
        state.save(memory)
        _say(f"ready after {time.monotonic() - started:.1f} s")
        print(
            READY.format(
                home=f"{ha.url}/",
                user=USER,
                password=PASSWORD,
                camera=scene.camera_url,
                look=scene.look,
                host=scene.camera_host,
                port=ports.camera,
                again="scripts/demo --real-router" if real_router else "scripts/demo",
            ),
            flush=True,
        )
        while await ha.wait() == RESTART_EXIT_CODE:
            _say("Home Assistant restarts …")
            await ha.start()
        _say(f"Home Assistant has ended; its log is {ha.log}")


def _say(text: str) -> None:
    print(f"demo: {text}", flush=True)
