"""MikroTik routers with RouterOS 7, over their REST API."""

from .driver import MikrotikRouter, from_settings

__all__ = ["MikrotikRouter", "from_settings"]
