"""Routers with OpenWrt 22.03 or later, over ubus.

Sources: uhttpd, rpcd, uci, fw4 and nftables, as their code reads and as they
were measured; `docs/routers/openwrt.md` tells the user's side.
"""

from .driver import OpenWrtRouter, Probe, from_settings, probe
from .rights import Rights

__all__ = ["OpenWrtRouter", "Probe", "Rights", "from_settings", "probe"]
