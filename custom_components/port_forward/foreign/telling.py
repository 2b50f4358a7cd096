"""Tells what is new at a look: one by one, not too many, and when somebody can hear it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.util import dt as dt_util

from ..hearing import async_when_heard
from ..routers.model import PortMapping
from .audit import Change
from .sightings import SIGNAL_SIGHTING, Sighting, SightingKind, async_announce_sighting

# Told one by one at each look; of the others only how many there are. An
# automation that sends a message for each of 10,000 helps nobody.
MOST_TOLD: Final = 20

# Two looks that both found too many may come before there are entities.
_MOST_UNTOLD: Final = 4 * (MOST_TOLD + 1)


class Teller:
    """Tells of the foreign mappings of one router."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        """Tell nobody yet."""
        self._hass = hass
        self._entry = entry
        # What was seen before there were entities. None once there are.
        self._untold: list[Sighting] | None = []

    @callback
    def async_listen(self, listener: Callable[[Sighting], None]) -> CALLBACK_TYPE:
        """Tell `listener` of all that comes and goes; returns what ends it."""

        @callback
        def on_sighting(entry_id: str, sighting: Sighting) -> None:
            if entry_id == self._entry.entry_id:
                listener(sighting)

        return async_dispatcher_connect(self._hass, SIGNAL_SIGHTING, on_sighting)

    @callback
    def async_tell_untold(self) -> None:
        """Tell what came before there were entities; from now on it is told at once."""
        untold, self._untold = self._untold, None
        for sighting in untold or ():
            self._announce(sighting)

    def tell(
        self,
        change: Change,
        before: Mapping[str, PortMapping],
        now: Mapping[str, PortMapping],
        *,
        device: Callable[[PortMapping], str | None],
    ) -> None:
        """Tell what has changed between two looks.

        `before` and `now` are what they found, by its fingerprint; `device`
        names the device that a mapping leads to.
        """
        for kind, marks, rows in (
            (SightingKind.DISAPPEARED, change.disappeared, before),
            (SightingKind.APPEARED, change.appeared, now),
        ):
            # What went while Home Assistant was off is known by its fingerprint alone.
            known = [rows[mark] for mark in marks if mark in rows]
            at = dt_util.utcnow()
            sightings = [
                Sighting(kind=kind, at=at, mapping=mapping, device=device(mapping))
                for mapping in known[:MOST_TOLD]
            ]
            if more := len(known) - len(sightings):
                sightings.append(Sighting(kind=kind, at=at, mapping=None, more=more))
            for sighting in sightings:
                if self._untold is None:
                    self._announce(sighting)
                elif len(self._untold) < _MOST_UNTOLD:
                    self._untold.append(sighting)

    def _announce(self, sighting: Sighting) -> None:
        hass, entry = self._hass, self._entry
        async_when_heard(
            hass, partial(async_announce_sighting, hass, entry.entry_id, entry.title, sighting)
        )
