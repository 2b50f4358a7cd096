"""Home Assistant goes and comes back while a port is open."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from lab.home_assistant import RealHomeAssistant
from lab.virtual_router import Fault, VirtualRouter
from tests.e2e.clients import PAGE, Camera, echo, fetch, is_closed
from tests.e2e.forms import to_camera
from tests.e2e.ui import ForwardOnScreen, Ui
from tests.e2e.waiting import until


async def test_restarted_while_open(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    port: int,
    changes: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A lease so short that its renewal can be waited for.
    monkeypatch.setattr(router.wans[0], "remaining", lambda _: 12)
    await ui.turn_on(door)

    await ha.stop()
    assert await fetch(port) == PAGE

    adds = router.requests["AddPortMapping"]
    await ha.start()
    await ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE
    await until(lambda: router.requests["AddPortMapping"] > adds)
    assert await ui.is_on(door)
    assert changes == [f"opened TCP {port}"]

    await ui.turn_off(door)
    assert await is_closed(port)


async def kill_in_the_middle(
    ha: RealHomeAssistant, router: VirtualRouter, action: str, doing: Coroutine[Any, Any, None]
) -> None:
    """Kill Home Assistant while the router is at an action that somebody asks for."""
    before = router.requests[action]
    asking = asyncio.create_task(doing)
    await until(lambda: router.requests[action] > before)
    await ha.kill()
    with pytest.raises(ConnectionError):
        await asking


async def test_killed_while_one_is_open_and_one_being_opened(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
) -> None:
    garage = await ui.add_forward(
        door.entry, **to_camera(port, inside.port, name=f"Garage {port}", protocol="udp")
    )
    await ui.until_saved(garage)
    await ui.turn_on(door)
    router.fault(Fault.SLOW_TO_ACT, action="AddPortMapping", delay=0.5)
    await kill_in_the_middle(ha, router, "AddPortMapping", ui.turn_on(garage))
    await until(lambda: len(router.mappings) == 2)

    await ha.start()
    await ha.wait_for_state(door.switch, "on")
    await ha.wait_for_state(garage.switch, "on")
    assert await fetch(port) == PAGE

    await ui.turn_off(door)
    await ui.turn_off(garage)
    assert await is_closed(port)


async def test_killed_while_closing_and_just_after_opening(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
) -> None:
    await ui.until_saved(door)
    await ui.turn_on(door)
    garage = await ui.add_forward(
        door.entry, **to_camera(port, inside.port, name=f"Garage {port}", protocol="udp")
    )
    await ui.turn_on(garage)
    router.fault(Fault.SLOW_TO_ACT, action="DeletePortMapping", delay=60)
    await kill_in_the_middle(ha, router, "DeletePortMapping", ui.turn_off(door))
    assert await fetch(port) == PAGE
    assert await echo(port, b"hello") == b"HELLO"

    await ha.start()
    await ha.wait_for_state(door.switch, "off")
    with pytest.raises(ConnectionRefusedError):
        await fetch(port)
    # Home Assistant writes a new forward a second later, so this one may never have been.
    known = [row["subentry_id"] for row in await ui.subentries(door.entry)]
    assert len(router.mappings) == known.count(garage.subentry)


async def test_reloaded_while_open(
    ui: Ui, ha: RealHomeAssistant, door: ForwardOnScreen, port: int, changes: list[str]
) -> None:
    await ui.turn_on(door)
    await ui.reload(door.entry)
    await ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE
    assert changes == [f"opened TCP {port}"]
