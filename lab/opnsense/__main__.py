"""Run a simulated OPNsense: `python -m lab.opnsense --version 26.1.11`.

Prints one line of JSON with what a client needs when it is ready. SIGTERM and
SIGINT end it cleanly.
"""

import argparse
import asyncio
import json

from lab.until_signal import until_signal

from .firewall import OPNsense


def main() -> None:
    """Read the command line and run until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m lab.opnsense", description=__doc__)
    parser.add_argument("--version", default="26.7.2", help="what it says it is")
    parser.add_argument("--http", action="store_true", help="without TLS")
    parser.add_argument("--wan-host", default="127.0.0.1", help="where its rules listen")
    options = parser.parse_args()
    firewall = OPNsense(version=options.version, tls=not options.http, wan_host=options.wan_host)
    asyncio.run(until_signal(_run(firewall)))


async def _run(firewall: OPNsense) -> None:
    async with firewall:
        print(json.dumps(firewall.settings), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
