"""Who changes the house meanwhile: its routers and forwards, as the frontend changes them.

What it holds after a kill is what Home Assistant's disk says: a change is there a second after it
was made.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from math import inf
from pathlib import Path
from typing import Any

from lab.virtual_router import VirtualMapping, free_port

from ..home import Forward, Home, Key, entry_id

_CONFIG = "/api/config/config_entries"
_FORWARD_FLOW = f"{_CONFIG}/subentries/flow"
_OPTIONS_FLOW = f"{_CONFIG}/options/flow"

# The shortest that the form takes. On the disk it is shorter, see `Household.read_disk`.
_SHORTEST_LEASE = 120


# What is added or edited closes after so many seconds at least.
SHORTEST_OWN = 5

# Home Assistant writes its entries a second after they were changed.
_KEPT_AFTER = 1.2


class ChangeRefusedError(Exception):
    """Home Assistant did not take a change that was filled in as it should be."""


@dataclass(slots=True)
class _Entry:
    """What is known of the config entry of a router."""

    disabled: bool = False
    loaded_since: float = inf
    """Since when it has been loaded without a break; inf while it is not."""
    changes: int = 0
    """How many changes of it are under way."""
    changed: float = -inf
    """When the last one was answered."""


class Household:
    """The routers and forwards that there are, and what can be done to them."""

    def __init__(self, home: Home) -> None:
        """Take a house as it was furnished."""
        self._home = home
        self._entries = [_Entry() for _ in home.routers]
        self.forwards = {forward.id: forward for forward in home.forwards}
        # Every key that was ever one of a forward's: no port is used by two.
        self.owners: dict[tuple[int, Key], str] = {}
        self._listener: asyncio.Task[None]
        self._taken = {(forward.router, forward.port) for forward in home.forwards if forward.taken}
        self._numbers = count(1)
        self._options = [entry["options"] for entry in self._stored()[1]]
        for forward in home.forwards:
            self._own(forward)

    def of(self, router: int) -> Sequence[Forward]:
        """Return the forwards of a router."""
        return [forward for forward in self.forwards.values() if forward.router == router]

    def exists(self, forward: Forward) -> bool:
        """Return whether it was neither deleted nor forgotten with a kill."""
        return forward.id in self.forwards

    def is_disabled(self, router: int) -> bool:
        """Return whether a router is disabled, as far as was answered."""
        return self._entries[router].disabled

    def was_calm(self, router: int, since: float) -> bool:
        """Return whether the entry of a router was loaded all the time, and not changed."""
        entry = self._entries[router]
        return entry.loaded_since <= since and not entry.changes and entry.changed <= since

    def strays(self, forward: Forward) -> list[VirtualMapping]:
        """Return the mappings on keys that were the forward's and are not any more."""
        keys = [
            key
            for (router, key), owner in self.owners.items()
            if owner == forward.id and key not in forward.keys
        ]
        return self._home.rows_of(forward.router, keys)

    async def listen(self) -> None:
        """Note from now on when an entry is loaded, until Home Assistant dies."""
        listening = asyncio.Event()
        self._listener = asyncio.create_task(self._listen(listening))
        await listening.wait()

    async def _listen(self, listening: asyncio.Event) -> None:
        try:
            async with await self._home.ha.subscribe("config_entries/subscribe") as events:
                while True:
                    self._note(await events.get())
                    listening.set()
        except asyncio.QueueShutDown, ConnectionError:
            pass
        finally:
            listening.set()

    def _note(self, changes: Iterable[dict[str, Any]]) -> None:
        by_id = {entry_id(index): entry for index, entry in enumerate(self._entries)}
        for change in changes:
            if entry := by_id.get(change["entry"]["entry_id"]):
                loaded = change["entry"]["state"] == "loaded"
                if not loaded:
                    entry.loaded_since = inf
                elif entry.loaded_since == inf:
                    entry.loaded_since = time.time()

    @asynccontextmanager
    async def _changing(self, router: int) -> AsyncIterator[None]:
        entry = self._entries[router]
        entry.changes += 1
        try:
            yield
        finally:
            entry.changes -= 1
            entry.changed = time.time()

    async def reload(self, router: int) -> None:
        """Reload the entry of a router."""
        async with self._changing(router):
            await self._home.ha.post(f"{_CONFIG}/entry/{entry_id(router)}/reload", {})

    async def disable(self, router: int, *, disabled: bool) -> None:
        """Disable or enable a router."""
        async with self._changing(router):
            await self._home.ha.command(
                "config_entries/disable",
                entry_id=entry_id(router),
                disabled_by="user" if disabled else None,
            )
            self._entries[router].disabled = disabled

    async def enable_all(self) -> None:
        """Enable what is disabled, and wait until a kill does not undo that."""
        disabled = [router for router, entry in enumerate(self._entries) if entry.disabled]
        for router in disabled:
            await self.disable(router, disabled=False)
        if disabled:
            await asyncio.sleep(_KEPT_AFTER)

    async def set_options(self, router: int, number: int) -> None:
        """Change how often a router is looked at, and its lease."""
        async with self._changing(router):
            step = await self._home.ha.post(_OPTIONS_FLOW, {"handler": entry_id(router)})
            step = await self._home.ha.post(
                f"{_OPTIONS_FLOW}/{step['flow_id']}",
                {"refresh_interval": 10 + number % 3, "lease": _SHORTEST_LEASE + number},
            )
            _expect(step, "create_entry")

    async def add(self, router: int, number: int) -> Forward:
        """Add a forward to a router."""
        port = self._free_port()
        forward = Forward(
            id="",
            name=f"added{next(self._numbers):04}",
            router=router,
            port=port,
            protocols=("TCP", "UDP") if number % 4 == 1 else ("TCP",),
            close_after=inf if number % 5 == 0 else SHORTEST_OWN + number % 20,
            taken=False,
        )
        async with self._changing(router):
            handler = {"handler": [entry_id(router), "forward"]}
            _expect(await self._fill_in(handler, forward), "create_entry")
            rows = await self._home.ha.command(
                "config_entries/subentries/list", entry_id=entry_id(router)
            )
        [id_] = [row["subentry_id"] for row in rows if row["title"] == forward.name]
        forward = replace(forward, id=id_)
        self.forwards[id_] = forward
        self._own(forward)
        return forward

    def edited(self, forward: Forward, number: int) -> Forward:
        """Return what an edit makes of it: it leads elsewhere, is elsewhere, or closes later."""
        match number % 3:
            case 0:
                return replace(forward, internal_port=forward.internal_port % 60000 + 1)
            case 1:
                return replace(forward, port=self._free_port(), taken=False)
            case _:
                return replace(forward, close_after=SHORTEST_OWN + number % 20)

    async def edit(self, forward: Forward) -> None:
        """Let the forward of this id become this one."""
        self._own(forward)
        async with self._changing(forward.router):
            handler = {
                "handler": [entry_id(forward.router), "forward"],
                "subentry_id": forward.id,
            }
            step = await self._fill_in(handler, forward)
            _expect(step, "abort")
            if step["reason"] != "reconfigure_successful":
                raise ChangeRefusedError(step)
            if forward.id in self.forwards:
                self.forwards[forward.id] = forward

    async def delete(self, forward: Forward) -> None:
        """Delete a forward."""
        async with self._changing(forward.router):
            await self._home.ha.command(
                "config_entries/subentries/delete",
                entry_id=entry_id(forward.router),
                subentry_id=forward.id,
            )
            self.forwards.pop(forward.id, None)

    def read_disk(self) -> None:
        """Take what Home Assistant has kept, while it is dead.

        The options are again what they were: its form takes no lease that is short enough.
        """
        stored, entries = self._stored()
        self.forwards.clear()
        for router, (kept, options) in enumerate(zip(entries, self._options, strict=True)):
            self._entries[router] = _Entry(disabled=kept["disabled_by"] is not None)
            kept["options"] = options
            for subentry in kept["subentries"]:
                port = int(subentry["data"]["external_ports"])
                taken = (router, port) in self._taken
                forward = Forward.stored(subentry, router, taken=taken)
                self.forwards[forward.id] = forward
                self._own(forward)
        self._path.write_text(json.dumps(stored))

    @property
    def _path(self) -> Path:
        return self._home.config / ".storage" / "core.config_entries"

    def _stored(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return what Home Assistant has stored, and the entries of the routers in it."""
        stored: dict[str, Any] = json.loads(self._path.read_text())
        by_id = {entry["entry_id"]: entry for entry in stored["data"]["entries"]}
        return stored, [by_id[entry_id(index)] for index in range(len(self._home.routers))]

    def _own(self, forward: Forward) -> None:
        self.owners |= {(forward.router, key): forward.id for key in forward.keys}

    def _free_port(self) -> int:
        used = {key[1] for _, key in self.owners}
        while (port := free_port(self._home.routers[0].wans[0].host)) in used:
            pass
        return port

    async def _fill_in(self, handler: dict[str, Any], forward: Forward) -> dict[str, Any]:
        """Fill in the form of a forward, and confirm what is risky."""
        subentry = forward.subentry
        values = {"name": forward.name, "until_closed": False, **subentry["data"], "more": {}}
        step: dict[str, Any] = await self._home.ha.post(_FORWARD_FLOW, handler)
        step = await self._home.ha.post(f"{_FORWARD_FLOW}/{step['flow_id']}", values)
        if step.get("step_id") == "confirm_risk":
            asked = {
                field["name"]: field["description"]["suggested_value"]
                for field in step["data_schema"]
                if "suggested_value" in (field.get("description") or {})
            }
            step = await self._home.ha.post(
                f"{_FORWARD_FLOW}/{step['flow_id']}", {**asked, "confirmed": True}
            )
        return step


def _expect(step: dict[str, Any], kind: str) -> None:
    if step["type"] != kind:
        raise ChangeRefusedError(step)
