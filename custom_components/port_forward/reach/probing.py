"""Tries whether a machine in the home answers at a port. Nothing but an empty datagram is sent."""

import asyncio
import errno
import socket
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from pathlib import Path
from typing import Final, override

from ..routers.model import PortRange, Protocol

type Address = IPv4Address | IPv6Address

# Seconds. A machine in the same network answers within milliseconds, unless it
# sleeps; the kernel gives up looking for one that is not there after three.
_ANSWERS_WITHIN: Final = 5.0
_DATAGRAM_ANSWERS_WITHIN: Final = 3.5

# Of a range: programs that open a range of ports listen on its first.
_PORTS_TRIED: Final = 3

# IPv4 neighbours. Linux only; elsewhere there is no such file, and nothing can
# be said of a machine that keeps silent. That of the thread, as for routes.
ARP_TABLE = Path("/proc/thread-self/net/arp")
_ARP_COMPLETE: Final = 0x2

# It is this machine that cannot ask: no route, no permission, no room.
_SAYS_NOTHING: Final = frozenset(
    (
        errno.ENETUNREACH,
        errno.EACCES,
        errno.EPERM,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
    )
)


async def is_target_reachable(
    hosts: Sequence[Address], protocols: Collection[Protocol], ports: PortRange
) -> bool | None:
    """Tell whether one of the addresses of a machine answers at a port of `ports`.

    By TCP where it is one of the protocols, else by UDP, of which most can be
    said only where nothing listens. None where nothing can be said.
    """
    probe = _answers_tcp if Protocol.TCP in protocols else _answers_udp
    answers = [await probe(host, ports) for host in hosts]
    if True in answers:
        return True
    return None if None in answers or not answers else False


async def _answers_tcp(host: Address, ports: PortRange) -> bool | None:
    for port in islice(ports, _PORTS_TRIED):
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN):
                await _connect(host, port)
        except ConnectionRefusedError:
            continue
        except TimeoutError:
            return False  # The other ports of a machine that is not there would not answer either.
        except OSError as error:
            return None if error.errno in _SAYS_NOTHING else False
        return True
    return False


async def _connect(host: Address, port: int) -> None:
    """Connect, and hang up at once without a word."""
    with _socket(host, socket.SOCK_STREAM) as sock:
        await asyncio.get_running_loop().sock_connect(sock, (str(host), port))


async def _answers_udp(host: Address, ports: PortRange) -> bool | None:
    """Send an empty datagram; no answer is the usual one, then the kernel knows the neighbour."""
    try:
        answer = await _answer_to_nothing(host, ports.first)
    except OSError as error:
        return None if error.errno in _SAYS_NOTHING else False
    if answer or _is_own(host):
        return True
    return _is_neighbour(host)


async def _answer_to_nothing(host: Address, port: int) -> bool:
    """Tell whether anything comes back.

    Raises ConnectionRefusedError when nothing listens there (ICMP port
    unreachable), OSError when there is no such neighbour.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[None] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Answer(answer), remote_addr=(str(host), port)
    )
    try:
        transport.sendto(b"")
        async with asyncio.timeout(_DATAGRAM_ANSWERS_WITHIN):
            await answer
    except TimeoutError:
        return False
    finally:
        transport.close()
    return True


class _Answer(asyncio.DatagramProtocol):
    """Notes the first answer, or the error in its place."""

    def __init__(self, answer: asyncio.Future[None]) -> None:
        self._answer = answer

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self._answer.done():
            self._answer.set_result(None)

    @override
    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


def _is_own(host: Address) -> bool:
    """Tell whether it is an address of this machine, which answers at once where nobody listens."""
    with _socket(host, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((str(host), 0))
        except OSError:
            return False
    return True


def _is_neighbour(host: Address) -> bool | None:
    """Tell whether the kernel has found the machine in the network; None where it did not look.

    A line is: address, type, flags, hardware address, mask, interface.
    """
    try:
        lines = ARP_TABLE.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        address, _, flags, *_ = line.split()
        if address == str(host):
            return bool(int(flags, 16) & _ARP_COMPLETE)
    return None


def _socket(host: Address, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET if host.version == 4 else socket.AF_INET6  # noqa: PLR2004  IP version
    sock = socket.socket(family, kind)
    sock.setblocking(False)  # noqa: FBT003  positional only
    return sock
