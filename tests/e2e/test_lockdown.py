"""Lockdown and close all of each Home Assistant, and a port that is open for one address alone."""

import asyncio

import pytest

from lab.home_assistant import CommandError, RealHomeAssistant
from lab.virtual_router import Fault, Quirk, VirtualRouter, free_port
from tests.e2e.clients import (
    FRIEND,
    PAGE,
    STRANGER,
    Camera,
    echo,
    fetch,
    is_closed,
)
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.test_restarts import kill_in_the_middle
from tests.e2e.ui import ForwardOnScreen, Ui

FOREIGN = "127.0.0.9"

REFUSED = r"Lockdown of the router is on"


@pytest.fixture
def other_port() -> int:
    """Another external port that nothing listens on."""
    return free_port()


async def add_garage(
    ui: Ui, door: ForwardOnScreen, inside: Camera, other_port: int
) -> ForwardOnScreen:
    """Add another forward to the camera, of UDP, beside `door`."""
    garage = await ui.add_forward(
        door.entry,
        **to_camera(other_port, inside.port, name=f"Garage {other_port}", protocol="udp"),
    )
    await ui.until_saved(garage)
    return garage


async def open_both(
    ui: Ui, router: VirtualRouter, *forwards: ForwardOnScreen, port: int, other_port: int
) -> None:
    """Open both forwards, beside a mapping of somebody else's."""
    await router.add_foreign(
        protocol="TCP", external_port=free_port(), internal_host=FOREIGN, internal_port=1
    )
    for forward in forwards:
        await ui.turn_on(forward)
    assert await fetch(port) == PAGE
    assert await echo(other_port, b"hello") == b"HELLO"


def hosts(router: VirtualRouter) -> list[str]:
    """Return where the mappings of the router lead."""
    return [row.internal_host for row in router.mappings]


async def assert_refused(ui: Ui, forward: ForwardOnScreen) -> None:
    """Make sure that neither the switch nor the action opens it, and that it is said why."""
    for domain, service in (("switch", "turn_on"), ("port_forward", "open")):
        with pytest.raises(CommandError) as refused:
            await ui.ha.call(domain, service, entity_id=forward.switch)
        assert refused.value.translation_key == "lockdown"
        assert "Turn off the switch Lockdown of the router first" in refused.value.message
    assert not await ui.is_on(forward)


async def test_lockdown(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
    other_port: int,
    log: LogBook,
) -> None:
    log.provoke(REFUSED, because="it is what lockdown says")
    garage = await add_garage(ui, door, inside, other_port)
    lockdown = await ui.entity_of(door.entry, "lockdown")
    await open_both(ui, router, door, garage, port=port, other_port=other_port)
    connected, client = await asyncio.open_connection("127.0.0.1", port)
    async with await ui.activities() as told:
        await ha.call("switch", "turn_on", entity_id=lockdown)
        happened = [await ui.happens(told, "closed") for _ in range(2)]
    # Who was in is out, as far as the router ends connections: this one does.
    with pytest.raises(ConnectionResetError):
        await connected.read()
    client.close()
    assert {each["forward"] for each in happened} == {door.name, garage.name}
    assert {each["reason"] for each in happened} == {"lockdown"}
    assert all(each["user_id"] for each in happened)
    assert hosts(router) == [FOREIGN]
    assert await is_closed(port)
    assert await is_closed(other_port)
    await assert_refused(ui, door)

    await ha.kill()
    await ha.start()
    await ha.wait_for_state(lockdown, "on")
    await ha.wait_for_state(door.switch, "off")
    await assert_refused(ui, garage)

    await router.restart(change_port=False)
    await ui.refresh(door)
    await ha.wait_for_state(door.switch, "off")
    assert await is_closed(port)
    assert await is_closed(other_port)
    await assert_refused(ui, door)

    asked = router.requests["AddPortMapping"]
    await ha.call("switch", "turn_off", entity_id=lockdown)
    await ha.wait_for_state(lockdown, "off")
    await ui.refresh(door)
    assert router.requests["AddPortMapping"] == asked
    await ui.turn_on(door)
    assert await fetch(port) == PAGE
    assert await is_closed(other_port)


async def test_killed_while_locking(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
    other_port: int,
    log: LogBook,
) -> None:
    """In the middle of the first close: what was to follow is closed at the next start."""
    log.provoke(REFUSED, because="it is what lockdown says")
    garage = await add_garage(ui, door, inside, other_port)
    lockdown = await ui.entity_of(door.entry, "lockdown")
    await open_both(ui, router, door, garage, port=port, other_port=other_port)
    router.fault(Fault.SLOW_TO_ACT, action="DeletePortMapping", delay=60)
    locking = ha.call("switch", "turn_on", entity_id=lockdown)
    await kill_in_the_middle(ha, router, "DeletePortMapping", locking)
    assert await fetch(port) == PAGE

    await ha.start()
    await ha.wait_for_state(lockdown, "on")
    await ha.wait_for_state(door.switch, "off")
    await ha.wait_for_state(garage.switch, "off")
    assert await is_closed(port)
    assert await is_closed(other_port)
    await assert_refused(ui, door)


async def forget_others(ha: RealHomeAssistant, lockdown: str) -> None:
    """Remove the lockdowns of earlier tests: killed, Home Assistant knows again what was deleted.

    It writes its registry 10 s after a change.
    """
    for row in await ha.command("config/entity_registry/list"):
        if row["translation_key"] == "lockdown" and row["entity_id"] != lockdown:
            await ha.command("config/entity_registry/remove", entity_id=row["entity_id"])


async def test_by_voice(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    log.provoke(REFUSED, because="it is what lockdown says")
    log.provoke("Intent handling error", because="and of it Assist logs the whole traceback")
    lockdown = await ui.entity_of(door.entry, "lockdown")
    await forget_others(ha, lockdown)
    await ui.turn_on(door)
    assert await ui.say("turn on lockdown") == "Turned on the switch"
    assert await is_closed(port)
    await ha.wait_for_state(lockdown, "on")
    await ui.say(f"turn on {door.name}")
    assert await is_closed(port)
    assert await ui.say("turn off lockdown") == "Turned off the switch"
    await ha.wait_for_state(lockdown, "off")
    await ui.say(f"turn on {door.name}")
    assert await fetch(port) == PAGE


@pytest.mark.parametrize("by", ["button", "action"])
async def test_close_all(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
    other_port: int,
    by: str,
) -> None:
    garage = await add_garage(ui, door, inside, other_port)
    await open_both(ui, router, door, garage, port=port, other_port=other_port)
    async with await ui.activities() as told:
        if by == "button":
            button = await ui.entity_of(door.entry, "close_all")
            await ha.call("button", "press", entity_id=button)
        else:
            await ha.call("port_forward", "close_all")
        happened = [await ui.happens(told, "closed") for _ in range(2)]
    assert {(each["forward"], each["reason"]) for each in happened} == {
        (door.name, "all_closed"),
        (garage.name, "all_closed"),
    }
    assert hosts(router) == [FOREIGN]
    assert await is_closed(port)
    assert await is_closed(other_port)
    await ui.turn_on(door)
    assert await fetch(port) == PAGE


async def test_open_for_a_friend(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    port: int,
    changes: list[str],
    log: LogBook,
) -> None:
    log.provoke("somebody I like", because="that is no address")
    await ui.until_saved(door)
    await ha.call("port_forward", "open", entity_id=door.switch, allowed_source=FRIEND)
    assert await fetch(port, FRIEND) == PAGE
    with pytest.raises(ConnectionResetError):
        await fetch(port, STRANGER)

    await ha.kill()
    await ha.start()
    await ha.wait_for_state(door.switch, "on")
    await ui.refresh(door)
    assert changes == [f"opened TCP {port}"]
    with pytest.raises(ConnectionResetError):
        await fetch(port, STRANGER)

    with pytest.raises(CommandError) as wrong:
        await ha.call(
            "port_forward", "open", entity_id=door.switch, allowed_source="somebody I like"
        )
    assert wrong.value.translation_key == "invalid_source"
    assert "“somebody I like”" in wrong.value.message

    await ui.turn_on(door)
    assert await fetch(port, STRANGER) == PAGE


@pytest.mark.parametrize("quirks", [{Quirk.Q19}])
async def test_a_router_that_lets_in_everybody(
    ui: Ui, ha: RealHomeAssistant, door: ForwardOnScreen, port: int, log: LogBook
) -> None:
    log.provoke(
        r"Error during service call to port_forward.open: ", because="the router ignores the source"
    )
    with pytest.raises(CommandError) as refused:
        await ha.call("port_forward", "open", entity_id=door.switch, allowed_source=FRIEND)
    assert refused.value.translation_key == "not_permitted_source_ignored"
    assert await is_closed(port)
    assert not await ui.is_on(door)
