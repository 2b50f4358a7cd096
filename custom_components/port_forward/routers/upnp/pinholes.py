"""Pinholes in the IPv6 firewall of a router: opened, renewed, looked at and closed."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv6Address
from typing import Final, Self, override
from urllib.parse import urlsplit

from ..errors import (
    NotClosedError,
    NotMappedError,
    NotPermittedError,
    Refusal,
    RouterError,
    RouterUnreachableError,
    TableFullError,
)
from ..ipv6 import default_gateways6, is_own, own_address6
from ..model import PortMapping
from ..refusals import not_permitted
from ..transport import NotConnectedError, Transport
from .description import Service, WanService, fetch
from .firewall import LONGEST_LEASE, Firewall, NoSuchPinholeError
from .refusal import NOT_AUTHORIZED
from .soap import UpnpFault
from .wan import WanConnection

_DRIFT: Final = timedelta(minutes=2)
_LOWEST_FREE_PORT: Final = 1024
_SPACE_EXHAUSTED: Final = 701
_REASONS: Final = {
    702: Refusal.FIREWALL_OFF,
    703: Refusal.NO_IPV6,
    708: Refusal.ONE_SOURCE_ONLY,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Grant:
    """What is known of a pinhole that was made: `17 2026-11-22T18:00:00+00:00 2026-11-01T…`.

    Its id at the router, "" for one that is not known. When its lease ends,
    because the router tells that of none. And when the router began: after a
    restart its ids begin anew, so that this one may be another's.
    """

    unique_id: str = ""
    until: datetime | None = None
    born: datetime | None = None

    @classmethod
    def parse(cls, mapping: PortMapping | None) -> Self:
        """Read the id of a mapping, which is empty before it was granted."""
        if mapping is None or not mapping.id:
            return cls()
        unique_id, until, born = mapping.id.split(" ")
        return cls(
            unique_id=unique_id,
            until=datetime.fromisoformat(until),
            born=datetime.fromisoformat(born) if born else None,
        )

    @override
    def __str__(self) -> str:
        """Return what `parse` reads."""
        until = self.until.isoformat() if self.until else ""
        return f"{self.unique_id} {until} {self.born.isoformat() if self.born else ''}"

    def is_over(self, now: datetime) -> bool:
        """Tell whether its lease has ended."""
        return self.until is not None and self.until <= now

    def is_lost(self, born: datetime | None) -> bool:
        """Tell whether the router has begun anew since, give or take what clocks drift."""
        if self.born is None or born is None:
            return False
        return abs(born - self.born) > _DRIFT


class Pinholes:
    """The pinholes of one router; the `id` of their mappings is a `_Grant`."""

    def __init__(
        self,
        transport: Transport,
        url: str,
        *,
        clock: Callable[[], datetime],
        timeout: float,
    ) -> None:
        """Take the way to the router and the URL of its description, over IPv4."""
        self._transport = transport
        self._url = url
        self._clock = clock
        self._timeout = timeout
        # Where the firewall of each WAN was found over IPv6.
        self._services: dict[str, Service] = {}

    async def open(
        self,
        wan: WanConnection,
        plan: Sequence[PortMapping],
        lease: timedelta,
        ours: Collection[PortMapping],
    ) -> tuple[PortMapping, ...]:
        """Make every pinhole of `plan`, or renew it, and return them as they stand.

        When one of them fails, those that were made for it are taken back.
        """
        granted: list[PortMapping] = []
        try:
            for wanted in plan:
                held = next((known for known in ours if known.same_rule(wanted)), None)
                granted.append(await self._open_one(wan, wanted, held, lease))
        except RouterError as error:
            error.left = await self.take_back(wan, new((*granted, *error.left), ours))
            raise
        return tuple(granted)

    async def _open_one(
        self,
        wan: WanConnection,
        wanted: PortMapping,
        held: PortMapping | None,
        lease: timedelta,
    ) -> PortMapping:
        firewall = await self._firewall(wan.service, wanted)
        seconds = min(int(lease.total_seconds()) or LONGEST_LEASE, LONGEST_LEASE)
        born = await self._born(wan)
        grant = _Grant(until=self._clock() + timedelta(seconds=seconds), born=born)
        try:
            grant = replace(grant, unique_id=await self._renewed(firewall, held, seconds, born))
            if not grant.unique_id:
                grant = replace(grant, unique_id=await firewall.add(wanted, seconds))
            # Read back: some routers say yes to everything.
            hits = await firewall.packets(grant.unique_id)
        except NoSuchPinholeError:
            raise NotMappedError(port=str(wanted.external_ports)) from None
        except UpnpFault as fault:
            raise _explain(fault, wanted) from fault
        except RouterUnreachableError as error:
            if not isinstance(error, NotConnectedError):
                error.left = (replace(wanted, id=str(grant)),)
            raise
        return replace(wanted, id=str(grant), lease=timedelta(seconds=seconds), hits=hits)

    async def _renewed(
        self, firewall: Firewall, held: PortMapping | None, seconds: int, born: datetime | None
    ) -> str:
        """Renew what is held and return its id, "" where it has to be made."""
        grant = _Grant.parse(held)
        if held is None:
            return ""
        if not grant.unique_id or grant.is_lost(born):
            # It stands, perhaps: made before a crash of ours, or kept by a router that only
            # lost its connection. Added once more it would not end.
            await self._remove(firewall, held, await firewall.add(held, 1))
            return ""
        try:
            await firewall.update(grant.unique_id, seconds)
        except NoSuchPinholeError:
            return ""
        return grant.unique_id

    async def look(self, wan: WanConnection, ours: Collection[PortMapping]) -> list[PortMapping]:
        """Return those of `ours` that stand, with their hits.

        One that cannot be asked for now, or does not count, is taken to stand until its lease
        ends.
        """
        standing = []
        born = await self._born(wan) if ours else None
        for mapping in ours:
            grant = _Grant.parse(mapping)
            hits = None
            if not grant.unique_id or grant.is_lost(born):
                continue
            try:
                firewall = await self._firewall(wan.service, mapping)
                hits = await firewall.packets(grant.unique_id)
            except NoSuchPinholeError:
                continue
            except RouterError:
                self._services.pop(wan.service.id, None)
            # It may have ended by now, and not all routers keep leases.
            if hits is not None or not grant.is_over(self._clock()):
                standing.append(replace(mapping, hits=hits))
        return standing

    async def close(self, wan: WanConnection, mapping: PortMapping) -> None:
        """Remove a pinhole and make sure that it is gone, whatever its lease says.

        Where its id is not known, after a crash of ours or when the uptime fell, asking for the
        pinhole once more tells it; until it is removed an instant later it has a lease of a
        second. One whose lease is over is not asked for like that: it would be opened anew.
        """
        grant = _Grant.parse(mapping)
        over = grant.is_over(self._clock())
        lost = grant.is_lost(await self._born(wan))
        unique_id = "" if lost else grant.unique_id
        if over and not unique_id:
            return
        try:
            firewall = await self._firewall(wan.service, mapping)
            unique_id = unique_id or await firewall.add(mapping, 1)
            await firewall.packets(unique_id)
        except NoSuchPinholeError:
            return
        except NotPermittedError:
            if over:
                return  # There is no way to ask for it any more.
            raise
        except UpnpFault as fault:
            if over:
                return
            raise _explain(fault, mapping) from fault
        await self._remove(firewall, mapping, unique_id)

    async def _remove(self, firewall: Firewall, mapping: PortMapping, unique_id: str) -> None:
        try:
            await firewall.delete(unique_id)
            # What does not count cannot be asked.
            still_there = await firewall.packets(unique_id) is not None
        except NoSuchPinholeError:
            return
        except UpnpFault as fault:
            raise _explain(fault, mapping) from fault
        if still_there:
            raise NotClosedError(port=str(mapping.external_ports))

    async def take_back(
        self, wan: WanConnection, made: Sequence[PortMapping]
    ) -> tuple[PortMapping, ...]:
        """Close what was made in vain; return what may still stand."""
        left = []
        for mapping in made:
            try:
                await self.close(wan, mapping)
            except RouterError:
                left.append(mapping)
        return tuple(left)

    async def _born(self, wan: WanConnection) -> datetime | None:
        """Return when the router began, None where it does not tell."""
        uptime = (await wan.status()).uptime
        return None if uptime is None else self._clock() - uptime

    async def _firewall(self, wan: WanService, mapping: PortMapping) -> Firewall:
        """Return the way to the firewall from the target's own address, where that is ours.

        Any other is refused by most (Q50), and the refusal says so.
        """
        target = IPv6Address(mapping.internal_host)
        address = target if is_own(target) else own_address6()
        service = self._services.get(wan.id) or await self._locate(wan)
        if service is None or address is None:
            raise not_permitted(Refusal.NO_IPV6, mapping)
        self._services[wan.id] = service
        return Firewall(service, address, timeout=self._timeout)

    async def _locate(self, wan: WanService) -> Service | None:
        """Find the firewall of `wan` over IPv6: at the default gateway, if that is this router."""
        if wan.firewall is None:
            return None
        there = urlsplit(self._url)
        for gateway, _ in await asyncio.to_thread(default_gateways6):
            url = there._replace(netloc=f"[{gateway}]:{there.port or 80}").geturl()
            try:
                description = await fetch(self._transport, url)
            except RouterError:
                continue
            for service in description.wans:
                if service.id == wan.id:
                    return service.firewall
        return None


def new(made: Collection[PortMapping], ours: Collection[PortMapping]) -> list[PortMapping]:
    """Return those that were not there before."""
    return [mapping for mapping in made if not any(map(mapping.same_rule, ours))]


def _explain(fault: UpnpFault, mapping: PortMapping) -> RouterError:
    """Return what a refusal means (section 2.6 has the codes)."""
    detail = fault.placeholders["detail"]
    if fault.code == _SPACE_EXHAUSTED:
        return TableFullError(port=str(mapping.external_ports))
    if fault.code == NOT_AUTHORIZED and mapping.external_ports.first < _LOWEST_FREE_PORT:
        return not_permitted(Refusal.LOW_PORT, mapping, detail)
    if fault.code == NOT_AUTHORIZED and not is_own(IPv6Address(mapping.internal_host)):
        return not_permitted(Refusal.SECURE_MODE, mapping, detail)
    return not_permitted(_REASONS.get(fault.code, Refusal.REFUSED), mapping, detail)
