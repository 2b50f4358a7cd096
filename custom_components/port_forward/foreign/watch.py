"""The foreign mappings of one router: what no forward accounts for is watched."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypedDict, cast

import voluptuous as vol
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.storage import Store

from ..const import DOMAIN, LOGGER, SUBENTRY_TYPE_FORWARD
from ..devices.lan import async_device_at
from ..openings import Keeper, Opening
from ..pieces import in_pieces
from ..routers.model import Forward, Listing, PortMapping
from ..routers.router import Router
from ..routers.shown import clean
from ..runtime import async_runtimes
from .audit import MEMORY, Memory, MemoryJson, fingerprint
from .coverage import Coverage
from .issues import Issues
from .telling import Teller

_VERSION: Final = 1


class _TakingOverJson(TypedDict):
    """A forward that was made of a foreign mapping, whose opening has not begun yet."""

    deadline: str | None
    user_id: str | None


class _StoredJson(TypedDict):
    memory: MemoryJson
    taking_over: dict[str, _TakingOverJson]


_STORED = vol.Schema(
    {
        # Of an earlier version.
        "wan": vol.Any(None, str),
        vol.Required("memory"): MEMORY,
        vol.Required("taking_over"): {
            str: {
                vol.Required("deadline"): vol.Any(None, str),
                vol.Required("user_id"): vol.Any(None, str),
            }
        },
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A foreign mapping as the router shows it."""

    mapping: PortMapping
    mark: str
    """Its fingerprint."""
    forward_id: str | None = None
    """The forward that it leads where, though nobody has opened that."""


class Foreign:
    """Watches what the router holds that is not ours.

    A mapping is ours if the ledger holds its key and target, or if openings on
    other routers of ours, which may be this very one, account for all of its
    ports. That it leads exactly where a forward does is not enough: nothing
    would close it. A description decides nothing: anybody can write one.
    """

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry, router: Router, keeper: Keeper
    ) -> None:
        """Know nothing before the first look."""
        self.rows: tuple[Row, ...] = ()
        self.teller = Teller(hass, entry)
        self._hass = hass
        self._entry = entry
        self._router = router
        self._keeper = keeper
        self._store = _store(hass, entry.entry_id)
        self._memory: Memory | None = None
        self._saved: object = None
        self._taking_over: dict[str, _TakingOverJson] = {}
        self._issues = Issues(hass, entry)
        self._looking = asyncio.Lock()
        self._shown: dict[str, PortMapping] = {}
        self._elsewhere: tuple[Opening, ...] = ()

    @property
    def lists_all(self) -> bool:
        """Tell whether there cannot be more than what is known."""
        return self._router.capabilities.listing is Listing.FULL

    def is_accepted(self, row: Row) -> bool:
        """Tell whether it was there at the first look, or was accepted."""
        return self._memory is not None and self._memory.is_accepted(row.mark)

    def find(self, mark: str) -> list[Row]:
        """Return the foreign mappings of this fingerprint that are on, as of the last look.

        There are several where a router takes two spellings of "any source" for two rules (Q18).
        """
        return [row for row in self.rows if row.mark == mark and row.mapping.enabled]

    @callback
    def opened_elsewhere(self, mapping: PortMapping) -> str | None:
        """Return the name of the forward of another router of ours that accounts for a mapping."""
        openings = _openings_elsewhere(self._hass, self._entry)
        if not Coverage(_mappings_of(openings)).covers(mapping):
            return None
        return next(
            opening.forward.name
            for opening in openings
            if any(
                held.internal_host.lower() == mapping.internal_host.lower()
                and held.external_ports.overlaps(mapping.external_ports)
                for held in opening.mappings
            )
        )

    @callback
    def device_of(self, mapping: PortMapping) -> str | None:
        """Return the name of the device that it leads to, where Home Assistant knows it."""
        name = async_device_at(self._hass, mapping.internal_host)
        return clean(name) if name else None

    async def async_look(self, forwards: Mapping[str, Forward | None]) -> None:
        """Take up what the keeper knows of the router now, and tell what is new in it."""
        if self._router.capabilities.listing is Listing.NONE:
            self.rows = ()
            return
        async with self._looking:
            is_first_of_all = self._memory is None and await self._load()
            await self._take_over(forwards)
            plans = await self._plans(forwards)
            ours = {(mapping.key, mapping.target) for mapping in self._keeper.mappings}
            ours |= {place for place, owner in plans.items() if owner in self._taking_over}
            # What was closed there since the router was asked may still be among its rows.
            before, self._elsewhere = self._elsewhere, _openings_elsewhere(self._hass, self._entry)
            elsewhere = Coverage(_mappings_of((*before, *self._elsewhere)))
            rows: list[Row] = []
            marks_of_ours: set[str] = set()
            snapshot = self._keeper.view.snapshot
            async for mapping in in_pieces(snapshot.mappings if snapshot else ()):
                place = mapping.key, mapping.target
                forward_id = plans.get(place)
                mark = fingerprint(mapping, forward_id)
                # What a forward would switch and is off is as that wants it.
                is_off = forward_id is not None and not mapping.enabled
                if place in ours or is_off or elsewhere.covers(mapping):
                    marks_of_ours |= {mark, fingerprint(mapping)}
                    continue
                rows.append(Row(mapping=mapping, mark=mark, forward_id=forward_id))
                if forward_id:
                    # It has not gone, but become another thing with its forward.
                    marks_of_ours.add(fingerprint(mapping))
            self.rows = tuple(rows)
            # What was taken over has our description by now.
            marks_of_ours |= {
                mark for mark, row in self._shown.items() if (row.key, row.target) in ours
            }
            # What is off opens nothing; it is new when somebody switches it on.
            present = {row.mark: row.mapping for row in rows if row.mapping.enabled}
            await self._take_up(present, marks_of_ours, is_first_of_all=is_first_of_all)

    async def async_accept(self, *marks: str) -> None:
        """Take these for granted until they change."""
        if self._memory:
            self._memory.accept(marks, self._shown.keys())
            self._show_issues()
            await self._save()

    async def async_accept_all(self) -> None:
        """Take all that is there for granted."""
        if self._memory:
            await self.async_accept(*self._memory.told)

    async def async_forget(self, mark: str) -> None:
        """Forget one that was closed: if it comes back, it is told."""
        if self._memory:
            self._memory.forget(mark)
            await self._save()

    async def async_expect(
        self, forward_id: str, deadline: datetime | None, user_id: str | None
    ) -> None:
        """Note, on the disk, that a foreign mapping is about to become this forward.

        The next look that knows the forward makes an opening of it, even if
        Home Assistant dies before.
        """
        self._taking_over[forward_id] = {
            "deadline": deadline.isoformat() if deadline else None,
            "user_id": user_id,
        }
        await self._save()

    @callback
    def async_stop_asking(self) -> None:
        """Ask about nothing on a router that nobody watches any more."""
        self._issues.clear()

    async def _load(self) -> bool:
        """Read what is known; tell whether nothing is: this is the first look."""
        stored = cast("_StoredJson | None", await self._store.async_load())
        try:
            if stored is not None:
                _STORED(stored)
        except vol.Invalid:
            # To ask again about each mapping is better than to take them all for granted.
            LOGGER.warning("What is known of foreign mappings on %s is lost", self._entry.title)
            stored = {"memory": Memory().to_json(), "taking_over": {}}
        if stored is None:
            self._memory = Memory()
            return True
        self._memory = Memory.from_json(stored["memory"])
        known = {s.subentry_id for s in self._entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD)}
        self._taking_over |= {
            key: value for key, value in stored["taking_over"].items() if key in known
        }
        return False

    async def _plans(self, forwards: Mapping[str, Forward | None]) -> dict[tuple[str, str], str]:
        """Return by key and target of what opening a forward would ask for, which forward it is."""
        plans: dict[tuple[str, str], str] = {}
        async for forward in in_pieces(tuple(filter(None, forwards.values()))):
            for mapping in self._keeper.plan_of(forward):
                plans[mapping.key, mapping.target] = forward.id
        return plans

    async def _take_up(
        self, present: dict[str, PortMapping], ours: set[str], *, is_first_of_all: bool
    ) -> None:
        """Compare with what was known, and tell what is new."""
        assert self._memory  # noqa: S101  loaded before
        if is_first_of_all:
            # All but what shows as the open switch of a forward: nothing would close it.
            led = {row.mark for row in self.rows if row.forward_id}
            self._memory.accept([mark for mark in present if mark not in led], present.keys())
        change = self._memory.compare(present.keys(), ours)
        self.teller.tell(change, self._shown, present, device=self.device_of)
        self._shown = present
        self._show_issues()
        await self._save()

    def _show_issues(self) -> None:
        assert self._memory  # noqa: S101  loaded before
        self._issues.show(
            {mark: self._shown[mark] for mark in self._memory.told if mark in self._shown},
            device=self.device_of,
            forwards={
                row.mark: self._entry.subentries[row.forward_id].title
                for row in self.rows
                if row.forward_id and row.forward_id in self._entry.subentries
            },
            lists_all=self.lists_all,
        )

    async def _take_over(self, forwards: Mapping[str, Forward | None]) -> None:
        """Begin the openings of forwards that were made of a foreign mapping."""
        for forward_id, wish in tuple(self._taking_over.items()):
            if (forward := forwards.get(forward_id)) is None:
                continue  # Not added yet, or its host is not known now.
            deadline = wish["deadline"]
            try:
                await self._keeper.take_over(
                    forward,
                    deadline=datetime.fromisoformat(deadline) if deadline else None,
                    user_id=wish["user_id"],
                )
            except HomeAssistantError as error:
                LOGGER.warning("Could not take %s over yet: %s", forward.name, error)
                continue
            del self._taking_over[forward_id]
            await self._save()

    async def _save(self) -> None:
        """Write what is known, if it is new. Home Assistant logs what the disk does not take."""
        if self._memory is None:
            return
        data = {
            "memory": self._memory.to_json(),
            "taking_over": dict(self._taking_over),
        }
        if data != self._saved:
            self._saved = data
            await self._store.async_save(data)


@callback
def _openings_elsewhere(hass: HomeAssistant, entry: ConfigEntry) -> tuple[Opening, ...]:
    """Return the openings of our other routers, which may be this very one by another protocol."""
    return tuple(
        opening
        for other in async_runtimes(hass)
        if other.entry.entry_id != entry.entry_id
        for opening in other.keeper.openings.values()
    )


def _mappings_of(openings: Iterable[Opening]) -> Iterable[PortMapping]:
    return (mapping for opening in openings for mapping in opening.mappings)


async def async_forget_foreign(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Forget all that is known of a router's foreign mappings, and what was asked about them.

    Another connection to the internet has another list, too; but not the same
    one of which only the id is another, where nothing may pass for known.
    """
    await _store(hass, entry.entry_id).async_remove()
    Issues(hass, entry).clear()


def _store(hass: HomeAssistant, entry_id: str) -> Store[dict[str, Any]]:
    # Not the key of the ledger, which is the bare id.
    return Store(hass, _VERSION, f"{DOMAIN}.{entry_id}.foreign", private=True, atomic_writes=True)
