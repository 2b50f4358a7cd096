"""Requests and replies over UDP: sent again until one is answered, one at a time."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import override

from ..errors import RouterTimeoutError, RouterUnreachableError
from ..queue import RequestLock
from .packets import Address, BadPacketError, OtherVersionError

_LOGGER = logging.getLogger(__name__)

PORT = 5351
TIMEOUT = 10.0
"""Seconds for one call with its answer."""

# A server that is just starting refuses for a moment.
_REFUSALS = 3
_AFTER_REFUSAL = 0.2


class NotSentError(RouterUnreachableError):
    """Nobody was there to take the request: it was certainly not carried out."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens."""

    host: Address
    port: int = PORT

    @classmethod
    def parse(cls, text: str) -> Server:
        """Read `192.168.1.1`, `192.168.1.1:5351`, `fe80::1%eth0` or `[fd00::1]:5351`.

        Raises ValueError for anything else, such as a name.
        """
        if text.startswith("["):
            host, _, port = text[1:].partition("]")
            if port and not port.startswith(":"):
                raise ValueError(f"not an address: {text}")
            port = port.removeprefix(":")
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        else:
            host, port = text, ""
        number = int(port) if port else PORT
        if not 0 < number < 65536:  # noqa: PLR2004  # the ports
            raise ValueError(f"not a port: {port}")
        return cls(ip_address(host), number)


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeats:
    """When a request is sent again: `first` seconds later, and twice as long each time.

    `jitter` is the part by which each wait may be longer or shorter.
    """

    first: float
    jitter: float = 0.0

    def waits(self) -> Iterator[float]:
        """Iterate over the seconds to wait for an answer; whoever waits has an end."""
        wait = self.first
        while True:
            # The jitter of a wait carries over to the next one (RFC 6887 section 8.1.1).
            wait *= 1 + random.uniform(-self.jitter, self.jitter)  # noqa: S311  guards nothing
            yield wait
            wait *= 2


PCP_REPEATS = Repeats(first=3.0, jitter=0.1)
"""RFC 6887 section 8.1.1; its longest wait of 1024 s is beyond our time for a call."""
NATPMP_REPEATS = Repeats(first=0.25)
"""RFC 6886 section 3.1; its ninth try is beyond our time for a call."""


class Exchange:
    """The way to one router.

    Each request has a socket of its own: what comes late for an earlier one
    never arrives, and a stranger has a new port to guess. The socket is
    connected, so the kernel drops what comes from any other host or port.
    """

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        """Take the seconds that each request may last; waiting for another does not count."""
        self._timeout = timeout
        self._lock = RequestLock()
        self._told: set[str] = set()

    @property
    def timeout(self) -> float:
        """The seconds that a request may last."""
        return self._timeout

    async def own_address(self, server: Server, local: Address | None = None) -> Address | None:
        """Return the address that `server` sees us under, None where no way leads to it.

        With `local` that one, None where it is not ours. Nothing is sent.
        """
        try:
            transport, _ = await self._connect(server, local)
        except OSError:
            return None
        try:
            # Without the interface that a link-local one names.
            return ip_address(transport.get_extra_info("sockname")[0].partition("%")[0])
        finally:
            transport.close()

    async def request[T](  # noqa: PLR0913  # the last two have a default
        self,
        server: Server,
        packet: bytes,
        read: Callable[[bytes], T],
        repeats: Repeats,
        *,
        local: Address | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the time to send it again in
    ) -> T:
        """Return what `read` makes of the first answer that it accepts.

        It is sent from `local` where that is given. `read` raises
        BadPacketError for what is no answer to this request. Raises
        OtherVersionError from it, RouterTimeoutError,
        RouterUnreachableError, and NotSentError when nobody listens there.
        """
        async with self._lock:
            host = str(server.host)
            try:
                transport, arrived = await self._connect(server, local)
            except OSError as error:
                raise NotSentError(host=host) from error
            try:
                async with asyncio.timeout(self._timeout if timeout is None else timeout):
                    return await self._send(transport, arrived, packet, read, repeats)
            except TimeoutError as error:
                raise RouterTimeoutError(host=host) from error
            except _AllRefusedError as error:
                raise NotSentError(host=host) from error
            except OSError as error:
                raise RouterUnreachableError(host=host) from error
            finally:
                transport.close()

    async def _connect(
        self, server: Server, local: Address | None
    ) -> tuple[asyncio.DatagramTransport, _Arrived]:
        return await asyncio.get_running_loop().create_datagram_endpoint(
            _Arrived,
            local_addr=(str(local), 0) if local else None,
            remote_addr=(str(server.host), server.port),
        )

    async def _send[T](
        self,
        transport: asyncio.DatagramTransport,
        arrived: _Arrived,
        packet: bytes,
        read: Callable[[bytes], T],
        repeats: Repeats,
    ) -> T:
        tries, refusals = 0, 0
        for wait in repeats.waits():
            tries += 1
            transport.sendto(packet)
            try:
                async with asyncio.timeout(wait):
                    return await self._first_accepted(arrived, read)
            except TimeoutError:
                continue
            except OSError as error:
                # Also while the network is down for a moment.
                refusals += 1
                if refusals == _REFUSALS:
                    if tries == refusals:
                        raise _AllRefusedError from error
                    raise
                await asyncio.sleep(min(wait, _AFTER_REFUSAL))
        raise AssertionError

    async def _first_accepted[T](self, arrived: _Arrived, read: Callable[[bytes], T]) -> T:
        while True:
            packet = await arrived.next()
            try:
                return read(packet)
            except OtherVersionError:
                raise
            except BadPacketError as error:
                self._tell(str(error))

    def _tell(self, why: str) -> None:
        if why not in self._told:
            self._told.add(why)
            _LOGGER.debug("Dropped a packet that is no answer to the request: %s", why)


class _AllRefusedError(Exception):
    """No try was taken by anybody."""


class _Arrived(asyncio.DatagramProtocol):
    """What has arrived for one request: packets, and errors of the network."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | OSError] = asyncio.Queue(maxsize=64)

    async def next(self) -> bytes:
        """Return the next packet; raises OSError where an error came in its place."""
        item = await self._queue.get()
        if isinstance(item, OSError):
            raise item
        return item

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._put(data)

    @override
    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self._put(exc)

    def _put(self, item: bytes | OSError) -> None:
        if not self._queue.full():  # A flood is as good as a silence.
            self._queue.put_nowait(item)
