"""What is remembered of a router until Home Assistant restarts, over reloads and failed set-ups."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN
from .openings.journal import Journal
from .routers.observed import Observations
from .routers.patience import Patience


@dataclass(frozen=True, slots=True)
class History:
    """What happened to the forwards of one router, and how its driver fared.

    `patience` knows whether the router accepts the credentials of the entry.
    `needs` is what needs the user, by the id of its issue, and since when.
    """

    journal: Journal = field(default_factory=Journal)
    observations: Observations = field(default_factory=Observations)
    patience: Patience = field(default_factory=Patience)
    needs: dict[str, datetime] = field(default_factory=dict)


_HISTORIES: Final = HassKey[dict[str, History]](f"{DOMAIN}_histories")


@callback
def async_history(hass: HomeAssistant, entry_id: str) -> History:
    """Return what is remembered of the router of this entry."""
    return hass.data.setdefault(_HISTORIES, {}).setdefault(entry_id, History())


@callback
def async_forget(hass: HomeAssistant, entry_id: str) -> None:
    """Forget a router that was deleted."""
    hass.data.get(_HISTORIES, {}).pop(entry_id, None)
