"""A server, and our driver for it."""

from collections.abc import AsyncIterator

import pytest

from custom_components.port_forward.routers.pcp import PcpRouter

from .server import FakeServer, fake_server


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as server:
        yield server


@pytest.fixture
def driver(server: FakeServer) -> PcpRouter:
    return PcpRouter(server.url, timeout=5)
