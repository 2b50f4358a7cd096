"""PCP to the real miniupnpd: to the camera, and to Home Assistant itself over both internets."""

import pytest
import pytest_asyncio

from lab.home_assistant import CommandError
from lab.netns import HomeNetwork, RealRouter
from lab.netns.network import CAMERA, FRIEND, HOME_ASSISTANT, ROUTER
from lab.netns.witness import kernel_rows
from tests.e2e.clients import PAGE, Camera, Internet, camera, fetch, is_closed
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.ui import ROUTER_FLOW, Added, ForwardOnScreen, Ui

FAILED = r"Error during service call to switch.turn_on: "


@pytest_asyncio.fixture(loop_scope="session")
async def added(ui: Ui, router: RealRouter) -> Added:
    """The router as the default gateway that speaks PCP, chosen from the list."""
    await router.start()
    step = await ui.ha.post(ROUTER_FLOW, {"handler": "port_forward"})
    assert (step["type"], step["step_id"]) == ("form", "user")
    return await ui.added(await ui.submit(ROUTER_FLOW, step, url=f"pcp://{ROUTER}"))


@pytest_asyncio.fixture(loop_scope="session")
async def door(ui: Ui, added: Added, inside: Camera, port: int) -> ForwardOnScreen:
    """A forward of `port` to the camera, not open yet."""
    return await ui.add_forward(
        added.entry,
        added.first_forward,
        **to_camera(port, inside.port, name=f"PCP {port}", internal_host=CAMERA),
    )


async def shown_port(ui: Ui, door: ForwardOnScreen) -> str:
    state = await ui.ha.state(f"{door.switch.replace('switch.', 'sensor.')}_external_port")
    return str(state["state"])


async def test_opened_and_closed(
    ui: Ui,
    router: RealRouter,
    internet: Internet,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
) -> None:
    assert await ui.sensor(door.entry, "external_ip_address") == internet.router
    assert await shown_port(ui, door) == "unknown"

    await ui.turn_on(door)
    assert await shown_port(ui, door) == str(port)
    assert await fetch(port, FRIEND, internet) == PAGE
    assert await kernel_rows(router) == [("TCP", port, CAMERA, inside.port)]

    await ui.turn_off(door)
    assert await is_closed(port, internet)
    assert await kernel_rows(router) == []
    assert await shown_port(ui, door) == "unknown"


async def test_restarted_while_open(
    ui: Ui, router: RealRouter, internet: Internet, door: ForwardOnScreen, port: int
) -> None:
    """It announces that it has begun anew; the next look would be in an hour."""
    await ui.set_options(door.entry, refresh_interval=3600)
    await router.until_up_for(3.1)
    await ui.turn_on(door)
    async with await ui.activities() as activities:
        await router.restart()
        restored = await ui.happens(activities, "restored")
    assert restored["reason"] == "router_restarted"
    assert await fetch(port, FRIEND, internet) == PAGE
    assert await ui.is_on(door)

    await ui.turn_off(door)
    assert await is_closed(port, internet)


async def test_own_host_only(
    ui: Ui,
    network: HomeNetwork,
    router: RealRouter,
    internet: Internet,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    """As miniupnpd is by default; a port of Home Assistant's own machine can be had."""
    log.provoke(FAILED, because="the router forwards to the caller alone")
    router.third_party = False
    await router.restart()
    with pytest.raises(CommandError) as error:
        await ui.turn_on(door)
    assert error.value.translation_key == "not_permitted_own_host_only"
    assert not await ui.is_on(door)
    assert await kernel_rows(router) == []

    async with camera(HOME_ASSISTANT, network.home_assistant.socket) as own:
        here = await ui.add_forward(
            door.entry,
            name=f"Here {port}",
            internal_host="This Home Assistant",
            protocol="tcp",
            internal_ports=str(own.port),
        )
        await ui.turn_on(here)
        assert await shown_port(ui, here) == str(own.port)
        assert await fetch(own.port, FRIEND, internet) == PAGE
        await ui.turn_off(here)
        assert await is_closed(own.port, internet)
