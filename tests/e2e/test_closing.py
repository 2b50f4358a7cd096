"""What is deleted, disabled or edited does not stay open."""

from lab.home_assistant import RealHomeAssistant
from lab.virtual_router import Fault, VirtualRouter, free_port
from tests.e2e.clients import PAGE, Camera, fetch, is_closed
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.ui import FORWARD_FLOW, ForwardOnScreen, Ui, until_reloaded
from tests.e2e.waiting import until


async def test_forward_edited_while_open(
    ui: Ui,
    ha: RealHomeAssistant,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
    changes: list[str],
) -> None:
    await ui.turn_on(door)
    moved_to = free_port()
    step = await ui.start_editing(door)
    assert step["step_id"] == "reconfigure"
    step = await ui.submit(
        FORWARD_FLOW,
        step,
        **to_camera(moved_to, inside.port, name="Back door camera"),
    )
    assert (step["type"], step["reason"]) == ("abort", "reconfigure_successful")
    await until(lambda: f"opened TCP {moved_to}" in changes)
    await ha.wait_for_state(door.switch, "on")
    assert await fetch(moved_to) == PAGE
    assert await is_closed(port)


async def test_forward_renamed_while_open(
    ui: Ui,
    ha: RealHomeAssistant,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
    changes: list[str],
) -> None:
    await ui.turn_on(door)
    async with await ha.subscribe("config_entries/subscribe") as updates:
        await ui.submit(
            FORWARD_FLOW,
            await ui.start_editing(door),
            **to_camera(port, inside.port, name="Back door camera"),
        )
        await until_reloaded(updates, door.entry)
    state = await ha.wait_for_state(door.switch, "on")
    assert state["attributes"]["friendly_name"] == "Back door camera"
    assert changes == [f"opened TCP {port}"]


async def test_forward_deleted_while_open(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, inside: Camera, port: int
) -> None:
    other = await ui.add_forward(
        door.entry, **to_camera(port, inside.port, name="Other", protocol="udp")
    )
    await ui.turn_on(door)
    await ui.turn_on(other)
    await ui.delete_forward(door)
    await until(lambda: len(router.mappings) == 1)
    assert [mapping.protocol for mapping in router.mappings] == ["UDP"]
    await ui.ha.wait_for_state(other.switch, "on")
    assert [row["subentry_id"] for row in await ui.subentries(door.entry)] == [other.subentry]


async def test_router_deleted_while_open(
    ui: Ui, ha: RealHomeAssistant, router: VirtualRouter, door: ForwardOnScreen, port: int
) -> None:
    await ui.turn_on(door)
    await ui.delete_router(door.entry)
    assert await is_closed(port)
    assert router.mappings == ()
    assert await ui.routers() == []
    assert not list((ha.log.parent / ".storage").glob("port_forward*"))


async def test_router_deleted_while_it_is_away(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    log.provoke(
        r"Could not close (on Virtual Router: |.*, trying again: )", because="it is switched off"
    )
    await ui.turn_on(door)
    await router.stop()
    await ui.delete_router(door.entry)
    [issue] = await ui.repairs()
    assert issue["translation_key"] == "left_open"
    assert str(port) in issue["translation_placeholders"]["ports"]
    await ha.command(
        "repairs/ignore_issue", domain="port_forward", issue_id=issue["issue_id"], ignore=True
    )


async def test_router_disabled_while_open(
    ui: Ui, ha: RealHomeAssistant, router: VirtualRouter, door: ForwardOnScreen, port: int
) -> None:
    await ui.turn_on(door)
    await ui.disable(door.entry)
    assert await is_closed(port)
    assert router.mappings == ()

    await ui.enable(door.entry)
    await ha.wait_for_state(door.switch, "off")
    assert await is_closed(port)


async def test_router_deleted_while_not_loaded(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, port: int, log: LogBook
) -> None:
    log.provoke("'Virtual Router' for port_forward integration not ready yet", because="it is sick")
    await ui.turn_on(door)
    router.fault(Fault.DROP_BEFORE, times=None)
    await ui.reload(door.entry)
    [entry] = await ui.routers()
    assert entry["state"] == "setup_retry"

    router.clear_faults()
    await ui.delete_router(door.entry)
    assert await is_closed(port)
    assert router.mappings == ()


async def test_router_disabled_while_it_does_not_answer(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    log.provoke(r"Could not close on Virtual Router: ", because="it does not answer")
    log.provoke(r"Could not close .*, trying again: ", because="it does not answer")
    await ui.turn_on(door)
    router.fault(Fault.DROP_BEFORE, times=None)
    await ui.disable(door.entry)
    assert router.mappings

    router.clear_faults()
    await ui.enable(door.entry)
    await ha.wait_for_state(door.switch, "off")
    assert await is_closed(port)
