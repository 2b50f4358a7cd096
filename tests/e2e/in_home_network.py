"""Discovery, as `test_discovery.py` runs it: with a home's address and multicast on loopback."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import pytest_socket

from lab.home_assistant import RealHomeAssistant
from lab.virtual_router import VirtualRouter
from tests.e2e.clients import PAGE, Camera, camera, fetch
from tests.e2e.conftest import up_for_a_day
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.ui import ROUTER_FLOW, Added, Ui, until_reloaded

HOME = "192.168.77.1"
"""The router, Home Assistant and the camera: the only machine in this network."""


@pytest.fixture(autouse=True)
def _home_is_reachable(ha: RealHomeAssistant) -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.0/8", HOME], allow_unix_socket=True)


@pytest_asyncio.fixture(loop_scope="session")
async def router(log: LogBook) -> AsyncIterator[VirtualRouter]:
    """A router that can be discovered, still switched off."""
    router = VirtualRouter(lan_host=HOME, ssdp=True)
    yield router
    await router.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def inside() -> AsyncIterator[Camera]:
    """A camera with an address of this network."""
    async with camera(HOME) as host:
        yield host


async def add_discovered(ui: Ui, router: VirtualRouter) -> Added:
    """Switch the router on and add it by the card that appears."""
    async with await ui.ha.subscribe("config_entries/flow/subscribe") as cards:
        await router.start()
        up_for_a_day(router)
        return await ui.add_discovered(cards, "Virtual Router")


async def test_announced(ui: Ui, router: VirtualRouter, inside: Camera, port: int) -> None:
    added = await add_discovered(ui, router)
    door = await ui.add_forward(
        added.entry,
        added.first_forward,
        **to_camera(port, inside.port, internal_host="This Home Assistant"),
    )
    await ui.turn_on(door)
    assert [mapping.internal_host for mapping in router.mappings] == [HOME]
    assert await fetch(port) == PAGE


async def test_moves_by_itself(
    ui: Ui, router: VirtualRouter, inside: Camera, port: int, log: LogBook
) -> None:
    log.provoke("Error fetching port_forward", because="nobody answers at the old address")
    added = await add_discovered(ui, router)
    door = await ui.add_forward(added.entry, **to_camera(port, inside.port, internal_host=HOME))
    await ui.turn_on(door)
    old_url = router.description_url
    async with await ui.ha.subscribe("config_entries/subscribe") as changes:
        await router.restart(change_port=True)
        assert router.description_url != old_url
        # The router says hello, and the entry follows it without being asked.
        await until_reloaded(changes, added.entry)
    await ui.ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE


async def test_searched(ui: Ui, router: VirtualRouter) -> None:
    async with await ui.ha.subscribe("config_entries/flow/subscribe") as cards:
        await router.start()
        await ui.discovered(cards)
    step = await ui.ha.post(ROUTER_FLOW, {"handler": "port_forward"})
    assert (step["type"], step["step_id"]) == ("form", "user")
    [field] = step["data_schema"]
    choices = [option["value"] for option in field["selector"]["select"]["options"]]
    # The kinds of routers that need a login come last.
    assert choices[:2] == [router.description_url, "typed_in"]
    await ui.added(await ui.submit(ROUTER_FLOW, step, url=router.description_url))
