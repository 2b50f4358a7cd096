"""Whether a machine in the home answers: real sockets, and real neighbours in the lab."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import override

import pytest
import pytest_socket

from custom_components.port_forward.reach import probing
from custom_components.port_forward.reach.probing import is_target_reachable
from custom_components.port_forward.routers.model import PortRange, Protocol
from lab.hass_config import REPOSITORY
from lab.netns.network import CAMERA
from lab.virtual_router import free_port

from .home_network import home_network

HOST = "127.0.0.5"


@pytest.fixture(autouse=True)
def _loopback_is_the_network(socket_enabled: None) -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.0/8", "::1"], allow_unix_socket=True)


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for those who keep silent."""
    monkeypatch.setattr(probing, "_ANSWERS_WITHIN", 0.2)
    monkeypatch.setattr(probing, "_DATAGRAM_ANSWERS_WITHIN", 0.2)


async def asked(
    ports: str | int, *hosts: str, protocols: Sequence[Protocol] = (Protocol.TCP,)
) -> bool | None:
    addresses = [ip_address(host) for host in hosts or (HOST,)]
    return await is_target_reachable(addresses, protocols, PortRange.parse(str(ports)))


@asynccontextmanager
async def listening(port: int = 0, host: str = HOST) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Listen on a port until a client was there, and note what each says until it hangs up."""
    heard: list[bytes] = []
    hung_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()
        hung_up.set()

    async with await asyncio.start_server(serve, host, port) as server:
        yield server.sockets[0].getsockname()[1], heard
        async with asyncio.timeout(60):
            await hung_up.wait()


@asynccontextmanager
async def datagrams(*, answers: bool) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Take datagrams on a port of HOST, and answer them or not."""
    heard: list[bytes] = []

    class _Peer(asyncio.DatagramProtocol):
        @override
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        @override
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            heard.append(data)
            if answers:
                assert isinstance(self.transport, asyncio.DatagramTransport)
                self.transport.sendto(b"who is there?", addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Peer, local_addr=(HOST, 0))
    try:
        yield transport.get_extra_info("sockname")[1], heard
    finally:
        transport.close()


async def test_tcp_is_closed_without_a_word() -> None:
    async with listening() as (port, heard):
        assert await asked(port) is True
    assert heard == [b""]


async def test_tcp_refused() -> None:
    assert await asked(free_port()) is False


@pytest.mark.usefixtures("silence")
async def test_tcp_of_a_machine_that_is_silent() -> None:
    """A full backlog, as a firewall that drops would be."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((HOST, 0))
        full.listen(0)
        port = full.getsockname()[1]
        for client in (first, second):
            client.setblocking(False)  # noqa: FBT003  positional only
            client.connect_ex((HOST, port))
        assert await asked(port) is False
        # It costs the time of one port.
        assert await asked(f"{port}-{port + 2}") is False


async def test_tcp_of_a_range() -> None:
    """The first few of its ports; one that answers is enough."""
    async with listening() as (port, _):
        assert await asked(f"{port - 2}-{port + 20}") is True
    async with listening() as (port, _):
        assert await asked(f"{port - 3}-{port}") is False
        assert await asked(port) is True  # for `listening` waits for a client


async def test_tcp_counts_where_there_are_both() -> None:
    async with datagrams(answers=True) as (port, heard):
        assert await asked(port, protocols=(Protocol.TCP, Protocol.UDP)) is False
    assert heard == []


async def test_ipv6() -> None:
    async with listening(host="::1") as (port, _):
        assert await asked(port, "::1") is True
        # Of both, one is enough.
        assert await asked(port, HOST, "::1") is True
        assert await asked(port, HOST) is False
    assert await asked(free_port(), "::1") is False
    assert await asked(free_port(), "::1", protocols=(Protocol.UDP,)) is False


async def test_nobody_to_ask() -> None:
    assert await is_target_reachable((), (Protocol.TCP,), PortRange.single(80)) is None


@pytest.mark.parametrize("protocol", Protocol)
async def test_this_machine_cannot_ask(protocol: Protocol) -> None:
    """The kernel connects to no broadcast address, which tells nothing of anybody."""
    assert await asked(80, "127.255.255.255", protocols=(protocol,)) is None
    # Where one of two can be asked, it decides if it answers.
    async with listening() as (port, _):
        assert await asked(port, "127.255.255.255", HOST) is True
    assert await asked(free_port(), "127.255.255.255", HOST) is None


async def test_udp_refused() -> None:
    assert await asked(free_port(), protocols=(Protocol.UDP,)) is False


async def test_udp_answers() -> None:
    async with datagrams(answers=True) as (port, heard):
        assert await asked(port, protocols=(Protocol.UDP,)) is True
    assert heard == [b""]


@pytest.mark.usefixtures("silence")
async def test_udp_of_this_machine_is_silent() -> None:
    """Which would have said that nothing listens."""
    async with datagrams(answers=False) as (port, heard):
        assert await asked(port, protocols=(Protocol.UDP,)) is True
    assert heard == [b""]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("{host} 0x1 0x2 02:00:00:00:00:05 * eth0", True),
        ("{host} 0x1 0x6 02:00:00:00:00:05 * eth0", True),
        ("{host} 0x1 0x0 00:00:00:00:00:00 * eth0", False),
        ("192.168.77.55 0x1 0x2 02:00:00:00:00:05 * eth0", None),
        (None, None),
    ],
)
@pytest.mark.usefixtures("silence")
async def test_udp_of_a_neighbour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str | None, *, expected: bool | None
) -> None:
    """Of a silent machine, the kernel knows whether it is there at all."""
    arp = tmp_path / "arp"
    if table is not None:
        arp.write_text(
            f"IP address HW type Flags HW address Mask Device\n{table.format(host=HOST)}\n"
        )
    monkeypatch.setattr(probing, "ARP_TABLE", arp)
    monkeypatch.setattr(probing, "_is_own", lambda _: False)
    async with datagrams(answers=False) as (port, _):
        assert await asked(port, protocols=(Protocol.UDP,)) is expected


ASK = """\
import asyncio, sys
from ipaddress import ip_address
from custom_components.port_forward.reach.probing import is_target_reachable
from custom_components.port_forward.routers.model import PortRange

async def main():
    wanted = [asked.split("/") for asked in sys.argv[1:]]
    answers = [
        is_target_reachable([ip_address(host)], [protocol], PortRange.parse(port))
        for protocol, host, port in wanted
    ]
    print(*await asyncio.gather(*answers))

asyncio.run(main())
"""
SILENT = """\
import socket, time
with socket.socket(type=socket.SOCK_DGRAM) as sock:
    sock.bind(("", 82))
    print("ready", flush=True)
    time.sleep(60)
"""


async def test_neighbours_in_a_real_network() -> None:
    """What the kernel says of a machine that is there, and of one that is not."""
    absent = f"{CAMERA.rpartition('.')[0]}.99"
    async with home_network() as network:
        silent = await asyncio.create_subprocess_exec(
            *network.camera.command(sys.executable, "-c", SILENT), stdout=asyncio.subprocess.PIPE
        )
        assert silent.stdout
        assert await silent.stdout.readline() == b"ready\n"
        process = await asyncio.create_subprocess_exec(
            *network.home_assistant.command(
                *(sys.executable, "-c", ASK),
                *(f"tcp/{CAMERA}/81", f"udp/{CAMERA}/81", f"udp/{CAMERA}/82"),
                *(f"tcp/{absent}/81", f"udp/{absent}/81"),
            ),
            cwd=REPOSITORY,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        silent.kill()
        await silent.wait()
    assert output.decode().split() == ["False", "False", "True", "False", "False"]
