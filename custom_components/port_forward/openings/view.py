"""What the router holds, as far as it is known now."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..routers.model import PortMapping, Snapshot

type _Place = tuple[str, str]


class Look:
    """One reading of the router, and what commands have changed there since it began."""

    def __init__(self) -> None:
        """Begin."""
        self.changed: dict[_Place, PortMapping | None] = {}


class View:
    """The newest snapshot with all that commands have read back since.

    A look takes its time, and may show the time before a command: of the rows
    that a command has changed since it began, what the command has read back
    counts. All others are taken from the look.
    """

    def __init__(self, on_change: Callable[[Collection[str]], None]) -> None:
        """Know nothing yet; `on_change` is told the ids of the forwards that a command changed."""
        self.snapshot: Snapshot | None = None
        self._on_change = on_change
        self._rows: dict[_Place, PortMapping] = {}
        self._looks: list[Look] = []

    @contextmanager
    def look(self) -> Iterator[Look]:
        """Begin a look; what it finds is taken with `take` before this is left."""
        look = Look()
        self._looks.append(look)
        try:
            yield look
        finally:
            self._looks.remove(look)

    def take(self, look: Look, snapshot: Snapshot) -> Snapshot:
        """Take up what a look has found, and return what the router holds by now."""
        rows: dict[_Place, PortMapping] = {}
        for row in snapshot.mappings:
            # Of two rules alike the one that is on: an open port must not show as closed.
            if row.enabled or _place(row) not in rows:
                rows[_place(row)] = row
        for place, changed in look.changed.items():
            if changed is None:
                rows.pop(place, None)
            else:
                rows[place] = changed
        self._rows = rows
        if look.changed:
            snapshot = replace(snapshot, mappings=tuple(rows.values()))
        self.snapshot = snapshot
        return snapshot

    def forget(self) -> None:
        """Know nothing again: another router, or another connection, takes its place."""
        self.snapshot = None
        self._rows = {}

    def holds(self, mapping: PortMapping) -> bool:
        """Return whether the router has this mapping, and uses it."""
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
        changed: dict[_Place, PortMapping | None] = {
            **dict.fromkeys(map(_place, removed)),
            **{_place(row): row for row in added},
        }
        for look in self._looks:
            look.changed.update(changed)
        if self.snapshot is None:
            return
        for place, row in changed.items():
            if row is None:
                self._rows.pop(place, None)
            else:
                self._rows[place] = row
        if changed:
            self.snapshot = replace(self.snapshot, mappings=tuple(self._rows.values()))
        self._on_change(frozenset(forward_ids))


def _place(mapping: PortMapping) -> _Place:
    """Return what tells rows apart; some routers show two rows of one key (Q18)."""
    return mapping.key, mapping.target
