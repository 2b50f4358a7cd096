"""What the tests of the simulated UniFi controller share."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from lab.unifi import UnifiController

from .client import Client


@pytest.fixture
async def unifi() -> AsyncIterator[UnifiController]:
    async with UnifiController() as controller:
        yield controller


@pytest.fixture
async def client(unifi: UnifiController) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Client(session, unifi)
