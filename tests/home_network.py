"""The namespace lab, for the tests that can have it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_socket

from lab.netns import HomeNetwork, UnavailableError


@asynccontextmanager
async def home_network() -> AsyncIterator[HomeNetwork]:
    """Make the namespaces, or skip the test and say why."""
    network = HomeNetwork()
    try:
        await network.__aenter__()
    except UnavailableError as error:
        pytest.skip(str(error))
    try:
        yield network
    finally:
        await network.__aexit__(None, None, None)


def let_through() -> None:
    """Let a test speak to loopback and to the addresses of the lab."""
    pytest_socket.enable_socket()
    networks = ["127.0.0.0/8", "::1/128", "192.168.77.0/24", "11.22.33.0/24", "2a11:2233::/32"]
    # To find out which way the IPv6 internet is; nothing is sent there.
    networks.append("2000::1/128")
    pytest_socket.socket_allow_hosts(networks, allow_unix_socket=True)
