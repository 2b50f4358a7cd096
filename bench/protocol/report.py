"""The measurements of the protocol as tables, and its targets."""

from collections.abc import Iterator

from ..stats import duration
from ..table import table
from ..targets import Target, at_least, at_most
from .clients import Ours, Step, UpnpcBulk
from .measure import BARE, Measured

POLL_REQUESTS = 4


def tables(measured: Measured, rounds: int) -> str:
    """Return one table: the steps, and in each the contenders."""
    rows: list[tuple[str, ...]] = []
    for step in dict.fromkeys(step for step, _ in measured.times):
        rows.append((step, *("",) * 7))
        ours = measured.times.get((step, Ours.name))
        for (of, name), sample in measured.times.items():
            if of != step:
                continue
            cost = measured.costs.get((step, name))
            rows.append(
                (
                    f"  {name}",
                    str(sample),
                    duration(sample.fastest),
                    f"{sample / ours:.2f}" if ours else "",
                    *(
                        map(str, (cost.requests, cost.connections, cost.sent, cost.received))
                        if cost
                        else ("",) * 4
                    ),
                )
            )
    return table(
        f"Protocol, {measured.router}, {rounds} rounds",
        (
            "",
            "median (quartiles)",
            "fastest",
            "x ours",
            "requests",
            "new connections",
            "sent B",
            "received B",
        ),
        rows,
    )


def targets(measured: Measured) -> Iterator[Target]:
    """Yield the targets that this router tells about."""
    on = f"on the {measured.router}"
    times, costs = measured.times, measured.costs
    listed = f"{Step.LIST} 100"
    for (step, name), sample in times.items():
        if step == listed and name not in (Ours.name, BARE):
            what = f"{on}, list 100 mappings faster than {name}"
            if name == UpnpcBulk.name:
                what += " (which asks in bulk unguarded)"
            yield at_least(what, sample / times[listed, Ours.name], 15)
    if (listed, Ours.name) in times:
        ratio = times[listed, Ours.name] / times[listed, BARE]
        yield at_most(f"{on}, list 100 mappings against the same by a bare socket", ratio, 1.3)
    for unit in (Step.ADD, Step.GET):
        if (unit, BARE) in times:
            ratio = times[Step.OPEN, Ours.name] / times[unit, BARE]
            yield at_most(f"{on}, open verified, in units of {unit} by a bare socket", ratio, 2.5)
    if poll := costs.get((Step.POLL, Ours.name)):
        yield Target(
            what=f"{on}, requests of a quiet poll <= {POLL_REQUESTS}",
            value=f"{poll.requests} with {poll.connections} new connections",
            met=poll.requests <= POLL_REQUESTS,
        )
