"""What is risky is asked about, closes soon, and is not for everybody to open."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab.hass_websocket import CommandError
from lab.home_assistant import RealHomeAssistant
from lab.virtual_router import VirtualRouter
from tests.e2e.clients import PAGE, Camera, fetch, is_closed
from tests.e2e.forms import Step, suggested, to_camera
from tests.e2e.guest import guest
from tests.e2e.log import LogBook
from tests.e2e.ui import FORWARD_FLOW, ForwardOnScreen, Ui

QUARTER = {"days": 0, "hours": 0, "minutes": 15, "seconds": 0}
REFUSED = "Only administrators of Home Assistant may open {}. Ask one of them"


def remote_desktop(port: int) -> dict[str, Any]:
    """Return what is typed for a forward of `port` to a remote desktop."""
    return to_camera(port, 3389, name=f"Office {port}", internal_host="127.0.0.5")


async def shown(ui: Ui, step: Step) -> str:
    """Return what the form says above its fields."""
    texts = await ui.texts("config_subentries")
    text = texts[
        f"component.port_forward.config_subentries.forward.step.{step['step_id']}.description"
    ]
    return text.format_map(step["description_placeholders"])


async def test_remote_desktop_is_asked_about(ui: Ui, router: VirtualRouter, port: int) -> None:
    added = await ui.add_router(router.description_url)
    step = await ui.submit(FORWARD_FLOW, added.first_forward, **remote_desktop(port))
    assert (step["type"], step["step_id"]) == ("form", "confirm_risk")
    said = await shown(ui, step)
    for part in (f"`Office {port}`", "**Remote desktop (RDP).**", "ransomware", "WireGuard"):
        assert part in said

    step = await ui.submit(FORWARD_FLOW, step, confirmed=False)
    assert (step["type"], step["errors"]) == ("form", {"confirmed": "not_confirmed"})
    # The window is closed.
    await ui.ha.delete(f"{FORWARD_FLOW}/{step['flow_id']}")
    assert await ui.subentries(added.entry) == []
    assert not router.mappings


async def test_confirmed_it_closes_soon_and_assist_does_not_know_it(
    ui: Ui, router: VirtualRouter, port: int
) -> None:
    added = await ui.add_router(router.description_url)
    step = await ui.submit(FORWARD_FLOW, added.first_forward, **remote_desktop(port))
    assert suggested(step) == {"close_after": QUARTER, "until_closed": False, "admins_only": False}
    step = await ui.submit(FORWARD_FLOW, step, confirmed=True, **suggested(step))
    assert step["type"] == "create_entry"
    switch = f"switch.office_{port}"
    await ui.ha.wait_for_state(switch, "off")
    assert await ui.say(f"turn on office {port}") == f"Sorry, Office {port} is not exposed"
    exposed = await ui.ha.command("homeassistant/expose_entity/list")
    assert switch not in exposed["exposed_entities"]
    assert not router.mappings

    await ui.ha.call("switch", "turn_on", entity_id=switch)
    [mapping] = router.mappings
    assert (mapping.external_port, mapping.internal_port) == (port, 3389)
    closes_at = await ui.ha.state(f"sensor.office_{port}_closes_at")
    left = datetime.fromisoformat(closes_at["state"]) - datetime.now(UTC)
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    await ui.ha.call("switch", "turn_off", entity_id=switch)


async def test_edited_to_be_risky(ui: Ui, door: ForwardOnScreen, port: int) -> None:
    edited = remote_desktop(port) | {"name": door.name}
    step = await ui.submit(FORWARD_FLOW, await ui.start_editing(door), **edited)
    assert (step["type"], step["step_id"]) == ("form", "confirm_risk")
    await ui.ha.delete(f"{FORWARD_FLOW}/{step['flow_id']}")
    await ui.turn_on(door)
    assert await fetch(port) == PAGE, "nothing was changed"
    await ui.turn_off(door)


@pytest.mark.parametrize("limit", ["forward", "router"])
async def test_only_administrators_open(
    ui: Ui,
    ha: RealHomeAssistant,
    log: LogBook,
    inside: Camera,
    door: ForwardOnScreen,
    port: int,
    limit: str,
) -> None:
    log.provoke("Only administrators of Home Assistant may open", because="the guest tries")
    if limit == "forward":
        typed = to_camera(port, inside.port, admins_only=True)
        step = await ui.submit(FORWARD_FLOW, await ui.start_editing(door), **typed)
        assert step["reason"] == "reconfigure_successful"
    else:
        await ui.set_options(door.entry, refresh_interval=60, lease=3600, admins_only=True)
    await ha.wait_for_state(door.switch, "off")
    async with guest(ha) as somebody:
        for domain, service in (("switch", "turn_on"), ("port_forward", "open")):
            with pytest.raises(CommandError) as refused:
                await somebody.command(
                    "call_service",
                    domain=domain,
                    service=service,
                    target={"entity_id": door.switch},
                )
            assert REFUSED.format(door.name) in refused.value.message
            assert refused.value.translation_key == "only_admins"
        assert await is_closed(port)
        # By voice neither, and not even an administrator: it is not exposed.
        answer = await somebody.command("conversation/process", text=f"turn on {door.name}")
        said = answer["response"]["speech"]["plain"]["speech"]
        assert said == await ui.say(f"turn on {door.name}")
        assert said == f"Sorry, {door.name} is not exposed"
        assert await is_closed(port)

        await ui.turn_on(door)
        assert await fetch(port) == PAGE
        # But whoever sees an open port may close it.
        await somebody.command(
            "call_service",
            domain="switch",
            service="turn_off",
            target={"entity_id": door.switch},
        )
        assert await is_closed(port)
