"""The queue of one router: one request at a time, and an operation gives way between two of them.

Closing goes first. An operation that opens fifty ports takes two hundred
requests; a port whose time is up must wait for one of them at the most. So
an operation waits before each request for as long as a more urgent one is
under way on the same router.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from types import TracebackType
from typing import Final

from .errors import StoppedError


class Urgency(IntEnum):
    """What goes first; the lowest is the most urgent.

    DUE: what has no right to be open any more (its time is up, lockdown).
    CLOSE: what the user closes, and what is tried again. NORMAL: opening,
    renewing and looking.
    """

    DUE = 0
    CLOSE = 1
    NORMAL = 2


class RequestQueue:
    """The operations that are under way on one router."""

    def __init__(self) -> None:
        """Start without any."""
        self.operations: list[Operation] = []
        self._changed: list[asyncio.Future[None]] = []

    @contextmanager
    def operation(self, urgency: Urgency) -> Iterator[Operation]:
        """Hold back what is less urgent from now on; see `Operation.requests`."""
        operation = Operation(self, urgency)
        self.operations.append(operation)
        try:
            yield operation
        finally:
            self.operations.remove(operation)
            self.wake()

    @contextmanager
    def requests(self) -> Iterator[None]:
        """Let requests that are made within belong to an operation: a new one, if there is none."""
        current = _current.get()
        if current is not None and current in self.operations:
            yield
            return
        with self.operation(Urgency.NORMAL) as operation, operation.requests():
            yield

    async def change(self) -> None:
        """Wait until an operation has ended, or its urgency is another one."""
        changed = asyncio.get_running_loop().create_future()
        self._changed.append(changed)
        try:
            await changed
        finally:
            if changed in self._changed:
                self._changed.remove(changed)

    def wake(self) -> None:
        """Let those that gave way look again."""
        changed, self._changed = self._changed, []
        for future in changed:
            if not future.done():
                future.set_result(None)


class Operation:
    """Some requests that belong together: opening a forward, closing one, one look."""

    def __init__(self, queue: RequestQueue, urgency: Urgency) -> None:
        """Take the queue of the router."""
        self.queue = queue
        self.urgency = urgency
        # How many locks it holds that others wait for: to give way with one of
        # them in hand would be to wait for each other.
        self.locks = 0
        self._is_stopped = False

    @contextmanager
    def requests(self) -> Iterator[None]:
        """Let all requests that are made within belong to this operation.

        Only a call of the driver belongs in here: a task that is begun within
        would pass for a part of it.
        """
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @property
    def must_give_way(self) -> bool:
        """Return whether a more urgent operation is under way."""
        return not self.locks and any(
            other.urgency < self.urgency for other in self.queue.operations
        )

    def stop(self) -> None:
        """Let the next request raise StoppedError, unless it is all or nothing from here on.

        What the operation has made is taken back then, which is urgent.
        """
        self._is_stopped = True
        self.queue.wake()

    async def give_way(self) -> None:
        """Wait for what is more urgent; raises StoppedError, once."""
        while True:
            if self._is_stopped and not self.locks:
                self._is_stopped = False
                self.urgency = min(self.urgency, Urgency.CLOSE)
                self.queue.wake()
                raise StoppedError
            if not self.must_give_way:
                return
            await self.queue.change()


_current: Final[ContextVar[Operation | None]] = ContextVar("operation", default=None)


class RequestLock:
    """Lets one request at a time through: that of the most urgent operation that waits."""

    def __init__(self) -> None:
        """Start unlocked."""
        self._is_locked = False
        self._waiting: list[tuple[Urgency, asyncio.Future[None]]] = []

    async def __aenter__(self) -> None:
        """Wait for the turn; raises StoppedError where the operation was stopped."""
        operation = _current.get()
        if operation is None:
            await self._acquire(Urgency.NORMAL)
            return
        while True:
            await operation.give_way()
            await self._acquire(Urgency.DUE if operation.locks else operation.urgency)
            if not operation.must_give_way:
                return
            self._release()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the next one through."""
        self._release()

    async def _acquire(self, urgency: Urgency) -> None:
        if not self._is_locked:
            self._is_locked = True
            return
        turn = asyncio.get_running_loop().create_future()
        place = (urgency, turn)
        self._waiting.append(place)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()  # It was its turn at this very moment.
            raise
        finally:
            if place in self._waiting:
                self._waiting.remove(place)

    def _release(self) -> None:
        waiting = [place for place in self._waiting if not place[1].done()]
        if not waiting:
            self._is_locked = False
            return
        # Of equal ones the first that came.
        place = min(waiting, key=lambda place: place[0])
        self._waiting.remove(place)
        place[1].set_result(None)


class OperationLock:
    """Lets one operation at a time through, for drivers that cannot be interrupted in one.

    Whatever goes first waits for the end of the one that holds it.
    """

    def __init__(self) -> None:
        """Start unlocked."""
        self._lock = RequestLock()

    async def __aenter__(self) -> None:
        """Wait for the turn."""
        await self._lock.__aenter__()
        if operation := _current.get():
            operation.locks += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the most urgent of those that wait through."""
        if operation := _current.get():
            operation.locks -= 1
        await self._lock.__aexit__(kind, error, traceback)
