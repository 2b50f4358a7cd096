"""FRITZ!Box routers, over TR-064. Shares nearly all with the driver for UPnP."""

from .driver import FritzBoxRouter, from_settings

__all__ = ["FritzBoxRouter", "from_settings"]
