"""The blueprints in each Home Assistant, imported and filled in as its frontend does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio
from homeassistant.util.yaml.loader import load_yaml_dict

from lab.home_assistant import REPOSITORY
from lab.virtual_router import VirtualRouter
from tests.e2e.log import LogBook
from tests.e2e.ui import ForwardOnScreen, Ui
from tests.e2e.waiting import until

FOLDER = REPOSITORY / "blueprints" / "automation" / "port_forward"
AUTOMATION = "automation.from_a_blueprint"
ON_EVENT = [{"trigger": "event", "event_type": "now"}]

type Automate = Callable[..., Awaitable[None]]


@pytest_asyncio.fixture(loop_scope="session")
async def automate(ui: Ui) -> AsyncIterator[Automate]:
    """Makes an automation from one of our blueprints."""

    async def make(name: str, **inputs: Any) -> None:
        path = f"port_forward/{name}.yaml"
        await save(ui, FOLDER / f"{name}.yaml", path)
        await ui.ha.post(
            "/api/config/automation/config/from_a_blueprint",
            {"alias": "From a blueprint", "use_blueprint": {"path": path, "input": inputs}},
        )
        await ui.ha.wait_for_state(AUTOMATION, "on")

    yield make
    if ui.ha.running:
        await ui.ha.delete("/api/config/automation/config/from_a_blueprint")


async def save(ui: Ui, file: Path, path: str) -> None:
    """Import a blueprint."""
    await ui.ha.command(
        "blueprint/save",
        domain="automation",
        path=path,
        yaml=file.read_text(encoding="utf-8"),
        source_url=load_yaml_dict(file)["blueprint"]["source_url"],
        allow_override=True,
    )


async def fire(ui: Ui, event: str) -> None:
    """Let something happen that an automation waits for."""
    await ui.ha.post(f"/api/events/{event}", {})


async def set_tracker(ui: Ui, place: str) -> None:
    """Let the phone of Anna be somewhere."""
    await ui.ha.post("/api/states/device_tracker.annas_phone", {"state": place})


async def test_home_assistant_finds_nothing_wrong(ui: Ui) -> None:
    files = sorted(FOLDER.glob("*.yaml"))
    for file in files:
        await save(ui, file, f"port_forward/{file.name}")
    found = await ui.ha.command("blueprint/list", domain="automation")
    ours = {path: each for path, each in found.items() if path.startswith("port_forward/")}
    assert len(ours) == len(files)
    assert all(each["metadata"]["name"] for each in ours.values()), ours


async def test_while_nobody_is_home(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, automate: Automate
) -> None:
    await set_tracker(ui, "home")
    anna = await ui.ha.command(
        "person/create", name="Anna", device_trackers=["device_tracker.annas_phone"]
    )
    try:
        await ui.ha.wait_for_state("person.anna", "home")
        await automate("open_while_nobody_is_home", forwards=[door.switch])
        await set_tracker(ui, "not_home")
        await ui.ha.wait_for_state(door.switch, "on")
        await ui.ha.stop()
        await ui.ha.start()
        await set_tracker(ui, "not_home")
        await ui.ha.wait_for_state(door.switch, "on")
        await set_tracker(ui, "home")
        await ui.ha.wait_for_state(door.switch, "off")
        assert not router.mappings
    finally:
        await ui.ha.command("person/delete", person_id=anna["id"])


async def test_while_something_is_on(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, automate: Automate
) -> None:
    helper = await ui.ha.command("input_boolean/create", name="Game night")
    night = "input_boolean.game_night"
    try:
        await automate("open_while_something_is_on", forwards=[door.switch], thing=night, minutes=0)
        await ui.ha.call("input_boolean", "turn_on", entity_id=night)
        await ui.ha.wait_for_state(door.switch, "on")
        await ui.ha.call("input_boolean", "turn_off", entity_id=night)
        await ui.ha.wait_for_state(door.switch, "off")
        assert not router.mappings
    finally:
        await ui.ha.command("input_boolean/delete", input_boolean_id=helper["id"])


async def test_for_a_while(
    ui: Ui, door: ForwardOnScreen, port: int, automate: Automate, changes: list[str]
) -> None:
    await automate(
        "open_for_a_while", forwards=[door.switch], triggers=ON_EVENT, duration={"seconds": 1}
    )
    await fire(ui, "now")
    await until(lambda: changes == [f"opened TCP {port}", f"closed TCP {port}"])


async def test_for_a_certificate(
    ui: Ui, door: ForwardOnScreen, port: int, automate: Automate, changes: list[str], log: LogBook
) -> None:
    log.provoke("no.such_action", because="the renewal fails")
    await automate(
        "open_for_a_certificate",
        forward=door.switch,
        triggers=ON_EVENT,
        actions=[{"action": "no.such_action"}],
    )
    await fire(ui, "now")
    await until(lambda: changes == [f"opened TCP {port}", f"closed TCP {port}"])
