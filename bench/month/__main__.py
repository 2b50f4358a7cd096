"""A simulated month: `python -m bench.month [--days N] [--hours N]`; 1 when anything has grown."""

import argparse
import logging
import sys
import time

from .clock import virtual_clock  # isort: skip  before Home Assistant
from .figures import Day, grown, report
from .life import Month, live


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.month", description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--hours", type=float, default=24, help="of a day")
    arguments = parser.parse_args()
    month = Month(days=arguments.days, day=arguments.hours * 3600)
    # Else Home Assistant warns at each start of what is no matter here.
    logging.basicConfig(level=logging.ERROR)
    began = time.perf_counter()

    def tell(day: Day) -> None:
        # The table comes at the end, which is some minutes away.
        print(day, flush=True)

    with virtual_clock() as runner:
        days = runner.run(live(month, tell))
    print(report(days))
    print(f"{time.perf_counter() - began:.0f} s")
    if found := grown(days):
        print("\n".join(("It has grown:", *found)))
        return 1
    print("Nothing has grown.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
