"""SSDP, the router's side (UPnP Device Architecture 1.1 §1)."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from email.utils import formatdate
from typing import override

from .description import Device
from .quirks import Quirk

GROUP = "239.255.255.250"
MAX_AGE = 1800  # seconds that clients may believe an announcement
ANNOUNCE_EVERY = 30.0  # seconds, as miniupnpd does
SERVER = "Linux/6 UPnP/1.1 VirtualRouter/1"
CONFIG_ID = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertisement:
    """What is announced."""

    location: str
    boot_id: int
    root: Device


class Ssdp:
    """Announces the router and answers searches, on the interface of one address."""

    def __init__(
        self,
        host: str,
        port: int,
        advertisement: Callable[[], Advertisement],
        quirks: AbstractSet[Quirk],
    ) -> None:
        """Speak on the interface of `host`; `port` 0 takes any that is free."""
        self._host = host
        self.port = port
        self._advertisement = advertisement
        self._quirks = quirks
        self._transports: list[asyncio.DatagramTransport] = []
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen and announce. Raises OSError when the port or the interface cannot be had."""
        # Two sockets tell multicast from unicast: each receives only what is sent to its address.
        unicast = await self._open(self._host, self.port, multicast=False)
        self.port = unicast.get_extra_info("sockname")[1]
        await self._open(GROUP, self.port, multicast=True)
        await self._open(self._host, 0, multicast=False)
        self._announce()

    def byebye(self) -> None:
        """Take the announcements back."""
        if Quirk.Q43_UNICAST in self._quirks:
            return
        advert = self._advertisement()
        for target, usn in targets(advert.root):
            self._multicast(
                {
                    "HOST": f"{GROUP}:{self.port}",
                    "NT": target,
                    "NTS": "ssdp:byebye",
                    "USN": usn,
                    "BOOTID.UPNP.ORG": str(advert.boot_id),
                    "CONFIGID.UPNP.ORG": str(CONFIG_ID),
                }
            )

    def alive(self) -> None:
        """Announce every device and service."""
        if Quirk.Q43_UNICAST in self._quirks:
            return
        advert = self._advertisement()
        for target, usn in targets(advert.root):
            self._multicast(
                {"HOST": f"{GROUP}:{self.port}", "NT": target, "NTS": "ssdp:alive", "USN": usn}
                | _facts(advert)
            )

    def close(self) -> None:
        """Fall silent."""
        if self._timer is not None:
            self._timer.cancel()
        for transport in self._transports:
            transport.abort()
        self._transports.clear()

    def _announce(self) -> None:
        self.alive()
        self._timer = asyncio.get_running_loop().call_later(ANNOUNCE_EVERY, self._announce)

    async def _open(self, host: str, port: int, *, multicast: bool) -> asyncio.DatagramTransport:
        interface = socket.inet_aton(self._host)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            # Home Assistant and others on this machine listen on the same port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
            sock.bind((host, port))
            if multicast:
                sock.setsockopt(
                    socket.IPPROTO_IP,
                    socket.IP_ADD_MEMBERSHIP,
                    socket.inet_aton(GROUP) + interface,
                )
        except OSError:
            sock.close()
            raise
        sock.setblocking(False)  # noqa: FBT003  the standard library's own
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Searches(self._search, multicast=multicast), sock=sock
        )
        self._transports.append(transport)
        return transport

    def _search(self, target: str, sender: tuple[str, int], *, multicast: bool) -> None:
        if Quirk.Q43_MULTICAST in self._quirks and not multicast:
            return
        if Quirk.Q43_UNICAST in self._quirks and multicast:
            return
        if Quirk.Q43_NO_ALL in self._quirks and target == "ssdp:all":
            return
        unicast, _, other_port = self._transports
        transport = other_port if Quirk.Q43 in self._quirks else unicast
        advert = self._advertisement()
        # At once rather than after a random part of MX: there is only one of us.
        for found, usn in matches(advert.root, target):
            headers = {"ST": found, "USN": usn, "EXT": "", "DATE": formatdate(usegmt=True)}
            transport.sendto(_message("HTTP/1.1 200 OK", headers | _facts(advert)), sender)

    def _multicast(self, headers: dict[str, str]) -> None:
        unicast = self._transports[0]
        unicast.sendto(_message("NOTIFY * HTTP/1.1", headers), (GROUP, self.port))


class _Searches(asyncio.DatagramProtocol):
    """Hears the searches among what arrives at a socket."""

    def __init__(self, found: Callable[..., None], *, multicast: bool) -> None:
        self._found = found
        self._multicast = multicast

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request_line, *lines = data.decode("latin-1").split("\r\n")
        if not request_line.startswith("M-SEARCH * HTTP/1."):
            return
        headers = {name.strip().upper(): value.strip() for name, _, value in _split(lines)}
        if headers.get("MAN") == '"ssdp:discover"' and "ST" in headers:
            self._found(headers["ST"], addr, multicast=self._multicast)


def targets(device: Device, *, root: bool = True) -> Iterator[tuple[str, str]]:
    """Every notification type with its unique service name, §1.2.2."""
    if root:
        yield "upnp:rootdevice", f"{device.udn}::upnp:rootdevice"
    yield device.udn, device.udn
    yield device.type, f"{device.udn}::{device.type}"
    for service in device.services:
        yield service.type, f"{device.udn}::{service.type}"
    for child in device.children:
        yield from targets(child, root=False)


def matches(root: Device, searched: str) -> Iterator[tuple[str, str]]:
    """Find what answers a search; a type answers to its older versions too, §1.3.2."""
    for target, usn in targets(root):
        if searched in ("ssdp:all", target):
            yield target, usn
        elif _is_older(searched, target):
            yield searched, usn.removesuffix(target) + searched


def _is_older(searched: str, target: str) -> bool:
    kind, _, version = searched.rpartition(":")
    own_kind, _, own_version = target.rpartition(":")
    if not (kind.startswith("urn:") and kind == own_kind and version.isdecimal()):
        return False
    return 0 < int(version) < int(own_version)


def _facts(advert: Advertisement) -> dict[str, str]:
    return {
        "CACHE-CONTROL": f"max-age={MAX_AGE}",
        "LOCATION": advert.location,
        "SERVER": SERVER,
        "BOOTID.UPNP.ORG": str(advert.boot_id),
        "CONFIGID.UPNP.ORG": str(CONFIG_ID),
    }


def _split(lines: list[str]) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in lines]


def _message(start: str, headers: dict[str, str]) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()
