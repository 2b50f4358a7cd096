"""Whether a router is the one that it was, although its UDN is another.

UPnP says that the UDN never changes (UDA 1.1 section 1.1.4). Some routers draw
another one at each start or update (Q51), and with it go the ids of their WANs.
"""

import asyncio
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, Self
from urllib.parse import urlsplit

from ..errors import UnsupportedError
from ..ipv4 import own_mac_of
from .description import Description, WanService

WAN: Final = "wan"
"""Key of `learned`: the id of the WAN that was picked, see `UpnpRouter.connect`."""
HOST: Final = "host"
"""Key of `learned`: the host in the URL of the router."""
MAC: Final = "mac"
"""Key of `learned`: the MAC of the router, where it is known."""
SERIAL: Final = "serial"
"""Key of `learned`: the serial number that the router tells, if it does."""

_UDN: Final = "udn"
_MANUFACTURER: Final = "manufacturer"
_MODEL: Final = "model"
# The ids of all WANs, in the order of the description.
_WANS: Final = "wans"
# The id under which the WAN was asked for when `WAN` became another one.
_WANTED: Final = "wan_wanted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What tells one router from another; what is "" is not known."""

    udn: str
    host: str
    mac: str
    manufacturer: str
    model: str
    serial: str
    wans: tuple[str, ...]

    @classmethod
    def from_learned(cls, learned: Mapping[str, str]) -> Self:
        """Return what was noted by `note`, all unknown where nothing was."""
        return cls(
            udn=learned.get(_UDN, ""),
            host=learned.get(HOST, ""),
            mac=learned.get(MAC, ""),
            manufacturer=learned.get(_MANUFACTURER, ""),
            model=learned.get(_MODEL, ""),
            serial=learned.get(SERIAL, ""),
            wans=tuple(filter(None, learned.get(_WANS, "").split("\n"))),
        )

    @classmethod
    async def read(cls, url: str, description: Description) -> Self:
        """Return that of the router which has just answered at `url` with this description."""
        info = description.info
        host = urlsplit(url).hostname or ""
        return cls(
            udn=description.udn,
            host=host,
            mac=await own_mac(host) or "",
            manufacturer=info.manufacturer or "",
            model=info.model or "",
            serial=info.serial_number or "",
            wans=tuple(wan.id for wan in description.wans),
        )

    def note(self, learned: MutableMapping[str, str], *, wanted: str | None, picked: str) -> None:
        """Keep it in `learned`; the WAN `picked` is the one that was `wanted`, None for any."""
        if learned.get(_UDN) != self.udn or MAC not in learned:
            # Whoever claims its UDN elsewhere does not become the one to be known by.
            learned[MAC] = self.mac
        known = {
            WAN: picked,
            _WANTED: wanted if wanted and wanted != picked else "",
            _UDN: self.udn,
            HOST: self.host,
            _MANUFACTURER: self.manufacturer,
            _MODEL: self.model,
            SERIAL: self.serial,
            _WANS: "\n".join(self.wans),
        }
        learned.update(known)
        for key in (*known, MAC):
            if not learned.get(key):
                learned.pop(key, None)

    def is_same(self, now: Identity) -> bool:
        """Return whether `now` is certainly the same router.

        The MAC decides where both are known. Where one is not, as from a
        container network, it has to be the same model at the same address, of
        the same serial number where both tell one.
        """
        if self.udn and self.udn == now.udn:
            return True
        if self.mac and now.mac:
            return self.mac == now.mac
        return (
            bool(self.model)
            and (self.host, self.manufacturer, self.model)
            == (now.host, now.manufacturer, now.model)
            and (not self.serial or not now.serial or self.serial == now.serial)
        )


def wanted_id(learned: Mapping[str, str], wanted: str) -> str:
    """Return the id that the WAN had last which was `wanted` under this id once."""
    return learned[WAN] if learned.get(_WANTED) == wanted else wanted


def counterpart(learned: Mapping[str, str], wanted: str, description: Description) -> WanService:
    """Return the WAN that is now what `wanted` was.

    Without their UDN, the ids of the same services in the same order are those
    of the same WANs. Else it is the one of that service id, if there is no
    other; or the only WAN in place of the only one, as when the provider's
    connection is made in another way. Raises UnsupportedError.
    """
    wanted = wanted_id(learned, wanted)
    now = description.wans
    for wan in now:
        if wan.id == wanted:
            return wan
    before = Identity.from_learned(learned).wans or (wanted,)
    services = [_service(wan.id) for wan in now]
    if wanted in before and list(map(_service, before)) == services:
        return now[before.index(wanted)]
    if _is_alone(wanted, before) and services.count(_service(wanted)) == 1:
        return now[services.index(_service(wanted))]
    if len(before) == len(now) == 1 and wanted in before and _UDN in learned:
        return now[0]
    host = urlsplit(now[0].control_url).hostname or ""
    raise UnsupportedError(host=host, detail="the WAN connection is gone")


def _is_alone(wanted: str, before: Sequence[str]) -> bool:
    return [_service(wan) for wan in before].count(_service(wanted)) <= 1


def _service(wan: str) -> str:
    """Return the id of a WAN without the UDN of its device."""
    return wan.partition("/")[2]


async def own_mac(host: str) -> str | None:
    """Return the MAC of a host that was just spoken to, None where it is not known."""
    return await asyncio.to_thread(_own_mac, host)


def _own_mac(host: str) -> str | None:
    with suppress(OSError, UnicodeError):  # A name that does not resolve, or no name at all.
        return own_mac_of(IPv4Address(socket.gethostbyname(host)))
    return None
