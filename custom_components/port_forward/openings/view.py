"""What the router holds, as far as it is known now."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from ..routers.model import PortMapping, Snapshot


class View:
    """The newest snapshot with all that commands have read back since.

    `changes` counts what was changed on the router by us: a snapshot during
    which it moved may show the time before the change and must not be used.
    """

    def __init__(self, on_change: Callable[[Collection[str]], None]) -> None:
        """Know nothing yet; `on_change` is told the ids of the forwards that a command changed."""
        self.snapshot: Snapshot | None = None
        self.changes = 0
        self._on_change = on_change
        self._rows: dict[tuple[str, str], PortMapping] = {}

    def take(self, snapshot: Snapshot) -> None:
        """Start anew from a snapshot."""
        self.snapshot = snapshot
        self._rows = {}
        for row in snapshot.mappings:
            # Of two rules alike the one that is on: an open port must not show as closed.
            if row.enabled or _place(row) not in self._rows:
                self._rows[_place(row)] = row

    def holds(self, mapping: PortMapping) -> bool:
        """Tell whether the router has this mapping, and uses it."""
        row = self._rows.get(_place(mapping))
        return row is not None and row.enabled

    def find(self, mappings: Iterable[PortMapping]) -> list[PortMapping]:
        """Return the rows of these mappings, as far as they are there."""
        return [row for mapping in mappings if (row := self._rows.get(_place(mapping)))]

    def update(
        self,
        *forward_ids: str,
        removed: Collection[PortMapping] = (),
        added: Collection[PortMapping] = (),
    ) -> None:
        """Show what the router has just confirmed of these forwards, without waiting for a poll."""
        self.changes += 1
        if self.snapshot is None:
            return
        for mapping in removed:
            self._rows.pop(_place(mapping), None)
        self._rows.update((_place(row), row) for row in added)
        self.snapshot = replace(self.snapshot, mappings=tuple(self._rows.values()))
        self._on_change(frozenset(forward_ids))


def _place(mapping: PortMapping) -> tuple[str, str]:
    """Return what tells rows apart; some routers show two rows of one key (Q18)."""
    return mapping.key, mapping.target
