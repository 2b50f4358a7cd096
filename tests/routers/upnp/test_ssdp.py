"""The search of one host, against responders that lie, stay silent or babble."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import override

import pytest

from custom_components.port_forward.routers.upnp import same_host, search
from custom_components.port_forward.routers.upnp.ssdp import read_answer

IGD = "urn:schemas-upnp-org:device:InternetGatewayDevice:{}"
OTHER = "127.0.0.3"


class Responder(asyncio.DatagramProtocol):
    """Answers each search with what `answers` has for its target."""

    def __init__(self, answers: dict[str, list[str]], *, silent_for: int) -> None:
        self.searches: list[dict[str, str]] = []
        self.reply_from: asyncio.DatagramTransport | None = None
        self._answers = answers
        self._silent_for = silent_for

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        search = read_answer(data.replace(b"M-SEARCH * HTTP/1.1", b"HTTP/1.1 200 OK"))
        self.searches.append(search)
        if len(self.searches) <= self._silent_for:
            return
        assert self.reply_from
        for answer in self._answers.get(search["st"], []):
            self.reply_from.sendto(answer.encode(), addr)


@asynccontextmanager
async def _responder(
    answers: dict[str, list[str]], *, silent_for: int = 0, reply_host: str = "127.0.0.1"
) -> AsyncIterator[tuple[int, Responder]]:
    loop = asyncio.get_running_loop()
    transport, responder = await loop.create_datagram_endpoint(
        lambda: Responder(answers, silent_for=silent_for), local_addr=("127.0.0.1", 0)
    )
    other, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=(reply_host, 0)
    )
    responder.reply_from = other
    yield transport.get_extra_info("sockname")[1], responder
    transport.close()
    other.close()


def _answer(target: str, location: str, status: str = "HTTP/1.1 200 OK") -> str:
    return f"{status}\r\nST: {target}\r\nLOCATION: {location}\r\n\r\n"


def _gateway(version: int, location: str) -> dict[str, list[str]]:
    target = IGD.format(version)
    return {target: [_answer(target, location)]}


@pytest.mark.parametrize("version", [1, 2])
async def test_gateway_is_found_at_once(version: int) -> None:
    async with _responder(_gateway(version, "http://127.0.0.1:5000/d.xml")) as (port, responder):
        assert await search("127.0.0.1", port=port, timeout=60) == "http://127.0.0.1:5000/d.xml"
        assert {"host", "man", "mx", "st"} == set(responder.searches[0]) - {""}
        assert responder.searches[0]["man"] == '"ssdp:discover"'


async def test_a_lost_datagram_is_sent_again() -> None:
    answers = _gateway(1, "http://127.0.0.1:5000/d.xml")
    async with _responder(answers, silent_for=3) as (port, responder):
        assert await search("127.0.0.1", port=port, timeout=5) == "http://127.0.0.1:5000/d.xml"
        assert len(responder.searches) > 3


async def test_another_root_device_counts_only_without_a_gateway() -> None:
    root = {"upnp:rootdevice": [_answer("upnp:rootdevice", "http://127.0.0.1:8200/nas.xml")]}
    async with _responder(root) as (port, _):
        assert await search("127.0.0.1", port=port, timeout=1) == "http://127.0.0.1:8200/nas.xml"
    async with _responder(root | _gateway(1, "http://127.0.0.1:5000/d.xml")) as (port, _):
        assert await search("127.0.0.1", port=port, timeout=60) == "http://127.0.0.1:5000/d.xml"


async def test_answer_of_another_host_is_refused() -> None:
    answers = _gateway(1, "http://127.0.0.1:5000/d.xml")
    async with _responder(answers, reply_host=OTHER) as (port, _):
        assert await search("127.0.0.1", port=port, timeout=0.1) is None


@pytest.mark.parametrize(
    "answer",
    [
        _answer(IGD.format(1), f"http://{OTHER}:5000/d.xml"),
        _answer(IGD.format(1), "http://router.example/d.xml"),
        _answer(IGD.format(1), "file:///etc/passwd"),
        _answer(IGD.format(1), "http://127.0.0.1/", status="HTTP/1.1 404 Not Found"),
        _answer(IGD.format(1), "http://127.0.0.1/", status="NOTIFY * HTTP/1.1"),
        "HTTP/1.1 200 OK\r\n\r\n",
        "",
        "\r\n",
        "ä" * 2000,
    ],
)
async def test_nonsense_is_refused(answer: str) -> None:
    async with _responder({IGD.format(1): [answer, answer]}) as (port, _):
        assert await search("127.0.0.1", port=port, timeout=0.1) is None


async def test_a_second_answer_changes_nothing() -> None:
    target = IGD.format(1)
    answers = [_answer(target, f"http://127.0.0.1:500{n}/d.xml") for n in range(2)]
    async with _responder({target: answers}) as (port, _):
        assert await search("127.0.0.1", port=port) == "http://127.0.0.1:5000/d.xml"


async def test_host_that_does_not_resolve() -> None:
    assert await search("::1", timeout=0.1) is None


async def test_no_socket_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_datagram_endpoint", refuse)
    assert await search("127.0.0.1", timeout=0.1) is None


@pytest.mark.parametrize(
    ("location", "sender", "expected"),
    [
        ("http://192.0.2.1:5000/d.xml", "192.0.2.1", True),
        ("https://192.0.2.1/d.xml", "192.0.2.1", True),
        ("http://user@192.0.2.1/d.xml", "192.0.2.1", True),
        ("http://192.0.2.2/d.xml", "192.0.2.1", False),
        ("http://192.0.2.1@192.0.2.2/d.xml", "192.0.2.1", False),
        ("ftp://192.0.2.1/d.xml", "192.0.2.1", False),
        ("http://router/d.xml", "192.0.2.1", False),
        ("http://[fe80::1]/d.xml", "192.0.2.1", False),
        ("http://[", "192.0.2.1", False),
        ("http://192.0.2.1:5000d.xml", "192.0.2.1", False),
        ("http://192.0.2.1:65536/", "192.0.2.1", False),
        ("http://192.0.2.1:0/", "192.0.2.1", False),
        ("", "192.0.2.1", False),
        ("http://192.0.2.1/d.xml", "", False),
        ("http://192.0.2.1/d.xml", "router", False),
    ],
)
def test_same_host(location: str, sender: str, *, expected: bool) -> None:
    assert same_host(location, sender) is expected
