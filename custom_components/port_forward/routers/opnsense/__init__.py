"""OPNsense firewalls from 26.1 on, whose port forwards have an API."""

from .driver import OPNsenseRouter, from_settings

__all__ = ["OPNsenseRouter", "from_settings"]
