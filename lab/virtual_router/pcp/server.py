"""The UDP port that PCP and NAT-PMP clients speak to."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import override

from ..faults import FaultBox
from ..pinhole import Ipv6, PinholeTable
from ..ports import free_port
from ..quirks import Quirk, UdpFault
from ..wan import WanConnection, rows_at_most
from . import natpmp, packet
from .damage import damaged
from .maps import map_port
from .packet import PcpError, Result
from .pinholes import map_pinhole
from .settings import Pcp

SHORTEST = 2  # bytes: the version and the opcode, without which there is no answer
ANNOUNCEMENTS = 10  # RFC 6886 §3.2.1, RFC 6887 §14.1.3
FIRST_PAUSE = 0.25  # seconds between the first two; each one after is twice as long
OTHER_HOST = "127.0.0.77"  # for UdpFault.ELSEWHERE

_NAMES = {
    (packet.VERSION, packet.ANNOUNCE): "PCP ANNOUNCE",
    (packet.VERSION, packet.MAP): "PCP MAP",
    (packet.VERSION, packet.PEER): "PCP PEER",
    (natpmp.VERSION, natpmp.EXTERNAL_ADDRESS): "NAT-PMP ADDRESS",
    (natpmp.VERSION, natpmp.MAP_UDP): "NAT-PMP MAP UDP",
    (natpmp.VERSION, natpmp.MAP_TCP): "NAT-PMP MAP TCP",
}


type Client = tuple[str | int, ...]
"""An address of a socket: the host, the port, and with IPv6 two more numbers."""


class PcpServer:
    """Answers PCP and NAT-PMP requests, and announces what clients have to know."""

    def __init__(  # noqa: PLR0913  each is a part of the router
        self,
        settings: Pcp,
        *,
        host: str,
        port: int,
        wan: WanConnection,
        ipv6: Ipv6 | None,
        pinholes: PinholeTable,
        quirks: AbstractSet[Quirk],
        table_size: int | None,
        requests: Counter[str],
        acting: asyncio.Lock,
    ) -> None:
        """Map ports of `wan` for who speaks to `host`, and make pinholes where there is `ipv6`.

        `port` 0 takes any that is free.
        """
        self.port = port
        self.faults = FaultBox[UdpFault]()
        self._settings = settings
        self._host = host
        self._wan = wan
        self._ipv6 = ipv6
        self._pinholes = pinholes
        self._quirks = quirks
        self._rows_at_most = rows_at_most(table_size, quirks)
        self._requests = requests
        self._acting = acting
        self._natpmp = natpmp.NatPmp(
            wan, quirks, provider=settings.provider, table_size=self._rows_at_most
        )
        self._transports: list[asyncio.DatagramTransport] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._born = 0.0

    @property
    def epoch(self) -> int:
        """Seconds since it knows its mappings (RFC 6887 §8.5)."""
        return int(asyncio.get_running_loop().time() - self._born) & 0xFFFFFFFF

    async def start(self) -> None:
        """Listen. Raises OSError when the port cannot be bound."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            # So that announcements go out where the clients are.
            interface = socket.inet_aton(self._host)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
            # As the ports of UPnP: not of the range that Linux gives away.
            sock.bind((self._host, self.port or free_port(self._host)))
        except OSError:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        await self._listen(sock)
        if self._ipv6:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            try:
                sock.bind((self._ipv6.host, self.port))
            except OSError:
                sock.close()
                raise
            await self._listen(sock)

    def boot(self) -> None:
        """Count the epoch from now, and announce it."""
        self._born = asyncio.get_running_loop().time()
        self._announce(0)

    def age(self, seconds: float) -> None:
        """Count the epoch from so much earlier."""
        self._born -= seconds

    def address_changed(self) -> None:
        """Tell of a new external address; what was mapped to the old one is lost (§8.5)."""
        if Quirk.Q49 not in self._quirks:
            self._born = asyncio.get_running_loop().time()
        self._announce(0)

    async def change_external_ports(self) -> None:
        """Give every NAT-PMP mapping another external port."""
        async with self._acting:
            await self._natpmp.change_external_ports()

    def close(self) -> None:
        """Fall silent."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        for transport in self._transports:
            transport.abort()
        self._transports.clear()

    async def wait_closed(self) -> None:
        """Wait until no task and no socket is left."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)

    async def _listen(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003  the standard library's own
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Port(self._heard), sock=sock
        )
        self._transports.append(transport)

    def _heard(self, transport: asyncio.DatagramTransport, data: bytes, client: Client) -> None:
        name = _name(data)
        self._requests[name] += 1
        injected = self.faults.take(name)
        fault = injected.fault if injected else None
        if fault is UdpFault.DROP_REQUEST or self._settings.speaks == "nothing":
            return
        delay = injected.delay if injected and fault is UdpFault.LATE else 0
        send = partial(self._send, transport, client, fault)
        serving = self._serve(data, str(client[0]), send, delay)
        task = asyncio.get_running_loop().create_task(serving)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, data: bytes, sender: str, send: Callable[[bytes], None], delay: float
    ) -> None:
        async with self._acting:
            reply = await self._answer(data, sender)
        if reply is None:
            return
        if delay:
            await asyncio.sleep(delay)
        send(reply)

    def _send(
        self,
        transport: asyncio.DatagramTransport,
        client: Client,
        fault: UdpFault | None,
        reply: bytes,
    ) -> None:
        for arriving in damaged(fault, reply):
            if fault is UdpFault.ELSEWHERE:
                self._send_from_elsewhere(arriving, client)
            elif not transport.is_closing():
                transport.sendto(arriving, client)

    async def _answer(self, data: bytes, sender: str) -> bytes | None:
        """Answer a packet; None for one that gets no answer."""
        if len(data) < SHORTEST or data[1] & packet.REPLY:
            return None
        if not self._settings.speaks_pcp or (
            data[0] == natpmp.VERSION and self._settings.speaks_natpmp
        ):
            return await self._answer_natpmp(data, sender)
        if data[0] != packet.VERSION:
            return packet.refusal(data, Result.UNSUPP_VERSION, self.epoch)
        try:
            return await self._answer_pcp(data, sender)
        except PcpError as error:
            return packet.refusal(data, error.result, self.epoch)

    async def _answer_natpmp(self, data: bytes, sender: str) -> bytes | None:
        """Answer a packet as one who has NAT-PMP, which is for IPv4 alone."""
        if ":" in sender:
            return None
        if data[0] != natpmp.VERSION:
            return natpmp.unsupported_version(self.epoch)
        return await self._natpmp.answer(data, sender, self.epoch)

    async def _answer_pcp(self, data: bytes, sender: str) -> bytes | None:
        """Answer a packet of version 2. Raises PcpError."""
        request = packet.read_request(data)
        if request is None:
            return None
        if request.opcode not in (packet.ANNOUNCE, packet.MAP):
            raise PcpError(Result.UNSUPP_OPCODE)
        if request.client != ip_address(sender):
            raise PcpError(Result.ADDRESS_MISMATCH)
        if request.opcode == packet.ANNOUNCE:
            packet.check_announce(request)
            return packet.announcement(self.epoch)
        third_party = self._settings.third_party and Quirk.Q47 not in self._quirks
        asked = packet.read_map(
            request,
            third_party=third_party,
            heeds_filters=Quirk.Q19_PCP not in self._quirks,
        )
        return packet.map_reply(asked, await self._map(asked), self.epoch)

    async def _map(self, asked: packet.MapRequest) -> packet.Granted:
        """Do what a MAP request asks for. Raises PcpError."""
        if asked.protocol == 0 and asked.internal_port != 0:
            raise PcpError(Result.MALFORMED_REQUEST)
        if not isinstance(asked.internal_host, IPv6Address):
            return await map_port(self._wan, asked, self._quirks, self._rows_at_most)
        if self._ipv6 is None:
            raise PcpError(Result.UNSUPP_PROTOCOL)
        return map_pinhole(self._pinholes, self._ipv6, asked, self._quirks)

    def _announce(self, sent: int) -> None:
        """Announce the epoch and the address, and again in a while: packets get lost."""
        if self._timer is not None:
            self._timer.cancel()
        if self._settings.announce_to is None or not self._transports:
            return
        transport = self._transports[0]
        if self._settings.speaks_pcp:
            transport.sendto(packet.announcement(self.epoch), self._settings.announce_to)
        if self._settings.speaks_natpmp:
            transport.sendto(self._natpmp.address(self.epoch), self._settings.announce_to)
        if sent + 1 < ANNOUNCEMENTS:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(FIRST_PAUSE * 2**sent, self._announce, sent + 1)

    def _send_from_elsewhere(self, reply: bytes, client: Client) -> None:
        if ":" in str(client[0]):
            return  # on loopback there is no other IPv6 address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((OTHER_HOST, self.port))
            sock.sendto(reply, client)


class _Port(asyncio.DatagramProtocol):
    """Hears what arrives at one socket, and tells which one it is."""

    _transport: asyncio.DatagramTransport

    def __init__(self, heard: Callable[[asyncio.DatagramTransport, bytes, Client], None]) -> None:
        self._heard = heard

    @override
    def connection_made(  # type: ignore[override]  # typeshed's DatagramProtocol narrows it too
        self, transport: asyncio.DatagramTransport
    ) -> None:
        self._transport = transport

    @override
    def datagram_received(self, data: bytes, addr: Client) -> None:
        self._heard(self._transport, data, addr)


def _name(data: bytes) -> str:
    """Name a request as it is counted."""
    if len(data) < SHORTEST:
        return "UDP"
    version, opcode = data[:SHORTEST]
    return _NAMES.get((version, opcode), f"UDP version {version} opcode {opcode}")
