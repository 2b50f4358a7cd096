"""The namespace lab for people: `scripts/lab` calls this."""

import argparse
import asyncio
import os
import signal
import sys
import time
from contextlib import suppress

from ..camera import Camera
from ..until_signal import until_signal
from . import names
from .miniupnpd import RealRouter
from .network import CAMERA, FRIEND, HOME_ASSISTANT, STRANGER, HomeNetwork
from .requirements import UnavailableError, check, program

LABEL = "lab"
CAMERA_PORT = 8080

STOPS_WITHIN = 30  # seconds
LOOK_EVERY = 0.1

READY = """
  internet         {friend}, {stranger}
  router           {wan} and {description}
  home_assistant   {home_assistant}
  camera           {camera}, port {port}

  Open a port as a device of the home, and look from the internet:

  scripts/lab run home_assistant upnpc -u {description} -a {camera} {port} {port} TCP 600
  scripts/lab run internet curl http://{wan}:{port}/
  scripts/lab rules

  It is all in network namespaces that lead nowhere else. Ctrl-C removes them.
"""


def main() -> int:
    """Read the command line, do it, return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the lab and keep it until Ctrl-C")
    up.add_argument(
        "--secure-mode", action="store_true", help="let the router forward to the caller alone"
    )
    for name, text in (("shell", "a shell in a namespace"), ("run", "a command in a namespace")):
        enter = commands.add_parser(name, help=text)
        enter.add_argument("role", choices=names.ROLES, metavar="NAME", help=", ".join(names.ROLES))
        if name == "run":
            enter.add_argument("arguments", nargs=argparse.REMAINDER, metavar="COMMAND")
    commands.add_parser("rules", help="what the router's kernel holds")
    commands.add_parser("down", help="end the lab, and remove what a killed one has left")
    options = parser.parse_args()
    try:
        check()
        match options.command:
            case "up":
                asyncio.run(until_signal(_up(secure_mode=options.secure_mode)))
            case "down":
                asyncio.run(_down())
            case "rules":
                _enter("router", [program("nft"), "list", "ruleset"])
            case "shell":
                _enter(options.role, [os.environ.get("SHELL", "/bin/sh")])
            case "run":
                if not options.arguments:
                    parser.error("run needs a command")
                _enter(options.role, options.arguments)
    except UnavailableError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


async def _up(*, secure_mode: bool) -> None:
    async with (
        HomeNetwork(LABEL) as network,
        RealRouter(network, secure_mode=secure_mode) as router,
    ):
        camera = Camera(CAMERA, CAMERA_PORT)
        with network.camera.entered():
            await camera.__aenter__()
        try:
            print(
                READY.format(
                    friend=FRIEND,
                    stranger=STRANGER,
                    wan=network.wan_address,
                    description=router.description_url,
                    home_assistant=HOME_ASSISTANT,
                    camera=CAMERA,
                    port=CAMERA_PORT,
                ),
                flush=True,
            )
            await asyncio.Event().wait()
        finally:
            await camera.__aexit__(None, None, None)


async def _down() -> None:
    """End the labs that `up` has started; those of tests and demos are their own business."""
    owners = {found.owner for found in names.find() if found.owned and found.label == LABEL}
    for owner in owners:
        with suppress(ProcessLookupError):
            os.kill(owner, signal.SIGTERM)
    deadline = time.monotonic() + STOPS_WITHIN
    while any(found.owned and found.owner in owners for found in names.find()):
        if time.monotonic() > deadline:
            raise UnavailableError(f"process {owners} does not end")
        await asyncio.sleep(LOOK_EVERY)
    await names.sweep()


def _enter(role: str, command: list[str]) -> None:
    """Become a command in the namespace of a lab or a demo that is running."""
    for found in names.find():
        if found.owned and found.role == role and found.label != "test":
            arguments = found.namespace.command(*command)
            os.execv(arguments[0], arguments)  # noqa: S606  that is what it is for
    raise UnavailableError("no lab is running: start one with scripts/lab up")


if __name__ == "__main__":
    sys.exit(main())
