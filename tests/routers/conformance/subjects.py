"""Every router that a driver can be tried on, by name."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

import aiohttp

from lab.fritzbox import Lease

from . import fritzbox, opnsense, real, virtual
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
    "opnsense-26.1": partial(opnsense.opnsense, version="26.1.11"),
    "opnsense-26.7": partial(opnsense.opnsense, version="26.7.2"),
    "fritzbox": partial(fritzbox.fritzbox, lease=Lease.IGNORED),
    "fritzbox-lease-echoed": partial(fritzbox.fritzbox, lease=Lease.ECHOED),
    "fritzbox-lease-kept": partial(fritzbox.fritzbox, lease=Lease.KEPT),
}
