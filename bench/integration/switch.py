"""From the switch to the port: how long until a client on the internet gets through."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from lab.netns import HomeNetwork

from ..protocol.bare import BareSocket, Script, only, script
from ..protocol.clients import Ours
from ..protocol.tap import Tap
from ..routers import RouterUnderTest
from ..stats import Sample, duration
from ..table import table
from ..targets import Target, at_most
from .house import House, house

# Between two tries of the client. It is refused at once while the port is closed.
TRY_EVERY = 0.0005
REACHABLE_WITHIN = 30  # seconds

GREETING = b"!"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where things are: one computer, or the namespaces of the lab."""

    external_address: str
    """Where the client finds the router."""
    network: HomeNetwork | None = None

    def at_home(self) -> AbstractContextManager[None]:
        """Enter the computer that Home Assistant runs on."""
        return self.network.home_assistant.entered() if self.network else nullcontext()

    def client_socket(self) -> socket.socket:
        """Make a socket on the internet."""
        if self.network:
            return self.network.internet.socket(socket.SOCK_STREAM)
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)

    def camera_socket(self) -> socket.socket:
        """Make a socket on the camera."""
        if self.network:
            return self.network.camera.socket(socket.SOCK_STREAM)
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


@dataclass(slots=True)
class Switched:
    """What was measured on one router, in seconds."""

    router: str
    reachable: list[float] = field(default_factory=list)
    """From the call of the action until the client had its first byte."""
    answered: list[float] = field(default_factory=list)
    """From the call of the action until its answer, the mapping verified."""
    router_alone: list[float] = field(default_factory=list)
    """One AddPortMapping and one GetSpecificPortMappingEntry by a bare socket."""

    def table(self) -> str:
        """Return all of it for people."""
        alone = Sample.of(self.router_alone)
        samples = {
            "router: add + verify, by a bare socket": alone,
            "switch turned on, until reachable": Sample.of(self.reachable),
            "switch turned on, until it says so": Sample.of(self.answered),
        }
        return table(
            f"Switch, {self.router}, {len(self.reachable)} rounds",
            ("", "median (quartiles)", "fastest", "x the router's own"),
            [
                (what, str(sample), duration(sample.fastest), f"{sample / alone:.2f}")
                for what, sample in samples.items()
            ],
        )

    def targets(self) -> list[Target]:
        """Return what was aimed at."""
        ratio = Sample.of(self.reachable) / Sample.of(self.router_alone)
        what = f"on the {self.router}, switch to reachable against the router's own add + verify"
        return [at_most(what, ratio, 1.5)]


async def measure(router: RouterUnderTest, place: Place, *, rounds: int) -> Switched:
    """Turn the switch on and off again so many times."""
    switched = Switched(router=router.name)
    async with _camera(router.target, place) as internal_port:
        port = next(router.ports)
        with place.at_home():
            opening, closing = await _recorded(router, port)
        add = only(opening, b"#AddPortMapping")
        verify = only(opening, b"#GetSpecificPortMappingEntry")
        parts = urlsplit(router.url)
        bare = BareSocket((parts.hostname or "", parts.port or 80))

        async with house(
            router,
            forwards=1,
            internal_port=internal_port,
            namespace=place.network.home_assistant if place.network else None,
        ) as home:
            await home.start()
            for _ in range(rounds):
                with place.at_home():
                    bare.prepare(opening)
                    switched.router_alone.append(_clocked(lambda: bare.play((*add, *verify))))
                    bare.play(closing)
                await _switch_once(home, place, switched)
            await home.ha.stop()
        bare.close()
    return switched


async def _switch_once(home: House, place: Place, switched: Switched) -> None:
    [forward] = home.forwards
    client = asyncio.create_task(
        asyncio.to_thread(_until_reachable, place, forward.port, time.perf_counter())
    )
    # The client has been refused once before.
    await asyncio.sleep(0.05)
    began = time.perf_counter()
    await home.ha.call("switch", "turn_on", entity_id=forward.switch)
    switched.answered.append(time.perf_counter() - began)
    switched.reachable.append(await client - began)
    await home.ha.call("switch", "turn_off", entity_id=forward.switch)


def _until_reachable(place: Place, port: int, began: float) -> float:
    """Try to get through until it works; return when it did, by `time.perf_counter`."""
    while time.perf_counter() < began + REACHABLE_WITHIN:
        with place.client_socket() as client:
            client.settimeout(1)
            try:
                client.connect((place.external_address, port))
                if client.recv(1) == GREETING:
                    return time.perf_counter()
            except ConnectionError, TimeoutError:
                pass
        time.sleep(TRY_EVERY)
    raise TimeoutError(f"port {port} was not reachable within {REACHABLE_WITHIN} s")


def _clocked(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


async def _recorded(
    router: RouterUnderTest, port: int
) -> tuple[tuple[Script, ...], tuple[Script, ...]]:
    """Return what our driver says to open and to close a port, the second time."""
    with Tap(router.url) as tap:
        async with aiohttp.ClientSession() as session:
            ours = Ours(tap.url, session, router.target)
            await ours.connect()
            await ours.open(port)
            await ours.close(port)
            await ours.before_open()
            tap.forget()
            await ours.open(port)
            opening = script(tap.heard())
            tap.forget()
            await ours.close(port)
            return opening, script(tap.heard())


@asynccontextmanager
async def _camera(host: str, place: Place) -> AsyncIterator[int]:
    """Greet whoever connects; yield the port."""

    def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        writer.close()

    listening = place.camera_socket()
    listening.bind((host, 0))
    async with await asyncio.start_server(greet, sock=listening) as server:
        yield server.sockets[0].getsockname()[1]
