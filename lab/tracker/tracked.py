"""What is said of a device."""

from dataclasses import dataclass
from typing import Final

from homeassistant.util.signal_type import SignalType

DOMAIN: Final = "lab_tracker"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracked:
    """A device, and where it is."""

    mac: str
    name: str
    ip: str | None
    home: bool


SIGNAL: Final = SignalType[Tracked](DOMAIN)
