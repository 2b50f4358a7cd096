"""A router whose driver is watched at work: what it was asked, how long it took, what went wrong.

For whoever has to find out from afar why a router behaves as it does. No
driver knows of it.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, override

from .errors import RouterError, UnconfirmedRouterError
from .model import (
    Capabilities,
    Connection,
    Forward,
    Owner,
    PortMapping,
    RouterInfo,
    Snapshot,
)
from .patience import Patience
from .queue import RequestQueue
from .router import Router

_NEWEST: Final = 100
"""From how many calls of one operation the median is taken."""

_MOST_TROUBLES: Final = 50
_LONGEST_TEXT: Final = 300
_OTHERS = ("", "others", "")


@dataclass(slots=True)
class Timing:
    """How long the calls of one operation took; `newest` and `longest` are in seconds."""

    calls: int = 0
    longest: float = 0.0
    newest: deque[float] = field(default_factory=lambda: deque(maxlen=_NEWEST))

    def add(self, seconds: float) -> None:
        """Count one more call."""
        self.calls += 1
        self.newest.append(seconds)
        self.longest = max(self.longest, seconds)

    def share(self, below: float) -> float:
        """Return the time within which this share (0 to 1) of the newest calls was done."""
        ordered = sorted(self.newest)
        return ordered[min(int(len(ordered) * below), len(ordered) - 1)] if ordered else 0.0


@dataclass(slots=True)
class Trouble:
    """How often one operation failed in one way, and when; times are UTC."""

    first: datetime
    last: datetime
    times: int = 1


class Observations:
    """What is kept of all calls to one router; its size is bounded.

    `troubles` is by operation, translation key of the error, and what the
    router said of it: there the codes are that its protocol has. `failing`
    holds the operations whose newest call failed, with its error.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.timings: dict[str, Timing] = {}
        self.troubles: dict[tuple[str, str, str], Trouble] = {}
        self.newest: tuple[datetime, RouterError] | None = None
        self.failing: dict[str, RouterError] = {}

    @contextmanager
    def of(self, operation: str) -> Iterator[None]:
        """Watch one call."""
        begun = time.perf_counter()
        try:
            yield
        except RouterError as error:
            self._note(operation, error)
            raise
        else:
            self.failing.pop(operation, None)
        finally:
            self.timings.setdefault(operation, Timing()).add(time.perf_counter() - begun)

    def _note(self, operation: str, error: RouterError) -> None:
        now = datetime.now(UTC)
        self.newest = now, error
        self.failing[operation] = error
        key = operation, error.translation_key, _said(error)[:_LONGEST_TEXT]
        if key not in self.troubles and len(self.troubles) >= _MOST_TROUBLES:
            key = _OTHERS
        if known := self.troubles.get(key):
            known.times += 1
            known.last = now
        else:
            self.troubles[key] = Trouble(first=now, last=now)


class ObservedRouter(Router):
    """Passes everything on to the driver of a router in turn, and notes what comes of it.

    It stays when the driver is replaced, so that there is one queue for all
    that is under way. Who has not connected is connected before the first
    call. What would only be one more log in that is refused is not passed on.
    """

    def __init__(self, router: Router, observations: Observations, patience: Patience) -> None:
        """Take the driver, where to note it, and what is known of its log ins."""
        self.queue = RequestQueue()
        self._router = router
        self._observations = observations
        self._patience = patience
        self._is_connected = False

    def replace(self, router: Router) -> None:
        """Speak to the router by another driver from now on; what is under way goes on."""
        self._router = router
        self._is_connected = False

    @asynccontextmanager
    async def _call(self, operation: str) -> AsyncIterator[Router]:
        """Give the driver for one call."""
        with self.queue.requests():
            if not self._is_connected and operation != "connect":
                try:
                    await self.connect()
                except UnconfirmedRouterError:
                    # What is ours at its address is closed, whichever router it is.
                    if operation != "close":
                        raise
            router = self._router
            with self._patience.asking(), self._observations.of(operation):
                yield router
                self._is_connected = self._is_connected or router is self._router

    @property
    @override
    def capabilities(self) -> Capabilities:
        return self._router.capabilities

    @property
    @override
    def learned(self) -> Mapping[str, str]:
        return self._router.learned

    @override
    async def connect(self) -> RouterInfo:
        async with self._call("connect") as router:
            return await router.connect()

    @override
    async def snapshot(self, ours: Collection[PortMapping] = ()) -> Snapshot:
        async with self._call("snapshot") as router:
            return await router.snapshot(ours)

    @override
    def plan(self, forward: Forward) -> tuple[PortMapping, ...]:
        return self._router.plan(forward)

    @override
    def owner_of(self, mapping: PortMapping) -> Owner | None:
        return self._router.owner_of(mapping)

    @override
    async def open(
        self,
        forward: Forward,
        lease: timedelta,
        *,
        planned: Sequence[PortMapping] = (),
        ours: Collection[PortMapping] = (),
    ) -> tuple[PortMapping, ...]:
        async with self._call("open") as router:
            return await router.open(forward, lease, planned=planned, ours=ours)

    @override
    async def close(self, mapping: PortMapping) -> None:
        async with self._call("close") as router:
            await router.close(mapping)

    @override
    async def set_enabled(self, mapping: PortMapping, *, enabled: bool) -> PortMapping:
        async with self._call("set_enabled") as router:
            return await router.set_enabled(mapping, enabled=enabled)

    @override
    async def connections(self) -> tuple[Connection, ...]:
        async with self._call("connections") as router:
            return await router.connections()

    @override
    def watch(self, on_news: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        # Not a generator around it: when Home Assistant stops, both would be closed at once.
        return self._router.watch(on_news)


def _said(error: BaseException) -> str:
    """Return what the router said, which the error may have from the one that it was made of."""
    cause: BaseException | None = error
    while isinstance(cause, RouterError):
        if detail := cause.placeholders.get("detail"):
            return detail
        cause = cause.__cause__ or cause.__context__
    return ""
