"""Run a virtual router: `python -m lab.virtual_router --port 5000 --quirk Q11`.

Prints one line of JSON with its addresses when it is ready, then a line for
each mapping that opens or closes. SIGTERM and SIGINT end it cleanly.
"""

import argparse
import asyncio
import json
import signal
from typing import Literal

from .mapping import VirtualMapping, Wan
from .quirks import Quirk
from .router import VirtualRouter


def main() -> None:
    """Read the command line and run until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m lab.virtual_router", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="HTTP port; 0: any that is free")
    parser.add_argument("--igd", type=int, choices=(1, 2), default=2, help="generation of the IGD")
    parser.add_argument("--udn", help="device id; default: a new one")
    parser.add_argument("--name", default="Virtual Router", help="friendly name")
    parser.add_argument("--lan-host", default="127.0.0.1", help="where it answers")
    parser.add_argument("--wan-host", default="127.0.0.1", help="where its mappings listen")
    parser.add_argument("--external-address", default="203.0.113.7", help="what it says it has")
    parser.add_argument("--ssdp", action="store_true", help="announce itself, answer searches")
    parser.add_argument("--ssdp-port", type=int, default=1900, help=argparse.SUPPRESS)
    parser.add_argument(
        "--quirk",
        action="append",
        default=[],
        type=Quirk,
        metavar="Qnn",
        help="a habit of a real router, see lab/virtual_router/quirks.py; may be repeated",
    )
    asyncio.run(_run(parser.parse_args()))


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    router = VirtualRouter(
        igd=options.igd,
        wans=(Wan(external_address=options.external_address),),
        quirks=options.quirk,
        lan_host=options.lan_host,
        wan_host=options.wan_host,
        port=options.port,
        udn=options.udn,
        friendly_name=options.name,
        ssdp=options.ssdp,
        ssdp_port=options.ssdp_port,
        on_change=_print_change,
    )
    async with router:
        addresses = {"description_url": router.description_url, "udn": router.udn}
        print(json.dumps(addresses), flush=True)
        await stop.wait()


def _print_change(what: Literal["opened", "closed"], mapping: VirtualMapping) -> None:
    print(f"{what} {mapping} ({mapping.description})", flush=True)


if __name__ == "__main__":
    main()
