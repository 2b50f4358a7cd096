"""Diagnostics: what a maintainer needs to know of a router, and nothing that is secret or personal.

The versions are not here: Home Assistant adds them to the file by itself.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.const import CONF_PROTOCOL, CONF_URL, CONF_USERNAME
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from yarl import URL

from .const import (
    CONF_ADOPTED,
    CONF_ALLOWED_SOURCE,
    CONF_DRIVER,
    CONF_EXTERNAL_PORTS,
    CONF_INTERFACE,
    CONF_INTERNAL_HOST,
    CONF_INTERNAL_PORTS,
    CONF_IP_VERSION,
    CONF_WAN,
    DOMAIN,
    SUBENTRY_TYPE_FORWARD,
    THIS_HOME_ASSISTANT,
)
from .coordinator import PortForwardConfigEntry, PortForwardCoordinator
from .history import async_history
from .home import async_home
from .kept_mapping import mapping_from_json
from .mask import SECRET, Mask
from .openings import Ledger, Opening
from .openings.journal import Line, name_of
from .router_flow.kinds import SECRETS
from .routers.model import PortMapping
from .routers.observed import Observations
from .routers.tls import FINGERPRINT
from .routers.upnp import HOST, SERIAL
from .runtime import async_get_runtime

_MOST_ROWS: Final = 200
"""Of a router that a device on the network has flooded, a file of all rows would help nobody."""

_LONGEST_NAME: Final = 100

# Settings whose text tells nothing of anybody; the text of all others is not shown.
_PLAIN: Final = {
    CONF_DRIVER,
    CONF_WAN,
    CONF_EXTERNAL_PORTS,
    CONF_INTERFACE,
    CONF_INTERNAL_PORTS,
    CONF_IP_VERSION,
    CONF_PROTOCOL,
}

# What errors tell besides: all of it is the router's or ours, but for hosts.
_TELLING: Final = {"needed", "off", "offered", "port", "protocol", "version"}

type Json = dict[str, Any]


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: PortForwardConfigEntry
) -> Json:
    """Return all that is known of a router, whether it is set up now or not."""
    coordinator = entry.runtime_data if entry.state is ConfigEntryState.LOADED else None
    runtime = await async_get_runtime(hass, entry)
    history = async_history(hass, entry.entry_id)
    mask = _mask_of(entry, coordinator)
    return {
        "entry": _entry(entry, mask),
        "router": _router(coordinator, mask) if coordinator else None,
        "learned": _learned(runtime.ledger.learned, mask),
        "last_look": _last_look(coordinator, mask) if coordinator else None,
        "forwards": [
            _forward(subentry, coordinator, mask)
            for subentry in entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD)
        ],
        "ledger": _ledger(runtime.ledger, mask),
        "operations": _operations(history.observations),
        "errors": _errors(history.observations, mask),
        "journal": [_line(line, mask) for line in history.journal.lines],
    }


async def async_get_device_diagnostics(
    hass: HomeAssistant, entry: PortForwardConfigEntry, device: dr.AnyDeviceEntry
) -> Json:
    """Return the same, with one forward alone where it is the device of one."""
    found = await async_get_config_entry_diagnostics(hass, entry)
    labels = _forward_labels(entry)
    [label] = [labels.get(key) for domain, key in device.identifiers if domain == DOMAIN]
    if label is None:  # The device of the router.
        return found
    return found | {
        "forwards": [row for row in found["forwards"] if row["forward"] == label],
        "journal": [line for line in found["journal"] if line["forward"] in (label, "all")],
    }


def _forward_labels(entry: PortForwardConfigEntry) -> dict[str, str]:
    forwards = entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD)
    return {row.subentry_id: f"forward-{number}" for number, row in enumerate(forwards, 1)}


def _learned(learned: Mapping[str, str], mask: Mask) -> Json:
    shown = {key: mask.text(value) for key, value in learned.items()}
    if HOST in learned:
        shown[HOST] = mask.host(learned[HOST])
    if SERIAL in learned:
        # However short it is.
        shown[SERIAL] = SECRET
    return shown


def _mask_of(entry: PortForwardConfigEntry, coordinator: PortForwardCoordinator | None) -> Mask:
    """Return what masks all that this entry, its forwards and its router call somebody."""
    secrets = [entry.data.get(key, "") for key in (*SECRETS, FINGERPRINT)]
    labels = _forward_labels(entry)
    names = {label: label for label in labels.values()} | labels
    for forward_id, label in labels.items():
        subentry = entry.subentries[forward_id]
        names[subentry.title] = label
    names[entry.data.get(CONF_USERNAME, "")] = "user"
    names[entry.unique_id or ""] = "router-id"
    if coordinator:
        info = coordinator.info
        names |= {info.unique_id: "router-id", info.serial_number or "": "serial-number"}
        names[str(coordinator.router_address)] = "router"
        secrets += (mapping.id for mapping in coordinator.keeper.mappings)
        for number, row in enumerate(coordinator.data.mappings[:_MOST_ROWS], 1):
            if len(row.description) <= _LONGEST_NAME:
                names.setdefault(row.description, f"text-{number}")
    names[URL(entry.data[CONF_URL]).host or ""] = "router"
    return Mask(secrets=secrets, names=names)


def _entry(entry: PortForwardConfigEntry, mask: Mask) -> Json:
    url = URL(entry.data[CONF_URL])
    told = entry.error_reason_translation_placeholders
    return {
        "state": entry.state.value,
        "reason": entry.error_reason_translation_key,
        "reason_details": _details(told or {}, mask),
        "source": entry.source,
        "disabled_by": entry.disabled_by,
        "created_at": entry.created_at,
        "url": {
            "scheme": url.scheme,
            "host": mask.host(url.host or ""),
            "port": url.port,
            "path": mask.text(url.path),
        },
        "data": _settings({k: v for k, v in entry.data.items() if k != CONF_URL}, mask),
        "options": _settings(entry.options, mask),
    }


def _router(coordinator: PortForwardCoordinator, mask: Mask) -> Json:
    info = coordinator.info
    return {
        "manufacturer": mask.text(info.manufacturer or ""),
        "model": mask.text(info.model or ""),
        "version": mask.text(info.version or ""),
        "capabilities": asdict(coordinator.router.capabilities),
    }


def _last_look(coordinator: PortForwardCoordinator, mask: Mask) -> Json:
    """Return what the newest snapshot shows, and whether it is the truth of now."""
    snapshot, error = coordinator.data, coordinator.last_exception
    address, address6 = snapshot.external_address, snapshot.external_address6
    known = {(m.key, m.target) for m in coordinator.keeper.mappings}
    return {
        "success": coordinator.last_update_success,
        "last_error": _error(error, mask) if error else None,
        "interval": _seconds(coordinator.update_interval),
        "taken_at": snapshot.taken_at,
        "external_address": mask.address(address) if address else None,
        "external_address6": mask.address(address6) if address6 else None,
        "connected": snapshot.connected,
        "reachability": coordinator.internet.reachability,
        "uptime": _seconds(snapshot.uptime),
        "boot_id": snapshot.boot_id,
        "rows": len(snapshot.mappings),
        "foreign_rows": len(coordinator.foreign.rows),
        "mappings": [
            _row(row, mask)
            | {
                "ours": (row.key, row.target) in known,
                **_owner(coordinator, row, mask),
            }
            for row in snapshot.mappings[:_MOST_ROWS]
        ],
    }


def _owner(coordinator: PortForwardCoordinator, row: PortMapping, mask: Mask) -> Json:
    """Return for which forward a row was made as its tag has it, and whether that names us."""
    owner = coordinator.router.owner_of(row)
    if owner is None:
        return {"made_for": "", "made_here": None}
    return {
        "made_for": mask.name(owner.forward_id, "forgotten-forward"),
        "made_here": owner.home == async_home(coordinator.hass) if owner.home else None,
    }


def _row(row: PortMapping, mask: Mask) -> Json:
    """Return a mapping without its id: who has the nonce of a PCP mapping can delete it."""
    return {
        "protocols": row.protocols,
        "external_ports": str(row.external_ports),
        "internal_host": mask.host(row.internal_host),
        "internal_ports": str(row.internal_ports) if row.internal_ports else None,
        "allowed_source": mask.source(row.allowed_source),
        "enabled": row.enabled,
        "description": mask.name(row.description, "long-text"),
        "description_length": len(row.description),
        "lease": _seconds(row.lease),
        "hits": row.hits,
    }


def _forward(
    subentry: ConfigSubentry, coordinator: PortForwardCoordinator | None, mask: Mask
) -> Json:
    forward = coordinator.forwards.get(subentry.subentry_id) if coordinator else None
    hosts = (forward.internal_host, forward.internal_host6) if forward else ()
    adopted = subentry.data.get(CONF_ADOPTED)
    return {
        "forward": mask.name(subentry.subentry_id, "forward"),
        "settings": _settings({k: v for k, v in subentry.data.items() if k != CONF_ADOPTED}, mask),
        "adopted": _row(mapping_from_json(adopted), mask) if adopted else None,
        "leads_to": [mask.address(host) for host in hosts if host],
        "is_open": coordinator.async_is_open(subentry.subentry_id) if coordinator else None,
        "is_sure": coordinator.keeper.is_sure(subentry.subentry_id) if coordinator else None,
        "target_answers": coordinator.probes.answer(subentry.subentry_id) if coordinator else None,
    }


def _ledger(ledger: Ledger, mask: Mask) -> Json:
    return {
        "is_locked": ledger.is_locked,
        "is_lost": ledger.is_lost,
        "is_unsaved": ledger.is_unsaved,
        "openings": [_opening(opening, mask) for opening in ledger.openings.values()],
    }


def _opening(opening: Opening, mask: Mask) -> Json:
    return {
        "forward": mask.name(opening.forward.id, "forgotten-forward"),
        "phase": opening.phase,
        "reason": opening.reason,
        "opened_at": opening.opened_at,
        "asked_at": opening.asked_at,
        "deadline": opening.deadline,
        "lease_until": opening.lease_until,
        "opened_by": mask.label("person", opening.opened_by or ""),
        "mappings": [_row(mapping, mask) for mapping in opening.mappings],
    }


def _operations(observations: Observations) -> Json:
    """Return how often each was done, and how long it took, in milliseconds."""
    return {
        operation: {
            "calls": timing.calls,
            "median_ms": round(timing.share(0.5) * 1000, 1),
            "p95_ms": round(timing.share(0.95) * 1000, 1),
            "longest_ms": round(timing.longest * 1000, 1),
        }
        for operation, timing in observations.timings.items()
    }


def _errors(observations: Observations, mask: Mask) -> list[Json]:
    return [
        {
            "operation": operation,
            "error": error,
            "said": mask.text(said),
            "times": trouble.times,
            "first": trouble.first,
            "last": trouble.last,
        }
        for (operation, error, said), trouble in observations.troubles.items()
    ]


def _line(line: Line, mask: Mask) -> Json:
    return {
        "forward": mask.name(line.forward_id, "forgotten-forward") or "all",
        "source": line.source,
        "what": line.what,
        "why": line.why,
        "error": line.error,
        "late": _seconds(line.late),
        "times": line.times,
        "first": line.first,
        "last": line.last,
    }


def _error(error: BaseException, mask: Mask) -> Json:
    told = getattr(error, "translation_placeholders", None) or {}
    return {"error": name_of(error), "details": _details(told, mask)}


def _details(told: Mapping[str, str], mask: Mask) -> Json:
    hosts = {key: mask.host(value) for key, value in told.items() if key in ("host", "router")}
    plain = {key: mask.text(value) for key, value in told.items() if key in (*_TELLING, "detail")}
    return hosts | plain


def _settings(settings: Mapping[str, Any], mask: Mask) -> Json:
    """Return settings with their text masked, unless it is known to tell nothing of anybody."""
    return {key: _setting(key, value, mask) for key, value in settings.items()}


def _setting(key: str, value: object, mask: Mask) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return _settings(value, mask)
    if not isinstance(value, str):
        return SECRET
    if key == CONF_INTERNAL_HOST and value != THIS_HOME_ASSISTANT:
        return mask.host(value)
    if key == CONF_ALLOWED_SOURCE:
        return mask.source(value)
    return mask.text(value) if key in (*_PLAIN, CONF_INTERNAL_HOST) or not value else SECRET


def _seconds(time: timedelta | None) -> float | None:
    return None if time is None else time.total_seconds()
