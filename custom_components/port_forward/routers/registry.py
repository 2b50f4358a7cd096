"""The drivers there are, by the name that a router is stored with."""

from collections.abc import Mapping
from typing import Protocol

import aiohttp

from .fritzbox import from_settings as fritzbox
from .mikrotik import from_settings as mikrotik
from .openwrt import from_settings as openwrt
from .opnsense import from_settings as opnsense
from .pcp import from_settings as pcp
from .router import Router
from .unifi import from_settings as unifi
from .upnp import from_settings as upnp


class Driver(Protocol):
    """What makes a router of a config entry's data, not yet connected."""

    def __call__(
        self,
        session: aiohttp.ClientSession,
        settings: Mapping[str, str],
        *,
        learned: Mapping[str, str],
    ) -> Router:
        """Take how to reach the router as the entry has it, and what `Router.learned` was."""


def _pcp(
    session: aiohttp.ClientSession, settings: Mapping[str, str], *, learned: Mapping[str, str]
) -> Router:
    """Return the router at a `url` such as `pcp://192.168.1.1` or `pcp://192.168.1.1:5351`."""
    return pcp(session, {"host": settings["url"].removeprefix("pcp://")}, learned=learned)


DRIVERS: Mapping[str, Driver] = {
    "fritzbox": fritzbox,
    "mikrotik": mikrotik,
    "openwrt": openwrt,
    "opnsense": opnsense,
    "pcp": _pcp,
    "unifi": unifi,
    "upnp": upnp,
}
