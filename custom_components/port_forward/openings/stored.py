"""What the file of the ledger may hold.

Whatever is not so is found when the file is read, where it is kept aside and
told of, and not when a port is to be closed.
"""

from datetime import datetime

import voluptuous as vol

from ..kept_mapping import MAPPING, PROTOCOLS

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
}
_SEEN = {
    vol.Required("taken_at"): _time,
    vol.Required("uptime"): _optional(
        vol.All(vol.Any(int, float), vol.Range(min=0, max=_LONGEST_UPTIME))
    ),
    "boot_id": _optional(str),
}
# A later version may have added something that this one need not know.
STORED = vol.Schema(
    {
        vol.Required("openings"): [_OPENING],
        "learned": {str: str},
        "last_seen": _optional(_SEEN),
        "lost": bool,
    },
    extra=vol.ALLOW_EXTRA,
)
"""Raises vol.Invalid; what it returns is not needed."""
