"""The driver: the contract of `Router`, kept over PCP or NAT-PMP."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import override

import aiohttp

from ..clock import utc_now
from ..errors import LeaseTooShortError, PortConflictError, Refusal
from ..model import (
    Capabilities,
    Forward,
    Leases,
    Listing,
    Owner,
    PortMapping,
    RouterInfo,
    Snapshot,
)
from ..refusals import not_permitted
from ..router import Router
from .announcements import ANNOUNCEMENT_PORT, listening
from .client import Client, Version
from .epoch import FILTER
from .exchange import TIMEOUT, Server
from .gateway6 import find_server6
from .grant import Grant, nonces
from .mapper import Mapper
from .natpmp_mapper import NatPmpMapper
from .opening import Opening
from .packets import Result
from .pcp_mapper import THIRD_PARTY, PcpMapper
from .planning import as_known, plan_of
from .refusal import other_address
from .removal import Removal
from .state import State

VERSION = "version"
_IPV6 = "ipv6"
_TELLS_ADDRESS = "tells_address"
"""Keys of `learned`: the version of the protocol; `yes` once a pinhole was made; whether a
server of PCP tells the external address by NAT-PMP, `yes` or `no`."""

_NAMES = {Version.PCP: "PCP router", Version.NATPMP: "NAT-PMP router"}


def from_settings(
    session: aiohttp.ClientSession,
    settings: Mapping[str, str],
    *,
    learned: Mapping[str, str],
) -> PcpRouter:
    """Return the router at `host`, and the one to ask over IPv6 at `host6` if that is set."""
    return PcpRouter(settings["host"], host6=settings.get("host6"), learned=learned)


class PcpRouter(Router):
    """One router that speaks PCP, or NAT-PMP at least.

    Neither protocol lists mappings. What the router holds is what it granted
    to us, until the lease ends or it tells that it has lost its mappings; the
    id of a mapping carries all that is needed for that, see `grant`.
    """

    def __init__(  # noqa: PLR0913  all but one have a default
        self,
        host: str,
        *,
        host6: str | None = None,
        learned: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = utc_now,
        timeout: float = TIMEOUT,
        announcement_port: int = ANNOUNCEMENT_PORT,
    ) -> None:
        """Take the address of the router, and the one to ask for mappings of IPv6.

        Without the latter it is found, where the router is the default gateway.
        Each may have a port, see `Server.parse`, which raises ValueError.
        `clock` returns an aware time, `timeout` is in seconds a request.
        """
        server = Server.parse(host)
        server6 = Server.parse(host6) if host6 else None
        self._host = str(server.host)
        self._learned = dict(learned or {})
        self._clock = clock
        self._announcement_port = announcement_port
        self._state = State(self._learned, clock, lambda: self._client.version)
        self._removal = Removal(self._state.epochs, clock)
        known = self._learned.get(VERSION)
        self._client = Client(
            server,
            find_server6=lambda: server6 or find_server6(server),
            version=next((version for version in Version if str(int(version)) == known), None),
            timeout=timeout,
            on_epoch=self._state.take_epoch,
        )

    @property
    @override
    def capabilities(self) -> Capabilities:
        """What this router can do as far as it is known by now."""
        speaks_natpmp = self._client.version is Version.NATPMP
        return Capabilities(
            listing=Listing.NONE,
            leases=Leases.KEPT,
            allowed_source=False if speaks_natpmp else self._knows(FILTER),
            other_hosts=False if speaks_natpmp else self._knows(THIRD_PARTY),
            port_ranges=False,
            both_protocols=False,
            ipv6=False if speaks_natpmp or not self._client.reaches_ipv6 else self._knows(_IPV6),
            chooses_external_port=True,
        )

    def _knows(self, what: str) -> bool | None:
        return None if what not in self._learned else self._learned[what] == "yes"

    @property
    @override
    def learned(self) -> Mapping[str, str]:
        """What was found out about the router and is worth knowing at the next start."""
        return dict(self._learned)

    @override
    async def connect(self) -> RouterInfo:
        """Find out anew which version the router speaks.

        It has no name and no id of its own: its address has to do.
        """
        self._learned.pop(_TELLS_ADDRESS, None)
        version = await self._client.negotiate()
        self._learned[VERSION] = str(int(version))
        name = f"{_NAMES[version]} {self._host}"
        return RouterInfo(unique_id=f"pcp-{self._host}", name=name)

    async def _version(self) -> Version:
        version = await self._client.speaks()
        self._learned[VERSION] = str(int(version))
        return version

    def _mapper(self, version: Version) -> Mapper:
        if version is Version.PCP:
            return PcpMapper(self._client, self._learned)
        return NatPmpMapper(self._client)

    @override
    async def snapshot(self, ours: Collection[PortMapping] = ()) -> Snapshot:
        """Return those of `ours` that the router granted and should hold still."""
        with self._state.in_snapshot():
            connected = await self._look()
            own6 = await self._client.own_address6() if self._client.reaches_ipv6 else None
        standing = self._state.standing(ours)
        told = [grant.external_address for grant, _ in standing]
        return Snapshot(
            taken_at=self._clock(),
            external_address=self._state.external_address
            or next((address for address in told if isinstance(address, IPv4Address)), None),
            external_address6=own6,
            connected=connected,
            uptime=None,
            mappings=tuple(mapping for _, mapping in standing),
            boot_id=self._state.epochs.boot,
        )

    async def _look(self) -> bool | None:
        """Ask for epoch and external address; return whether the router is connected."""
        if await self._version() is Version.NATPMP:
            return self._state.take_address(await self._client.external_address())
        result = (await self._client.announce()).result
        if result == Result.ADDRESS_MISMATCH:
            raise other_address(self._host)
        # PCP tells the address with a mapping only, and it may change without a
        # new epoch (miniupnp#254, Q49). Most servers speak NAT-PMP as well.
        if self._learned.get(_TELLS_ADDRESS) != "no":
            reply = await self._client.external_address_if_told()
            self._learned[_TELLS_ADDRESS] = "yes" if reply else "no"
            if reply:
                return self._state.take_address(reply)
        return False if result == Result.NETWORK_FAILURE else None

    @override
    def plan(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return one mapping for each family, protocol and pair of ports.

        Raises NotPermittedError for IPv6 where the router is known not to do it. What else it
        could not map is known only when it is asked.
        """
        mappings = plan_of(forward)
        if forward.internal_host6 and self.capabilities.ipv6 is False:
            raise not_permitted(Refusal.NO_IPV6, mappings[-1])
        return mappings

    @override
    def owner_of(self, mapping: PortMapping) -> Owner | None:
        """Return None: nothing is listed, and there are no descriptions."""
        return None

    @override
    async def open(
        self,
        forward: Forward,
        lease: timedelta,
        *,
        planned: Sequence[PortMapping] = (),
        ours: Collection[PortMapping] = (),
    ) -> tuple[PortMapping, ...]:
        """Open `forward` for `lease`, zero for no end, and return its mappings as granted.

        With the nonces of `ours`, or else of `planned`; and with the external
        ports of `ours` where any will do.
        """
        version = await self._version()
        opening = Opening(
            self._mapper(version),
            version,
            lease,
            any_external_port=forward.any_external_port,
            epochs=self._state.epochs,
            clock=self._clock,
        )
        known, any_port = (*ours, *planned), forward.any_external_port
        plan = [
            as_known(mapping, known, any_external_port=any_port) for mapping in plan_of(forward)
        ]
        try:
            granted = await opening.run(plan)
        except PortConflictError, LeaseTooShortError:
            # What stood there before has made way for another client's, or ends any moment.
            self._state.gone |= nonces(opening.failed)
            raise
        self._state.gone -= nonces(*granted)
        if any(mapping.is_pinhole for mapping in granted):
            self._learned[_IPV6] = "yes"
        return granted

    @override
    async def close(self, mapping: PortMapping) -> None:
        """Remove `mapping` in the version that it was made with, and make sure."""
        grant = Grant.parse(mapping.id)
        made_by = grant.version if grant else None
        version = await self._version() if made_by is None else Version(made_by)
        await self._removal.remove(self._mapper(version), mapping)
        self._state.gone |= nonces(mapping)

    @override
    @asynccontextmanager
    async def watch(self, on_news: Callable[[], None]) -> AsyncIterator[None]:
        """Listen to announcements, and tell of an epoch that jumps in any reply."""
        async with AsyncExitStack() as stack:
            for host in self._client.announcers():
                hear = self._state.hear6 if isinstance(host, IPv6Address) else self._state.hear
                await stack.enter_async_context(listening(self._announcement_port, host, hear))
            self._state.on_news = on_news
            try:
                yield
            finally:
                self._state.on_news = None
