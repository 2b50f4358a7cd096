"""Assist of each Home Assistant opens and closes, and keeps away from what is risky."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from lab.virtual_router import VirtualRouter
from tests.e2e.forms import to_camera
from tests.e2e.ui import ForwardOnScreen, Ui

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "voice.md"


async def add_forward(ui: Ui, router: VirtualRouter, port: int, leads_to: int) -> ForwardOnScreen:
    """Add a forward of `port`, with a name that can be spoken."""
    added = await ui.add_router(router.description_url)
    return await ui.add_forward(added.entry, added.first_forward, **to_camera(port, leads_to))


def open_ports(router: VirtualRouter) -> list[int]:
    """Return the external ports that the router holds open."""
    return [row.external_port for row in router.mappings]


async def test_on_and_off(ui: Ui, router: VirtualRouter, port: int) -> None:
    forward = await add_forward(ui, router, port, 8080)
    assert await ui.say(f"turn on {forward.name}") == "Turned on the switch"
    assert open_ports(router) == [port]
    assert await ui.say(f"is {forward.name} on?") == "Yes"
    assert await ui.say(f"turn off {forward.name}") == "Turned off the switch"
    assert not open_ports(router)


@pytest_asyncio.fixture(loop_scope="session")
async def sentences(ui: Ui) -> AsyncIterator[None]:
    """The custom sentences, where the documentation says to put them, for this test."""
    (block,) = re.findall(
        r"^```yaml\n(.*?)^```$", DOCUMENTATION.read_text(), re.DOTALL | re.MULTILINE
    )
    folder = ui.ha.log.parent / "custom_sentences" / "en"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "port_forward.yaml"
    file.write_text(block)
    await ui.ha.call("conversation", "reload")
    yield
    file.unlink()
    await ui.ha.call("conversation", "reload")


@pytest.mark.usefixtures("sentences")
async def test_the_documented_sentences(ui: Ui, router: VirtualRouter, port: int) -> None:
    forward = await add_forward(ui, router, port, 8080)

    answer = await ui.say(f"open the {forward.name} for 20 minutes")

    assert answer.startswith(f"{forward.name} is open until ")
    assert open_ports(router) == [port]
    closes_at = await ui.ha.state(forward.switch.replace("switch.", "sensor.") + "_closes_at")
    left = datetime.fromisoformat(closes_at["state"]) - datetime.now(UTC)
    assert timedelta(minutes=19) < left <= timedelta(minutes=20)
    await ui.say(f"close the port forward {forward.name}")
    assert not open_ports(router)
    await ui.say(f"open the port forward {forward.name}")
    assert open_ports(router) == [port]
    assert (await ui.say("turn on lockdown")).startswith("Lockdown is on.")
    assert not open_ports(router)
    await ui.ha.wait_for_state(await ui.entity_of(forward.entry, "lockdown"), "on")


async def test_what_is_risky_is_not_exposed(ui: Ui, router: VirtualRouter, port: int) -> None:
    forward = await add_forward(ui, router, port, 22)
    exposed = await ui.ha.command("homeassistant/expose_entity/list")
    assert forward.switch not in exposed["exposed_entities"]
    assert await ui.say(f"turn on {forward.name}") == f"Sorry, {forward.name} is not exposed"
    assert not open_ports(router)

    await ui.ha.command(
        "homeassistant/expose_entity",
        assistants=["conversation"],
        entity_ids=[forward.switch],
        should_expose=True,
    )
    await ui.say(f"turn on {forward.name}")
    assert open_ports(router) == [port]
