"""Pinholes in the IPv6 firewall of a router: opened, renewed, looked at and closed."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

from ..errors import (
    NotClosedError,
    NotMappedError,
    Refusal,
    RouterError,
    RouterUnreachableError,
    TableFullError,
)
from ..ipv6 import default_gateways6, is_own, own_address6
from ..model import PortMapping
from .description import Service, WanService, fetch
from .firewall import LONGEST_LEASE, Firewall, NoSuchPinholeError
from .refusal import NOT_AUTHORIZED, not_permitted
from .soap import UpnpFault
from .transport import NotConnectedError, Transport

_LOWEST_FREE_PORT: Final = 1024
_SPACE_EXHAUSTED: Final = 701
_REASONS: Final = {
    702: Refusal.FIREWALL_OFF,
    703: Refusal.NO_IPV6,
    708: Refusal.ONE_SOURCE_ONLY,
}


class Pinholes:
    """The pinholes of one router.

    The `id` of their mappings is that of the router and when its lease ends,
    because the router tells that of none: `17 2026-11-22T18:00:00+00:00`.
    """

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
        wan: WanService,
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
                granted.append(  # noqa: PERF401  what was granted before an error counts
                    await self._open_one(wan, wanted, lease)
                )
        except RouterError as error:
            error.left = await self.take_back(wan, new((*granted, *error.left), ours))
            raise
        return tuple(granted)

    async def _open_one(
        self, wan: WanService, wanted: PortMapping, lease: timedelta
    ) -> PortMapping:
        firewall = await self._firewall(wan, wanted)
        seconds = min(int(lease.total_seconds()) or LONGEST_LEASE, LONGEST_LEASE)
        until = self._clock() + timedelta(seconds=seconds)
        try:
            unique_id = await firewall.add(wanted, seconds)
            granted = replace(
                wanted, id=f"{unique_id} {until.isoformat()}", lease=timedelta(seconds=seconds)
            )
            # Read back: some routers say yes to everything.
            return replace(granted, hits=await firewall.packets(unique_id))
        except NoSuchPinholeError:
            raise NotMappedError(port=str(wanted.external_ports)) from None
        except UpnpFault as fault:
            raise _explain(fault, wanted) from fault
        except RouterUnreachableError as error:
            if not isinstance(error, NotConnectedError):
                error.left = (replace(wanted, id=f" {until.isoformat()}"),)
            raise

    async def look(self, wan: WanService, ours: Collection[PortMapping]) -> list[PortMapping]:
        """Return those of `ours` that stand, with their hits.

        One that cannot be asked for now is taken to stand until its lease ends.
        """
        standing = []
        for mapping in ours:
            unique_id, until = _read_id(mapping)
            hits = None
            try:
                if not unique_id or (until and until <= self._clock()):
                    continue
                hits = await (await self._firewall(wan, mapping)).packets(unique_id)
            except NoSuchPinholeError:
                continue
            except RouterError:
                self._services.pop(wan.id, None)
            standing.append(replace(mapping, hits=hits))
        return standing

    async def close(self, wan: WanService, mapping: PortMapping) -> None:
        """Remove a pinhole and make sure that it is gone.

        After a restart of the router its id may be that of another one, and
        after a crash of ours it is not known. Asking for the pinhole once more
        tells the id that it has now; until it is removed an instant later it
        has a lease of a second.
        """
        unique_id, until = _read_id(mapping)
        if until and until <= self._clock():
            return
        firewall = await self._firewall(wan, mapping)
        try:
            if unique_id:
                await firewall.packets(unique_id)
            unique_id = await firewall.add(mapping, 1)
            await firewall.delete(unique_id)
            if await firewall.packets(unique_id) is not None:
                raise NotClosedError(port=str(mapping.external_ports))
        except NoSuchPinholeError:
            return
        except UpnpFault as fault:
            raise _explain(fault, mapping) from fault

    async def take_back(
        self, wan: WanService, made: Sequence[PortMapping]
    ) -> tuple[PortMapping, ...]:
        """Close what was made in vain; return what may still stand."""
        left = []
        for mapping in made:
            try:
                await self.close(wan, mapping)
            except RouterError:
                left.append(mapping)
        return tuple(left)

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
        for gateway in await asyncio.to_thread(default_gateways6):
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


def _read_id(mapping: PortMapping) -> tuple[str, datetime | None]:
    """Return the router's id of a pinhole, "" where it is not known, and when its lease ends."""
    unique_id, _, until = mapping.id.partition(" ")
    return unique_id, datetime.fromisoformat(until) if until else None


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
