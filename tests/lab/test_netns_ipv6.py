"""The namespace lab by IPv6: only what the real router lets in gets through to the home."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import closing

import pytest

from lab.netns import HomeNetwork, Namespace, RealRouter
from lab.netns.network import (
    CAMERA6,
    FRIEND6,
    HOME_ASSISTANT6,
    ROUTER,
    ROUTER6,
    STRANGER6,
    WAN_ADDRESS6,
)
from lab.netns.witness import kernel_pinholes, kernel_rows
from tests.home_network import home_network, let_through

SERVICE = "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"
PORT = 8080


@pytest.fixture
async def network(socket_enabled: None) -> AsyncIterator[HomeNetwork]:
    let_through()
    async with home_network() as network:
        yield network


@pytest.fixture
async def router(network: HomeNetwork) -> AsyncIterator[RealRouter]:
    async with RealRouter(network) as router:
        yield router


@pytest.fixture
async def camera(network: HomeNetwork) -> AsyncIterator[None]:
    """The camera says hello to everybody, by IPv6."""

    async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    listening = network.camera.socket(socket.SOCK_STREAM, socket.AF_INET6)
    listening.bind((CAMERA6, PORT))
    server = await asyncio.start_server(hello, sock=listening)
    yield
    server.close()
    await server.wait_closed()


async def read_all(
    namespace: Namespace, host: str, port: int, data: bytes = b"", source: str = ""
) -> str:
    """Say something to a TCP port, and give back all that it answers."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    loop = asyncio.get_running_loop()
    with closing(namespace.socket(socket.SOCK_STREAM, family)) as sock:
        if source:
            sock.bind((source, 0))
        async with asyncio.timeout(60):
            await loop.sock_connect(sock, (host, port))
            await loop.sock_sendall(sock, data)
            answer = b""
            while more := await loop.sock_recv(sock, 65536):
                answer += more
    return answer.decode()


async def call(
    namespace: Namespace, action: str, arguments: Mapping[str, str | int], host: str = ROUTER6
) -> str:
    """Call an action of the router's firewall, and give back the reply with its head."""
    values = "".join(f"<{name}>{value}</{name}>" for name, value in arguments.items())
    body = (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
        ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{SERVICE}">{values}</u:{action}></s:Body></s:Envelope>'
    )
    shown = f"[{host}]" if ":" in host else host
    head = (
        f"POST /ctl/IP6FCtl HTTP/1.1\r\nHost: {shown}:5000\r\nConnection: close\r\n"
        f'Content-Type: text/xml; charset="utf-8"\r\nSOAPAction: "{SERVICE}#{action}"\r\n'
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return await read_all(namespace, host, 5000, (head + body).encode())


def pinhole(**changes: str | int) -> dict[str, str | int]:
    arguments: dict[str, str | int] = {
        "RemoteHost": "",
        "RemotePort": 0,
        "InternalClient": CAMERA6,
        "InternalPort": PORT,
        "Protocol": 6,
        "LeaseTime": 600,
    }
    return arguments | changes


async def add(namespace: Namespace, **changes: str | int) -> dict[str, str]:
    """Add a pinhole, and give back what names it."""
    reply = await call(namespace, "AddPinhole", pinhole(**changes))
    found = re.search(r"<UniqueID>(\d+)</UniqueID>", reply)
    assert found, reply
    return {"UniqueID": found[1]}


def code(reply: str) -> int:
    found = re.search(r"<errorCode>(\d+)</errorCode>", reply)
    assert found, reply
    return int(found[1])


async def test_home_is_closed_to_the_internet_and_not_to_itself(
    network: HomeNetwork, router: RealRouter, camera: None
) -> None:
    with pytest.raises(ConnectionRefusedError):
        await read_all(network.internet, CAMERA6, PORT)
    assert await read_all(network.home_assistant, CAMERA6, PORT) == "hello"
    with pytest.raises(ConnectionRefusedError):
        await read_all(network.internet, WAN_ADDRESS6, 5000)


async def test_home_reaches_the_internet(network: HomeNetwork) -> None:
    listening = network.internet.socket(socket.SOCK_STREAM, socket.AF_INET6)
    listening.bind((FRIEND6, 8080))

    async def who(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(writer.get_extra_info("peername")[0].encode())
        writer.close()

    server = await asyncio.start_server(who, sock=listening)
    # With its own address: nothing is translated.
    assert await read_all(network.camera, FRIEND6, 8080) == CAMERA6
    server.close()
    await server.wait_closed()


async def test_pinhole_opens_and_closes(
    network: HomeNetwork, router: RealRouter, camera: None
) -> None:
    status = await call(network.camera, "GetFirewallStatus", {})
    assert "<FirewallEnabled>1</FirewallEnabled>" in status
    assert "<InboundPinholeAllowed>1</InboundPinholeAllowed>" in status

    made = await add(network.camera)
    assert await read_all(network.internet, CAMERA6, PORT) == "hello"
    assert await kernel_pinholes(network.router) == [("TCP", CAMERA6, PORT, "", 0)]
    assert await kernel_rows(router) == []
    with pytest.raises(ConnectionRefusedError):
        await read_all(network.internet, CAMERA6, PORT + 1)
    with pytest.raises(ConnectionRefusedError):
        await read_all(network.internet, HOME_ASSISTANT6, PORT)

    assert "200 OK" in await call(network.camera, "DeletePinhole", made)
    assert await kernel_pinholes(network.router) == []
    with pytest.raises(ConnectionRefusedError):
        await read_all(network.internet, CAMERA6, PORT)


async def test_pinhole_for_one_source(
    network: HomeNetwork, router: RealRouter, camera: None
) -> None:
    await add(network.camera, RemoteHost=FRIEND6)
    assert await kernel_pinholes(network.router) == [("TCP", CAMERA6, PORT, FRIEND6, 0)]
    assert await read_all(network.internet, CAMERA6, PORT, source=FRIEND6) == "hello"
    with pytest.raises(ConnectionRefusedError):
        await read_all(network.internet, CAMERA6, PORT, source=STRANGER6)


async def test_q50_only_the_target_itself_and_no_low_port(
    network: HomeNetwork, router: RealRouter
) -> None:
    made = await add(network.camera)
    assert code(await call(network.home_assistant, "AddPinhole", pinhole())) == 606
    assert code(await call(network.camera, "AddPinhole", pinhole(), host=ROUTER)) == 606
    assert code(await call(network.camera, "AddPinhole", pinhole(InternalPort=1023))) == 606
    assert code(await call(network.home_assistant, "DeletePinhole", made)) == 606
    assert len(await kernel_pinholes(network.router)) == 1


async def test_leases_end(network: HomeNetwork, router: RealRouter) -> None:
    await add(network.camera, InternalPort=8081, LeaseTime=1)
    updated = await add(network.camera, InternalPort=8082, Protocol=17)
    late = await add(network.camera, InternalPort=8083)
    await call(network.camera, "UpdatePinhole", updated | {"NewLeaseTime": 1})
    assert await add(network.camera, InternalPort=8083, LeaseTime=1) == late
    async with asyncio.timeout(60):
        while len(left := await kernel_pinholes(network.router)) > 1:  # noqa: ASYNC110  nobody tells us
            await asyncio.sleep(0.1)
    # 2.3.1 counts the lease of what is added again from the wrong moment.
    assert left == [("TCP", CAMERA6, 8083, "", 0)]
    assert "200 OK" in await call(network.camera, "DeletePinhole", late)
    assert await kernel_pinholes(network.router) == []


async def test_without_ipv6(network: HomeNetwork) -> None:
    async with RealRouter(network, ipv6=False):
        with pytest.raises(ConnectionRefusedError):
            await call(network.camera, "GetFirewallStatus", {})
