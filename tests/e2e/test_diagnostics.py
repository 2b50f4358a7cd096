"""What goes into a bug report: the downloaded file, and the page *System information*."""

import asyncio
import json
from typing import Any

import pytest

from lab.home_assistant import CommandError, RealHomeAssistant
from lab.virtual_router import Fault, VirtualRouter, free_port
from tests.e2e.clients import PAGE, Camera, fetch
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.ui import ForwardOnScreen, Ui
from tests.e2e.waiting import GUARD

NAME = "Jane's secret door"
DESCRIPTION = "Tom's PlayStation 00:1A:2B:3C:4D:5E"


@pytest.fixture
def needles(router: VirtualRouter) -> set[str]:
    """What is nobody's business."""
    return {NAME, DESCRIPTION, "PlayStation", router.lan_host, router.udn, router.description_url}


async def add_door(ui: Ui, router: VirtualRouter, inside: Camera, port: int) -> ForwardOnScreen:
    added = await ui.add_router(router.description_url)
    return await ui.add_forward(
        added.entry, added.first_forward, **to_camera(port, inside.port, name=NAME)
    )


async def download(ha: RealHomeAssistant, door: ForwardOnScreen) -> dict[str, Any]:
    """Choose *Download diagnostics* in the menu of the router."""
    file: dict[str, Any] = await ha.get(f"/api/diagnostics/config_entry/{door.entry}")
    return file


async def system_information(ha: RealHomeAssistant) -> dict[str, Any]:
    """Open the page, and return its part about us."""
    async with await ha.subscribe("system_health/info") as events, asyncio.timeout(GUARD):
        told = await events.get()
    assert told["type"] == "initial"
    part: dict[str, Any] = told["data"]["port_forward"]
    return part


async def test_the_file_tells_what_happened_and_not_to_whom(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    inside: Camera,
    port: int,
    needles: set[str],
    log: LogBook,
) -> None:
    await router.add_foreign(
        protocol="UDP",
        external_port=free_port(),
        internal_host="127.0.0.9",
        internal_port=3074,
        description=DESCRIPTION,
    )
    door = await add_door(ui, router, inside, port)
    await ui.turn_on(door)
    assert await fetch(port) == PAGE
    log.provoke("Could not close|Error during service call", because="the router refuses it")
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping")
    with pytest.raises(CommandError):
        await ui.turn_off(door)
    await ha.wait_for_state(door.switch, "off")  # It is tried again.

    file = await download(ha, door)
    assert file["home_assistant"]["version"]
    assert file["integration_manifest"]["version"]
    data = file["data"]
    [error] = data["errors"]
    assert (error["operation"], error["times"]) == ("close", 1)
    assert "HTTP 500" in error["said"]
    told = [(line["source"], line["what"]) for line in data["journal"]]
    assert told[:4] == [
        ("command", "open"),
        ("activity", "opened"),
        ("command", "close"),
        ("activity", "close_failed"),
    ]
    assert told[-1] == ("activity", "closed")
    assert data["operations"]["open"]["calls"] == 1
    [row] = [row for row in data["last_look"]["mappings"] if not row["made_for"]]
    assert row["description_length"] == len(DESCRIPTION)
    text = json.dumps(data, ensure_ascii=False)
    assert not [needle for needle in needles if needle in text]
    assert str(port) in text

    # Just so while the router is away and nothing is set up.
    router.fault(Fault.DROP_BEFORE, times=None)
    await ui.reload(door.entry)
    data = (await download(ha, door))["data"]
    assert (data["entry"]["state"], data["entry"]["reason"]) == ("setup_retry", "unreachable")
    assert len(data["journal"]) == len(told)
    text = json.dumps(data, ensure_ascii=False)
    assert not [needle for needle in needles if needle in text]
    router.clear_faults()


async def test_the_page(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    inside: Camera,
    port: int,
    needles: set[str],
) -> None:
    door = await add_door(ui, router, inside, port)
    await ui.turn_on(door)
    part = await system_information(ha)
    info = part["info"]
    assert (info["routers"], info["routers_answering"], info["open_forwards"]) == (1, 1, 1)
    texts = await ui.texts("system_health")
    for key in info:
        assert texts[f"component.port_forward.system_health.info.{key}"]
    assert not [needle for needle in needles if needle in json.dumps(part)]
    await ui.turn_off(door)
    assert (await system_information(ha))["info"]["open_forwards"] == 0
