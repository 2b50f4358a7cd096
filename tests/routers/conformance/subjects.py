"""Every router that a driver can be tried on, by name."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

import aiohttp

from . import real, virtual
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
}
