"""From a request to what goes over the wire, with the habits and faults of HTTP."""

import asyncio
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from http import HTTPStatus

from .device import IgdDevice
from .faults import FaultBox, strike
from .listing import DaemonDiedError
from .quirks import Fault, Quirk
from .soap import Call, read_call
from .web import Request, Response

WEAK_ROUTER_TIME = 0.03  # seconds that a router with Q40 takes for a request


class Handler:
    """Counts the requests, answers them, and goes wrong where told."""

    def __init__(
        self,
        device: IgdDevice,
        quirks: AbstractSet[Quirk],
        die: Callable[[], None],
        *,
        requests: Counter[str],
        acting: asyncio.Lock,
    ) -> None:
        """Answer for this device; `die` ends the router in the middle of a request."""
        self._device = device
        self._quirks = quirks
        self._die = die
        self._in_flight = 0
        self._acting = acting
        self._requests = requests
        self.faults = FaultBox[Fault]()

    async def handle(self, request: Request) -> Response | None:
        """Answer a request; None hangs up."""
        call, name = _read(request)
        self._requests[name] += 1
        again = request.number > 1
        if again and Quirk.Q37_REUSE in self._quirks:
            return None
        self._in_flight += 1
        try:
            if Quirk.Q40 in self._quirks:
                if self._in_flight > 1:
                    return Response(status=HTTPStatus.INTERNAL_SERVER_ERROR, body=b"busy")
                await asyncio.sleep(WEAK_ROUTER_TIME)
            response = await self._answer(request, call, name)
        except DaemonDiedError:
            self._die()
            return None
        finally:
            self._in_flight -= 1
        if response is None or (again and Quirk.Q37_DROP in self._quirks):
            return None
        if Quirk.Q37 in self._quirks:
            response.hang_up = True
        if Quirk.Q38 in self._quirks:
            response.chunked = True
            response.content_type = "application/octet-stream"
        return response

    async def _answer(self, request: Request, call: Call | None, name: str) -> Response | None:
        async def act() -> Response:
            if call is not None:
                async with self._acting:
                    return await self._device.post(request, call)
            if request.method == "GET":
                return self._device.get(request.path)
            if request.method == "POST":
                return Response(status=HTTPStatus.BAD_REQUEST)
            return Response(status=HTTPStatus.NOT_IMPLEMENTED)

        injected = self.faults.take(name)
        return await act() if injected is None else await strike(injected, act)


def _read(request: Request) -> tuple[Call | None, str]:
    """Read the call in the request, if it is one, and what to count the request as."""
    if request.method == "POST":
        try:
            call = read_call(request.body)
        except ValueError:
            return None, f"POST {request.path}"
        return call, call.action
    return None, f"{request.method} {request.path}"
