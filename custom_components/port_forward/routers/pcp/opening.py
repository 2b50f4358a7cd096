"""Opening one forward: all of its mappings stand afterwards, or none that this made."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ..errors import LeaseTooShortError, NotMappedError, RouterError, RouterUnreachableError
from ..leases import counts
from ..model import PortMapping, PortRange
from ..refusals import not_permitted
from .epoch import Epochs
from .exchange import NotSentError
from .grant import Grant
from .mapper import Granted, Mapper
from .refusal import check_address, not_given

_NO_END = 7200
"""Seconds to ask for where there is to be no end, which neither protocol has (RFC 6886 3.3)."""


class Opening:
    """One call of `open`, and what it made so far; `failed` is what it is at, or broke off with."""

    def __init__(  # noqa: PLR0913  all that there is of one call
        self,
        mapper: Mapper,
        version: int,
        lease: timedelta,
        *,
        any_external_port: bool,
        epochs: Epochs,
        clock: Callable[[], datetime],
    ) -> None:
        """Take what `open` was called with, and what the grants are noted with."""
        self._mapper = mapper
        self._version = version
        self._lease = int(lease.total_seconds()) or _NO_END
        self._any_external_port = any_external_port
        self._epochs = epochs
        self._clock = clock
        # What the router may hold because of this call and did not before.
        self._made: list[PortMapping] = []
        self.failed: PortMapping | None = None

    async def run(self, plan: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
        """Ask for every mapping of `plan` and return them as granted."""
        granted: list[PortMapping] = []
        try:
            for planned in plan:
                self.failed = planned
                granted.append(await self._open(self._beside(planned, granted)))
        except RouterError as error:
            await self._roll_back(error)
            raise
        return tuple(granted)

    def _beside(self, planned: PortMapping, granted: Sequence[PortMapping]) -> PortMapping:
        """Wish for the port that the other protocol was given, where any will do."""
        if not self._any_external_port or self._stands(planned):
            return planned
        for other in granted:
            if other.target == planned.target:
                return replace(planned, external_ports=other.external_ports)
        return planned

    def _stands(self, mapping: PortMapping) -> bool:
        grant = Grant.parse(mapping.id)
        return grant is not None and grant.stands(self._epochs.boot, self._clock())

    async def _open(self, wanted: PortMapping) -> PortMapping:
        stood = self._stands(wanted)
        ask = await self._mapper.prepare(
            wanted, self._lease, any_external_port=self._any_external_port
        )
        try:
            granted = await ask()
        except NotSentError:
            raise
        except RouterUnreachableError:
            # Without an answer, it may have been done all the same.
            self._note_made(wanted, stood=stood)
            raise
        try:
            await self._mapper.confirm(wanted)
        except RouterError:
            self._note_made(wanted, stood=False)  # It may let everybody in by now.
            raise
        self._note_made(wanted, stood=stood and self._is_as_before(wanted, granted))
        self._check(wanted, granted)
        return self._as_granted(wanted, granted)

    def _is_as_before(self, wanted: PortMapping, granted: Granted) -> bool:
        """Tell whether what stood before is what stands now.

        With a new epoch nothing stood; another port, or no limit, is another mapping.
        """
        same_port = granted.external_port == wanted.external_ports.first
        return same_port and not granted.unheeded and self._stands(wanted)

    def _note_made(self, wanted: PortMapping, *, stood: bool) -> None:
        if not stood:
            self._made.append(wanted)

    def _check(self, wanted: PortMapping, granted: Granted) -> None:
        """Make sure that it is what was wanted, and no wider."""
        if not granted.external_port or not granted.lease:
            raise NotMappedError(port=str(wanted.external_ports))
        if not counts(timedelta(seconds=granted.lease), timedelta(seconds=self._lease)):
            # It really ends then: kept open, it would be asked for without a pause.
            raise LeaseTooShortError(port=str(wanted.external_ports), seconds=str(granted.lease))
        if granted.unheeded:
            raise not_permitted(granted.unheeded, wanted)
        check_address(granted.external_address, wanted)
        other_port = granted.external_port != wanted.external_ports.first
        if other_port and (wanted.is_pinhole or not self._any_external_port):
            raise not_given(wanted, granted.external_port)

    def _as_granted(self, wanted: PortMapping, granted: Granted) -> PortMapping:
        """Note the grant in the id; a new address tells that all before it are lost (Q49)."""
        before, now = Grant.parse(wanted.id), self._clock()
        if before is None:
            raise AssertionError
        moved = before.external_address not in (None, granted.external_address)
        if moved and granted.external_address and before.boot == self._epochs.boot:
            self._epochs.renew_boot()
        grant = Grant(
            nonce=before.nonce,
            version=self._version,
            boot=self._epochs.boot,
            until=now + timedelta(seconds=granted.lease),
            external_address=granted.external_address,
        )
        return replace(
            wanted,
            external_ports=PortRange.single(granted.external_port),
            lease=timedelta(seconds=granted.lease),
            id=str(grant),
        )

    async def _roll_back(self, error: RouterError) -> None:
        """Take back what this call made; what may still stand is told in `error.left`."""
        left = list(self._made)
        for mapping in reversed(self._made):
            try:
                kept = await self._mapper.release(mapping)
            except RouterUnreachableError:
                # The others would take just as long to fail.
                break
            except RouterError:
                continue
            if kept is None or kept.unknown:
                left.remove(mapping)
        error.left = tuple(left)
