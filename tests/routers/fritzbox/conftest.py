"""What the tests of the driver for FRITZ!Box share."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.lab.conftest import Inside

from .home import Home, home_with


@pytest.fixture
async def home(session: aiohttp.ClientSession) -> AsyncIterator[Home]:
    async with home_with(session) as home:
        yield home


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    """This machine, as somebody from outside meets it: it answers in capitals."""
    host = Inside()
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    yield host
    server.close()
    server.close_clients()
    await server.wait_closed()
