"""Every router that a driver can be tried on, by name."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

import aiohttp

from lab.fritzbox import Lease
from lab.mikrotik import Habit as RouterOS
from lab.openwrt import DEDICATED, LUCI, PLAIN
from lab.unifi import Habit as Unifi

from . import fritzbox, mikrotik, openwrt, opnsense, real, unifi, virtual
from .subject import Subject

type Start = Callable[[aiohttp.ClientSession], AbstractAsyncContextManager[Subject]]

SUBJECTS: Mapping[str, Start] = {
    "virtual-igd1": partial(virtual.igd, version=1),
    "virtual-igd2": partial(virtual.igd, version=2),
    "virtual-pcp": virtual.pcp,
    "virtual-natpmp": virtual.natpmp,
    "miniupnpd-upnp": real.by_upnp,
    "miniupnpd-pcp": real.by_pcp,
    "miniupnpd-natpmp": real.by_natpmp,
    "openwrt": partial(openwrt.openwrt, rights=DEDICATED),
    "openwrt-luci": partial(openwrt.openwrt, rights=LUCI, reload_delay=0.05),
    "openwrt-plain": partial(openwrt.openwrt, rights=PLAIN),
    "opnsense-26.1": partial(opnsense.opnsense, version="26.1.11"),
    "opnsense-26.7": partial(opnsense.opnsense, version="26.7.2"),
    "fritzbox": partial(fritzbox.fritzbox, lease=Lease.IGNORED),
    "fritzbox-lease-echoed": partial(fritzbox.fritzbox, lease=Lease.ECHOED),
    "fritzbox-lease-kept": partial(fritzbox.fritzbox, lease=Lease.KEPT),
    "mikrotik": mikrotik.mikrotik,
    "mikrotik-by-halves": lambda session: mikrotik.mikrotik(
        session, RouterOS.NO_WHOLE, RouterOS.NO_PATCH
    ),
    "unifi-key": partial(unifi.unifi, by_key=True),
    "unifi-password": lambda session: unifi.unifi(session, Unifi.CSRF_ROTATES, by_key=False),
    "unifi-old": partial(unifi.unifi, is_os=False, by_key=False),
}
