"""SSDP over loopback multicast, on a port of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import override

import pytest

from lab.virtual_router import Quirk, VirtualRouter

GROUP = "239.255.255.250"
IGD2 = "urn:schemas-upnp-org:device:InternetGatewayDevice:2"

type Message = tuple[str, dict[str, str], tuple[str, int]]


class Listener(asyncio.DatagramProtocol):
    """Collects SSDP messages: start line, headers, sender."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        start, *lines = data.decode().rstrip("\r\n").split("\r\n")
        headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
        self.messages.put_nowait((start, headers, addr))

    async def get(self) -> Message:
        async with asyncio.timeout(60):
            return await self.messages.get()

    async def all(self) -> list[Message]:
        """What has come, when nothing more does."""
        found = []
        try:
            while True:
                async with asyncio.timeout(0.1):
                    found.append(await self.messages.get())
        except TimeoutError:
            return found


@asynccontextmanager
async def heard(sock: socket.socket) -> AsyncIterator[Listener]:
    sock.setblocking(False)  # noqa: FBT003  the standard library's own
    transport, listener = await asyncio.get_running_loop().create_datagram_endpoint(
        Listener, sock=sock
    )
    try:
        yield listener
    finally:
        transport.abort()
        await asyncio.sleep(0)


def member(port: int) -> socket.socket:
    """A member of the group, as Home Assistant's listener is."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", port))
    membership = socket.inet_aton(GROUP) + socket.inet_aton("127.0.0.1")
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    return sock


async def search(port: int, target: str, *, host: str = GROUP) -> list[Message]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    sock.bind(("127.0.0.1", 0))
    async with heard(sock) as listener:
        request = (
            f'M-SEARCH * HTTP/1.1\r\nHOST: {host}:{port}\r\nMAN: "ssdp:discover"\r\n'
            f"MX: 1\r\nST: {target}\r\n\r\n"
        )
        sock.sendto(request.encode(), (host, port))
        return [message for message in await listener.all() if message[0] == "HTTP/1.1 200 OK"]


@asynccontextmanager
async def announced(*quirks: Quirk) -> AsyncIterator[tuple[VirtualRouter, int]]:
    async with VirtualRouter(ssdp=True, ssdp_port=0, quirks=quirks) as router:
        assert router.ssdp_port
        yield router, router.ssdp_port


@pytest.mark.parametrize("host", [GROUP, "127.0.0.1"])
async def test_search(host: str) -> None:
    async with announced() as (router, port):
        ((_, headers, sender),) = await search(port, IGD2, host=host)
        assert headers["ST"] == IGD2
        assert headers["USN"] == f"{router.udn}::{IGD2}"
        assert headers["LOCATION"] == router.description_url
        assert headers["CACHE-CONTROL"].startswith("max-age=")
        assert headers["BOOTID.UPNP.ORG"] == str(router.boot_id)
        assert "CONFIGID.UPNP.ORG" in headers
        assert "SERVER" in headers
        assert sender == ("127.0.0.1", port)


@pytest.mark.parametrize(
    ("target", "answers"),
    [
        ("ssdp:all", 10),
        ("upnp:rootdevice", 1),
        ("urn:schemas-upnp-org:device:InternetGatewayDevice:1", 1),
        ("urn:schemas-upnp-org:device:InternetGatewayDevice:3", 0),
        ("urn:schemas-upnp-org:service:WANIPConnection:1", 1),
        ("urn:schemas-upnp-org:service:WANPPPConnection:1", 0),
        ("urn:schemas-upnp-org:device:MediaServer:1", 0),
    ],
)
async def test_search_targets(target: str, answers: int) -> None:
    async with announced() as (_, port):
        found = await search(port, target)
        assert len(found) == answers
        if target != "ssdp:all":
            assert all(headers["ST"] == target for _, headers, _ in found)


async def test_alive_byebye_and_restart() -> None:
    router = VirtualRouter(ssdp=True, ssdp_port=0)
    await router.start()
    assert router.ssdp_port
    async with heard(member(router.ssdp_port)) as listener:
        old_boot, old_url = router.boot_id, router.description_url
        await router.restart()
        messages = await listener.all()
        kinds = [headers["NTS"] for _, headers, _ in messages]
        half = len(kinds) // 2
        assert kinds == ["ssdp:byebye"] * half + ["ssdp:alive"] * half
        assert {headers["BOOTID.UPNP.ORG"] for _, headers, _ in messages[:half]} == {str(old_boot)}
        _, alive, _ = messages[half]
        assert alive["NT"] == "upnp:rootdevice"
        assert alive["USN"] == f"{router.udn}::upnp:rootdevice"
        assert int(alive["BOOTID.UPNP.ORG"]) > old_boot
        assert alive["LOCATION"] == router.description_url != old_url

        await router.stop()
        _, goodbye, _ = await listener.get()
        assert goodbye["NTS"] == "ssdp:byebye"


async def test_away_and_back_announces_again() -> None:
    router = VirtualRouter(ssdp=True, ssdp_port=0)
    await router.start()
    port = router.ssdp_port
    assert port
    await router.stop()
    async with heard(member(port)) as listener:
        await router.start()
        assert router.ssdp_port == port
        start, headers, _ = await listener.get()
        assert (start, headers["NTS"]) == ("NOTIFY * HTTP/1.1", "ssdp:alive")
        await router.stop()


async def test_q43_from_another_port() -> None:
    async with announced(Quirk.Q43) as (_, port):
        ((_, _, sender),) = await search(port, IGD2)
        assert sender[1] != port


async def test_q43_only_multicast() -> None:
    async with announced(Quirk.Q43_MULTICAST) as (_, port):
        assert len(await search(port, IGD2)) == 1
        assert await search(port, IGD2, host="127.0.0.1") == []


async def test_q43_only_unicast() -> None:
    async with announced(Quirk.Q43_UNICAST) as (router, port):
        assert await search(port, IGD2) == []
        assert len(await search(port, IGD2, host="127.0.0.1")) == 1
        async with heard(member(port)) as listener:
            await router.restart()
            assert await listener.all() == []


async def test_q43_not_to_all() -> None:
    async with announced(Quirk.Q43_NO_ALL) as (_, port):
        assert await search(port, "ssdp:all") == []
        assert len(await search(port, "upnp:rootdevice")) == 1


async def test_other_messages_are_not_answered() -> None:
    async with announced() as (_, port):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        async with heard(sock) as listener:
            for message in (
                b"\xff\xfe",
                b"NOTIFY * HTTP/1.1\r\nNT: x\r\n\r\n",
                b"M-SEARCH * HTTP/1.1\r\nST: ssdp:all\r\n\r\n",
            ):
                sock.sendto(message, ("127.0.0.1", port))
            assert await listener.all() == []
