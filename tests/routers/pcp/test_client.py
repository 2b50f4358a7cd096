"""Requests and replies over UDP, and which version of the protocol is spoken."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable

import pytest

from custom_components.port_forward.routers.errors import (
    ProtocolError,
    RouterTimeoutError,
    RouterUnreachableError,
    UnsupportedError,
)
from custom_components.port_forward.routers.model import RouterInfo
from custom_components.port_forward.routers.pcp import PcpRouter, Server
from custom_components.port_forward.routers.pcp.exchange import (
    NATPMP_REPEATS,
    PCP_REPEATS,
    Repeats,
)
from lab.virtual_router import free_port

from .home import HOUR, forward
from .server import ADDRESS_MISMATCH, CAMERA, HOST, UNSUPP_VERSION, FakeServer, header

ANNOUNCE, MAP = 0, 1


def maps(server: FakeServer) -> list[bytes]:
    """The MAP requests of PCP that have arrived."""
    return [request for request in server.requests if request[:2] == b"\x02\x01"]


def answer_maps(
    server: FakeServer, damage: Callable[[bytes], list[bytes]]
) -> Callable[[bytes], list[bytes] | None]:
    """What answers MAP requests with what `damage` makes of the right answer."""

    def intercept(data: bytes) -> list[bytes] | None:
        if data[:2] != b"\x02\x01":
            return None
        [answer] = server.answer(data, HOST)
        return damage(answer)

    return intercept


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.168.1.1", "192.168.1.1", 5351),
        ("192.168.1.1:15351", "192.168.1.1", 15351),
        ("fe80::1%eth0", "fe80::1%eth0", 5351),
        ("[fd00::1]:99", "fd00::1", 99),
        ("[fd00::1]", "fd00::1", 5351),
    ],
)
def test_where_a_server_is(text: str, host: str, port: int) -> None:
    server = Server.parse(text)
    assert (str(server.host), server.port) == (host, port)


@pytest.mark.parametrize(
    "text", ["", "router.lan", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:x", "[fd00::1]99", "1.2.3"]
)
def test_what_is_nowhere(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Server.parse(text)


def test_pcp_is_repeated_after_three_seconds_doubling_with_jitter() -> None:
    """RFC 6887 section 8.1.1."""
    for _ in range(50):
        waits = PCP_REPEATS.waits()
        last = next(waits)
        assert 2.7 <= last <= 3.3
        for _ in range(4):
            wait = next(waits)
            assert 1.8 * last <= wait <= 2.2 * last
            last = wait
    firsts = {next(PCP_REPEATS.waits()) for _ in range(20)}
    assert len(firsts) > 1


def test_natpmp_is_repeated_after_a_quarter_second_doubling() -> None:
    """RFC 6886 section 3.1."""
    waits = NATPMP_REPEATS.waits()
    assert [next(waits) for _ in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64]


async def test_a_lost_packet_is_sent_again_unchanged(
    server: FakeServer, driver: PcpRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "custom_components.port_forward.routers.pcp.client.PCP_REPEATS", Repeats(first=0.02)
    )
    await driver.connect()

    def lose_two(data: bytes) -> list[bytes] | None:
        return [] if data[1] == MAP and len(maps(server)) <= 2 else None

    server.intercept = lose_two
    [mapping] = await driver.open(forward(), HOUR)
    assert len(maps(server)) == 3
    assert len(set(maps(server))) == 1
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}
    assert mapping.lease == HOUR


async def test_silence(server: FakeServer) -> None:
    server.intercept = lambda _: []
    with pytest.raises(RouterTimeoutError) as error:
        await PcpRouter(server.url, timeout=0.2).connect()
    assert error.value.placeholders == {"host": HOST}
    tried = {request[0] for request in server.requests}
    assert tried == {0, 2}


async def test_nobody_listens() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(RouterUnreachableError) as error:
        await PcpRouter(f"{HOST}:{free_port(HOST)}", timeout=60).connect()
    assert not isinstance(error.value, RouterTimeoutError)
    assert loop.time() - started < 50


async def test_one_request_at_a_time(server: FakeServer, driver: PcpRouter) -> None:
    await driver.connect()
    waiting: list[bytes] = []
    held = asyncio.Event()

    def hold(data: bytes) -> list[bytes] | None:
        waiting.append(data)
        held.set()
        return []

    server.intercept = hold
    first = asyncio.create_task(driver.snapshot())
    second = asyncio.create_task(driver.snapshot())
    await held.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(waiting) == 1
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_pcp_first(server: FakeServer, driver: PcpRouter) -> None:
    assert await driver.connect() == RouterInfo(unique_id=f"pcp-{HOST}", name=f"PCP router {HOST}")
    assert driver.learned["version"] == "2"
    assert [request[:2] for request in server.requests] == [b"\x02\x00"]


async def test_natpmp_where_the_server_says_so(server: FakeServer, driver: PcpRouter) -> None:
    server.speaks_pcp = False
    assert (await driver.connect()).name == f"NAT-PMP router {HOST}"
    assert driver.learned["version"] == "0"
    assert [request[0] for request in server.requests] == [2, 0]


async def test_natpmp_where_the_server_is_silent_on_pcp(server: FakeServer) -> None:
    server.silent_on_pcp = True
    driver = PcpRouter(server.url, timeout=2)
    assert (await driver.connect()).name == f"NAT-PMP router {HOST}"
    assert [request[0] for request in server.requests].count(2) >= 2, "lost packets are no answer"


async def test_a_server_that_only_missed_the_first_packets(server: FakeServer) -> None:
    server.speaks_natpmp = False
    server.intercept = lambda data: [] if data[0] == 2 else None
    driver = PcpRouter(server.url, timeout=2)
    assert (await driver.connect()).name == f"PCP router {HOST}"


@pytest.mark.parametrize("version", [1, 3])
async def test_another_version(server: FakeServer, driver: PcpRouter, version: int) -> None:
    server.intercept = lambda _: [bytes((version, 0x80, 0, UNSUPP_VERSION)) + bytes(20)]
    with pytest.raises(UnsupportedError) as error:
        await driver.connect()
    assert error.value.placeholders == {"host": HOST, "detail": f"PCP version {version}"}


async def test_another_version_that_is_silent_on_natpmp(server: FakeServer) -> None:
    reply = bytes((1, 0x80, 0, UNSUPP_VERSION)) + bytes(20)
    server.intercept = lambda data: [reply] if data[0] == 2 else []
    with pytest.raises(UnsupportedError):
        await PcpRouter(server.url, timeout=0.5).connect()


async def test_a_network_that_changes_our_address(server: FakeServer, driver: PcpRouter) -> None:
    server.error = ADDRESS_MISMATCH
    with pytest.raises(UnsupportedError) as error:
        await driver.connect()
    assert "changes addresses" in error.value.placeholders["detail"]


async def test_the_version_is_known_again_after_a_restart(server: FakeServer) -> None:
    driver = PcpRouter(server.url, learned={"version": "0"})
    await driver.snapshot()
    assert [request[0] for request in server.requests] == [0]


async def test_a_router_that_was_replaced(server: FakeServer, driver: PcpRouter) -> None:
    held = await driver.open(forward(), HOUR)
    server.speaks_pcp = False
    server.rows.clear()
    with pytest.raises(ProtocolError):
        await driver.snapshot(held)
    assert not (await driver.snapshot(held)).mappings
    assert driver.learned["version"] == "0"


async def test_a_router_that_was_replaced_by_one_that_is_silent_on_pcp(server: FakeServer) -> None:
    driver = PcpRouter(server.url, timeout=1)
    held = await driver.open(forward(), HOUR)
    server.rows.clear()
    server.silent_on_pcp = True
    with pytest.raises(RouterTimeoutError):
        await driver.snapshot(held)
    assert not (await driver.snapshot(held)).mappings
    assert driver.learned["version"] == "0"
    await driver.open(forward(), HOUR, ours=held)
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}


def other_nonce(answer: bytes) -> bytes:
    return answer[:24] + bytes(12) + answer[36:]


def other_port(answer: bytes) -> bytes:
    return answer[:40] + struct.pack("!H", 9) + answer[42:]


def other_protocol(answer: bytes) -> bytes:
    return answer[:36] + b"\x11" + answer[37:]


def other_opcode(_: bytes) -> bytes:
    return header(ANNOUNCE, 0)


def unasked_request(answer: bytes) -> bytes:
    return b"\x02\x01" + answer[2:]


def short(answer: bytes) -> bytes:
    return answer[:40]


def long(answer: bytes) -> bytes:
    return answer + bytes(1200)


def odd(answer: bytes) -> bytes:
    return answer + b"\0"


@pytest.mark.parametrize(
    "damage",
    [
        other_nonce,
        other_port,
        other_protocol,
        other_opcode,
        unasked_request,
        short,
        long,
        odd,
        lambda _: b"",
        lambda _: b"\xff" * 64,
    ],
)
async def test_what_is_no_answer_is_dropped_and_logged_once(
    server: FakeServer,
    driver: PcpRouter,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
) -> None:
    """Three of them come before the right one."""
    caplog.set_level(logging.DEBUG, "custom_components.port_forward")
    await driver.connect()
    server.intercept = answer_maps(server, lambda answer: [*[damage(answer)] * 3, answer])
    [mapping] = await driver.open(forward(), HOUR)
    assert mapping.external_ports.first == 8080
    [told] = [record for record in caplog.records if record.name.startswith("custom_components")]
    assert told.levelno == logging.DEBUG


@pytest.mark.parametrize("opcode", [0, 1, 3])
async def test_natpmp_drops_replies_to_other_requests(
    server: FakeServer, driver: PcpRouter, opcode: int
) -> None:
    server.speaks_pcp = False
    other = {
        0: bytes.fromhex("00800000 000003e8 cb007107"),
        1: struct.pack("!BBHIHHI", 0, 0x81, 0, 1000, 8080, 1, 60),
        3: struct.pack("!BBHIHHI", 0, 0x82, 0, 1000, 9, 1, 60),
    }[opcode]

    def intercept(data: bytes) -> list[bytes] | None:
        return [other, *server.answer(data, HOST)] if data[:2] == b"\0\x02" else None

    server.intercept = intercept
    [mapping] = await driver.open(forward(), HOUR)
    assert mapping.external_ports.first == 8080
    assert mapping.lease == HOUR


async def test_replies_from_another_host_never_arrive(
    server: FakeServer, driver: PcpRouter
) -> None:
    await driver.connect()
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((CAMERA, server.port))
        original = server.datagram_received

        def forge_first(data: bytes, addr: tuple[str, int]) -> None:
            nonlocal sent
            if data[1] == MAP:
                [answer] = server.answer(data, addr[0])
                forged = answer[:42] + struct.pack("!H", 666) + answer[44:]
                sent += stranger.sendto(forged, addr)
            original(data, addr)

        server.datagram_received = forge_first  # type: ignore[method-assign]
        [mapping] = await driver.open(forward(), HOUR)
    assert sent
    assert mapping.external_ports.first == 8080


async def test_a_flood_of_nonsense_is_as_good_as_silence(server: FakeServer) -> None:
    server.intercept = lambda _: [bytes((2, 0x81)) + bytes(22)] * 500
    with pytest.raises(RouterTimeoutError):
        await PcpRouter(server.url, timeout=0.3).connect()
