"""The repairs for foreign mappings: one for each that is new, and one for all that are too many."""

from collections.abc import Callable, Mapping
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from ..const import DOMAIN
from ..issues import DATA_ENTRY, Need, async_tell
from ..routers.model import PortMapping
from ..routers.shown import clean, code

# At a time for each router. Whoever finds more than that to answer would
# answer none of it with care.
MOST_ISSUES: Final = 10

DATA_MARK: Final = "mark"


class Issues:
    """The repairs of one router."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        """Take whose they are."""
        self._hass = hass
        self._entry = entry
        self._prefix = f"foreign_mapping_{entry.entry_id}_"
        self._flood = f"foreign_flood_{entry.entry_id}"

    @callback
    def show(
        self,
        told: Mapping[str, PortMapping],
        *,
        device: Callable[[PortMapping], str | None],
        forwards: Mapping[str, str],
        lists_all: bool,
    ) -> None:
        """Ask about these, by their fingerprints, and about nothing else any more.

        `forwards` are the names of the forwards that some of them lead where.
        """
        asked = dict(list(told.items())[:MOST_ISSUES])
        self._delete_all_but({f"{self._prefix}{mark}" for mark in asked})
        for mark, mapping in asked.items():
            self._ask(mark, mapping, device, forwards.get(mark))
        if len(told) > len(asked):
            self._ask_about_all(f"{len(told)}" if lists_all else f"{len(told)}+")
        else:
            ir.async_delete_issue(self._hass, DOMAIN, self._flood)

    @callback
    def clear(self) -> None:
        """Ask about nothing."""
        self._delete_all_but(set())
        ir.async_delete_issue(self._hass, DOMAIN, self._flood)

    def _delete_all_but(self, wanted: set[str]) -> None:
        # Those of an earlier setup of the entry, too.
        for domain, issue_id in tuple(ir.async_get(self._hass).issues):
            if domain == DOMAIN and issue_id.startswith(self._prefix) and issue_id not in wanted:
                ir.async_delete_issue(self._hass, DOMAIN, issue_id)

    def _ask(
        self,
        mark: str,
        mapping: PortMapping,
        device: Callable[[PortMapping], str | None],
        forward: str | None,
    ) -> None:
        known = ir.async_get(self._hass).async_get_issue(DOMAIN, f"{self._prefix}{mark}")
        if known and known.active:
            return
        name = device(mapping)
        data: dict[str, str | int | float | None] = {
            DATA_ENTRY: self._entry.entry_id,
            DATA_MARK: mark,
        }
        if forward is None:
            need = Need(
                key="foreign_mapping",
                placeholders={
                    "ports": str(mapping.external_ports),
                    "protocol": "+".join(mapping.protocols).upper(),
                    "router": clean(self._entry.title),
                    "target": code(f"{mapping.target} ({name})" if name else mapping.target),
                    "source": code(mapping.allowed_source or "*"),
                    "description": code(mapping.description),
                },
                data=data,
            )
        else:
            need = Need(
                key="opened_by_others",
                placeholders={
                    "forward": clean(forward),
                    "ports": str(mapping.external_ports),
                    "protocol": "+".join(mapping.protocols).upper(),
                    "router": clean(self._entry.title),
                    "source": code(mapping.allowed_source or "*"),
                    "description": code(mapping.description),
                },
                data=data,
            )
        async_tell(self._hass, f"{self._prefix}{mark}", need)

    def _ask_about_all(self, count: str) -> None:
        ir.async_create_issue(
            self._hass,
            DOMAIN,
            self._flood,
            data={DATA_ENTRY: self._entry.entry_id},
            is_fixable=True,
            severity=ir.IssueSeverity.ERROR,
            translation_key="foreign_flood",
            translation_placeholders={"count": count, "router": clean(self._entry.title)},
        )
