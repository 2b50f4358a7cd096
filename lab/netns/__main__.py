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
from .namespace import Namespace
from .network import (
    CAMERA,
    CAMERA6,
    FRIEND,
    FRIEND6,
    HOME_ASSISTANT,
    HOME_ASSISTANT6,
    STRANGER,
    STRANGER6,
    WAN_ADDRESS6,
    HomeNetwork,
)
from .requirements import UnavailableError, check, program
from .witness import kernel_pinholes

LABEL = "lab"
CAMERA_PORT = 8080

STOPS_WITHIN = 30  # seconds
LOOK_EVERY = 0.1

READY = """
  internet         {friend}, {stranger}, {friend6}, {stranger6}
  router           {wan}, {wan6} and {description}
  home_assistant   {home_assistant}, {home_assistant6}
  camera           {camera}, {camera6}, port {port}

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
    up.add_argument("--no-pcp", action="store_true", help="without PCP and NAT-PMP")
    up.add_argument(
        "--no-third-party", action="store_true", help="let PCP clients map for themselves alone"
    )
    up.add_argument("--no-ipv6", action="store_true", help="let the router leave IPv6 alone")
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
                asyncio.run(until_signal(_up(options)))
            case "down":
                asyncio.run(_down())
            case "rules":
                asyncio.run(_rules())
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


async def _up(options: argparse.Namespace) -> None:
    async with (
        HomeNetwork(LABEL) as network,
        RealRouter(
            network,
            secure_mode=options.secure_mode,
            pcp=not options.no_pcp,
            third_party=not options.no_third_party,
            ipv6=not options.no_ipv6,
        ) as router,
    ):
        camera = Camera(CAMERA, CAMERA_PORT)
        with network.camera.entered():
            await camera.__aenter__()
        try:
            print(
                READY.format(
                    friend=FRIEND,
                    friend6=FRIEND6,
                    stranger=STRANGER,
                    stranger6=STRANGER6,
                    wan=network.wan_address,
                    wan6=WAN_ADDRESS6,
                    description=router.description_url,
                    home_assistant=HOME_ASSISTANT,
                    home_assistant6=HOME_ASSISTANT6,
                    camera=CAMERA,
                    camera6=CAMERA6,
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


async def _rules() -> None:
    """Print what the kernel holds, and what of it lets the internet in by IPv6."""
    router = _running("router")
    print(await router.run(program("nft"), "list", "ruleset"))
    for protocol, host, port, source, source_port in await kernel_pinholes(router):
        origin = (source or "anywhere") + (f" port {source_port}" if source_port else "")
        print(f"# IPv6 pinhole: {protocol} {host} port {port} from {origin}")


def _enter(role: str, command: list[str]) -> None:
    """Become a command in the namespace of a lab or a demo that is running."""
    arguments = _running(role).command(*command)
    os.execv(arguments[0], arguments)  # noqa: S606  that is what it is for


def _running(role: str) -> Namespace:
    for found in names.find():
        if found.owned and found.role == role and found.label != "test":
            return found.namespace
    raise UnavailableError("no lab is running: start one with scripts/lab up")


if __name__ == "__main__":
    sys.exit(main())
