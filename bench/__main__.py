"""All measurements in one run: `scripts/bench [--quick] [PART]...`.

Prints a table for each part, and at the end each target with what came of it. Nothing fails because
of a target.
"""

import argparse
import asyncio
from collections.abc import Iterable

# Home Assistant wants to be the first that imports voluptuous.
import custom_components.port_forward  # noqa: F401
from lab.netns import UnavailableError

from .home import own_address
from .integration import scale, switch
from .machine import machine
from .protocol.clients import contenders
from .protocol.measure import measure
from .protocol.report import tables, targets
from .routers import real_router, virtual_router
from .stats import load
from .targets import Target


def say(text: str) -> None:
    """Print at once: a run takes minutes."""
    print(text, flush=True)


async def bench_protocol(*, quick: bool) -> list[Target]:
    """Measure the protocol on both routers."""
    found: list[Target] = []
    rounds = 5 if quick else 30
    async with virtual_router() as router:
        measured = await measure(router, contenders(of_miniupnpd=False), rounds=rounds)
    say(tables(measured, rounds))
    found += targets(measured)
    try:
        async with real_router() as (network, router):
            with network.home_assistant.entered():
                clients = contenders(of_miniupnpd=True)
                measured = await measure(router, clients, rounds=rounds)
    except UnavailableError as error:
        say(f"\nProtocol, miniupnpd: left out, {error}")
    else:
        say(tables(measured, rounds))
        found += targets(measured)
    return found


async def bench_switch(*, quick: bool) -> list[Target]:
    """Measure the way from the switch to the port."""
    found: list[Target] = []
    rounds = 5 if quick else 30
    async with virtual_router() as router:
        switched = await switch.measure(
            router, switch.Place(external_address=own_address()), rounds=rounds
        )
    say(switched.table())
    found += switched.targets()
    try:
        async with real_router() as (network, router):
            place = switch.Place(external_address=network.wan_address, network=network)
            switched = await switch.measure(router, place, rounds=rounds)
    except UnavailableError as error:
        say(f"\nSwitch, miniupnpd: left out, {error}")
    else:
        say(switched.table())
        found += switched.targets()
    return found


async def bench_scale(*, quick: bool) -> list[Target]:
    """Measure what many forwards cost, and what none do."""
    if quick:
        measured = await scale.measure((10, 100), starts=1, refreshes=5, open_all=False)
    else:
        measured = await scale.measure((10, 100, 1000), starts=5, refreshes=5, open_all=True)
    say(scale.tables(measured))
    return scale.targets(measured)


PARTS = {
    "protocol": bench_protocol,
    "switch": bench_switch,
    "scale": bench_scale,
}


async def run(parts: Iterable[str], *, quick: bool) -> None:
    """Run the parts one after the other, and compare with the targets at the end."""
    say(machine())
    found: list[Target] = []
    for part in parts:
        found += await PARTS[part](quick=quick)
        say(f"\n{part}: {load()}")
    say("\nTargets\n")
    for target in found:
        say(f"{target}")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="fewer rounds: below a minute")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    asyncio.run(run(arguments.parts or PARTS, quick=arguments.quick))


if __name__ == "__main__":
    main()
