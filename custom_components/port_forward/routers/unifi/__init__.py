"""UniFi gateways, over the API of the UniFi Network application."""

from .driver import UnifiRouter, from_settings
from .sites import UnifiSite, UnifiWan

__all__ = ["UnifiRouter", "UnifiSite", "UnifiWan", "from_settings"]
