"""Answers to a search, and the addresses in them: nobody but the host itself is believed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import override

import yarl
from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.routers.errors import RouterError
from custom_components.port_forward.routers.upnp import description
from custom_components.port_forward.routers.upnp.ssdp import (
    _GATEWAYS,
    _Answers,
    read_answer,
    same_host,
    search,
)

from .checks import check_error
from .documents import WAN_TYPES, elements, tag
from .effort import bounded, count, inputs

HOST = "127.0.0.1"
GOOD = f"http://{HOST}:5000/rootDesc.xml"
LONGEST = 65507
"""Bytes of a datagram."""

_urls = st.lists(
    st.sampled_from(
        (
            *("http:", "https:", "HTTP:", "ftp:", "file:", "//", "/", "\\", "\\\\", "@", ":", "?"),
            *(
                "#",
                "[",
                "]",
                "%",
                ".",
                "..",
                ";",
                "&",
                " ",
                "\t",
                "\r\n",
                "\x00",
                "\u3002",
                "\uff0e",
            ),
            *("127.0.0.1", "192.0.2.9", "evil.example", "127.0.0.1.evil.example", "2130706433"),
            *("0x7f.1", "127.1", "::1", "[::1]", "127.0.0.1%00", "%31", "\u0661", "localhost"),
            *("5000", "0", "65536", "-1", "99999999", "ctl", "a" * 300, "user", "\ud800", "ß"),
        )
    ),
    max_size=9,
).map("".join)
_likely_urls = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(("http://", "https://", "http:\\\\", "http:/", " http://", "http://u@")),
    st.sampled_from((HOST, f"{HOST}:5000", "192.0.2.9", "[::ffff:127.0.0.1]", f"{HOST}.", "")),
    st.sampled_from(("", "/", "\\@192.0.2.9/", "/@192.0.2.9", "@192.0.2.9/", "#@192.0.2.9/")),
    st.sampled_from(("", "d.xml", "?x", "//192.0.2.9/")),
)
urls = _urls | _likely_urls | st.text(max_size=20)


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """Answers to a search of which anything may be wrong."""
    status = draw(
        st.sampled_from(
            (*["HTTP/1.1 200 OK"] * 6, "HTTP/1.0 200", "NOTIFY * HTTP/1.1", "", "HTTP/1.1 2000")
        )
    )
    names = (
        "LOCATION",
        "location",
        "Location ",
        "ST",
        "st",
        "USN",
        "",
        "EXT",
        "\xc4",
        "LOCATION\t",
    )
    lines = [status]
    for _ in range(draw(st.integers(0, 8))):
        name = draw(st.sampled_from(names))
        value = draw(urls | st.sampled_from((GOOD, *_GATEWAYS, "upnp:rootdevice")))
        separator = draw(st.sampled_from((":", ": ", ": ", " : ", "", ":\r\n ", "::")))
        lines.append(f"{name}{separator}{value}")
    end = draw(st.sampled_from(("\r\n", "\r\n", "\n", "\r", "\x00", "")))
    text = end.join(lines) + end * 2 + draw(st.sampled_from(("", "body", "x" * 70_000)))
    return text.encode(draw(st.sampled_from(("latin-1", "utf-8"))), "replace")[:LONGEST]


any_datagrams = datagrams() | st.binary(max_size=300)


@inputs(60)
@given(any_datagrams)
def test_headers(datagram: bytes) -> None:
    with bounded(len(datagram)):
        headers = read_answer(datagram)
    for name, value in headers.items():
        assert name == name.strip().lower()
        assert value == value.strip()
        assert "\r\n" not in name + value


@inputs(30)
@given(st.lists(any_datagrams, min_size=1, max_size=5), st.sampled_from((HOST, "127.0.0.9")))
async def test_only_the_host_itself_is_believed(answers: list[bytes], sender: str) -> None:
    collector = _Answers(HOST)
    with bounded(sum(map(len, answers))):
        for answer in answers:
            collector.datagram_received(answer, (sender, 1900))
    found = [collector.gateway.result()] if collector.gateway.done() else []
    found += [collector.other] if collector.other else []
    assert not found or sender == HOST
    for location in found:
        assert same_host(location, HOST)


@inputs(15)
@given(st.lists(any_datagrams, max_size=10))
async def test_the_gateway_is_found_behind_any_noise(noise: list[bytes]) -> None:
    """Over a real socket: what comes before the good answer does not keep it from being taken."""
    good = f"HTTP/1.1 200 OK\r\nST: {_GATEWAYS[0]}\r\nLOCATION: {GOOD}\r\n\r\n".encode()
    async with _noisy([*noise, good]) as port:
        location = await search(HOST, port=port, timeout=20)
    count()
    assert location is not None
    assert same_host(location, HOST)


@inputs(75)
@given(urls)
def test_the_client_goes_where_same_host_says(url: str) -> None:
    """Two readings of one address must not lead to two hosts: what aiohttp takes is yarl's."""
    with bounded(len(url)):
        same = same_host(url, HOST)
    if same:
        assert yarl.URL(url).host == HOST


@inputs(75)
@given(urls, urls, st.sampled_from((GOOD, "https://127.0.0.1/a", "http://u@127.0.0.1:80")))
def test_what_a_description_names_is_on_its_own_host(base: str, control: str, url: str) -> None:
    services = tag("service", elements({"serviceType": WAN_TYPES[0], "controlURL": control}))
    device = elements({"UDN": "u", "presentationURL": control}) + tag("serviceList", services)
    body = tag("root", elements({"URLBase": base}) + tag("device", device))
    with bounded(len(body)):
        try:
            found = description.read(url, body.encode("utf-8", "replace"))
        except RouterError as error:
            check_error(error)
            return
    for address in (found.wans[0].control_url, found.info.configuration_url):
        assert address
        assert same_host(address, HOST)
        assert yarl.URL(address).host == HOST
        assert yarl.URL(address).user is None


@inputs(20)
@given(st.ip_addresses(v=4), st.integers(1, 65535))
def test_an_address_is_on_its_own_host_and_on_no_other(address: IPv4Address, port: int) -> None:
    with bounded(1):
        assert same_host(f"http://{address}:{port}/d.xml", str(address))
    assert not same_host(f"http://{address}:{port}/d.xml", str(IPv4Address(int(address) ^ 1)))


@asynccontextmanager
async def _noisy(answers: Sequence[bytes]) -> AsyncIterator[int]:
    """Answer each search with all of this."""

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Responder(answers), local_addr=(HOST, 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


class _Responder(asyncio.DatagramProtocol):
    def __init__(self, answers: Sequence[bytes]) -> None:
        self._answers = answers
        self._transport: asyncio.BaseTransport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert isinstance(self._transport, asyncio.DatagramTransport)
        for answer in self._answers:
            self._transport.sendto(answer, addr)
