"""Run a simulated UniFi controller: `python -m lab.unifi --port 8443 --wans 2`.

Prints one line of JSON with its address, key and account when it is ready.
SIGTERM and SIGINT end it cleanly.
"""

import argparse
import asyncio
import json

from lab.certificate import self_signed
from lab.until_signal import until_signal

from .accounts import Account, ApiKey
from .controller import UnifiController
from .habits import Habit


def main() -> None:
    """Read the command line and run until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m lab.unifi", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="HTTP port; 0: any that is free")
    parser.add_argument("--tls", action="store_true", help="with a certificate signed by itself")
    parser.add_argument("--old", action="store_true", help="a controller without UniFi OS")
    parser.add_argument("--wans", type=int, default=1, help="how many WANs its gateway has")
    parser.add_argument("--lan-host", default="127.0.0.1", help="where it answers")
    parser.add_argument("--wan-host", default="127.0.0.1", help="where its forwards listen")
    parser.add_argument("--habit", action="append", default=[], type=Habit, choices=list(Habit))
    asyncio.run(until_signal(_run(parser.parse_args())))


async def _run(options: argparse.Namespace) -> None:
    certificate = self_signed("unifi.lan") if options.tls else None
    account, key = Account(), ApiKey()
    controller = UnifiController(
        is_os=not options.old,
        accounts=(account,),
        keys=(key,),
        habits=options.habit,
        wans=options.wans,
        lan_host=options.lan_host,
        wan_host=options.wan_host,
        port=options.port,
        tls=certificate.context if certificate else None,
    )
    async with controller:
        shown = {
            "url": controller.url,
            "api_key": key.value,
            "username": account.name,
            "password": account.password,
            "fingerprint": certificate.fingerprint if certificate else "",
        }
        print(json.dumps(shown), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
