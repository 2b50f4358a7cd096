"""The ledger: every opening, on disk before the router is asked for it.

Home Assistant's `Store` is not used on purpose. It logs a write that failed
and goes on, and postpones writes while Home Assistant stops; a port must not
be opened on such a promise. Here a write has happened, or it raised.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import NotRequired, TypedDict, cast

import voluptuous as vol
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.json import cached_json_fragment, json_fragment, save_json
from homeassistant.helpers.storage import STORAGE_DIR
from homeassistant.util import dt as dt_util
from homeassistant.util.json import load_json_object

from ..const import DOMAIN
from ..kept_mapping import MappingJson, mapping_from_json, mapping_to_json
from ..routers.model import Forward, PortMapping, PortRange, Protocol, Snapshot
from .activity import Reason
from .stored import STORED

_VERSION = 1


class Phase(StrEnum):
    """How far an opening has come, so that a restart knows what it may find.

    OPENING: the router may hold some of the mappings. OPEN: it held them all.
    LOST: the router lost them and they are to be made again. CLOSING: whatever
    it still holds has to go.
    """

    OPENING = "opening"
    OPEN = "open"
    LOST = "lost"
    CLOSING = "closing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """One period in which a forward is open.

    `forward` is as it was when opened, whatever the user has edited since.
    `deadline` is when it has to be closed, None for until somebody closes it;
    `asked_at` is when that was last said. `lease_until` is when the router
    lets go of the mappings unless they are renewed; None when it does not.
    `opened_by` is the id of the user who opened it, `reason` why it is lost or
    being closed. All times are UTC.
    """

    forward: Forward
    mappings: tuple[PortMapping, ...]
    phase: Phase
    opened_at: datetime
    asked_at: datetime
    deadline: datetime | None = None
    opened_by: str | None = None
    lease_until: datetime | None = None
    reason: Reason | None = None

    @property
    def external_ports(self) -> str:
        """Where it can be reached from outside: `8080`, or `tcp 8080, udp 8081` where they differ.

        The router may have granted others than the forward asks for.
        """
        granted: dict[str, list[str]] = {}
        for mapping in self.mappings:
            for protocol in mapping.protocols:
                granted.setdefault(protocol, []).append(str(mapping.external_ports))
        asked = {str(self.forward.external_ports), *map(str, self.forward.external_ports)}
        if all(asked.issuperset(ports) for ports in granted.values()):
            return str(self.forward.external_ports)
        ports = {protocol: ", ".join(dict.fromkeys(rows)) for protocol, rows in granted.items()}
        if len(set(ports.values())) == 1:
            return next(iter(ports.values()))
        return ", ".join(f"{protocol} {rows}" for protocol, rows in ports.items())

    def within(self, phase: Phase, reason: Reason | None = None) -> Opening:
        """Return the same opening in another phase, for this reason or the one it has."""
        return replace(self, phase=phase, reason=reason or self.reason)

    def is_overdue(self, now: datetime) -> bool:
        """Tell whether it should be closed by now."""
        return self.deadline is not None and self.deadline <= now


class LedgerUnreadableError(HomeAssistantError):
    """The file is damaged; it was kept aside under `kept_as`."""

    def __init__(self, kept_as: Path) -> None:
        """Take the path of the kept file."""
        super().__init__(
            translation_domain=DOMAIN,
            translation_key="ledger_unreadable",
            translation_placeholders={"path": str(kept_as)},
        )
        self.kept_as = kept_as


class Ledger:
    """The openings of one router, and what its driver has learned of it.

    Changes are awaited until they are on disk, atomically. Raises
    HomeAssistantError when the disk does not take them, and then keeps what it
    held before.
    """

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        """Name the file; nothing is read yet."""
        self._hass = hass
        self._path = Path(hass.config.path(STORAGE_DIR, f"{DOMAIN}.{entry_id}"))
        self.openings: dict[str, Opening] = {}
        self.learned: dict[str, str] = {}
        self.last_seen: Snapshot | None = None
        # True while the disk has not taken what was marked or dropped.
        self.is_unsaved = False
        # True after `load` found a damaged file, until `note_found`: there may
        # be openings that only the router knows of. Kept on the disk, as the
        # router may be away now and Home Assistant be restarted before it is back.
        self.is_lost = False
        # What is written of each opening, with the opening that it was made of:
        # the whole file is written each time, and most of it is as it was.
        self._written: dict[str, tuple[Opening, json_fragment]] = {}

    async def load(self) -> None:
        """Read the file, if there is one.

        Raises LedgerUnreadableError when it makes no sense; the ledger is then
        empty and usable.
        """
        try:
            stored, openings = await self._hass.async_add_executor_job(_read, self._path)
        except LedgerUnreadableError:
            self.is_lost = True
            raise
        self.is_lost = stored.get("lost", False)
        self.learned = stored.get("learned", {})
        self.openings = {opening.forward.id: opening for opening in openings}
        if seen := stored.get("last_seen"):
            self.last_seen = _seen_from_json(seen)

    async def record(self, *openings: Opening) -> None:
        """Put `openings` in place of those of the same forwards."""
        await self._save({**self.openings, **{opening.forward.id: opening for opening in openings}})

    async def mark(self, *openings: Opening) -> None:
        """Put `openings` in place of those of the same forwards, whether or not the disk takes it.

        For those that are to be closed: that is tried until it succeeds.
        `is_unsaved` tells until the disk has it.
        """
        self.openings = {**self.openings, **{opening.forward.id: opening for opening in openings}}
        self.is_unsaved = True
        await self._save(self.openings)

    async def strike(self, *forward_ids: str) -> None:
        """Drop the openings of these forwards: the router confirmed that they are closed.

        They are dropped even when the disk does not take it. `is_unsaved`
        tells until it has: a restart must not make again what was closed.
        """
        self.openings = {key: row for key, row in self.openings.items() if key not in forward_ids}
        self.is_unsaved = True
        await self._save(self.openings)

    def note_found(self) -> None:
        """All that only the router knew of is in here again; on disk with the next change."""
        self.is_lost = False
        self.is_unsaved = True

    async def remove(self) -> None:
        """Delete the file."""
        await self._hass.async_add_executor_job(lambda: self._path.unlink(missing_ok=True))

    async def _save(self, openings: dict[str, Opening]) -> None:
        data: dict[str, object] = {
            "version": _VERSION,
            "learned": self.learned,
            "openings": self._write_out(openings),
        }
        if self.is_lost:
            data["lost"] = True
        if self.last_seen:
            uptime = self.last_seen.uptime
            data["last_seen"] = {
                "taken_at": self.last_seen.taken_at.isoformat(),
                "uptime": None if uptime is None else uptime.total_seconds(),
                "boot_id": self.last_seen.boot_id,
            }
        await self._hass.async_add_executor_job(_write, self._path, data)
        self.openings = openings
        self.is_unsaved = False

    def _write_out(self, openings: dict[str, Opening]) -> list[json_fragment]:
        """Return the text of each opening; that of those that have changed is made anew."""
        for forward_id, opening in openings.items():
            written = self._written.get(forward_id)
            if written is None or written[0] is not opening:
                text = cached_json_fragment(_opening_to_json(opening))
                self._written[forward_id] = (opening, text)
        for forward_id in self._written.keys() - openings.keys():
            del self._written[forward_id]
        return [self._written[forward_id][1] for forward_id in openings]


class _ForwardJson(TypedDict):
    id: str
    name: str
    internal_host: str | None
    internal_host6: NotRequired[str | None]
    protocols: list[str]
    external_ports: str
    internal_ports: str
    allowed_source: str | None
    any_external_port: NotRequired[bool]
    adopted: NotRequired[MappingJson | None]


class _OpeningJson(TypedDict):
    forward: _ForwardJson
    mappings: list[MappingJson]
    phase: str
    opened_at: str
    asked_at: str
    deadline: str | None
    opened_by: str | None
    lease_until: str | None
    reason: str | None


class _SeenJson(TypedDict):
    taken_at: str
    uptime: float | None
    boot_id: NotRequired[str | None]


class _LedgerJson(TypedDict):
    version: int
    learned: dict[str, str]
    openings: list[_OpeningJson]
    last_seen: NotRequired[_SeenJson]
    lost: NotRequired[bool]


def _write(path: Path, data: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_json(str(path), data, private=True, atomic_writes=True)


def _read(path: Path) -> tuple[_LedgerJson, list[Opening]]:
    empty: _LedgerJson = {"version": _VERSION, "learned": {}, "openings": []}
    try:
        stored = cast("_LedgerJson", load_json_object(path, default={})) or empty
        STORED(stored)
        openings = list(map(_opening_from_json, stored["openings"]))
    except (HomeAssistantError, vol.Invalid, ValueError) as error:
        kept_as = path.with_name(f"{path.name}.corrupt.{dt_util.utcnow():%Y-%m-%dT%H-%M-%S}")
        path.replace(kept_as)
        with suppress(HomeAssistantError):  # Logged by Home Assistant.
            _write(path, {**empty, "lost": True})
        raise LedgerUnreadableError(kept_as) from error
    return stored, openings


def _seen_from_json(data: _SeenJson) -> Snapshot:
    uptime = data["uptime"]
    return Snapshot(
        taken_at=datetime.fromisoformat(data["taken_at"]),
        uptime=None if uptime is None else timedelta(seconds=uptime),
        boot_id=data.get("boot_id"),
        external_address=None,
        connected=None,
        mappings=(),
    )


def _forward_to_json(forward: Forward) -> _ForwardJson:
    return {
        "id": forward.id,
        "name": forward.name,
        "internal_host": _text(forward.internal_host),
        "internal_host6": _text(forward.internal_host6),
        "protocols": list(forward.protocols),
        "external_ports": str(forward.external_ports),
        "internal_ports": str(forward.internal_ports),
        "allowed_source": _text(forward.allowed_source),
        "any_external_port": forward.any_external_port,
        "adopted": mapping_to_json(forward.adopted) if forward.adopted else None,
    }


def _forward_from_json(data: _ForwardJson) -> Forward:
    host, host6 = data["internal_host"], data.get("internal_host6")
    source, adopted = data["allowed_source"], data.get("adopted")
    return Forward(
        id=data["id"],
        name=data["name"],
        internal_host=IPv4Address(host) if host else None,
        internal_host6=IPv6Address(host6) if host6 else None,
        protocols=tuple(map(Protocol, data["protocols"])),
        external_ports=PortRange.parse(data["external_ports"]),
        internal_ports=PortRange.parse(data["internal_ports"]),
        allowed_source=ip_network(source) if source else None,
        any_external_port=data.get("any_external_port", False),
        adopted=mapping_from_json(adopted) if adopted else None,
    )


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def _opening_to_json(opening: Opening) -> _OpeningJson:
    return {
        "forward": _forward_to_json(opening.forward),
        "mappings": [mapping_to_json(mapping) for mapping in opening.mappings],
        "phase": opening.phase,
        "opened_at": opening.opened_at.isoformat(),
        "asked_at": opening.asked_at.isoformat(),
        "deadline": opening.deadline.isoformat() if opening.deadline else None,
        "opened_by": opening.opened_by,
        "lease_until": opening.lease_until.isoformat() if opening.lease_until else None,
        "reason": opening.reason,
    }


def _opening_from_json(data: _OpeningJson) -> Opening:
    deadline, lease_until, reason = data["deadline"], data["lease_until"], data["reason"]
    return Opening(
        forward=_forward_from_json(data["forward"]),
        mappings=tuple(map(mapping_from_json, data["mappings"])),
        phase=Phase(data["phase"]),
        opened_at=datetime.fromisoformat(data["opened_at"]),
        asked_at=datetime.fromisoformat(data["asked_at"]),
        deadline=datetime.fromisoformat(deadline) if deadline else None,
        opened_by=data["opened_by"],
        lease_until=datetime.fromisoformat(lease_until) if lease_until else None,
        reason=Reason(reason) if reason else None,
    )
