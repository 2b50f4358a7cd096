"""Whether a FRITZ!Box keeps to a lease: nobody knows, so it has to be seen.

A box may store a lease, show it for ever, and never end anything. What remains
of one has to have become less before it counts as kept.
"""

from collections.abc import Iterable, MutableMapping
from dataclasses import replace
from datetime import datetime, timedelta

from ..model import Leases, PortMapping
from ..upnp.lease import LEASES

PROOF = "lease_proof"
"""Key of `learned`: the value of `Leases` that has been seen, and not just heard."""

_LONG_ENOUGH = timedelta(seconds=10)


class LeaseProof:
    """What was granted when, until it is known what that is worth."""

    def __init__(self, learned: MutableMapping[str, str]) -> None:
        """Take the memory of the driver."""
        self._learned = learned
        self._granted: dict[str, tuple[datetime, timedelta]] = {}

    def note(self, granted: Iterable[PortMapping], now: datetime) -> None:
        """Keep what the box says of leases that it has just granted."""
        for mapping in granted:
            if mapping.lease:
                self._granted[mapping.key] = (now, mapping.lease)

    def correct(self) -> None:
        """Take back what opening has learned from just hearing it."""
        if PROOF in self._learned:
            self._learned[LEASES] = self._learned[PROOF]
        elif self._learned.get(LEASES) == Leases.KEPT:
            del self._learned[LEASES]

    def believed(self, rows: Iterable[PortMapping]) -> tuple[PortMapping, ...]:
        """Return rows without their leases, until these count."""
        if self._learned.get(PROOF) == Leases.KEPT:
            return tuple(rows)
        return tuple(replace(row, lease=None) for row in rows)

    def look(self, rows: Iterable[PortMapping], now: datetime) -> None:
        """Compare what remains of them with what should."""
        if PROOF in self._learned:
            return
        for row in rows:
            since, lease = self._granted.get(row.key, (now, timedelta()))
            passed = now - since
            if row.lease and passed >= _LONG_ENOUGH:
                counts_down = row.lease <= lease - passed / 2
                self._learned[PROOF] = Leases.KEPT if counts_down else Leases.IGNORED
                self._learned[LEASES] = self._learned[PROOF]
                return
