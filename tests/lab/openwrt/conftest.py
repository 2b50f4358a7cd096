"""A router, and somebody logged in to it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from lab.openwrt import OpenWrt

from .browser import Client


@pytest.fixture
async def wrt() -> AsyncIterator[OpenWrt]:
    async with OpenWrt() as router:
        yield router


@pytest.fixture
async def client(wrt: OpenWrt) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        client = Client(http=http, router=wrt)
        await client.login()
        yield client


@pytest.fixture
async def other(wrt: OpenWrt, client: Client) -> Client:
    """Somebody else, logged in as root."""
    other = Client(http=client.http, router=wrt)
    await other.login("root", "luci")
    return other
