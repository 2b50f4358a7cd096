"""Home Assistant, the router, the camera and the internet, each in a network namespace."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lab.home_assistant import RealHomeAssistant
from lab.netns import HomeNetwork, RealRouter, lease_row
from lab.netns.network import CAMERA, FRIEND
from tests.e2e.clients import Camera, Internet, camera
from tests.e2e.conftest import shared
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.ui import Added, ForwardOnScreen, Ui
from tests.home_network import home_network, let_through


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def home() -> AsyncIterator[HomeNetwork]:
    """The network of all tests here."""
    async with home_network() as network:
        yield network


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def shared_ha(
    environment: Path, home: HomeNetwork, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RealHomeAssistant]:
    """The Home Assistant of all tests of a version, on a computer of that home."""
    config = tmp_path_factory.mktemp("config")
    async with shared(environment, config, home.home_assistant) as ha:
        yield ha


@pytest.fixture(autouse=True)
def _lab_is_the_network(ha: RealHomeAssistant) -> None:
    let_through()


@pytest_asyncio.fixture(loop_scope="session")
async def network(home: HomeNetwork, log: LogBook) -> AsyncIterator[HomeNetwork]:
    """The network, which has the same external address after the test."""
    address = home.wan_address
    yield home
    if home.wan_address != address:
        await home.set_wan_address(address)


@pytest.fixture
def others() -> int:
    """How many ports others have mapped before; a test that wants some parametrizes this."""
    return 0


@pytest_asyncio.fixture(loop_scope="session")
async def router(network: HomeNetwork, others: int) -> AsyncIterator[RealRouter]:
    """The router's miniupnpd, still switched off."""
    tomorrow = time.time() + 86400
    rows = [lease_row(port, CAMERA, tomorrow) for port in range(2001, 2001 + others)]
    router = RealRouter(network, lease_file=rows if others else None)
    yield router
    await router.__aexit__(None, None, None)


@pytest_asyncio.fixture(loop_scope="session")
async def added(ui: Ui, router: RealRouter) -> Added:
    """The router, added by the card that appears when it announces itself."""
    async with await ui.ha.subscribe("config_entries/flow/subscribe") as cards:
        await router.start()
        # The card of the last router may still be there.
        return await ui.add_discovered(cards, "Real Router", router.udn)


@pytest.fixture
def internet(network: HomeNetwork) -> Internet:
    """Where the clients are."""
    return Internet(router=network.wan_address, friend=FRIEND, make_socket=network.internet.socket)


@pytest_asyncio.fixture(loop_scope="session")
async def inside(network: HomeNetwork) -> AsyncIterator[Camera]:
    """The camera, on a computer of its own."""
    async with camera(CAMERA, network.camera.socket) as host:
        yield host


@pytest_asyncio.fixture(loop_scope="session")
async def door(ui: Ui, added: Added, inside: Camera, port: int) -> ForwardOnScreen:
    """A forward of `port` to the camera, for TCP and UDP, not open yet."""
    return await ui.add_forward(
        added.entry,
        added.first_forward,
        **to_camera(port, inside.port, internal_host=CAMERA, protocol="both"),
    )
