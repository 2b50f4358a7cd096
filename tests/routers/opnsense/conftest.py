"""What the tests of the driver for OPNsense share."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.lab.conftest import inside

from .home import Home, home_with

__all__ = ["inside"]


@pytest.fixture
async def home(session: aiohttp.ClientSession) -> AsyncIterator[Home]:
    async with home_with(session) as home:
        yield home
