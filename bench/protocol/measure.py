"""The rounds: in each, every contender does everything once, in another order each time."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from ..routers import RouterUnderTest
from ..stats import Sample
from .bare import BareSocket, Script, only, script
from .clients import LEASE, Client, Ours, Step, wan_of
from .tap import Conversation, Tap

BARE = "bare socket"
"""Sends again what ours has sent."""

BUSY = 40
"""How many mappings of others there are while polls, openings and closings are measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a step puts on the wire."""

    requests: int
    connections: int
    """New ones; one that was kept does not count."""
    sent: int
    """Bytes of the client."""
    received: int

    @classmethod
    def of(cls, heard: Sequence[Conversation]) -> Cost:
        """Count what the tap heard."""
        return cls(
            requests=sum(len(conversation.requests) for conversation in heard),
            connections=sum(not conversation.kept for conversation in heard),
            sent=sum(len(conversation.sent) for conversation in heard),
            received=sum(conversation.received for conversation in heard),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What came of it on one router; the keys are the step and the contender."""

    router: str
    times: dict[tuple[str, str], Sample]
    costs: dict[tuple[str, str], Cost]


@dataclass(slots=True)
class _Session:
    """A run on one router."""

    router: RouterUnderTest
    clients: Sequence[Client]
    heard: Sequence[Client]
    """The same contenders once more, behind the tap."""
    tap: Tap
    bare: BareSocket
    rounds: int
    seconds: defaultdict[tuple[str, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )
    costs: dict[tuple[str, str], Cost] = field(default_factory=dict)
    scripts: dict[str, tuple[Script, ...]] = field(default_factory=dict)
    rows: int = 0

    async def fill(self, rows: int, session: aiohttp.ClientSession) -> None:
        """Let the router hold so many mappings, all of them TCP."""
        wan = await wan_of(session, self.router.url)
        ours = Ours(self.router.url, session, self.router.target)
        await ours.connect()
        while self.rows < rows:
            await wan.add(ours.mapping(next(self.router.ports)), int(LEASE.total_seconds()))
            self.rows += 1

    async def record(self, step: str, do: Callable[[Client], Awaitable[None]]) -> None:
        """Note what each contender says for a step that it has done before."""
        for client in _doing(step, self.heard):
            self.tap.forget()
            await do(client)
            heard = self.tap.heard()
            self.costs[step, client.name] = Cost.of(heard)
            if isinstance(client, Ours):
                self.scripts[step] = script(heard)

    async def record_get(self) -> None:
        """Note the cheapest request that there is."""
        for client in self.heard:
            if isinstance(client, Ours):
                self.tap.forget()
                await client.ask_for_address()
                self.scripts[Step.GET] = script(self.tap.heard())

    async def each_round(self, step: str, do: Callable[[Client], Awaitable[None]]) -> None:
        """Let each contender do the step in each round, and a bare socket too."""
        everyone = (*_doing(step, self.clients), *_doing(step, self.heard))
        if step != Step.CONNECT:
            for client in everyone:
                await do(client)  # so that the connection is there that is kept
        await self.record(step, do)
        for number in range(self.rounds):
            for contender in _turned((*_doing(step, self.clients), None), number):
                if contender is not None:
                    await self.clock(step, contender, do)
                else:
                    self.play(step, self.scripts[step])

    async def clock(
        self, step: str, client: Client, do: Callable[[Client], Awaitable[None]]
    ) -> None:
        """Measure one step of one contender."""
        began = time.perf_counter()
        await do(client)
        self.seconds[step, client.name].append(time.perf_counter() - began)

    def play(self, step: str, scripts: Sequence[Script]) -> bytes:
        """Measure the bare socket, and return the last answer."""
        self.bare.prepare(scripts)
        began = time.perf_counter()
        answer = self.bare.play(scripts)
        self.seconds[step, BARE].append(time.perf_counter() - began)
        return answer

    async def open_and_close(self) -> None:
        """Measure openings and closings, each contender on a port of its own."""
        clients, heard = _doing(Step.OPEN, self.clients), _doing(Step.OPEN, self.heard)
        ports = {client.name: next(self.router.ports) for client in clients}

        async def before(client: Client) -> None:
            await client.before_open()

        async def open_one(client: Client) -> None:
            await client.open(ports[client.name])

        async def close_one(client: Client) -> None:
            await client.close(ports[client.name])

        # The first opening of all finds out what the router does with a lease.
        for client in (*clients, *heard):
            for do in (before, open_one, close_one, before):
                await do(client)
        await self.record(Step.OPEN, open_one)
        await self.record(Step.CLOSE, close_one)
        await self.record_get()
        opening, closing = self.scripts[Step.OPEN], self.scripts[Step.CLOSE]
        for number in range(self.rounds):
            for contender in _turned((*clients, None), number):
                if contender is not None:
                    await before(contender)
                    await self.clock(Step.OPEN, contender, open_one)
                    await self.clock(Step.CLOSE, contender, close_one)
                else:
                    self.play(Step.OPEN, opening)
                    self.play(Step.CLOSE, closing)
                    self.play(Step.ADD, only(opening, b"#AddPortMapping"))
                    self.bare.play(closing)
                    self.play(Step.GET, self.scripts[Step.GET])


async def measure(
    router: RouterUnderTest,
    clients: Sequence[type[Client]],
    *,
    rounds: int,
    sizes: Collection[int] = (1, 40, 100),
) -> Measured:
    """Measure all contenders on a router that holds nothing yet.

    `sizes` are the numbers of mappings to list. Raises RuntimeError when a
    contender does not see what is there.
    """
    async with AsyncExitStack() as stack:
        tap = stack.enter_context(Tap(router.url))

        async def made(kind: type[Client], url: str) -> Client:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return kind(url, session, router.target)

        parts = urlsplit(router.url)
        bare = BareSocket((parts.hostname or "", parts.port or 80))
        stack.callback(bare.close)
        run = _Session(
            router=router,
            clients=[await made(kind, router.url) for kind in clients],
            heard=[await made(kind, tap.url) for kind in clients],
            tap=tap,
            bare=bare,
            rounds=rounds,
        )
        filler = await stack.enter_async_context(aiohttp.ClientSession())

        async def connect(client: Client) -> None:
            await client.connect()

        async def list_all(client: Client) -> None:
            if (found := await client.list_mappings()) != run.rows:
                raise RuntimeError(f"{client.name} lists {found} mappings and not {run.rows}")

        async def poll(client: Client) -> None:
            await client.poll()

        await run.each_round(Step.CONNECT, connect)
        for client in (*run.clients, *run.heard):
            if isinstance(client, Ours):
                await client.connect_for_lists()
        for size in sorted(sizes):
            await run.fill(size, filler)
            await run.each_round(f"{Step.LIST} {size}", list_all)
            if size == BUSY or size == max(sizes) < BUSY:
                await run.each_round(Step.POLL, poll)
                await run.open_and_close()
    return Measured(
        router=router.name,
        times={key: Sample.of(seconds) for key, seconds in run.seconds.items()},
        costs=run.costs,
    )


def _doing(step: str, clients: Sequence[Client]) -> Sequence[Client]:
    """Return who can do a step."""
    kind = Step(step.rpartition(" ")[0] if step.startswith(Step.LIST) else step)
    return [client for client in clients if kind not in client.leaves_out]


def _turned[T](items: Sequence[T], number: int) -> Sequence[T]:
    """Begin with another one each round, so that none is always first."""
    first = number % len(items)
    return (*items[first:], *items[:first])
