"""Home Assistant goes and comes back while a port is open."""

import asyncio

import pytest

from lab.home_assistant import RealHomeAssistant
from lab.virtual_router import Fault, VirtualRouter
from tests.e2e.clients import PAGE, Camera, echo, fetch, is_closed
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
    monkeypatch.setattr(router.wans[0], "remaining", lambda _: 8)
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


async def test_killed_while_one_is_open_and_one_being_opened(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
) -> None:
    garage = await ui.add_forward(
        door.entry,
        name=f"Garage {port}",
        internal_host="127.0.0.1",
        protocol="udp",
        internal_ports=str(inside.port),
        external_ports=str(port),
    )
    await ui.until_saved(garage)
    await ui.turn_on(door)
    router.fault(Fault.SLOW_TO_ACT, action="AddPortMapping", delay=0.5)
    before = router.requests["AddPortMapping"]
    opening = asyncio.create_task(ui.turn_on(garage))
    await until(lambda: router.requests["AddPortMapping"] > before)

    await ha.kill()
    with pytest.raises(ConnectionError):
        await opening
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
        door.entry,
        name=f"Garage {port}",
        internal_host="127.0.0.1",
        protocol="udp",
        internal_ports=str(inside.port),
        external_ports=str(port),
    )
    await ui.turn_on(garage)
    router.fault(Fault.SLOW_TO_ACT, action="DeletePortMapping", delay=60)
    before = router.requests["DeletePortMapping"]
    closing = asyncio.create_task(ui.turn_off(door))
    await until(lambda: router.requests["DeletePortMapping"] > before)

    await ha.kill()
    with pytest.raises(ConnectionError):
        await closing
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
