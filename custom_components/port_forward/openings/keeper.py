"""The keeper: opens, renews and closes the forwards of one router.

It is the only code that changes a router. Every change is in the ledger
before the router is asked, and every row that the router has confirmed is
shown at once. `docs/architecture.md` has the table of what `reconcile` does.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util

from ..const import LOGGER
from ..routers.errors import (
    NotPermittedError,
    ProtocolError,
    Refusal,
    RouterError,
    RouterUnreachableError,
)
from ..routers.model import Forward, Leases, Listing, PortMapping, Snapshot
from ..routers.router import Router
from .ledger import Ledger, Opening, Phase
from .verdict import Evidence, Verdict, differs, judge

# A renewal that failed is tried again after these seconds, the last one for good.
_RENEWAL_RETRIES = (15, 30, 60, 120, 300)


class Keeper:
    """Keeps the openings of one router true.

    `snapshot` is the newest knowledge of what the router holds. `on_change` is
    called when it changed between two polls.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        router: Router,
        ledger: Ledger,
        *,
        lease: timedelta,
        on_change: Callable[[], None],
    ) -> None:
        """Take the router and its loaded ledger; `lease` is asked for each opening."""
        self._hass = hass
        self._router = router
        self._ledger = ledger
        self._lease = lease
        self._on_change = on_change
        self._lock = asyncio.Lock()
        self._renewals: dict[str, CALLBACK_TYPE] = {}
        # Forwards that could not be brought in order, so that it is logged once.
        self._troubled: set[str] = set()
        self._rows: dict[tuple[str, str], PortMapping] = {}
        self.snapshot: Snapshot | None = None
        # Counts what has changed on the router by us: a snapshot during which
        # it moved may show the time before the change and must not be used.
        self.changes = 0

    @property
    def openings(self) -> Mapping[str, Opening]:
        """The openings by the id of their forward."""
        return self._ledger.openings

    @property
    def leases(self) -> Leases:
        """What the router does with leases, as far as known."""
        return self._router.capabilities.leases

    @property
    def _lists_all(self) -> bool:
        return self._router.capabilities.listing is Listing.FULL

    def is_open(self, forward_id: str, forward: Forward | None) -> bool:
        """Tell whether the router holds a mapping of this forward now.

        One of several is enough: an open port must never show as closed. A
        mapping that somebody else made, but that leads exactly where the
        forward would, counts too.
        """
        opening = self._ledger.openings.get(forward_id)
        if opening is None:
            return forward is not None and any(map(self._holds, self._planned(forward)))
        if not self._lists_all:
            return opening.phase is not Phase.LOST
        return any(map(self._holds, opening.mappings))

    async def open(self, forward: Forward) -> Opening:
        """Open `forward`, or renew it when it is open.

        Raises RouterError when the router will not, HomeAssistantError when
        the ledger cannot be written; the router holds nothing of it then.
        """
        async with self._lock:
            self.changes += 1
            held = self._ledger.openings.get(forward.id)
            if held and (held.phase is Phase.CLOSING or differs(held.forward, forward)):
                await self._close(held)
                held = None
            return await self._open(forward, held)

    async def close(self, forward_id: str, forward: Forward | None) -> None:
        """Close the forward, whoever opened it.

        Raises RouterError when it could not be confirmed; it is tried again at
        every snapshot until it is.
        """
        async with self._lock:
            self.changes += 1
            opening = self._ledger.openings.get(forward_id)
            if opening is None and forward is not None:
                opening = Opening(
                    forward=forward,
                    mappings=self._router.plan(forward),
                    phase=Phase.CLOSING,
                    opened_at=dt_util.utcnow(),
                )
            if opening is not None:
                await self._close(opening)

    async def close_all(self) -> None:
        """Close every opening; raises the first RouterError after trying all."""
        async with self._lock:
            self.changes += 1
            failure: RouterError | None = None
            for opening in list(self._ledger.openings.values()):
                try:
                    await self._close(opening)
                except RouterError as error:
                    failure = failure or error
            if failure:
                raise failure

    async def stop(self) -> None:
        """Stop renewing and wait for what is under way; the router keeps its mappings."""
        async with self._lock:
            for cancel in self._renewals.values():
                cancel()
            self._renewals.clear()

    async def reconcile(
        self, snapshot: Snapshot, changes: int, forwards: Mapping[str, Forward | None]
    ) -> Snapshot:
        """Make router and ledger agree, and return what the router holds then.

        `changes` is the count before `snapshot` was taken. `forwards` holds
        every forward that the user has, None where its host is not known now.
        """
        if self.snapshot and self._lock.locked():
            return self.snapshot
        async with self._lock:
            if self.snapshot and changes != self.changes:
                return self.snapshot
            lost = self._has_lost_its_mappings(snapshot)
            self.snapshot = snapshot
            self._rows = {_place(row): row for row in snapshot.mappings}
            self._ledger.last_seen = snapshot
            for opening in list(self._ledger.openings.values()):
                await self._try_to_settle(opening, forwards, lost=lost)
            return self.snapshot

    def _has_lost_its_mappings(self, snapshot: Snapshot) -> bool:
        """Tell whether mappings that are missing now were lost and not removed."""
        earlier = self._ledger.last_seen
        if earlier is None:
            return False
        return snapshot.restarted_since(earlier) or (
            len(earlier.mappings) > 1 and not snapshot.mappings
        )

    async def _try_to_settle(
        self, opening: Opening, forwards: Mapping[str, Forward | None], *, lost: bool
    ) -> None:
        """Settle one opening, so that its trouble does not become that of the others."""
        forward = opening.forward
        try:
            await self._settle(opening, forwards, lost=lost)
        except (RouterError, HomeAssistantError) as error:
            if forward.id not in self._troubled:
                self._troubled.add(forward.id)
                LOGGER.warning(
                    "Could not bring %s in order on the router, trying again: %s",
                    forward.name,
                    error,
                )
        else:
            if forward.id in self._troubled:
                self._troubled.discard(forward.id)
                LOGGER.info("%s is in order on the router again", forward.name)

    async def _settle(
        self, opening: Opening, forwards: Mapping[str, Forward | None], *, lost: bool
    ) -> None:
        """Do what the reconcile table says about one opening."""
        forward = opening.forward
        wanted = forwards.get(forward.id)
        evidence = Evidence(
            deleted=forward.id not in forwards,
            wanted=wanted,
            complete=all(map(self._holds, opening.mappings)),
            lists_all=self._lists_all,
            lost=lost,
            expired=opening.lease_until is not None and opening.lease_until <= dt_util.utcnow(),
        )
        match judge(opening, evidence):
            case Verdict.KEEP:
                await self._keep(opening)
            case Verdict.CLOSE:
                await self._close(opening)
            case Verdict.MOVE if wanted:
                LOGGER.info("%s was edited while open: moving it", wanted.name)
                await self._close(opening)
                await self._open(wanted, None)
            case Verdict.RESTORE:
                await self._restore(opening)
            case Verdict.REMOVED_ELSEWHERE:
                LOGGER.info("%s was removed at the router: it stays closed", forward.name)
                await self._close(opening)

    async def _keep(self, opening: Opening) -> None:
        """Go on with an opening that stands: after a restart it is not being renewed yet."""
        if opening.phase is Phase.OPENING:
            opening = opening.within(Phase.OPEN)
            await self._ledger.record(opening)
        if opening.forward.id not in self._renewals:
            self._schedule_renewal(opening)

    async def _open(self, forward: Forward, held: Opening | None) -> Opening:
        opening = Opening(
            forward=forward,
            mappings=self._router.plan(forward),
            phase=Phase.OPENING,
            opened_at=held.opened_at if held else dt_util.utcnow(),
        )
        if held is None:
            await self._ledger.record(opening)
        try:
            granted = await self._router.open(
                forward, self._lease, ours=held.mappings if held else ()
            )
        except RouterError as error:
            if held is None:
                await self._forget_unless_left(opening, error.left)
            raise
        opening = replace(
            opening, phase=Phase.OPEN, mappings=granted, lease_until=self._lease_until(granted)
        )
        self._ledger.learned = dict(self._router.learned)
        try:
            await self._ledger.record(opening)
        except HomeAssistantError:
            # Open, but not known to be so after a restart: better not open.
            if held is None:
                await self._close(opening)
            raise
        self._publish(removed=(), added=granted)
        self._schedule_renewal(opening)
        return opening

    async def _forget_unless_left(self, opening: Opening, left: Collection[PortMapping]) -> None:
        """Drop an opening that failed, but never what it left on the router."""
        if left:
            leftover = replace(opening, phase=Phase.CLOSING, mappings=tuple(left))
            await self._ledger.record(leftover)
            self._publish(removed=(), added=left)
        else:
            await self._ledger.strike(opening.forward.id)

    async def _close(self, opening: Opening) -> None:
        forward_id = opening.forward.id
        if cancel := self._renewals.pop(forward_id, None):
            cancel()
        # A disk that is full must not keep a port open. Home Assistant has
        # logged it; without the note a restart would just find the port again.
        with suppress(HomeAssistantError):
            await self._ledger.record(opening.within(Phase.CLOSING))
        failure: RouterError | None = None
        for mapping in opening.mappings:
            try:
                await self._router.close(mapping)
            except RouterUnreachableError:
                raise
            except RouterError as error:
                failure = failure or error
            else:
                self._publish(removed=(mapping,), added=())
        if failure:
            raise failure
        await self._ledger.strike(forward_id)

    async def _restore(self, opening: Opening) -> None:
        """Make again what the router lost; tried at each snapshot while it is away."""
        LOGGER.info("The router has lost %s: opening it again", opening.forward.name)
        lost = opening.within(Phase.LOST)
        await self._ledger.record(lost)
        try:
            await self._open(opening.forward, lost)
        except RouterError as error:
            if _may_pass(error):
                raise
            LOGGER.warning("%s could not be opened again: %s", opening.forward.name, error)
            await self._close(lost)

    def _lease_until(self, granted: Collection[PortMapping]) -> datetime | None:
        leases = [row.lease for row in granted if row.lease]
        return dt_util.utcnow() + min(leases) if leases else None

    def _schedule_renewal(self, opening: Opening, failures: int = 0) -> None:
        """Renew at half of what remains, a little earlier or later than the others."""
        if cancel := self._renewals.pop(opening.forward.id, None):
            cancel()
        if self.leases is Leases.PERMANENT_ONLY:
            return
        if failures:
            delay = float(_RENEWAL_RETRIES[min(failures, len(_RENEWAL_RETRIES)) - 1])
        elif opening.lease_until:
            delay = (opening.lease_until - dt_util.utcnow()).total_seconds() / 2
        else:
            delay = self._lease.total_seconds() / 2
        job = HassJob(
            partial(self._renew, opening.forward.id, failures),
            f"renew {opening.forward.name}",
            cancel_on_shutdown=True,
        )
        self._renewals[opening.forward.id] = async_call_later(
            self._hass,
            max(1.0, delay * random.uniform(0.9, 1.0)),  # noqa: S311  spreads load, guards nothing
            job,
        )

    async def _renew(self, forward_id: str, failures: int, _now: datetime) -> None:
        async with self._lock:
            self._renewals.pop(forward_id, None)
            opening = self._ledger.openings.get(forward_id)
            if opening is None or opening.phase is not Phase.OPEN:
                return
            self.changes += 1
            try:
                await self._open(opening.forward, opening)
            except (RouterError, HomeAssistantError) as error:
                if not failures:
                    LOGGER.warning("Could not renew %s: %s", opening.forward.name, error)
                self._schedule_renewal(opening, failures + 1)
            else:
                if failures:
                    LOGGER.info("%s is renewed again", opening.forward.name)

    def _planned(self, forward: Forward) -> tuple[PortMapping, ...]:
        try:
            return self._router.plan(forward)
        except RouterError:
            return ()  # What this router can never hold is not open.

    def _holds(self, mapping: PortMapping) -> bool:
        row = self._rows.get(_place(mapping))
        return row is not None and row.enabled

    @callback
    def _publish(self, *, removed: Collection[PortMapping], added: Collection[PortMapping]) -> None:
        """Show what the router has just confirmed, without waiting for a poll."""
        self.changes += 1
        if self.snapshot is None:
            return
        for mapping in removed:
            self._rows.pop(_place(mapping), None)
        self._rows.update((_place(row), row) for row in added)
        self.snapshot = replace(self.snapshot, mappings=tuple(self._rows.values()))
        self._on_change()


def _may_pass(error: RouterError) -> bool:
    """Tell whether the router may only be starting: it answers before its WAN has an address."""
    return isinstance(error, RouterUnreachableError | ProtocolError) or (
        isinstance(error, NotPermittedError) and error.reason is Refusal.DOUBLE_NAT
    )


def _place(mapping: PortMapping) -> tuple[str, str]:
    """Return what tells rows apart; some routers show two rows of one key (Q18)."""
    return mapping.key, mapping.target
