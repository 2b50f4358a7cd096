"""IPv6 through the real miniupnpd: nothing is translated, and a pinhole lets in."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
import pytest_asyncio

from lab.home_assistant import RealHomeAssistant
from lab.netns import HomeNetwork, RealRouter
from lab.netns.network import FRIEND6, HOME_ASSISTANT, HOME_ASSISTANT6, ROUTER
from tests.e2e.clients import PAGE, Camera, Internet, camera, echo, fetch, is_closed
from tests.e2e.ui import ROUTER_FLOW, Added, ForwardOnScreen, Ui
from tests.e2e.waiting import GUARD


@pytest.fixture
def internet6(network: HomeNetwork) -> Internet:
    """Where the clients are that speak IPv6."""
    make_socket = partial(network.internet.socket, family=socket.AF_INET6)
    return Internet(router=HOME_ASSISTANT6, friend=FRIEND6, make_socket=make_socket)


@pytest_asyncio.fixture(loop_scope="session")
async def own(network: HomeNetwork) -> AsyncIterator[Camera]:
    """A camera of Home Assistant's own machine, on one port of both families."""
    make_socket6 = partial(network.home_assistant.socket, family=socket.AF_INET6)
    async with (
        camera(HOME_ASSISTANT, network.home_assistant.socket) as host,
        camera(HOME_ASSISTANT6, make_socket6, host.port),
    ):
        yield host


async def by_upnp(ui: Ui, router: RealRouter) -> Added:
    async with await ui.ha.subscribe("config_entries/flow/subscribe") as cards:
        await router.start()
        return await ui.add_discovered(cards, "Real Router", router.udn)


async def by_pcp(ui: Ui, router: RealRouter) -> Added:
    await router.start()
    step = await ui.ha.post(ROUTER_FLOW, {"handler": "port_forward"})
    return await ui.added(await ui.submit(ROUTER_FLOW, step, url=f"pcp://{ROUTER}"))


async def add(ui: Ui, added: Added, own: Camera) -> ForwardOnScreen:
    """Add a forward of both protocols, over both internets, to this Home Assistant."""
    return await ui.add_forward(
        added.entry,
        added.first_forward,
        name=f"Both {own.port}",
        internal_host="This Home Assistant",
        protocol="both",
        internal_ports=str(own.port),
        ip_version="both",
    )


@pytest.mark.parametrize("add_router", [by_upnp, by_pcp])
async def test_opened_and_closed(
    ui: Ui,
    router: RealRouter,
    internet: Internet,
    internet6: Internet,
    own: Camera,
    add_router: Callable[[Ui, RealRouter], Awaitable[Added]],
) -> None:
    added = await add_router(ui, router)
    assert await ui.sensor(added.entry, "external_ipv6_address") == HOME_ASSISTANT6
    door = await add(ui, added, own)
    assert await is_closed(own.port, internet6)

    await ui.turn_on(door)
    for on in (internet, internet6):
        assert await fetch(own.port, on=on) == PAGE
        assert await echo(own.port, b"hello", on=on) == b"HELLO"
    assert await ui.is_on(door)

    await ui.turn_off(door)
    assert await is_closed(own.port, internet)
    assert await is_closed(own.port, internet6)


async def test_router_closes_what_home_assistant_left_behind(
    ui: Ui,
    ha: RealHomeAssistant,
    router: RealRouter,
    internet: Internet,
    internet6: Internet,
    own: Camera,
) -> None:
    door = await add(ui, await by_upnp(ui, router), own)
    await ui.until_saved(door)
    await ha.call("port_forward", "open", entity_id=door.switch, duration={"seconds": 10})
    assert await fetch(own.port, on=internet6) == PAGE
    await ha.kill()
    assert await fetch(own.port, on=internet6) == PAGE

    async with asyncio.timeout(GUARD):
        for on in (internet, internet6):
            while not await is_closed(own.port, on):  # noqa: ASYNC110  a port does not tell
                await asyncio.sleep(0.1)
    await ha.start()
    await ha.wait_for_state(door.switch, "off")
