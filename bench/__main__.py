"""All measurements in one run: `scripts/bench [--quick] [PART]...`.

Prints a table for each part, and at the end each target with what came of it. The exit code is 1 if
anything has grown in a month; nothing fails because of another target.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext, suppress

# Home Assistant wants to be the first that imports voluptuous.
import custom_components.port_forward  # noqa: F401
from lab.netns import HomeNetwork, UnavailableError

from .home import own_address
from .integration import scale, switch
from .machine import machine
from .protocol import measure as protocol
from .protocol.clients import contenders
from .protocol.report import tables, targets
from .routers import RouterUnderTest, real_router, virtual_router
from .stats import load
from .targets import Target


def say(text: str) -> None:
    """Print at once: a run takes minutes."""
    print(text, flush=True)


# The target that has to be met.
NOTHING_GROWS = "nothing grows in a month after its first day"

type Measure = Callable[[RouterUnderTest, HomeNetwork | None, int], Awaitable[list[Target]]]
"""Measures on a router, in its network if it has one of its own, in so many rounds."""


async def on_each_router(part: str, do: Measure, *, quick: bool) -> list[Target]:
    """Measure on a router as fast as it can be, on one as slow as many are, and on a real one."""
    rounds = 3 if quick else 30
    async with virtual_router() as router:
        found = await do(router, None, rounds)
    if quick:
        say(f"\n{part}, weak router: left out, because it takes its time")
    else:
        # Q40: it takes 30 ms for each request, and cannot do two at once.
        async with virtual_router("Q40", name="weak router") as router:
            found += await do(router, None, rounds // 6)
    try:
        async with real_router() as (network, router):
            found += await do(router, network, rounds)
    except UnavailableError as error:
        say(f"\n{part}, miniupnpd: left out, {error}")
    return found


async def measure_protocol(
    router: RouterUnderTest, network: HomeNetwork | None, rounds: int
) -> list[Target]:
    """Measure the protocol on one router."""
    with network.home_assistant.entered() if network else nullcontext():
        clients = contenders(of_miniupnpd=network is not None)
        measured = await protocol.measure(router, clients, rounds=rounds)
    say(tables(measured, rounds))
    return list(targets(measured))


async def measure_switch(
    router: RouterUnderTest, network: HomeNetwork | None, rounds: int
) -> list[Target]:
    """Measure the way from the switch to the port."""
    address = network.wan_address if network else own_address()
    place = switch.Place(external_address=address, network=network)
    switched = await switch.measure(router, place, rounds=rounds)
    say(switched.table())
    return switched.targets()


async def bench_protocol(*, quick: bool) -> list[Target]:
    """Measure ours, its peers and a bare socket."""
    return await on_each_router("Protocol", measure_protocol, quick=quick)


async def bench_switch(*, quick: bool) -> list[Target]:
    """Measure the time from the switch to the port."""
    return await on_each_router("Switch", measure_switch, quick=quick)


async def bench_scale(*, quick: bool) -> list[Target]:
    """Measure what many forwards cost, and what none do."""
    if quick:
        measured = await scale.measure((10, 100), starts=1, refreshes=5, quick=True)
    else:
        measured = await scale.measure((10, 100, 1000), starts=4, refreshes=5)
    say(scale.tables(measured))
    return scale.targets(measured)


async def bench_month(*, quick: bool) -> list[Target]:
    """Live through a month in a process of its own: its clock and its memory are measured."""
    # A day in quarters, each with all that a day has: from one alone nothing could be told.
    days = ("--days", "4", "--hours", "6") if quick else ()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.month", *days)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    return [Target(what=NOTHING_GROWS, value=f"exit code {code}", met=code == 0)]


PARTS = {
    "protocol": bench_protocol,
    "switch": bench_switch,
    "scale": bench_scale,
    "month": bench_month,
}


async def run(parts: Iterable[str], *, quick: bool) -> list[Target]:
    """Run the parts one after the other, and compare with the targets at the end."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a coroutine of asyncio.run always runs in one
    # So that routers, namespaces and Home Assistants go with it, as after a Ctrl-C.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    say(machine())
    found: list[Target] = []
    for part in parts:
        began = time.monotonic()
        found += await PARTS[part](quick=quick)
        say(f"\n{part}: {time.monotonic() - began:.0f} s, {load()}")
    say("\nTargets\n")
    for target in found:
        say(f"{target}")
    return found


def main() -> int:
    """Run from the command line; 1 when something grows, 130 when it was interrupted."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a minute")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        found = asyncio.run(run(arguments.parts or PARTS, quick=arguments.quick))
        return int(any(target.what == NOTHING_GROWS and not target.met for target in found))
    return 130


if __name__ == "__main__":
    sys.exit(main())
