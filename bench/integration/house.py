"""A real Home Assistant with one router, and the probe in it."""

import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.hass_config import REPOSITORY, prepare
from lab.home_assistant import RealHomeAssistant
from lab.netns import Namespace

from ..home import Forward, store_entries, stored_entry
from ..routers import RouterUnderTest

ENVIRONMENT = REPOSITORY / ".dev" / "ha-2026.11"
PROBE = Path(__file__).parent / "probe"
READY_WITHIN = 300  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class House:
    """A Home Assistant that can be started."""

    ha: RealHomeAssistant
    forwards: Sequence[Forward]

    async def start(self) -> dict[str, Any]:
        """Start it; return what the probe tells, and in `took` the seconds from its process on."""
        began = time.monotonic()
        await self.ha.start(ready_within=READY_WITHIN)
        there = {state["entity_id"] for state in await self.ha.command("get_states")}
        if missing := {forward.switch for forward in self.forwards} - there:
            raise RuntimeError(f"{len(missing)} switches are missing:\n{self.ha.log.read_text()}")
        told = await self.probe("tell_of_start")
        return {**told, "took": told["clock"] - began}

    async def probe(self, action: str) -> dict[str, Any]:
        """Ask the probe."""
        answer = await self.ha.command(
            "call_service", domain="bench_probe", service=action, return_response=True
        )
        response: dict[str, Any] = answer["response"]
        return response


@asynccontextmanager
async def house(
    router: RouterUnderTest | None,
    *,
    forwards: int = 0,
    internal_port: int = 8080,
    namespace: Namespace | None = None,
) -> AsyncIterator[House]:
    """Furnish a house whose Home Assistant has not been started yet; None is without a router."""
    with tempfile.TemporaryDirectory(prefix="port-forward-bench-") as directory:
        config = Path(directory)
        ha = RealHomeAssistant(ENVIRONMENT, config, namespace=namespace)
        await prepare(ENVIRONMENT, config, ha.port, "eth0" if namespace else None)
        _add_probe(config)
        plan: list[Forward] = []
        if router is not None:
            plan = [
                Forward(
                    id=f"forward{index:04}",
                    name=f"forward{index:04}",
                    router=0,
                    port=next(router.ports),
                    protocols=("TCP",),
                    close_after=3600,
                    taken=False,
                    internal_host=router.target,
                    internal_port=internal_port,
                )
                for index in range(forwards)
            ]
            with namespace.entered() if namespace else nullcontext():
                # A poll every hour: none comes in between.
                options = {"refresh_interval": 3600, "lease": 3600}
                entry = await stored_entry(0, router.url, options, plan)
            store_entries(config, [entry])
        try:
            yield House(ha=ha, forwards=plan)
        finally:
            await ha.kill()


def _add_probe(config: Path) -> None:
    (config / "custom_components" / "bench_probe").symlink_to(PROBE, target_is_directory=True)
    settings = config / "configuration.yaml"
    # The log as a user has it.
    quiet = settings.read_text().replace("port_forward: debug", "port_forward: warning")
    settings.write_text(f"{quiet}bench_probe:\n")
