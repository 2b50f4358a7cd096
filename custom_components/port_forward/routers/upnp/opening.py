"""Opening one forward: all of its mappings stand afterwards, or none that this made."""

from collections.abc import Callable, Collection, MutableMapping, Sequence
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address

from ..addresses import own_address
from ..clock import monotonic
from ..errors import (
    NotMappedError,
    NotPermittedError,
    Refusal,
    RouterError,
    RouterTimeoutError,
    RouterUnreachableError,
    TableFullError,
)
from ..leases import believed
from ..model import Forward, PortMapping
from ..refusals import conflict, named, not_permitted
from ..tag import owner_in
from ..transport import DroppedError, NotConnectedError
from .lease import ladder, may_be_the_lease, remember
from .listing import FULL_TABLE, read_table
from .refusal import CONFLICT_CODES, INVALID_ARGS, explain
from .removal import remove
from .soap import UpnpFault
from .wan import WanConnection
from .wan_state import WanState

ALLOWED_SOURCE = "allowed_source"
OTHER_HOSTS = "other_hosts"
"""Keys of `learned`; the values are `yes`, and the refusal, or `no`."""


class Opening:
    """One call of `open`, and what it made so far.

    Nothing is taken for granted: who holds the port is looked up before, what
    stands there is read back after each step, and whatever fails takes back
    what was made.
    """

    def __init__(  # noqa: PLR0913, PLR0917  all that an opening depends on
        self,
        wan: WanConnection,
        state: WanState,
        forward: Forward,
        lease: timedelta,
        ours: Collection[PortMapping],
        learned: MutableMapping[str, str],
    ) -> None:
        """Take what `open` was called with, and the driver's memory to add to."""
        self._wan = wan
        self._state = state
        self._forward = forward
        self._lease = lease
        self._ours = ours
        self._learned = learned
        # What the router may hold because of this call and did not before.
        self._made: list[PortMapping] = []
        # What it was asked for without an answer, and may still come to do.
        self._unanswered: list[PortMapping] = []

    async def run(self, plan: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
        """Make every mapping of `plan` and return them as read back."""
        await self._check_router(plan[0])
        renewed = {wanted.key: await self._claim(wanted) for wanted in plan}
        granted: list[PortMapping] = []
        try:
            for wanted in plan:
                begun = monotonic()
                lease, refused = await self._add(wanted, renewal=renewed[wanted.key])
                row = await self._verify(wanted)
                took = timedelta(seconds=monotonic() - begun)
                granted.append(believed(row, timedelta(seconds=lease), took))
                remember(self._learned, refused, lease, granted[-1])
                if wanted.allowed_source and wanted in (plan[0], plan[-1]):
                    await self._verify_source(granted)
        except RouterError as error:
            await self._roll_back(error)
            raise
        await self._note_host(plan[0])
        return tuple(granted)

    async def _check_router(self, first: PortMapping) -> None:
        """Refuse before anything is asked for what cannot become true.

        Behind another router miniupnpd answers every add with 501, and others
        map what nobody can reach (miniupnp#333, #904, Q14).
        """
        if not await self._state.is_reachable(self._wan):
            raise not_permitted(Refusal.DOUBLE_NAT, first)
        if first.allowed_source and self._learned.get(ALLOWED_SOURCE) == Refusal.SOURCE_IGNORED:
            # Trying again would open it to everybody for a moment, each time (Q19).
            raise not_permitted(Refusal.SOURCE_IGNORED, first)

    async def _claim(self, wanted: PortMapping) -> bool:
        """Make sure that nobody else holds what is wanted; tell whether we hold it.

        A source-limited mapping may share its row with that of any source, on
        routers that leave the remote host out of the key, so both are looked at.
        """
        if wanted.allowed_source:
            wide = await self._held_by_us(wanted, _any_source(wanted))
            if wide and not any(wanted.same_rule(known) for known in self._ours):
                # Ours from when any source was allowed: it would leave the port open to all.
                await remove(self._wan, wide, lambda row: row.target == wide.target)
        held = await self._held_by_us(wanted, wanted)
        if held and held.target != wanted.target:
            # Ours, but to where the forward led before.
            await remove(self._wan, held, lambda row: row.target == held.target)
            return False
        return held is not None

    async def _held_by_us(self, wanted: PortMapping, asked: PortMapping) -> PortMapping | None:
        """Return our row under the key of `asked`; raises PortConflictError for another's."""
        held = await self._wan.specific(asked)
        if held and not self._is_ours(wanted, held):
            raise conflict(wanted, named(held.target, held.description))
        return held

    def _is_ours(self, wanted: PortMapping, held: PortMapping) -> bool:
        """Tell whether the ledger knows the row, or its tag and its target say so.

        The same target alone is not enough: it may be another program's
        mapping, which is not ours to renew, and less so to delete.
        """
        return (self._is_tagged(held) and held.target == wanted.target) or any(
            held.same_rule(known) for known in self._ours
        )

    async def _add(self, wanted: PortMapping, *, renewal: bool) -> tuple[int, list[int]]:
        """Ask for the mapping; return the lease that was accepted, and those refused before."""
        leases = ladder(self._lease, self._learned)
        refused: list[int] = []
        for lease in leases:
            try:
                await self._send(wanted, lease, renewal=renewal)
            except UpnpFault as fault:
                last = lease == leases[-1]
                if last or not may_be_the_lease(fault.code, lease, self._learned):
                    raise await self._explain(fault, wanted) from fault
                refused.append(lease)
            else:
                return lease, refused
        raise AssertionError

    async def _send(self, wanted: PortMapping, lease: int, *, renewal: bool) -> None:
        """Ask for the mapping. When the connection breaks, look before asking again (Q37)."""
        try:
            await self._send_once(wanted, lease, renewal=renewal)
        except DroppedError:
            if await self._wan.specific(wanted) is None:
                await self._send_once(wanted, lease, renewal=renewal)

    async def _send_once(self, wanted: PortMapping, lease: int, *, renewal: bool) -> None:
        """Ask once; whatever is not a clear no may have been carried out."""
        try:
            await self._wan.add(wanted, lease)
        except UpnpFault, NotConnectedError:
            raise
        except RouterError as error:
            self._note_made(wanted, renewal=renewal)
            if isinstance(error, RouterTimeoutError):
                self._unanswered.append(wanted)
            raise
        else:
            self._note_made(wanted, renewal=renewal)

    def _note_made(self, wanted: PortMapping, *, renewal: bool) -> None:
        if not renewal:
            self._made.append(wanted)

    async def _verify(self, wanted: PortMapping) -> PortMapping:
        """Return what the router made of it, or say what it did instead.

        Huawei says yes and maps nothing (portmapper#139, Q07), Linksys when
        its 32 rows are full (weupnp#12, Q08).
        """
        port = str(wanted.external_ports)
        row = await self._wan.specific(wanted)
        if row is None:
            if wanted.allowed_source and await self._wan.specific(_any_source(wanted)):
                raise self._source_ignored(wanted)
            raise TableFullError(port=port) if await self._full() else NotMappedError(port=port)
        if row.target != wanted.target and not self._is_tagged(row):
            raise conflict(wanted, named(row.target, row.description))
        if row.target != wanted.target or not row.enabled:
            raise NotMappedError(port=port)
        return row

    async def _verify_source(self, granted: Sequence[PortMapping]) -> None:
        """Make sure that the router limits the source, as only its list can tell (Q19)."""
        rows = await read_table(self._wan, self._learned)
        for mapping in granted:
            sources = {
                row.allowed_source
                for row in rows
                if row.protocols == mapping.protocols
                and row.external_ports == mapping.external_ports
                and row.target == mapping.target
            }
            if sources != {mapping.allowed_source}:
                raise self._source_ignored(mapping)
        self._learned[ALLOWED_SOURCE] = "yes"

    def _source_ignored(self, wanted: PortMapping) -> RouterError:
        self._learned[ALLOWED_SOURCE] = Refusal.SOURCE_IGNORED
        return not_permitted(Refusal.SOURCE_IGNORED, wanted)

    async def _roll_back(self, error: RouterError) -> None:
        """Take back what this call made; what may still stand is told in `error.left`."""
        left = list(self._made)
        for mapping in reversed(self._made):
            try:
                gone = await remove(self._wan, mapping, self._made_here(mapping))
                if mapping.allowed_source:
                    # Where the source is ignored, it may have become this one (Q19).
                    await remove(self._wan, _any_source(mapping), self._made_here(mapping))
            except RouterUnreachableError:
                # The others would take just as long to fail.
                break
            except RouterError:
                continue
            if gone or mapping not in self._unanswered:
                left.remove(mapping)
        error.left = tuple(left)

    def _made_here(self, mapping: PortMapping) -> Callable[[PortMapping], bool]:
        """Return what tells a row that this call made, where it found none before."""
        return lambda row: self._is_tagged(row) or row.target == mapping.target

    def _is_tagged(self, row: PortMapping) -> bool:
        return self._forward.owner.has_made(owner_in(row.description))

    async def _explain(self, fault: UpnpFault, wanted: PortMapping) -> RouterError:
        """Find out what lies behind a refusal."""
        if not await self._state.is_still_reachable(self._wan):
            return not_permitted(Refusal.DOUBLE_NAT, wanted)
        own = await own_address(self._wan.host)
        error = explain(
            fault,
            wanted,
            other_host=own not in (None, IPv4Address(wanted.internal_host)),
            holder=await self._holder(wanted) if fault.code in CONFLICT_CODES else None,
            full=fault.code == INVALID_ARGS and await self._full(),
        )
        if isinstance(error, NotPermittedError):
            if error.reason is Refusal.SECURE_MODE:
                self._learned[OTHER_HOSTS] = "no"
            elif error.reason is Refusal.ANY_SOURCE_ONLY:
                self._learned[ALLOWED_SOURCE] = error.reason
        return error

    async def _holder(self, wanted: PortMapping) -> PortMapping | None:
        """Return the row that is in the way, whatever its source, as far as it is shown."""
        rows = await read_table(self._wan, self._learned)
        return next(
            (
                row
                for row in rows
                if row.protocols == wanted.protocols and row.external_ports == wanted.external_ports
            ),
            None,
        ) or await self._wan.specific(wanted)

    async def _full(self) -> bool:
        return len(await read_table(self._wan, self._learned)) >= FULL_TABLE

    async def _note_host(self, first: PortMapping) -> None:
        """Remember that the router maps to other hosts than the caller, once it did."""
        if self._learned.get(OTHER_HOSTS) != "yes":
            own = await own_address(self._wan.host)
            if own not in (None, IPv4Address(first.internal_host)):
                self._learned[OTHER_HOSTS] = "yes"


def _any_source(mapping: PortMapping) -> PortMapping:
    return replace(mapping, allowed_source="")
