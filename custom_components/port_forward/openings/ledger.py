"""The ledger: every opening, on disk before the router is asked for it.

Home Assistant's `Store` is not used on purpose. It logs a write that failed
and goes on, and postpones writes while Home Assistant stops; a port must not
be opened on such a promise. Here a write has happened, or it raised.
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, cast

import voluptuous as vol
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.json import cached_json_fragment, json_fragment, save_json
from homeassistant.helpers.storage import STORAGE_DIR
from homeassistant.util import dt as dt_util
from homeassistant.util.json import load_json_object

from ..const import DOMAIN
from ..routers.model import Snapshot
from .opening import Opening
from .stored import (
    STORED,
    LedgerJson,
    clock_from_json,
    clock_to_json,
    opening_from_json,
    opening_to_json,
    seen_from_json,
    seen_to_json,
)
from .uptime import clock_now

_VERSION: Final = 1

# For how long Home Assistant may be away and go on with what was open, as if nothing had been.
_LONGEST_ABSENCE: Final = timedelta(days=1)
# Restoring a backup gives a file back the time at which it was written, not that at which it
# was put there. Writing one takes less than that.
_RESTORED: Final = timedelta(minutes=1)

# How a ledger begins that was written while lockdown was off: whether it is on
# is written before everything that is long.
_NOT_LOCKED: Final = re.compile(rb'\s*\{\s*"version":\s*\d+,\s*"learned"')


class LedgerUnreadableError(HomeAssistantError):
    """The file is damaged; it was kept aside under `kept_as`.

    `may_be_locked` unless what is left of it says that lockdown was off.
    """

    def __init__(self, kept_as: Path, *, may_be_locked: bool) -> None:
        """Take the path of the kept file and what it says of lockdown."""
        super().__init__(
            translation_domain=DOMAIN,
            translation_key="ledger_unreadable",
            translation_placeholders={"path": str(kept_as)},
        )
        self.kept_as = kept_as
        self.may_be_locked = may_be_locked


class LedgerTooNewError(HomeAssistantError):
    """The file was written by a later version of the integration; it is left as it is."""

    def __init__(self, path: Path) -> None:
        """Take the path of the file."""
        super().__init__(
            translation_domain=DOMAIN,
            translation_key="ledger_too_new",
            translation_placeholders={"path": str(path)},
        )


class Ledger:
    """The openings of one router, whether it is locked, and what its driver has learned of it.

    What is awaited is on the disk, atomically, when it returns. Raises
    HomeAssistantError when the disk does not take it.
    """

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        """Name the file; nothing is read yet."""
        self._hass = hass
        self._path = Path(hass.config.path(STORAGE_DIR, f"{DOMAIN}.{entry_id}"))
        self.openings: dict[str, Opening] = {}
        self.learned: dict[str, str] = {}
        self.last_seen: Snapshot | None = None
        # True while the disk has not taken what was put or dropped.
        self.is_unsaved = False
        # True after `load` found a damaged file, until `note_found`: there may
        # be openings that only the router knows of. Kept on the disk, as the
        # router may be away now and Home Assistant be restarted before it is back.
        self.is_lost = False
        # True after `load` where Home Assistant was away for long, or a backup
        # was restored, until `note_settled`: what is in here may have been
        # closed since. Kept on the disk for the same reason.
        self.is_stale = False
        # True while lockdown is on: nothing may be opened.
        self.is_locked = False
        # By how much the clock is known to be behind what it was when the file was written.
        self.clock_is_behind = timedelta(0)
        self.saved_at: datetime | None = None
        self._is_removed = False
        # What is written of each opening, with the opening that it was made of:
        # the whole file is written each time, and most of it is as it was.
        self._written: dict[str, tuple[Opening, json_fragment]] = {}
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Read the file, if there is one.

        Raises LedgerUnreadableError when it makes no sense; the ledger is then
        empty and usable. Raises LedgerTooNewError for one that it must not touch.
        """
        try:
            stored, openings, is_restored = await self._hass.async_add_executor_job(
                _read, self._path
            )
        except LedgerUnreadableError as error:
            self.is_lost = True
            self.is_locked = error.may_be_locked
            raise
        self.is_lost = stored.get("lost", False)
        self.is_locked = stored.get("lockdown", False)
        self.learned = stored.get("learned", {})
        self.openings = {opening.forward.id: opening for opening in openings}
        if seen := stored.get("last_seen"):
            self.last_seen = seen_from_json(seen)
        now, written = dt_util.utcnow(), clock_from_json(stored)
        if written:
            self.saved_at = written.at
            self.clock_is_behind = max(written.is_now() - now, timedelta(0))
        is_old = written is not None and now - written.at > _LONGEST_ABSENCE
        self.is_stale = bool(openings) and (stored.get("stale", False) or is_old or is_restored)

    def put(self, *openings: Opening) -> None:
        """Put `openings` in place of those of the same forwards; on disk with the next `save`.

        For those that have to be closed, whether or not the disk takes it:
        that is tried until it succeeds. `is_unsaved` says so until the disk has it.
        """
        self.openings = {**self.openings, **{opening.forward.id: opening for opening in openings}}
        self.is_unsaved = True

    def drop(self, *forward_ids: str) -> None:
        """Drop the openings of these forwards, which are closed; on disk with the next `save`.

        They are dropped even when the disk does not take it. `is_unsaved` says
        so until it has: a restart must not make again what was closed.
        """
        self.openings = {key: row for key, row in self.openings.items() if key not in forward_ids}
        self.is_unsaved = True

    async def record(self, *openings: Opening) -> None:
        """Put `openings` in place of those of the same forwards, once the disk has taken it."""
        new = {opening.forward.id: opening for opening in openings}
        async with self._writing:
            await self._write_locked({**self.openings, **new})
            # Others may have been put or dropped meanwhile.
            self.openings = {**self.openings, **new}

    async def save(self) -> None:
        """Write what was put, dropped or set."""
        async with self._writing:
            await self._write_locked(self.openings)

    async def lock(self) -> None:
        """Turn lockdown on, whether or not the disk takes it, and write what was put."""
        self.is_locked = True
        self.is_unsaved = True
        await self.save()

    async def unlock(self) -> None:
        """Turn lockdown off; it stays on when the disk does not take it."""
        self.is_locked = False
        try:
            await self.save()
        except HomeAssistantError:
            self.is_locked = True
            raise

    async def learn(self, learned: Mapping[str, str]) -> None:
        """Keep what the driver has learned, if any of it is new."""
        if self.learned != learned:
            self.learned = dict(learned)
            await self.save()

    async def begin_anew(self) -> None:
        """Forget all of this router, as another one takes its place. Lockdown is the user's."""
        self.learned = {}
        self.last_seen = None
        self.is_lost = self.is_stale = False
        self.openings = {}
        await self.save()

    def note_found(self) -> None:
        """All that only the router knew of is in here again; on disk with the next change."""
        self.is_lost = False
        self.is_unsaved = True

    def note_settled(self) -> None:
        """Go on with what is in here: nothing of it may have been closed unseen any more."""
        self.is_stale = False
        self.is_unsaved = True

    async def remove(self) -> None:
        """Delete the file, and those that were kept aside; nothing is written any more."""
        self._is_removed = True
        async with self._writing:
            await self._hass.async_add_executor_job(_remove, self._path)

    async def _write_locked(self, openings: dict[str, Opening]) -> None:
        data: dict[str, object] = {
            **_head(is_locked=self.is_locked),
            "learned": self.learned,
            "openings": self._write_out(openings),
        }
        if self.is_lost:
            data["lost"] = True
        if self.is_stale:
            data["stale"] = True
        if self.last_seen:
            data["last_seen"] = seen_to_json(self.last_seen)
        clock = clock_now()
        data["written"] = clock_to_json(clock)
        unsaved, self.is_unsaved = self.is_unsaved, False
        try:
            if not self._is_removed:
                await self._hass.async_add_executor_job(_write, self._path, data)
        except BaseException:
            self.is_unsaved = self.is_unsaved or unsaved
            raise
        self.saved_at = clock.at

    def _write_out(self, openings: dict[str, Opening]) -> list[json_fragment]:
        """Return the text of each opening; that of those that have changed is made anew."""
        for forward_id, opening in openings.items():
            written = self._written.get(forward_id)
            if written is None or written[0] is not opening:
                text = cached_json_fragment(opening_to_json(opening))
                self._written[forward_id] = (opening, text)
        for forward_id in self._written.keys() - openings.keys():
            del self._written[forward_id]
        return [self._written[forward_id][1] for forward_id in openings]


def _head(*, is_locked: bool) -> dict[str, object]:
    """Return how the file begins; `_NOT_LOCKED` relies on it."""
    version: dict[str, object] = {"version": _VERSION}
    return version | {"lockdown": True} if is_locked else version


def _write(path: Path, data: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_json(str(path), data, private=True, atomic_writes=True)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    for kept in path.parent.glob(f"{path.name}.corrupt.*"):
        kept.unlink(missing_ok=True)


def _read(path: Path) -> tuple[LedgerJson, list[Opening], bool]:
    """Return what the file holds, and whether it comes from a backup."""
    empty: LedgerJson = {"version": _VERSION, "learned": {}, "openings": []}
    try:
        stored = cast("LedgerJson", load_json_object(path, default={})) or empty
        _check_version(path, stored)
        STORED(stored)
        openings = list(map(opening_from_json, stored["openings"]))
    except LedgerTooNewError:
        raise
    except (HomeAssistantError, vol.Invalid, ValueError) as error:
        kept_as = path.with_name(f"{path.name}.corrupt.{dt_util.utcnow():%Y-%m-%dT%H-%M-%S}")
        path.replace(kept_as)
        # On the safe side: lockdown that is on for no reason opens no port, and
        # the user is told; lockdown that is forgotten would let others open one.
        may_be_locked = not _NOT_LOCKED.match(_beginning(kept_as))
        with suppress(HomeAssistantError):  # Logged by Home Assistant.
            _write(path, {**_head(is_locked=may_be_locked), "openings": [], "lost": True})
        raise LedgerUnreadableError(kept_as, may_be_locked=may_be_locked) from error
    return stored, openings, _is_from_a_backup(path)


def _check_version(path: Path, stored: LedgerJson) -> None:
    """Raise LedgerTooNewError for a file of which this version cannot know what it means."""
    version: object = stored.get("version")
    if isinstance(version, int) and version > _VERSION:
        raise LedgerTooNewError(path)


def _is_from_a_backup(path: Path) -> bool:
    """Return whether the file was put there long after it was written.

    Home Assistant's restore, the Supervisor's, and whoever copies files with
    their times leave it so. A file that Home Assistant wrote was last changed
    when it was written.
    """
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_ctime - status.st_mtime > _RESTORED.total_seconds()


def _beginning(path: Path) -> bytes:
    """Return as much as tells of lockdown, nothing where the disk does not give it."""
    try:
        with path.open("rb") as file:
            return file.read(100)
    except OSError:
        return b""
