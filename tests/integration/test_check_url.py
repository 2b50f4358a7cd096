"""The check URL: whatever it answers, only an address counts."""

from ipaddress import IPv4Address

import aiohttp
import pytest
from homeassistant.core import HomeAssistant

from custom_components.port_forward.reach import check_url
from custom_components.port_forward.reach.check_url import CheckUrlError, async_seen_address
from lab.virtual_router import free_port
from tests.check_server import check_server, plain, redirect

SEEN = "198.51.100.7"
HUGE = 64 * 1024 * 1024


async def refused(hass: HomeAssistant, url: str) -> str:
    """Return why a check URL is refused."""
    with pytest.raises(CheckUrlError) as raised:
        await async_seen_address(hass, url)
    assert raised.value.key == raised.value.translation_key
    return raised.value.key


@pytest.mark.parametrize(
    "body",
    [
        SEEN,
        f"  {SEEN}\r\n",
        f'{{"ip": "{SEEN}"}}',
        f'{{"country": "DE", "ip": " {SEEN} ", "more": [1, {{}}]}}\n',
        f'{{"ip": "{SEEN}", "padding": "{"x" * 900}"}}',
    ],
)
async def test_address(hass: HomeAssistant, body: str) -> None:
    async with check_server(plain(body)) as server:
        assert await async_seen_address(hass, server.url) == IPv4Address(SEEN)
    assert server.asked == ["/"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "2a11:2233::5",
        '{"ip": "2a11:2233::5"}',
        "192.168.1.20",
        "100.64.0.7",
        "127.0.0.1",
        f"<html><body>{SEEN}</body></html>",
        f"{SEEN} {SEEN}",
        f"{SEEN}/32",
        "3325256711",
        f'"{SEEN}"',
        f'["{SEEN}"]',
        '{"ip": null}',
        '{"ip": 3325256711}',
        f'{{"ip": ["{SEEN}"]}}',
        f'{{"address": "{SEEN}"}}',
        f'{{"ip": "{SEEN}"',
        "[" * 1024,
        b"\xff\xfe\x00",
        f"{SEEN}\n{' ' * 1024}",
    ],
)
async def test_answer_that_is_no_public_address(hass: HomeAssistant, body: str | bytes) -> None:
    async with check_server(plain(body)) as server:
        assert await refused(hass, server.url) == "check_url_no_address"


async def test_huge_answer_is_not_read(hass: HomeAssistant) -> None:
    """It says that it is huge, and would go on for ever."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {HUGE}\r\n\r\n".encode()
    async with check_server(head + SEEN.encode() + b" " * 4096) as server:
        server.hangs = True
        assert await refused(hass, server.url) == "check_url_no_address"


async def test_compressed_answer_is_not_blown_up(hass: HomeAssistant) -> None:
    """It was asked not to; 16 KiB that become 16 MiB."""
    import gzip  # noqa: PLC0415  for this one alone

    bomb = gzip.compress(b" " * 16 * 1024 * 1024)
    async with check_server(plain(bomb, "200 OK", "Content-Encoding: gzip")) as server:
        assert await refused(hass, server.url) in ("check_url_no_address", "check_url_silent")


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n198."])
async def test_answer_that_never_ends(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(check_url, "_TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    async with check_server(sent) as server:
        server.hangs = True
        assert await refused(hass, server.url) == "check_url_silent"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x16\x03\x01\x02\x00",
        plain(SEEN, "404 Not Found"),
        plain(SEEN, "503 Service Unavailable"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n198.",
        plain(SEEN, "200 OK", "Content-Encoding: gzip"),
        redirect("http://"),
        redirect("ftp://127.0.0.1/"),
        redirect("http://127.0.0.1:99999/"),
    ],
)
async def test_answer_that_is_none(hass: HomeAssistant, sent: bytes) -> None:
    async with check_server(sent) as server:
        assert await refused(hass, server.url) == "check_url_silent"


async def test_nobody_answers(hass: HomeAssistant, name_server: dict[str, list[str]]) -> None:
    assert await refused(hass, f"http://127.0.0.1:{free_port()}/") == "check_url_silent"
    assert await refused(hass, f"https://127.0.0.1:{free_port()}/") == "check_url_silent"


async def test_only_over_ipv4(hass: HomeAssistant) -> None:
    async with check_server(plain(SEEN), "::1") as server:
        url = server.url.replace("::1", "[::1]")
        assert await refused(hass, url) == "check_url_silent"
        async with check_server(redirect(url)) as other:
            assert await refused(hass, other.url) == "check_url_silent"
    assert (other.asked, server.asked) == (["/"], [])


async def test_two_redirects_are_followed(hass: HomeAssistant) -> None:
    ways = {"/": redirect("/one"), "/one": redirect("/two"), "/two": plain(SEEN)}
    async with check_server(ways.__getitem__) as server:
        assert await async_seen_address(hass, server.url) == IPv4Address(SEEN)


async def test_loop_of_redirects(hass: HomeAssistant) -> None:
    async with check_server(redirect("/")) as server:
        assert await refused(hass, server.url) == "check_url_silent"
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "url",
    ["", "ip", "//ip.example/", "/ip", "ftp://ip.example/", "http://", "http://[", "http:ip", "::"],
)
async def test_no_url(hass: HomeAssistant, url: str) -> None:
    assert await refused(hass, url) == "invalid_check_url"
