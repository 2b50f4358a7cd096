"""Run a simulated OpenWrt router: `python -m lab.openwrt --port 8080`.

Prints one line of JSON with its address and its account when it is ready.
SIGTERM and SIGINT end it cleanly.
"""

import argparse
import asyncio
import json

from lab.certificate import self_signed
from lab.until_signal import until_signal

from .accounts import DEDICATED, LUCI, PLAIN, READ_ONLY, ROOT
from .router import PASSWORD, USERNAME, OpenWrt
from .system import Device

_RIGHTS = {
    "dedicated": DEDICATED,
    "luci": LUCI,
    "plain": PLAIN,
    "read-only": READ_ONLY,
    "root": ROOT,
}


def main() -> None:
    """Read the command line and run until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m lab.openwrt", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="HTTP port; 0: any that is free")
    parser.add_argument("--host", default="127.0.0.1", help="where it answers")
    parser.add_argument("--wan-host", default="127.0.0.1", help="where its redirects listen")
    parser.add_argument("--external-address", default="203.0.113.7", help="what it says it has")
    parser.add_argument("--rights", choices=_RIGHTS, default="dedicated", help="of the account")
    parser.add_argument("--tls", action="store_true", help="with a certificate of its own")
    asyncio.run(until_signal(_run(parser.parse_args())))


async def _run(options: argparse.Namespace) -> None:
    certificate = self_signed("OpenWrt", address=options.host) if options.tls else None
    router = OpenWrt(
        rights=_RIGHTS[options.rights],
        device=Device(external_address=options.external_address),
        host=options.host,
        port=options.port,
        wan_host=options.wan_host,
        certificate=certificate,
    )
    async with router:
        ready = {"url": router.url, "username": USERNAME, "password": PASSWORD}
        if certificate:
            ready["fingerprint"] = certificate.fingerprint
        print(json.dumps(ready), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
