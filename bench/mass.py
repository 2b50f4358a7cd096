"""Many openings that end at the same second: `python -m bench.mass [--forwards N] [--version V]`.

A real `hass`, and a virtual router that keeps no lease, so that nothing goes by itself. Prints how
long opening, extending and closing took; the exit code is 1 if one was closed twice, or not at all.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from lab.home_assistant import REPOSITORY
from lab.virtual_router import Quirk, VirtualMapping, VirtualRouter

from .home import Home, furnished, own_address

# As a script would: one action for so many forwards.
AT_ONCE = 50


class Mass:
    """One run: when each row came and went."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.opened: list[float] = []
        self.closed: list[float] = []
        self.problems: list[str] = []
        self._all_closed = asyncio.Event()

    async def run(self, environment: Path, config: Path, forwards: int) -> None:
        """Open all, give all the same deadline, and wait until the last is closed."""
        router = VirtualRouter(
            wan_host=own_address(), quirks={Quirk.Q01}, on_change=self._note_change
        )
        async with furnished(
            environment,
            config,
            forwards=forwards,
            routers=[router],
            lease=3600,
            close_after=3600,
            refresh_interval=60,
            strangers=False,
        ) as home:
            began = time.time()
            await home.ha.start(ready_within=300)
            print(f"started with {forwards} forwards in {time.time() - began:.1f} s", flush=True)

            took = await _open(home, {"duration": {"hours": 1}})
            tenth = max(1, forwards // 10)
            first, last = self.opened[tenth - 1] - self.opened[0], self.opened[-1]
            print(
                f"opened {len(self.opened)} in {took:.1f} s: the first tenth in {first:.2f} s,"
                f" the last in {last - self.opened[-tenth]:.2f} s",
                flush=True,
            )

            deadline = time.time() + 1.5 * took + 10
            took = await _open(home, {"until": datetime.fromtimestamp(deadline, UTC).isoformat()})
            print(f"moved {forwards} deadlines to the same second in {took:.1f} s", flush=True)
            if self.closed or time.time() > deadline:
                self.problems.append("this machine is too slow for a common deadline")

            await asyncio.sleep(max(0.0, deadline - time.time()))
            with suppress(TimeoutError):
                async with asyncio.timeout(forwards):
                    await self._all_closed.wait()
            await asyncio.sleep(1)  # For the ledger, and for what should not come.
            self._judge(home, router, forwards, deadline)
            await home.ha.stop()

    def _judge(self, home: Home, router: VirtualRouter, forwards: int, deadline: float) -> None:
        deletes = router.requests["DeletePortMapping"]
        late = sorted(at - deadline for at in self.closed)
        print(
            f"closed {len(late)} with {deletes} requests: the first {late[0]:.3f} s after the"
            f" deadline, half of them {late[len(late) // 2]:.2f} s, the last {late[-1]:.2f} s"
        )
        if late[0] < 0:
            self.problems.append(f"one was closed {-late[0]} s before the deadline")
        if deletes != forwards:
            self.problems.append(f"{deletes} requests to close {forwards}")
        if router.mappings:
            self.problems.append(f"still open: {len(router.mappings)}")
        if home.ledger():
            self.problems.append(f"still in the ledger: {len(home.ledger())}")

    def _note_change(self, what: Literal["opened", "closed"], _row: VirtualMapping) -> None:
        (self.opened if what == "opened" else self.closed).append(time.time())
        if len(self.closed) == len(self.opened):
            self._all_closed.set()


async def _open(home: Home, data: dict[str, Any]) -> float:
    """Open all, one action after the other; return the seconds that took."""
    began = time.time()
    switches = [forward.switch for forward in home.forwards]
    for i in range(0, len(switches), AT_ONCE):
        target = {"entity_id": switches[i : i + AT_ONCE]}
        await home.ha.call("port_forward", "open", target=target, **data)
    return time.time() - began


def main() -> int:
    """Run from the command line; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.mass", description=__doc__)
    parser.add_argument("--forwards", type=int, default=1000)
    parser.add_argument("--version", default="2026.11", help="of Home Assistant")
    arguments = parser.parse_args()
    environment = REPOSITORY / ".dev" / f"ha-{arguments.version}"
    if not (environment / "bin" / "hass").exists():
        parser.error(f"no {environment}: run scripts/setup e2e")
    config = Path(tempfile.mkdtemp(prefix="port-forward-mass-"))
    mass = Mass()
    asyncio.run(mass.run(environment, config, arguments.forwards))
    if mass.problems:
        print(*mass.problems, f"Everything is kept in {config}", sep="\n")
        return 1
    shutil.rmtree(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
