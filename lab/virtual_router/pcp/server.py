"""The UDP port that PCP and NAT-PMP clients speak to."""

import asyncio
import socket
from collections import Counter
from collections.abc import Set as AbstractSet
from ipaddress import ip_address
from typing import override

from ..faults import FaultBox
from ..quirks import Quirk, UdpFault
from ..wan import WanConnection, rows_at_most
from . import natpmp, packet
from .damage import damaged
from .maps import grant
from .packet import PcpError, Result
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


class PcpServer(asyncio.DatagramProtocol):
    """Answers PCP and NAT-PMP requests, and announces what clients have to know."""

    def __init__(  # noqa: PLR0913  each is a part of the router
        self,
        settings: Pcp,
        *,
        host: str,
        port: int,
        wan: WanConnection,
        quirks: AbstractSet[Quirk],
        table_size: int | None,
        requests: Counter[str],
        acting: asyncio.Lock,
    ) -> None:
        """Map ports of `wan` for who speaks to `host`; `port` 0 takes any that is free."""
        self.port = port
        self.faults = FaultBox[UdpFault]()
        self._settings = settings
        self._host = host
        self._wan = wan
        self._quirks = quirks
        self._rows_at_most = rows_at_most(table_size, quirks)
        self._requests = requests
        self._acting = acting
        self._natpmp = natpmp.NatPmp(
            wan, quirks, provider=settings.provider, table_size=self._rows_at_most
        )
        self._transport: asyncio.DatagramTransport | None = None
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
            sock.bind((self._host, self.port))
        except OSError:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        sock.setblocking(False)  # noqa: FBT003  the standard library's own
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, sock=sock
        )

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
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def wait_closed(self) -> None:
        """Wait until no task and no socket is left."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name = _name(data)
        self._requests[name] += 1
        injected = self.faults.take(name)
        fault = injected.fault if injected else None
        if fault is UdpFault.DROP_REQUEST or self._settings.speaks == "nothing":
            return
        delay = injected.delay if injected and fault is UdpFault.LATE else 0
        task = asyncio.get_running_loop().create_task(self._serve(data, addr, fault, delay))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, data: bytes, client: tuple[str, int], fault: UdpFault | None, delay: float
    ) -> None:
        async with self._acting:
            reply = await self._answer(data, client[0])
        if reply is None:
            return
        if delay:
            await asyncio.sleep(delay)
        for arriving in damaged(fault, reply):
            if fault is UdpFault.ELSEWHERE:
                self._send_from_elsewhere(arriving, client)
            elif self._transport is not None:
                self._transport.sendto(arriving, client)

    async def _answer(self, data: bytes, sender: str) -> bytes | None:
        """Answer a packet; None for one that gets no answer."""
        if len(data) < SHORTEST or data[1] & packet.REPLY:
            return None
        if data[0] == natpmp.VERSION and self._settings.speaks_natpmp:
            return await self._natpmp.answer(data, sender, self.epoch)
        if not self._settings.speaks_pcp:
            return natpmp.unsupported_version(self.epoch)
        if data[0] != packet.VERSION:
            return packet.refusal(data, Result.UNSUPP_VERSION, self.epoch)
        try:
            return await self._answer_pcp(data, sender)
        except PcpError as error:
            return packet.refusal(data, error.result, self.epoch)

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
        asked = packet.read_map(request, third_party=third_party)
        granted = await grant(self._wan, asked, self._quirks, self._rows_at_most)
        return packet.map_reply(asked, granted, self.epoch)

    def _announce(self, sent: int) -> None:
        """Announce the epoch and the address, and again in a while: packets get lost."""
        if self._timer is not None:
            self._timer.cancel()
        if self._settings.announce_to is None or self._transport is None:
            return
        if self._settings.speaks_pcp:
            self._transport.sendto(packet.announcement(self.epoch), self._settings.announce_to)
        if self._settings.speaks_natpmp:
            self._transport.sendto(self._natpmp.address(self.epoch), self._settings.announce_to)
        if sent + 1 < ANNOUNCEMENTS:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(FIRST_PAUSE * 2**sent, self._announce, sent + 1)

    def _send_from_elsewhere(self, reply: bytes, client: tuple[str, int]) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((OTHER_HOST, self.port))
            sock.sendto(reply, client)


def _name(data: bytes) -> str:
    """Name a request as it is counted."""
    if len(data) < SHORTEST:
        return "UDP"
    version, opcode = data[:SHORTEST]
    return _NAMES.get((version, opcode), f"UDP version {version} opcode {opcode}")
