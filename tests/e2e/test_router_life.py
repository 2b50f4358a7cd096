"""The router goes, comes back, and forgets."""

import pytest

from lab.home_assistant import RealHomeAssistant
from lab.virtual_router import Quirk, VirtualRouter
from tests.e2e.clients import PAGE, fetch, is_closed
from tests.e2e.log import LogBook
from tests.e2e.ui import ROUTER_FLOW, ForwardOnScreen, Ui
from tests.e2e.waiting import until

AWAY = r"Error fetching port_forward Virtual Router data: The router does not answer"
BACK = r"Fetching port_forward Virtual Router data recovered"


@pytest.mark.parametrize("quirks", [[Quirk.Q35]], ids=["control port changes"])
async def test_restarted_while_open(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, port: int, log: LogBook
) -> None:
    await ui.turn_on(door)
    await router.restart(change_port=False)
    assert await is_closed(port)

    await ui.refresh(door)
    # It is made again behind the look.
    await ui.ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE
    assert len(await log.records(rf"{door.name}: restored \(router_restarted\)")) == 1


async def move_while_open(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, log: LogBook
) -> None:
    """Let the router be at another URL, so that Home Assistant does not find it any more."""
    log.provoke(AWAY, because="the router has moved")
    await ui.turn_on(door)
    await router.restart(change_port=True)
    await ui.refresh(door)
    assert (await ui.ha.state(door.switch))["state"] == "unavailable"


async def test_moved_and_typed_in_again(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    await move_while_open(ui, router, door, log)

    step = await ui.start_adding_router()
    step = await ui.submit(ROUTER_FLOW, step, url=router.description_url)
    assert (step["type"], step["reason"]) == ("abort", "already_configured")
    await ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE


async def test_moved_and_reconfigured(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    await move_while_open(ui, router, door, log)

    step = await ui.start_reconfiguring_router(door.entry)
    assert step["step_id"] == "reconfigure"
    step = await ui.submit(ROUTER_FLOW, step, url=router.description_url)
    assert (step["type"], step["reason"]) == ("abort", "reconfigure_successful")
    await ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE


async def test_away_and_back(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    log.provoke(AWAY, because="the router is switched off")
    assert await ui.sensor(door.entry, "external_ip_address") == "203.0.113.7"
    assert await ui.sensor(door.entry, "open_forwards") == "0"
    await ui.set_options(door.entry, refresh_interval=10, lease=3600)
    await ha.wait_for_state(door.switch, "off")
    await ui.turn_on(door)
    assert await ui.sensor(door.entry, "open_forwards") == "1"

    await router.stop()
    await ui.refresh(door)
    assert (await ha.state(door.switch))["state"] == "unavailable"
    assert await ui.sensor(door.entry, "external_ip_address") == "unavailable"
    assert await ui.sensor(door.entry, "open_forwards") == "unavailable"
    # Polling goes on, and fails again without saying so again.
    await until(lambda: log.text().count("success: False") >= 2)

    await router.start()
    # Found by the next poll, and restored because the router has restarted.
    await ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE
    assert await ui.sensor(door.entry, "open_forwards") == "1"
    assert len(await log.records(AWAY)) == 1
    assert len(await log.records(BACK)) == 1


async def test_away_while_its_entry_is_loaded(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    log.provoke("'Virtual Router' for port_forward integration not ready yet", because="it is off")
    await ui.turn_on(door)
    await router.stop()
    await ui.reload(door.entry)
    [entry] = await ui.routers()
    assert entry["state"] == "setup_retry"
    assert "does not answer" in entry["reason"]
    assert (await ha.state(door.switch))["state"] == "unavailable"

    await router.start()
    await ui.reload(door.entry)
    await ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE


async def test_removed_at_the_router(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    await ui.turn_on(door)
    await router.remove("TCP", port)
    await ui.refresh(door)
    assert not await ui.is_on(door)

    await ui.reload(door.entry)
    await ha.wait_for_state(door.switch, "off")
    assert await is_closed(port)
    assert len(await log.records(rf"{door.name}: closed \(removed_elsewhere\)")) == 1
