"""Asks a service that the user has chosen which address it sees us come from."""

import json
import socket
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Final

import aiohttp
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from yarl import URL

from ..const import DOMAIN
from ..routers.addresses import is_public

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_MOST_BYTES: Final = 1024
# What aiohttp calls the most is already one too many.
_TOO_MANY_REDIRECTS: Final = 3


class CheckUrlError(HomeAssistantError):
    """The check URL is none, or did not answer a public IPv4 address; `key` says which."""

    def __init__(self, key: str) -> None:
        """Take the translation key, which the form uses at the field as well."""
        super().__init__(translation_domain=DOMAIN, translation_key=key)
        self.key = key


def parse_check_url(text: str) -> URL:
    """Read what was typed in; raises CheckUrlError unless it is an http or https URL."""
    try:
        url = URL(text)
    except ValueError:
        raise CheckUrlError("invalid_check_url") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise CheckUrlError("invalid_check_url")
    return url


async def async_seen_address(hass: HomeAssistant, text: str) -> IPv4Address:
    """Return the address that the service behind a check URL sees us come from.

    It is asked over IPv4, and answers the address as plain text or as JSON
    with a field `ip`. Raises CheckUrlError.
    """
    url = parse_check_url(text)
    try:
        async with async_get_clientsession(hass, family=socket.AF_INET).get(
            url,
            headers={"Accept-Encoding": "identity"},
            max_redirects=_TOO_MANY_REDIRECTS,
            raise_for_status=True,
            timeout=_TIMEOUT,
        ) as response:
            body = await _read(response.content)
    # ValueError: a redirect to what is no URL. AssertionError: aiohttp's own, of an IPv6
    # address in a URL where IPv4 alone is spoken.
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, AssertionError) as error:
        raise CheckUrlError("check_url_silent") from error
    address = _address_in(body)
    if address is None or not is_public(address):
        raise CheckUrlError("check_url_no_address")
    return address


async def _read(stream: aiohttp.StreamReader) -> bytes:
    """Read the body; of one that is too long for an address, only the beginning."""
    body = b""
    while len(body) <= _MOST_BYTES and (chunk := await stream.read(_MOST_BYTES)):
        body += chunk
    return body


def _address_in(body: bytes) -> IPv4Address | None:
    if len(body) > _MOST_BYTES:
        return None
    text = body.decode(errors="replace").strip()
    # RecursionError: a thousand brackets are enough for it.
    with suppress(ValueError, RecursionError):
        answer = json.loads(text)
        if isinstance(answer, dict):
            text = str(answer.get("ip", "")).strip()
    with suppress(ValueError):
        return IPv4Address(text)
    return None
