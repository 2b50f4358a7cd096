"""A control point whose requests are written out by hand, to be sure of the wire."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from xml.sax.saxutils import escape

import aiohttp

from lab.virtual_router import VirtualRouter

IP1 = "urn:schemas-upnp-org:service:WANIPConnection:1"
IP2 = "urn:schemas-upnp-org:service:WANIPConnection:2"
PPP1 = "urn:schemas-upnp-org:service:WANPPPConnection:1"

MAPPING = {
    "NewRemoteHost": "",
    "NewExternalPort": "0",
    "NewProtocol": "TCP",
    "NewInternalPort": "8080",
    "NewInternalClient": "127.0.0.1",
    "NewEnabled": "1",
    "NewPortMappingDescription": "Door",
    "NewLeaseDuration": "3600",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode()

    @property
    def code(self) -> int | None:
        """The UPnP error code, if it is a fault."""
        found = re.search(r"<errorCode>(\d+)</errorCode>", self.text)
        return int(found[1]) if found else None

    def __getitem__(self, argument: str) -> str:
        found = re.search(f"<{argument}>(.*?)</{argument}>", self.text, re.DOTALL)
        assert found, self.text
        return html.unescape(found[1])


class ControlPoint:
    """Calls the actions of a router, as the host that it is bound to."""

    def __init__(
        self, router: VirtualRouter, session: aiohttp.ClientSession, *, igd: int = 2
    ) -> None:
        self.router = router
        self.session = session
        self.service = IP2 if igd == 2 else IP1
        self.path = "/ctl/0/IPConn"
        self.host = router.lan_host

    @classmethod
    @asynccontextmanager
    async def of(
        cls, router: VirtualRouter, *, igd: int = 2, host: str = "127.0.0.1"
    ) -> AsyncIterator[Self]:
        connector = aiohttp.TCPConnector(local_addr=(host, 0))
        async with aiohttp.ClientSession(connector=connector) as session:
            yield cls(router, session, igd=igd)

    def url(self, path: str) -> str:
        return f"http://{self.host}:{self.router.port}{path}"

    async def get(self, path: str = "/rootDesc.xml") -> Reply:
        async with self.session.get(self.url(path), allow_redirects=False) as response:
            return Reply(
                status=response.status, headers=response.headers, raw=await response.read()
            )

    async def call(
        self,
        action: str,
        arguments: Mapping[str, str] | None = None,
        *,
        header: str | None = None,
    ) -> Reply:
        values = "".join(f"<{n}>{escape(v)}</{n}>" for n, v in (arguments or {}).items())
        body = (
            '<?xml version="1.0"?>\r\n'
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
            ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
            f'<u:{action} xmlns:u="{self.service}">{values}</u:{action}>'
            "</s:Body></s:Envelope>\r\n"
        )
        headers = {
            "Content-Type": 'text/xml; charset="utf-8"',
            "SOAPAction": header or f'"{self.service}#{action}"',
        }
        url = self.url(self.path)
        async with self.session.post(
            url, data=body.encode(), headers=headers, allow_redirects=False
        ) as response:
            return Reply(
                status=response.status, headers=response.headers, raw=await response.read()
            )

    async def add(self, external_port: int, **changes: str | int) -> Reply:
        """AddPortMapping; `changes` are arguments without their "New"."""
        return await self.call("AddPortMapping", mapping(external_port, **changes))

    async def delete(
        self, external_port: int, protocol: str = "TCP", remote_host: str = ""
    ) -> Reply:
        return await self.call("DeletePortMapping", key(external_port, protocol, remote_host))

    async def specific(
        self, external_port: int, protocol: str = "TCP", remote_host: str = ""
    ) -> Reply:
        return await self.call(
            "GetSpecificPortMappingEntry", key(external_port, protocol, remote_host)
        )

    async def generic(self, index: int) -> Reply:
        return await self.call("GetGenericPortMappingEntry", {"NewPortMappingIndex": str(index)})

    async def bulk(self, protocol: str = "TCP", **changes: str | int) -> Reply:
        arguments: dict[str, str | int] = {
            "StartPort": 0,
            "EndPort": 65535,
            "Protocol": protocol,
            "Manage": 1,
            "NumberOfPorts": 0,
        }
        values = {f"New{name}": str(value) for name, value in (arguments | changes).items()}
        return await self.call("GetListOfPortMappings", values)

    async def indexed_ports(self) -> list[int]:
        """The external ports that the list by index shows."""
        ports = []
        for index in range(20):
            reply = await self.generic(index)
            if reply.code is not None:
                break
            ports.append(int(reply["NewExternalPort"]))
        return ports


def mapping(external_port: int, **changes: str | int) -> dict[str, str]:
    given = {f"New{name}": str(value) for name, value in changes.items()}
    return MAPPING | {"NewExternalPort": str(external_port)} | given


def key(external_port: int, protocol: str, remote_host: str) -> dict[str, str]:
    return {
        "NewRemoteHost": remote_host,
        "NewExternalPort": str(external_port),
        "NewProtocol": protocol,
    }


async def talk(port: int, line: bytes, *, source: str = "127.0.0.1") -> bytes:
    """Say a line to a TCP port and give back all that it answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(line)
        writer.write_eof()
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()
