"""The router changes, restarts and is full; Home Assistant dies."""

import asyncio
from dataclasses import replace

import pytest

from lab.home_assistant import RealHomeAssistant
from lab.netns import HomeNetwork, RealRouter
from lab.netns.network import CAMERA
from lab.netns.witness import kernel_rows
from tests.e2e.clients import PAGE, Camera, Internet, echo, fetch, is_closed
from tests.e2e.log import LogBook
from tests.e2e.ui import ForwardOnScreen, Ui
from tests.e2e.waiting import GUARD

MANY = 130
"""Rows that kill miniupnpd 2.3.1 when they are asked for at once (Q23)."""


async def test_restarted_while_open(
    ui: Ui,
    router: RealRouter,
    internet: Internet,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    log.provoke(r"Error fetching port_forward Real Router data", because="it says goodbye")
    # Its uptime falls, and not just from 0 to 0 seconds.
    await router.until_up_for(2.1)
    await ui.reload(door.entry)
    await ui.turn_on(door)
    await router.restart()
    # Not to be seen closed for certain: its hello alone makes Home Assistant look at once.
    await ui.refresh(door)
    await ui.ha.wait_for_state(door.switch, "on")
    assert await fetch(port, on=internet) == PAGE
    assert await echo(port, b"hello", on=internet) == b"HELLO"
    assert len(await log.records(rf"{door.name}: restored \(router_restarted\)")) == 1


async def test_external_address_changes(
    ui: Ui, network: HomeNetwork, internet: Internet, door: ForwardOnScreen, port: int
) -> None:
    await ui.turn_on(door)
    await network.set_wan_address("11.22.33.77")
    await ui.refresh(door)
    assert await ui.sensor(door.entry, "external_ip_address") == "11.22.33.77"
    moved = replace(internet, router="11.22.33.77")
    assert await ui.is_on(door)
    assert await fetch(port, on=moved) == PAGE

    await ui.turn_off(door)
    assert await is_closed(port, moved)


async def test_router_closes_what_home_assistant_left_behind(
    ui: Ui,
    ha: RealHomeAssistant,
    router: RealRouter,
    internet: Internet,
    door: ForwardOnScreen,
    port: int,
) -> None:
    await ui.until_saved(door)
    await ha.call("port_forward", "open", entity_id=door.switch, duration={"seconds": 10})
    assert await fetch(port, on=internet) == PAGE
    await ha.kill()
    assert await fetch(port, on=internet) == PAGE

    async with asyncio.timeout(GUARD):
        while not await is_closed(port, internet):  # noqa: ASYNC110  a port does not tell
            await asyncio.sleep(0.1)
    assert await kernel_rows(router) == []

    await ha.start()
    await ha.wait_for_state(door.switch, "off")
    assert await kernel_rows(router) == []


@pytest.mark.parametrize("others", [MANY])
async def test_full_of_others_mappings(
    ui: Ui,
    router: RealRouter,
    internet: Internet,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
) -> None:
    await ui.turn_on(door)
    assert await fetch(port, on=internet) == PAGE
    rows = await kernel_rows(router)
    assert len(rows) == MANY + 2
    assert {("TCP", port, CAMERA, inside.port), ("UDP", port, CAMERA, inside.port)} < set(rows)

    await ui.turn_off(door)
    assert await is_closed(port, internet)
    assert len(await kernel_rows(router)) == MANY
    assert router.running
