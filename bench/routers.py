"""The routers to measure on, each a process of its own: nobody waits for another's event loop."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.home_assistant import REPOSITORY
from lab.netns import HomeNetwork, RealRouter
from lab.netns.network import CAMERA
from lab.virtual_router import free_port

from .home import own_address

READY_WITHIN = 30  # seconds
LOOK_EVERY = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class RouterUnderTest:
    """A router that runs, and what to map on it."""

    name: str
    url: str
    """Of its description."""
    target: str
    """The host that the mappings shall lead to."""
    ports: Iterator[int]
    """External ports that are free, and none of them twice."""


@asynccontextmanager
async def virtual_router(
    *quirks: str, name: str = "virtual router"
) -> AsyncIterator[RouterUnderTest]:
    """Run a virtual router of IGD:2."""
    host = own_address()
    arguments = (
        *("--wan-host", host),
        *(word for quirk in quirks for word in ("--quirk", quirk)),
    )
    with tempfile.TemporaryDirectory(prefix="port-forward-bench-") as directory:
        printed = Path(directory, "stdout")
        # A file takes what it prints of each mapping; a pipe would have to be read meanwhile.
        with printed.open("wb") as stdout:  # noqa: ASYNC230  small and local
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "lab.virtual_router", *arguments),
                cwd=REPOSITORY,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                start_new_session=True,
            )
        try:
            url = await _until_ready(process, printed)
            yield RouterUnderTest(name=name, url=url, target="127.0.0.1", ports=_free_ports(host))
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


@asynccontextmanager
async def real_router() -> AsyncIterator[tuple[HomeNetwork, RouterUnderTest]]:
    """Run miniupnpd in network namespaces; raises UnavailableError where there are none."""
    async with HomeNetwork("bench") as network, RealRouter(network) as router:
        yield (
            network,
            RouterUnderTest(
                name="miniupnpd",
                url=router.description_url,
                target=CAMERA,
                ports=iter(range(20000, 30000)),
            ),
        )


def _free_ports(host: str) -> Iterator[int]:
    given: set[int] = set()
    while True:
        if (port := free_port(host)) not in given:
            given.add(port)
            yield port


async def _until_ready(process: asyncio.subprocess.Process, printed: Path) -> str:
    """Return the URL of the description, the first thing that it prints."""
    async with asyncio.timeout(READY_WITHIN):
        while b"\n" not in (text := printed.read_bytes()):  # noqa: ASYNC240  same
            if process.returncode is not None:
                raise RuntimeError(f"the virtual router ended with {process.returncode}")
            await asyncio.sleep(LOOK_EVERY)
    url: str = json.loads(text.splitlines()[0])["description_url"]
    return url
