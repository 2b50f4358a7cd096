"""The root description: who the router is, and the WAN services it has.

Nothing but this one document is ever fetched. The SCPDs tell nothing that the
standard does not, and on real routers they are missing, malformed or wrong
(Q28, Q33).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from urllib.parse import SplitResult, urljoin, urlsplit
from xml.etree.ElementTree import Element  # only the type

import aiohttp

from ..errors import ProtocolError, UnsupportedError
from ..model import RouterInfo
from ..shown import clean
from ..transport import TIMEOUT, Transport
from .lenient_xml import NotXmlError, children, decode, find, parse, text

# Huawei HG531 and FRITZ!Box announce the types of TR-064, whose actions are the same (Q32).
_WAN_SERVICE = re.compile(
    r"urn:(?:schemas-upnp-org|dslforum-org):service:(WAN(?:IP|PPP)Connection):([1-9][0-9]?)"
)
_FIREWALL = "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"
_HTTP_OK = 200
_LONGEST_URL = 2048
_MOST_WANS = 32
"""Twice what is known (eight connections of two services each): each is asked for its state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What an action is sent to."""

    service_type: str
    control_url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WanService(Service):
    """One WAN connection of the router, as its description tells.

    `id` outlives reboots and moves of the control port: it is made of the UDN
    of the device and the id of the service. `name` is for people. `firewall`
    is what opens pinholes for IPv6 on the same WAN, None where nothing does.
    """

    id: str
    version: int
    name: str
    firewall: Service | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What the root description tells; `wans` are in document order, at least one."""

    info: RouterInfo
    udn: str
    wans: tuple[WanService, ...]


async def describe(
    session: aiohttp.ClientSession,
    url: str,
    *,
    timeout: float = TIMEOUT,  # noqa: ASYNC109  # that of each request, not of the whole
) -> Description:
    """Fetch and read the description at `url`.

    Raises UnsupportedError when it is that of no router, RouterUnreachableError,
    RouterTimeoutError and ProtocolError.
    """
    return await fetch(Transport(session, timeout=timeout), url)


async def fetch(transport: Transport, url: str) -> Description:
    """Do what `describe` does over a transport that is there already."""
    host = _host(url)
    status, body = await transport.request("GET", url)
    if status != _HTTP_OK:
        raise UnsupportedError(host=host, detail=f"HTTP {status}")
    return read(url, body)


def read(url: str, body: bytes) -> Description:
    """Read the description that came from `url`; raises UnsupportedError and ProtocolError."""
    host = _host(url)
    try:
        root = parse(decode(body))
    except NotXmlError as error:
        raise ProtocolError(host=host, detail="description is no XML") from error
    device = find(root, "device")
    udn = text(device, "UDN") if device is not None else ""
    if device is None or not udn:
        raise UnsupportedError(host=host, detail="no UPnP device")
    base = _base(url, text(root, "URLBase"))
    wans = tuple(islice(_wan_services(device, url, base), _MOST_WANS))
    if not wans:
        raise UnsupportedError(host=host, detail="no WAN connection service")
    info = RouterInfo(
        unique_id=udn,
        name=_shown(device, "friendlyName") or _shown(device, "modelName") or host,
        manufacturer=_shown(device, "manufacturer") or None,
        model=_shown(device, "modelName") or None,
        version=_shown(device, "modelNumber") or None,
        serial_number=text(device, "serialNumber") or None,
        configuration_url=_resolve(url, base, text(device, "presentationURL")),
    )
    return Description(info=info, udn=udn, wans=wans)


def _shown(device: Element, wanted: str) -> str:
    """Return a text that names or describes the device to people."""
    return clean(text(device, wanted))


def _host(url: str) -> str:
    """Return the host of the address of a description; raises UnsupportedError without one."""
    if (parts := _split(url)) is None:
        raise UnsupportedError(host=url, detail="no address of a description")
    return parts.hostname or ""


def _wan_services(root: Element, url: str, base: str) -> Iterator[WanService]:
    """Find every WAN service at any depth, equal types and equal ids included (Q29)."""
    seen: set[str] = set()
    for device in _devices(root):
        udn, device_name = text(device, "UDN"), _shown(device, "friendlyName") or "WAN"
        firewall = _firewall(device, url, base)
        for element in _below(device, "serviceList", "service"):
            service_type = text(element, "serviceType")
            known = _WAN_SERVICE.fullmatch(service_type)
            control_url = _resolve(url, base, text(element, "controlURL")) if known else None
            if known is None or control_url is None:
                continue
            service_id = first_id = f"{udn}/{text(element, 'serviceId')}"
            count = 1
            while service_id in seen:
                count += 1
                service_id = f"{first_id}#{count}"
            seen.add(service_id)
            yield WanService(
                id=service_id,
                service_type=service_type,
                version=int(known[2]),
                control_url=control_url,
                name=f"{device_name} ({known[1]})",
                firewall=firewall,
            )


def _firewall(device: Element, url: str, base: str) -> Service | None:
    """Return the IPv6 firewall of a WAN, which is in the same device (IGD:2 section 2.2)."""
    for element in _below(device, "serviceList", "service"):
        service_type = text(element, "serviceType")
        control_url = _resolve(url, base, text(element, "controlURL"))
        if control_url and service_type == _FIREWALL:
            return Service(service_type=service_type, control_url=control_url)
    return None


def _devices(root: Element) -> Iterator[Element]:
    """Iterate over a device and those inside it, in document order and without recursion."""
    waiting = [root]
    while waiting:
        device = waiting.pop()
        yield device
        waiting.extend(reversed(list(_below(device, "deviceList", "device"))))


def _below(device: Element, list_name: str, item_name: str) -> Iterator[Element]:
    return (item for items in children(device, list_name) for item in children(items, item_name))


def _base(url: str, url_base: str) -> str:
    """Return what relative URLs start from.

    A URLBase on another host is wrong, not just in its host (DIR-655 says
    127.0.0.1, Q35); one on another port of the same host is right.
    """
    base = _split(url_base)
    there = _split(url)
    return url_base if base and there and base.hostname == there.hostname else url


def _resolve(url: str, base: str, reference: str) -> str | None:
    """Return the absolute URL of a reference, always on the host of the description.

    The port of an absolute URL is kept (Q35). An empty reference, or one that
    is no HTTP address, gives None.
    """
    try:
        parts = _split(urljoin(base, reference)) if reference else None
    except ValueError:
        return None
    there = _split(url)
    if parts is None or there is None:
        return None
    # urlsplit takes the brackets off an IPv6 address; URLs want them back.
    host = f"[{there.hostname}]" if ":" in (there.hostname or "") else there.hostname
    netloc = f"{host}:{parts.port}" if parts.port else f"{host}"
    return parts._replace(netloc=netloc, fragment="").geturl()


def _split(url: str) -> SplitResult | None:
    """Take an HTTP URL apart, or return None for what is none."""
    if len(url) > _LONGEST_URL:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None
