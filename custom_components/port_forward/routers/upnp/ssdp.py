"""A unicast search of one host (UDA 1.1 section 1.3.2).

Listening to announcements and searching by multicast is left to Home
Assistant. Some routers answer only one of the two (tailscale#3557), and
multicast does not pass every network, so the gateway is asked directly too
(Q43).
"""

import asyncio
import socket
from ipaddress import AddressValueError, IPv4Address
from typing import override
from urllib.parse import urlsplit

PORT = 1900

_GATEWAYS = (
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
)
_SEARCHED = (*_GATEWAYS, "upnp:rootdevice")
# UDA 1.1 says no MX for unicast, but older stacks ignore a search without it.
_SEARCH = (
    "M-SEARCH * HTTP/1.1\r\nHOST: {host}:{port}\r\n"
    'MAN: "ssdp:discover"\r\nMX: 1\r\nST: {target}\r\n\r\n'
)
_REPEATS = 2


def same_host(location: str, answered_from: str) -> bool:
    """Tell whether a LOCATION leads to the very host that announced it.

    `answered_from` is the IPv4 address that the message came from. Anything
    else could point Home Assistant at a stranger (tailscale#5502, Q34), so a
    host name, which could lead anywhere, counts as no.
    """
    try:
        parts = urlsplit(location)
        host = IPv4Address(parts.hostname or "")
        usable = parts.scheme in ("http", "https") and parts.port != 0
        return usable and host == IPv4Address(answered_from)
    except AddressValueError, ValueError:
        return False


async def search(
    host: str,
    *,
    port: int = PORT,
    timeout: float = 3,  # noqa: ASYNC109  # the time to gather answers, not a limit on a call
) -> str | None:
    """Return the LOCATION of the description that `host` itself names, None without one.

    `timeout` is in seconds. Answers count from any port of the host, but from
    no other host, and only with a LOCATION on it. That of a gateway is taken
    at once; that of some other root device only if no gateway answers.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    except OSError, UnicodeError:
        return None
    address = str(found[0][4][0])
    try:
        transport, answers = await loop.create_datagram_endpoint(
            lambda: _Answers(address),
            local_addr=("0.0.0.0", 0),  # noqa: S104  # the host's answers
        )
    except OSError:
        return None
    try:
        for _ in range(_REPEATS):
            for target in _SEARCHED:
                request = _SEARCH.format(host=address, port=port, target=target)
                transport.sendto(request.encode(), (address, port))
            try:
                return await asyncio.wait_for(asyncio.shield(answers.gateway), timeout / _REPEATS)
            except TimeoutError:
                continue
        return answers.other
    finally:
        transport.close()


class _Answers(asyncio.DatagramProtocol):
    """Collects the answers of one host."""

    def __init__(self, host: str) -> None:
        self.gateway = asyncio.get_running_loop().create_future()
        self.other: str | None = None
        self._host = host

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        headers = read_answer(data)
        location = headers.get("location", "")
        if addr[0] != self._host or not same_host(location, self._host):
            return
        if headers.get("st") in _GATEWAYS:
            if not self.gateway.done():
                self.gateway.set_result(location)
        else:
            self.other = self.other or location


def read_answer(datagram: bytes) -> dict[str, str]:
    """Return the headers of an answer to a search, names in lower case; {} for anything else."""
    status, *lines = datagram.decode("latin-1").split("\r\n")
    if not status.startswith("HTTP/1.1 200"):
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
