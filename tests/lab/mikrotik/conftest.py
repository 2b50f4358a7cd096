"""What the tests of the simulated MikroTik router share."""

from collections.abc import AsyncIterator

import pytest

from lab.mikrotik import MikrotikRouter

from .client import Client, client_of


@pytest.fixture
async def mikrotik() -> AsyncIterator[MikrotikRouter]:
    async with MikrotikRouter() as router:
        yield router


@pytest.fixture
async def rest(mikrotik: MikrotikRouter) -> AsyncIterator[Client]:
    async with client_of(mikrotik) as client:
        yield client
