"""Run a simulated FRITZ!Box: `python -m lab.fritzbox --connection WANIPConnection`.

Prints one line of JSON with what a client needs when it is ready. SIGTERM and
SIGINT end it cleanly.
"""

import argparse
import asyncio
import json

from lab.until_signal import until_signal

from .box import FritzBox
from .description import CONTROL_PATHS
from .sharing import Lease


def main() -> None:
    """Read the command line and run until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m lab.fritzbox", description=__doc__)
    parser.add_argument("--connection", choices=CONTROL_PATHS, default="WANPPPConnection")
    parser.add_argument("--lease", type=Lease, choices=list(Lease), default=Lease.IGNORED)
    parser.add_argument("--http", action="store_true", help="without TLS")
    parser.add_argument("--wan-host", default="127.0.0.1", help="where its ports listen")
    options = parser.parse_args()
    box = FritzBox(
        connection=options.connection,
        lease=options.lease,
        tls=not options.http,
        wan_host=options.wan_host,
    )
    asyncio.run(until_signal(_run(box)))


async def _run(box: FritzBox) -> None:
    async with box:
        print(json.dumps(box.settings), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
