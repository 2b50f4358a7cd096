"""Faults: what goes wrong with a request, once, a few times, or until cleared."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

from .quirks import Fault, UdpFault
from .web import Response

GARBAGE = b"\x00\x7f\xfe<<<>]]> this is not XML &&& \xc3\x28"
HUGE_CHUNK = b"<!--" + b"x" * 65529 + b"-->"
HUGE_CHUNKS = 1024  # 64 MiB in all

LOGIN_PAGE = b"""<!DOCTYPE html>
<html><head><title>Router login</title></head>
<body><form method=post>Password <input type=password><br><input type=submit></form></body></html>
"""

# A billion laughs: ten levels of ten.
ENTITY_BOMB = (
    b'<?xml version="1.0"?>\n<!DOCTYPE root [\n<!ENTITY l0 "lol">\n'
    + b"".join(b'<!ENTITY l%d "%b">\n' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 11))
    + b'<!ELEMENT root ANY>]>\n<root xmlns="urn:schemas-upnp-org:device-1-0">&l10;</root>\n'
)


@dataclass(slots=True, kw_only=True)
class Injected[F: (Fault, UdpFault)]:
    """A fault that waits for its request."""

    fault: F
    action: str | None
    times: int | None
    delay: float
    location: str = ""
    status: int = 0


class FaultBox[F: (Fault, UdpFault)]:
    """The faults that wait."""

    def __init__(self) -> None:
        """Nothing goes wrong at first."""
        self._waiting: list[Injected[F]] = []

    def add(self, injected: Injected[F]) -> None:
        """Let it strike after those added before."""
        self._waiting.append(injected)

    def clear(self) -> None:
        """Let nothing more go wrong."""
        self._waiting.clear()

    def take(self, action: str) -> Injected[F] | None:
        """Take the fault that strikes a request for this action now, if any."""
        for injected in self._waiting:
            if injected.action in (None, action):
                if injected.times is not None:
                    injected.times -= 1
                    if injected.times <= 0:
                        self._waiting.remove(injected)
                return injected
        return None


async def strike(
    injected: Injected[Fault], act: Callable[[], Awaitable[Response | None]]
) -> Response | None:
    """Reply as the fault has it; `act` does what was asked and gives the right reply."""
    if injected.fault is Fault.DROP_BEFORE:
        return None
    if (instead := _instead(injected)) is not None:
        return instead
    if injected.fault is Fault.SLOW_TO_ACT:
        await asyncio.sleep(injected.delay)
    response = await act()
    if injected.fault is Fault.SLOW:
        await asyncio.sleep(injected.delay)
    return None if response is None else _damaged(injected.fault, response)


def _instead(injected: Injected[Fault]) -> Response | None:
    """Reply in the place of one that acts."""
    match injected.fault:
        case Fault.HUGE_BODY:
            return Response(stream=_huge_body())
        case Fault.REDIRECT_ELSEWHERE:
            return Response(status=injected.status, headers={"Location": injected.location})
        case Fault.ENTITY_BOMB:
            return Response(body=ENTITY_BOMB)
        case Fault.HTML:
            return Response(body=LOGIN_PAGE, content_type="text/html")
        case Fault.HTTP_500_EMPTY:
            return Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)
    return None


def _damaged(fault: Fault, response: Response) -> Response | None:
    """Spoil the right reply."""
    match fault:
        case Fault.DROP_AFTER_ACCEPT:
            return None
        case Fault.GARBAGE:
            return Response(body=GARBAGE)
        case Fault.NOT_HTTP:
            return Response(raw=GARBAGE + b"\r\n\r\n")
        case Fault.HALF_BODY:
            response.send_only = len(response.body) // 2
    return response


def _huge_body() -> Iterator[bytes]:
    yield b'<?xml version="1.0"?>\n<root xmlns="urn:schemas-upnp-org:device-1-0">'
    for _ in range(HUGE_CHUNKS):
        yield HUGE_CHUNK
    yield b"</root>"
