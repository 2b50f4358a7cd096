"""Whether a port can be reached at all: from the internet, and at the device behind it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from lab.home_assistant import CommandError, RealHomeAssistant
from lab.virtual_router import VirtualRouter
from tests.check_server import check_server, plain
from tests.e2e.clients import PAGE, Camera, camera, fetch, is_closed
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.ui import OPTIONS_FLOW, ForwardOnScreen, Ui

CGNAT, PUBLIC, OTHER = "100.64.0.7", "203.0.113.7", "198.51.100.7"


async def becomes(ui: Ui, forward: ForwardOnScreen, state: str) -> str:
    """Wait until the router is shown as reachable or not, and return why.

    It may take two looks: one for the router's address, one for its state.
    """
    sensor = await ui.entity_of(forward.entry, "reachable")
    shown = await ui.ha.wait_for_state(sensor, state)
    return str(shown["attributes"]["reason"])


async def repair(ui: Ui, forward: ForwardOnScreen) -> tuple[str, dict[str, Any]] | None:
    """Return the text of the repair and what is filled in, as the frontend gets them."""
    found = [
        row for row in await ui.repairs() if row["issue_id"] == f"not_reachable_{forward.entry}"
    ]
    assert len(found) <= 1
    return (found[0]["translation_key"], found[0]["translation_placeholders"]) if found else None


async def test_provider_begins_to_share_its_address(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen
) -> None:
    await ui.set_options(door.entry, refresh_interval=10, lease=3600)
    assert await becomes(ui, door, "on") == "reachable"
    assert await repair(ui, door) is None

    await router.reconnect_wan(new_address=CGNAT)
    assert await becomes(ui, door, "off") == "cgnat"
    told = {"router": "Virtual Router", "address": CGNAT, "seen": "None"}
    assert await repair(ui, door) == ("not_reachable_cgnat", told)
    texts = await ui.texts("issues")
    assert CGNAT in texts["component.port_forward.issues.not_reachable_cgnat.description"].format(
        **told
    )

    await router.reconnect_wan(new_address=PUBLIC)
    assert await becomes(ui, door, "on") == "reachable"
    assert await repair(ui, door) is None


async def test_another_router_in_between(ui: Ui, door: ForwardOnScreen) -> None:
    """One that gives ours a public address, which only somebody outside can tell."""
    options = {"refresh_interval": 10, "lease": 3600}
    async with check_server(plain(f'{{"ip": "{OTHER}"}}')) as server:
        await ui.set_options(door.entry, **options, check_url=server.url)
        await ui.ha.wait_for_state(door.switch, "off")
        assert await becomes(ui, door, "off") == "double_nat"
        told = {"router": "Virtual Router", "address": PUBLIC, "seen": OTHER}
        assert await repair(ui, door) == ("not_reachable_double_nat", told)

        # Ours is put into its place.
        server.answer = plain(PUBLIC)
        await ui.reload(door.entry)
        await ui.ha.wait_for_state(door.switch, "off")
        assert await becomes(ui, door, "on") == "reachable"
        assert await repair(ui, door) is None
    assert server.asked


async def test_check_url_that_answers_nonsense(ui: Ui, door: ForwardOnScreen) -> None:
    async with check_server(plain("<html>Log in to go on</html>")) as server:
        step = await ui.ha.post(OPTIONS_FLOW, {"handler": door.entry})
        step = await ui.submit(
            OPTIONS_FLOW, step, refresh_interval=60, lease=3600, check_url=server.url
        )
    assert (step["type"], step["errors"]) == ("form", {"check_url": "check_url_no_address"})


@pytest_asyncio.fixture(loop_scope="session")
async def power() -> AsyncIterator[AsyncExitStack]:
    """What keeps the camera on; closed, it is dead."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="session")
async def inside(power: AsyncExitStack) -> Camera:
    """A camera that can be switched off."""
    return await power.enter_async_context(camera())


@pytest_asyncio.fixture(loop_scope="session")
async def watched(ui: Ui, router: VirtualRouter, inside: Camera, port: int) -> ForwardOnScreen:
    """A forward to the camera that is open only while that answers."""
    added = await ui.add_router(router.description_url)
    return await ui.add_forward(
        added.entry, added.first_forward, **to_camera(port, inside.port, only_while_reachable=True)
    )


async def test_camera_dies(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    watched: ForwardOnScreen,
    power: AsyncExitStack,
    inside: Camera,
    port: int,
    log: LogBook,
) -> None:
    target = await ui.entity_of(watched.entry, "target_reachable")
    await ui.turn_on(watched)
    await ha.wait_for_state(target, "on")
    assert await fetch(port) == PAGE

    async with await ui.activities() as activities:
        await power.aclose()
        # Or the first try would be a minute away.
        await ui.reload(watched.entry)
        await ha.wait_for_state(target, "off")
        # A single failure closes nothing, nor does the restart.
        assert await ui.is_on(watched)
        assert [mapping.external_port for mapping in router.mappings] == [port]
        closed = await ui.happens(activities, "closed")
    assert (closed["reason"], closed["forward"]) == ("target_unreachable", watched.name)
    await ha.wait_for_state(watched.switch, "off")
    assert not router.mappings
    assert await is_closed(port)

    log.provoke("Error during service call to switch.turn_on: ", because="the camera is dead")
    with pytest.raises(CommandError) as error:
        await ui.turn_on(watched)
    assert error.value.translation_key == "target_unreachable"
    assert not router.mappings

    async with camera(port=inside.port):
        await ui.turn_on(watched)
        await ha.wait_for_state(target, "on")
        assert await fetch(port) == PAGE
        await ui.turn_off(watched)
