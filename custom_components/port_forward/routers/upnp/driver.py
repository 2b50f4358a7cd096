"""The driver: the contract of `Router`, kept over UPnP IGD."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import override

import aiohttp

from ..clock import utc_now
from ..errors import Refusal, RouterError, UnconfirmedRouterError
from ..ipv6 import own_address6
from ..model import (
    Capabilities,
    Forward,
    Leases,
    Listing,
    Owner,
    PortMapping,
    PortRange,
    RouterInfo,
    Snapshot,
)
from ..refusals import not_permitted
from ..router import Router
from ..tag import description_of, owner_in
from ..transport import TIMEOUT, Transport
from .description import Description, WanService, fetch
from .identity import WAN, Identity, counterpart, wanted_id
from .lease import LEASES
from .listing import CUT, LISTING, read_table
from .opening import ALLOWED_SOURCE, OTHER_HOSTS, Opening
from .pinholes import Pinholes, new
from .removal import remove
from .survey import rank
from .wan import WanConnection
from .wan_state import WanState


def from_settings(
    session: aiohttp.ClientSession, settings: Mapping[str, str], *, learned: Mapping[str, str]
) -> UpnpRouter:
    """Return the router at `url`, or its WAN of the id `wan`."""
    return UpnpRouter(session, settings["url"], wan=settings["wan"], learned=learned)


class UpnpRouter(Router):
    """One Internet Gateway Device, or one WAN of it.

    The other methods connect by themselves when `connect` was not called.
    """

    def __init__(  # noqa: PLR0913  # all but two have a default
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        wan: str | None = None,
        learned: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = utc_now,
        timeout: float = TIMEOUT,
    ) -> None:
        """Take the URL of the description and `WanService.id`, None for the best one.

        `clock` returns an aware time, `timeout` is in seconds a request.
        """
        self._transport = Transport(session, timeout=timeout)
        self._url = url
        self._wan_id = wan
        self._learned = dict(learned or {})
        self._clock = clock
        self._connection: WanConnection | None = None
        self._state = WanState()
        self._pinholes = Pinholes(self._transport, url, clock=clock, timeout=timeout)

    @property
    @override
    def capabilities(self) -> Capabilities:
        """What this router can do as far as it is known by now."""
        source = self._learned.get(ALLOWED_SOURCE)
        other = self._learned.get(OTHER_HOSTS)
        service = self._connection.service if self._connection else None
        return Capabilities(
            listing=self._listing,
            leases=Leases(self._learned.get(LEASES, Leases.UNKNOWN)),
            allowed_source=None if source is None else source == "yes",
            other_hosts=None if other is None else other == "yes",
            port_ranges=False,
            both_protocols=False,
            ipv6=None if service is None else service.firewall is not None,
            # Of pinholes only.
            hit_counters=None if service is None else service.firewall is not None,
        )

    @property
    def _listing(self) -> Listing:
        listing = Listing(self._learned.get(LISTING, Listing.FULL))
        return Listing.PARTIAL if listing is Listing.FULL and CUT in self._learned else listing

    @property
    @override
    def learned(self) -> Mapping[str, str]:
        """What was found out about the router and is worth knowing at the next start."""
        return {key: str(value) for key, value in self._learned.items()}

    @override
    async def connect(self) -> RouterInfo:
        """Read the description anew and find the WAN in it.

        A WAN that was picked by its state stays picked while it exists: its
        mappings could not be closed by asking another one. Where the router has
        other ids than before, see `identity`; raises UnconfirmedRouterError
        where it may be another router.
        """
        description = await fetch(self._transport, self._url)
        await self._attach(description)
        return description.info

    async def _attach(self, description: Description) -> WanConnection:
        service = await self._take(description)
        self._connection = WanConnection(self._transport, service, self._locate)
        self._state = WanState()
        return self._connection

    async def _take(self, description: Description) -> WanService:
        """Return the WAN in the description, and remember what the router is known by."""
        service = await self._pick(description)
        identity = await Identity.read(self._url, description)
        identity.note(self._learned, wanted=self._wan_id, picked=service.id)
        return service

    async def _pick(self, description: Description) -> WanService:
        if self._wan_id is not None:
            service = counterpart(self._learned, self._wan_id, description)
            # What an earlier version has left remembers nothing: then only the user knows.
            if service.id != wanted_id(self._learned, self._wan_id) and not (
                Identity.from_learned(self._learned).is_same(
                    await Identity.read(self._url, description)
                )
            ):
                raise UnconfirmedRouterError(host=self._transport.host_of(self._url))
            return service
        by_id = {service.id: service for service in description.wans}
        if (picked := self._learned.get(WAN)) in by_id:
            return by_id[picked]
        if len(by_id) == 1:
            return description.wans[0]
        return (await rank(self._transport, description))[0].wan

    async def _locate(self) -> WanService:
        """Find out where the WAN is answering now."""
        return await self._take(await fetch(self._transport, self._url))

    async def _wan(self) -> WanConnection:
        return self._connection or await self._attach(await fetch(self._transport, self._url))

    @override
    async def snapshot(self, ours: Collection[PortMapping] = ()) -> Snapshot:
        """Return what the router holds now.

        Mappings that `open` made and the list leaves out are asked for one by
        one: some routers list only a part (TinyUPnP#7, AVM, Q25), and a switch
        must not call closed what is open. Address and state are those of this
        look or of the one before, see `WanState`.
        """
        wan = await self._wan()
        state = self._state
        await state.before_the_table(wan)
        rows = list(await read_table(wan, self._learned))
        is_cut = CUT in self._learned
        # In what was not read, ours may stand beside another's row of the same key (Q18).
        listed = {(row.key, is_cut and row.target) for row in rows}
        mappings, pinholes = _by_family(ours)
        unlisted = [m for m in mappings if (m.key, is_cut and m.target) not in listed]
        if confirmed := [row for mapping in unlisted if (row := await wan.specific(mapping))]:
            rows += confirmed
            if not is_cut:
                self._learned.setdefault(LISTING, Listing.PARTIAL)
        elif mappings and not unlisted:
            self._learned.pop(LISTING, None)
        rows += await self._pinholes.look(wan, pinholes)
        await state.after_the_table(wan, rows)
        return Snapshot(
            taken_at=self._clock(),
            external_address=state.address,
            connected=state.status.connected,
            uptime=state.status.uptime,
            mappings=tuple(rows),
            external_address6=own_address6() if wan.service.firewall else None,
        )

    @override
    def plan(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return one mapping for each family, protocol and pair of ports; IGD knows no ranges.

        Raises NotPermittedError for an allowed source of several addresses: a
        remote host is a single one, and must not become wider.
        """
        description = description_of(forward)
        source = forward.allowed_source
        allowed_source = str(source.network_address) if source and source.prefixlen else ""
        mappings = tuple(
            PortMapping(
                protocols=(protocol,),
                external_ports=PortRange.single(external),
                internal_host=str(host),
                internal_ports=PortRange.single(internal),
                allowed_source=allowed_source,
                description=description,
            )
            for host in (forward.internal_host, forward.internal_host6)
            if host
            for protocol in forward.protocols
            for external, internal in zip(
                forward.external_ports, forward.internal_ports, strict=True
            )
        )
        if forward.internal_host6 and self.capabilities.ipv6 is False:
            raise not_permitted(Refusal.NO_IPV6, mappings[0])
        if source and source.prefixlen not in (0, source.max_prefixlen):
            raise not_permitted(Refusal.ONE_SOURCE_ONLY, mappings[0])
        return mappings

    @override
    def owner_of(self, mapping: PortMapping) -> Owner | None:
        """Return what the tag of the description says, if there is a whole one."""
        return owner_in(mapping.description)

    @override
    async def open(
        self,
        forward: Forward,
        lease: timedelta,
        *,
        planned: Sequence[PortMapping] = (),
        ours: Collection[PortMapping] = (),
    ) -> tuple[PortMapping, ...]:
        """Open `forward` for `lease`, zero for no end, and return its mappings as read back.

        How the lease is chosen where the router will not take it is said at
        `lease.ladder`; the mappings tell what it became.
        """
        mappings, pinholes = _by_family(self.plan(forward))
        wan = await self._wan()
        granted6 = await self._pinholes.open(wan, pinholes, lease, ours)
        if not mappings:
            return granted6
        opening = Opening(wan, self._state, forward, lease, ours, self._learned)
        try:
            return await opening.run(mappings) + granted6
        except RouterError as error:
            made = new(granted6, ours)
            error.left += await self._pinholes.take_back(wan, made)
            raise

    @override
    async def close(self, mapping: PortMapping) -> None:
        """Remove `mapping`, unless something else stands in its place, and make sure.

        On a router that may be another one it is removed if it stands there.
        That it does not proves nothing then: UnconfirmedRouterError.
        """
        try:
            wan = await self._wan()
            if mapping.is_pinhole:
                await self._pinholes.close(wan, mapping)
            else:
                await remove(wan, mapping, lambda row: row.target == mapping.target)
        except UnconfirmedRouterError:
            if not await self._removes_unconfirmed(mapping):
                raise

    async def _removes_unconfirmed(self, mapping: PortMapping) -> bool:
        """Remove `mapping` from what may be another router; return whether it stood there.

        A pinhole has nothing but a number there, which may be another's, and
        ends with its lease.
        """
        if mapping.is_pinhole or self._wan_id is None:
            return False

        def is_ours(row: PortMapping) -> bool:
            # The ledger keeps no description.
            owners = {self.owner_of(row), self.owner_of(mapping)} - {None}
            tagged = self.owner_of(row) is not None and len(owners) == 1
            described = row.description in ("", mapping.description)
            return row.target == mapping.target and (described or tagged)

        description = await fetch(self._transport, self._url)
        service = counterpart(self._learned, self._wan_id, description)
        return await remove(WanConnection(self._transport, service), mapping, is_ours)


def _by_family(
    mappings: Iterable[PortMapping],
) -> tuple[list[PortMapping], list[PortMapping]]:
    """Return those for IPv4, and the pinholes."""
    families: tuple[list[PortMapping], list[PortMapping]] = ([], [])
    for mapping in mappings:
        families[mapping.is_pinhole].append(mapping)
    return families
