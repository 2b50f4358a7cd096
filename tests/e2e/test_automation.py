"""What automations are made of, as the automation editor of each Home Assistant uses it."""

import asyncio
from typing import Any

import pytest

from lab.home_assistant import CommandError
from lab.virtual_router import VirtualRouter
from tests.e2e.ui import ForwardOnScreen, Ui
from tests.e2e.waiting import GUARD

OFFERED = {
    "trigger_platforms/subscribe": {
        "port_forward.opened",
        "port_forward.closed",
        "port_forward.about_to_close",
        "port_forward.opening_failed",
        "port_forward.external_port_changed",
        "port_forward.foreign_mapping_appeared",
        "port_forward.foreign_mapping_disappeared",
    },
    "condition_platforms/subscribe": {"port_forward.is_open"},
}


async def device_of(ui: Ui, forward: ForwardOnScreen) -> str:
    """Return the id of the forward's device."""
    row = await ui.ha.command("config/entity_registry/get", entity_id=forward.switch)
    return str(row["device_id"])


async def heard(events: asyncio.Queue[Any]) -> dict[str, Any]:
    """Return what the next run of a trigger gets to know."""
    async with asyncio.timeout(GUARD):
        event: dict[str, Any] = await events.get()
    trigger: dict[str, Any] = event["variables"]["trigger"]
    return trigger


@pytest.mark.parametrize("subscription", OFFERED)
async def test_the_editor_offers_them(ui: Ui, door: ForwardOnScreen, subscription: str) -> None:
    found: dict[str, Any] = {}
    async with await ui.ha.subscribe(subscription) as events, asyncio.timeout(GUARD):
        while not found.keys() >= OFFERED[subscription]:
            found |= await events.get()
    ours = {key for key in found if key.startswith("port_forward.")}
    assert ours == OFFERED[subscription]
    assert all(found[key]["target"] for key in ours)


async def test_triggers(ui: Ui, router: VirtualRouter, door: ForwardOnScreen) -> None:
    target = {"device_id": await device_of(ui, door)}
    triggers = [
        {"trigger": "port_forward.opened", "target": target},
        {
            "trigger": "port_forward.closed",
            "target": target,
            "options": {"reason": ["turned_off"]},
        },
        {
            "trigger": "port_forward.about_to_close",
            "target": target,
            "options": {"before": {"hours": 0, "minutes": 59, "seconds": 59}},
        },
    ]
    async with await ui.ha.subscribe("subscribe_trigger", trigger=triggers) as events:
        await ui.ha.call("port_forward", "open", entity_id=door.switch, duration={"minutes": 60})
        opened = await heard(events)
        assert opened["platform"] == "port_forward.opened"
        assert opened["entity_id"] == door.switch
        assert opened["forward"] == door.name
        assert (await heard(events))["deadline"] == opened["deadline"]
        await ui.turn_off(door)
        assert (await heard(events))["reason"] == "turned_off"


async def test_condition(ui: Ui, router: VirtualRouter, door: ForwardOnScreen) -> None:
    condition = {
        "condition": "port_forward.is_open",
        "target": {"device_id": await device_of(ui, door)},
        "options": {"behavior": "all"},
    }
    for turn, expected in ((ui.turn_off, False), (ui.turn_on, True)):
        await turn(door)
        answer = await ui.ha.command("test_condition", condition=condition)
        assert answer["result"] is expected


async def test_what_makes_no_sense_is_refused(ui: Ui, door: ForwardOnScreen) -> None:
    with pytest.raises(CommandError):
        await ui.ha.command(
            "test_condition",
            condition={"condition": "port_forward.is_ajar", "target": {"entity_id": door.switch}},
        )
