"""The network that the tests of the drivers have: this machine."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_socket


@pytest.fixture(autouse=True)
def _loopback_is_the_network(socket_enabled: None) -> None:
    """Let the tests speak to loopback addresses, which are several hosts to a router."""
    # The last, to find out which way the IPv6 internet is; nothing is sent there.
    pytest_socket.socket_allow_hosts(["127.0.0.0/8", "2000::1/128"], allow_unix_socket=True)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client
