"""What the file of the ledger may hold, and how it is written and read.

Whatever is not so is found when the file is read, where it is kept aside and
told of, and not when a port is to be closed.
"""

from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import NotRequired, TypedDict

import voluptuous as vol

from ..kept_mapping import MAPPING, PROTOCOLS, MappingJson, mapping_from_json, mapping_to_json
from ..routers.model import Forward, PortRange, Protocol, Snapshot
from .activity import Reason
from .opening import Opening, Phase
from .uptime import Clock

_LONGEST_UPTIME = 2**32  # seconds; the counter of UPnP has 32 bits


def _time(value: object) -> datetime:
    """Return a time that can be compared with ours, and counted from."""
    if not isinstance(value, str):
        raise vol.Invalid("no text")
    time = datetime.fromisoformat(value)
    if time.tzinfo is None or not 1970 < time.year < 9999:  # noqa: PLR2004  # years
        raise vol.Invalid("no time of ours")
    return time


def _optional(validator: object) -> object:
    return vol.Any(None, validator)


_FORWARD = {
    vol.Required("id"): str,
    vol.Required("name"): str,
    vol.Required("internal_host"): _optional(str),
    "internal_host6": _optional(str),
    vol.Required("protocols"): PROTOCOLS,
    vol.Required("external_ports"): str,
    vol.Required("internal_ports"): str,
    vol.Required("allowed_source"): _optional(str),
    "any_external_port": bool,
    "adopted": _optional(MAPPING),
    "home": str,
}
_OPENING = {
    vol.Required("forward"): _FORWARD,
    vol.Required("mappings"): [MAPPING],
    vol.Required("phase"): str,
    vol.Required("opened_at"): _time,
    vol.Required("asked_at"): _time,
    vol.Required("deadline"): _optional(_time),
    vol.Required("opened_by"): _optional(str),
    vol.Required("lease_until"): _optional(_time),
    vol.Required("reason"): _optional(str),
    "limit": _optional(str),
}
_SEEN = {
    vol.Required("taken_at"): _time,
    vol.Required("uptime"): _optional(
        vol.All(vol.Any(int, float), vol.Range(min=0, max=_LONGEST_UPTIME))
    ),
    "boot_id": _optional(str),
}
_WRITTEN = {
    vol.Required("at"): _time,
    vol.Required("boot"): str,
    vol.Required("since_boot"): vol.All(vol.Any(int, float), vol.Range(min=0)),
}
# A later version may have added something that this one need not know.
STORED = vol.Schema(
    {
        vol.Required("openings"): [_OPENING],
        "learned": {str: str},
        "last_seen": _optional(_SEEN),
        "lost": bool,
        "stale": bool,
        "lockdown": bool,
        "written": _WRITTEN,
    },
    extra=vol.ALLOW_EXTRA,
)
"""Raises vol.Invalid; what it returns is not needed."""


class ForwardJson(TypedDict):
    """A forward as it was when it was opened."""

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
    home: NotRequired[str]


class OpeningJson(TypedDict):
    """One opening; times are ISO 8601 in UTC."""

    forward: ForwardJson
    mappings: list[MappingJson]
    phase: str
    opened_at: str
    asked_at: str
    deadline: str | None
    opened_by: str | None
    lease_until: str | None
    reason: str | None
    limit: NotRequired[str | None]


class SeenJson(TypedDict):
    """What the router said of itself at the last look; uptime in seconds."""

    taken_at: str
    uptime: float | None
    boot_id: NotRequired[str | None]


class WrittenJson(TypedDict):
    """When the file was written: by the clock, and in seconds since the machine started."""

    at: str
    boot: str
    since_boot: float


class LedgerJson(TypedDict):
    """The whole file."""

    version: int
    learned: dict[str, str]
    openings: list[OpeningJson]
    last_seen: NotRequired[SeenJson]
    lost: NotRequired[bool]
    stale: NotRequired[bool]
    written: NotRequired[WrittenJson]
    lockdown: NotRequired[bool]


def seen_to_json(seen: Snapshot) -> SeenJson:
    """Return what is kept of the last look at the router."""
    return {
        "taken_at": seen.taken_at.isoformat(),
        "uptime": None if seen.uptime is None else seen.uptime.total_seconds(),
        "boot_id": seen.boot_id,
    }


def seen_from_json(data: SeenJson) -> Snapshot:
    """Return the last look, of which no mapping is kept."""
    uptime = data["uptime"]
    return Snapshot(
        taken_at=datetime.fromisoformat(data["taken_at"]),
        uptime=None if uptime is None else timedelta(seconds=uptime),
        boot_id=data.get("boot_id"),
        external_address=None,
        connected=None,
        mappings=(),
    )


def clock_to_json(clock: Clock) -> WrittenJson:
    """Return what is kept of the clock when the file is written."""
    return {"at": clock.at.isoformat(), "boot": clock.boot, "since_boot": clock.since_boot}


def clock_from_json(data: LedgerJson) -> Clock | None:
    """Return how the clock stood when the file was written; that of an earlier version has none."""
    if (written := data.get("written")) is None:
        return None
    return Clock(
        at=datetime.fromisoformat(written["at"]),
        boot=written["boot"],
        since_boot=written["since_boot"],
    )


def _forward_to_json(forward: Forward) -> ForwardJson:
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
        "home": forward.home,
    }


def _forward_from_json(data: ForwardJson) -> Forward:
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
        home=data.get("home", ""),
    )


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def opening_to_json(opening: Opening) -> OpeningJson:
    """Return what is kept of an opening: all of it."""
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
        "limit": _text(opening.limit),
    }


def opening_from_json(data: OpeningJson) -> Opening:
    """Return the opening; raises ValueError for one that cannot be."""
    deadline, lease_until, reason = data["deadline"], data["lease_until"], data["reason"]
    limit = data.get("limit")
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
        limit=ip_network(limit) if limit else None,
    )
