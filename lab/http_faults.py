"""What goes wrong with a request to a simulated router, once, a few times, or until cleared."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web


class Fault(StrEnum):
    """What goes wrong with one request."""

    HTML = "html"
    """A page in place of the answer, and nothing is done."""
    ERROR_INSIDE = "error_inside"
    """200 with an error in it, and nothing is done."""
    SERVER_ERROR = "server_error"
    """500 with the router's own words, and nothing is done."""
    WRONG_SHAPE = "wrong_shape"
    """JSON that is neither a list nor an object."""
    HALF_BODY = "half_body"
    """Done, and answered with half of the JSON."""
    SLOW = "slow"
    """Done, but the answer does not come."""
    STUCK = "stuck"
    """No answer comes, and nothing is done."""
    DROP_BEFORE = "drop_before"
    """The connection breaks, and nothing is done."""
    DROP_AFTER = "drop_after"
    """Done, and the connection breaks."""


@dataclass(slots=True, kw_only=True)
class Injected:
    """A fault that waits for its request."""

    fault: Fault
    request: str | None
    times: int | None


class FaultBox:
    """The faults that wait, and how this router looks when they strike."""

    def __init__(self, *, page: str, inside: object, server_error: object) -> None:
        """Take a page, an error to answer with 200, and one to answer with 500, both as JSON."""
        self._page = page
        self._inside = inside
        self._server_error = server_error
        self._waiting: list[Injected] = []
        self._stopped = asyncio.Event()

    def add(self, injected: Injected) -> None:
        """Let it strike after those added before."""
        self._waiting.append(injected)

    def clear(self) -> None:
        """Let nothing more go wrong."""
        self._waiting.clear()

    def stop(self) -> None:
        """Let the requests go that wait for an answer."""
        self._stopped.set()

    async def strike(
        self, name: str, request: web.Request, act: Callable[[], Awaitable[web.Response]]
    ) -> web.StreamResponse:
        """Answer as the fault has it that waits for a request of this name, if any."""
        fault = self._take(name)
        if fault is Fault.STUCK:
            await self._stopped.wait()
            return _drop(request)
        if (instead := self._in_place(fault, request)) is not None:
            return instead
        response = await act()
        match fault:
            case Fault.SLOW:
                await self._stopped.wait()
            case Fault.DROP_AFTER:
                return _drop(request)
            case Fault.HALF_BODY:
                text = response.text or ""
                return web.Response(text=text[: len(text) // 2], content_type="application/json")
        return response

    def _take(self, name: str) -> Fault | None:
        for injected in self._waiting:
            if injected.request in (None, name):
                if injected.times is not None:
                    injected.times -= 1
                    if injected.times <= 0:
                        self._waiting.remove(injected)
                return injected.fault
        return None

    def _in_place(self, fault: Fault | None, request: web.Request) -> web.Response | None:
        """Answer without doing anything."""
        match fault:
            case Fault.HTML:
                return web.Response(text=self._page, content_type="text/html")
            case Fault.ERROR_INSIDE:
                return web.json_response(self._inside)
            case Fault.SERVER_ERROR:
                return web.json_response(self._server_error, status=500)
            case Fault.WRONG_SHAPE:
                return web.json_response("done")
            case Fault.DROP_BEFORE:
                return _drop(request)
        return None


def _drop(request: web.Request) -> web.Response:
    """Break the connection; what is returned gets nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
