"""What a router has told of itself, and whether it has lost its mappings."""

import asyncio
from collections.abc import Callable, Collection, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Address

from ..model import PortMapping
from . import natpmp
from .client import Version
from .epoch import Epochs
from .grant import Grant
from .packets import ANNOUNCE, BadPacketError, Result, read_reply

_ADDRESS = "external_address"
"""Key of `learned`: the external address that NAT-PMP told last."""


class State:
    """Takes what replies and announcements tell.

    Each version of the protocol has an epoch of its own; only that of the
    version that is spoken is taken. What happens is told to `on_news`, where
    somebody listens, unless a snapshot is being taken: that shows it itself.
    """

    def __init__(
        self,
        learned: MutableMapping[str, str],
        clock: Callable[[], datetime],
        spoken: Callable[[], Version | None],
    ) -> None:
        """Take the driver's memory, a clock with aware times, and what tells the version."""
        self._learned = learned
        self._clock = clock
        self._spoken = spoken
        self._snapshots = 0
        self.epochs = Epochs(learned, self.tell_news)
        self.on_news: Callable[[], None] | None = None
        # As NAT-PMP told it last.
        self.external_address: IPv4Address | None = None
        # Nonces of mappings that the router does not hold, whatever their leases say.
        self.gone: set[bytes] = set()

    @contextmanager
    def in_snapshot(self) -> Iterator[None]:
        """Tell no news meanwhile."""
        self._snapshots += 1
        try:
            yield
        finally:
            self._snapshots -= 1

    def tell_news(self) -> None:
        """Tell whoever listens that it is worth a look."""
        if self.on_news and not self._snapshots:
            self.on_news()

    def take_epoch(self, version: Version, epoch: int) -> None:
        """Take the epoch of a reply or an announcement."""
        if self._spoken() in (None, version):
            monotonic = asyncio.get_running_loop().time()
            self.epochs.observe(version, epoch, monotonic=monotonic, wall=self._clock())

    def take_address(self, reply: natpmp.AddressReply) -> bool:
        """Take the external address; return whether the router is connected.

        With another address, what was mapped to the old one is lost. Servers
        may keep their epoch all the same (miniupnp#254, Q49).
        """
        known = reply.address is not None and not reply.address.is_unspecified
        self.external_address = reply.address if known else None
        if known:
            before, now = self._learned.get(_ADDRESS), str(reply.address)
            self._learned[_ADDRESS] = now
            if before not in (None, now):
                self.epochs.renew_boot()
        return reply.result == natpmp.Result.SUCCESS

    def hear(self, packet: bytes) -> None:
        """Take an announcement: an answer that nobody asked for. Anything else is dropped."""
        with suppress(BadPacketError):
            if packet[:1] == bytes((Version.PCP,)):
                reply = read_reply(packet)
                if reply.opcode == ANNOUNCE and reply.result == Result.SUCCESS:
                    self.take_epoch(Version.PCP, reply.epoch)
                return
            told = natpmp.read_reply(packet)
            if isinstance(told, natpmp.AddressReply) and told.result == natpmp.Result.SUCCESS:
                self.take_epoch(Version.NATPMP, told.epoch)
                self.take_address(told)

    def hear6(self, packet: bytes) -> None:
        """Take an announcement over IPv6, whose epoch may be that of another server."""
        with suppress(BadPacketError):
            if read_reply(packet).opcode == ANNOUNCE:
                self.tell_news()

    def standing(self, ours: Collection[PortMapping]) -> list[tuple[Grant, PortMapping]]:
        """Return those of `ours` that the router should hold now, with what remains of them."""
        now, boot = self._clock(), self.epochs.boot
        return [
            (grant, replace(mapping, lease=grant.until - now))
            for mapping in ours
            if (grant := Grant.parse(mapping.id))
            and grant.nonce not in self.gone
            and grant.until
            and grant.stands(boot, now)
        ]
