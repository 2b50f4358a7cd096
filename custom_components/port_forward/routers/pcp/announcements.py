"""What a router announces to its network by itself (RFC 6887 section 14.1.3, RFC 6886 3.2.1)."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import override

from .packets import Address

_LOGGER = logging.getLogger(__name__)

ANNOUNCEMENT_PORT = 5350


@asynccontextmanager
async def listening(
    port: int, router: Address, on_packet: Callable[[bytes], None]
) -> AsyncIterator[None]:
    """Call `on_packet` with each packet that the very `router` sends to this port.

    Those to 224.0.0.1 or ff02::1, where all hosts are by themselves (RFC 1112
    section 4, RFC 4291 section 2.8), and those to us alone. Where the port is
    not to be had, that is logged, and nothing is heard.
    """
    async with AsyncExitStack() as stack:
        try:
            transport = await _listen(port, router, on_packet)
        except OSError as error:
            _LOGGER.warning(
                "Announcements of the router %s are not heard, port %s: %s", router, port, error
            )
        else:
            stack.callback(transport.close)
        yield


async def _listen(
    port: int, router: Address, on_packet: Callable[[bytes], None]
) -> asyncio.DatagramTransport:
    family, anywhere = (
        (socket.AF_INET, "0.0.0.0")  # noqa: S104  the groups are on every interface
        if router.version == 4  # noqa: PLR2004
        else (socket.AF_INET6, "::")
    )
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)  # noqa: FBT003  the standard library's own
        # Other clients of this machine listen there too.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((anywhere, port))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Announcements(router, on_packet), sock=sock
        )
    except BaseException:
        sock.close()
        raise
    return transport


class _Announcements(asyncio.DatagramProtocol):
    """Hands on what comes from one address."""

    def __init__(self, router: Address, on_packet: Callable[[bytes], None]) -> None:
        self._router = str(router).partition("%")[0]
        self._on_packet = on_packet

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr[0].partition("%")[0] == self._router:
            self._on_packet(data)
