"""The kill test: `python -m bench.crash [--kills N] [--forwards N] [--seed N] [--version V]`."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from lab.home_assistant import REPOSITORY

from .trial import Result, Trial


def main() -> int:
    """Run a trial from the command line; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--forwards", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--version", default="2026.11", help="of Home Assistant")
    parser.add_argument("--longest", type=float, default=60, help="opening, in seconds")
    parser.add_argument("--lease", type=int, default=30, help="in seconds")
    arguments = parser.parse_args()
    environment = REPOSITORY / ".dev" / f"ha-{arguments.version}"
    if not (environment / "bin" / "hass").exists():
        parser.error(f"no {environment}: run scripts/setup e2e")

    config = Path(tempfile.mkdtemp(prefix="port-forward-crash-"))
    print(f"seed {arguments.seed}, Home Assistant {arguments.version} in {config}", flush=True)
    began = time.monotonic()
    trial = Trial(
        forwards=arguments.forwards,
        seed=arguments.seed,
        longest=arguments.longest,
        lease=arguments.lease,
        say=lambda text: print(text, flush=True),
    )
    result = asyncio.run(trial.run(environment, config, arguments.kills))
    print(report(result, time.monotonic() - began))
    if result.violations:
        print(f"Everything is kept in {config}")
        return 1
    shutil.rmtree(config)
    return 0


def report(result: Result, seconds: float) -> str:
    """Return the result as people read it."""
    caught = "\n".join(f"  {count:5}  {what}" for what, count in result.caught.most_common())
    refused = ", ".join(f"{count} {what}" for what, count in result.refused.most_common())
    changes = ", ".join(f"{count} {what}" for what, count in result.changes.most_common())
    return f"""\
{result.kills} kills in {seconds:.0f} s
{result.calls} calls, {result.openings} openings and extensions promised, \
{result.lost} under way when Home Assistant died
changes of the house: {changes or "none"}
{result.rows_opened} rows opened; {result.closed_by_lease} closed by their lease, \
{result.closed_by_home_assistant} by Home Assistant
{result.promises} times compared with what was promised
refused: {refused or "none"}
Home Assistant died in the middle of:
{caught or "  nothing"}
worst lateness while it ran: {result.late_running:.3f} s
worst lateness of what became due while it was dead: {result.late_after_start:.3f} s after the \
start of the process, {max(result.late_after_ready, 0):.3f} s after it was ready
{len(result.violations)} violations"""


if __name__ == "__main__":
    sys.exit(main())
