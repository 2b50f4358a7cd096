"""Run a virtual router: `python -m lab.virtual_router --port 5000 --quirk Q11`.

With `--pcp-port` it speaks PCP and NAT-PMP as well, with `--no-upnp` nothing else.
Prints one line of JSON with its addresses when it is ready, then a line for
each mapping that opens or closes. SIGTERM and SIGINT end it cleanly.
"""

import argparse
import asyncio
import json
import signal
from typing import Literal

from .mapping import VirtualMapping, Wan
from .pcp import ANNOUNCE_GROUP, Pcp
from .pinhole import Ipv6
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
    parser.add_argument("--no-upnp", action="store_true", help="without HTTP and SSDP")
    parser.add_argument(
        "--ssdp", action="store_true", help="announce itself (PCP does too), answer searches"
    )
    parser.add_argument("--ssdp-port", type=int, default=1900, help=argparse.SUPPRESS)
    parser.add_argument(
        "--ipv6", action="store_true", help="a firewall with pinholes, and ::1 to ask for them at"
    )
    parser.add_argument(
        "--pcp-port",
        type=int,
        metavar="PORT",
        help="speak PCP and NAT-PMP on this UDP port, of routers 5351; 0: any that is free",
    )
    parser.add_argument(
        "--pcp-speaks",
        choices=("both", "pcp", "natpmp", "nothing"),
        default="both",
        help="which of PCP and NAT-PMP; nothing: be silent",
    )
    parser.add_argument(
        "--pcp-third-party", action="store_true", help="let PCP clients map for other hosts"
    )
    parser.add_argument(
        "--vpn-provider",
        action="store_true",
        help="map any port for 60 s, whatever is asked by NAT-PMP, as a VPN provider does",
    )
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
    pcp = Pcp(
        speaks=options.pcp_speaks,
        third_party=options.pcp_third_party,
        provider=options.vpn_provider,
        announce_to=ANNOUNCE_GROUP if options.ssdp else None,
    )
    router = VirtualRouter(
        upnp=not options.no_upnp,
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
        ipv6=Ipv6() if options.ipv6 else None,
        pcp=None if options.pcp_port is None else pcp,
        pcp_port=options.pcp_port or 0,
        on_change=_print_change,
    )
    async with router:
        addresses: dict[str, str | int] = {}
        if not options.no_upnp:
            addresses |= {"description_url": router.description_url, "udn": router.udn}
        if not options.no_upnp and router.description_url6 is not None:
            addresses["description_url6"] = router.description_url6
        if options.pcp_port is not None:
            addresses["pcp_port"] = router.pcp_port
        print(json.dumps(addresses), flush=True)
        await stop.wait()


def _print_change(what: Literal["opened", "closed"], mapping: VirtualMapping) -> None:
    print(f"{what} {mapping} ({mapping.description})", flush=True)


if __name__ == "__main__":
    main()
