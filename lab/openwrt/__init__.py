"""An OpenWrt router in one Python process, without root: for the tests and the demo.

    async with OpenWrt(rights=DEDICATED) as router:
        ... router.url, router.committed, router.rules, router.calls ...

It answers at /ubus as uhttpd and rpcd do. Its redirects really listen on
`wan_host` and relay TCP and UDP to the internal host; its IPv6 rules are state
that `firewall.opens` tells of.
"""

from .accounts import DEDICATED, LUCI, PLAIN, READ_ONLY, ROOT, Rights
from .clock import Clock
from .faults import Fault
from .router import PASSWORD, ROOT_PASSWORD, USERNAME, LuciUser, OpenWrt
from .system import Device

__all__ = [
    "DEDICATED",
    "LUCI",
    "PASSWORD",
    "PLAIN",
    "READ_ONLY",
    "ROOT",
    "ROOT_PASSWORD",
    "USERNAME",
    "Clock",
    "Device",
    "Fault",
    "LuciUser",
    "OpenWrt",
    "Rights",
]
