"""Routers made of answers: above the transport, so that thousands of them fit into a second."""

import re
from collections.abc import Callable, Iterator, Mapping
from html import unescape
from typing import override

import aiohttp

from custom_components.port_forward.routers.errors import RouterTimeoutError
from custom_components.port_forward.routers.transport import DroppedError, Transport
from custom_components.port_forward.routers.upnp.description import WanService

from .documents import WAN_TYPES

type Reply = tuple[int, bytes] | None
"""Status and body; None is a connection that broke."""
type Answer = Callable[[str, dict[str, str]], Reply]
"""Takes the action and its arguments; the action of a GET is ""."""

HOST = "127.0.0.1"
NEVER_ENDS = 20_000
"""No call of the driver asks that often."""


class Wire(Transport):
    """A transport to a router that answers as it is told, and remembers what it was asked."""

    def __init__(self, session: aiohttp.ClientSession, answer: Answer) -> None:
        super().__init__(session)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._answer = answer

    @override
    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
        longest: int = 0,
    ) -> tuple[int, bytes]:
        action = (headers or {}).get("SOAPAction", "").strip('"').partition("#")[2]
        sent = re.findall(r"<(New\w+)>([^<]*)</", (body or b"").decode())
        arguments = {name: unescape(value) for name, value in sent}
        self.asked.append((action, arguments))
        if len(self.asked) > NEVER_ENDS:
            raise AssertionError
        reply = self._answer(action, arguments)
        if reply is None:
            raise DroppedError(host=HOST)
        if not reply[0]:
            raise RouterTimeoutError(host=HOST)
        return reply


def service(version: int) -> WanService:
    """A WAN of IGD version 1 or 2."""
    return WanService(
        id="uuid:wan/i",
        service_type=WAN_TYPES[version - 1],
        version=version,
        control_url=f"http://{HOST}/ctl",
        name="WAN",
    )


def cycle[T](items: list[T]) -> Iterator[T]:
    """Give the items over and over, so that a router never has nothing to say."""
    while True:
        yield from items
