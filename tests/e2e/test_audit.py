"""What other devices of the home open: shown, told, and closed, adopted or accepted by the user."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from xml.sax.saxutils import escape  # writes XML, parses none

import aiohttp
import pytest_asyncio
from defusedxml import ElementTree

from lab.home_assistant import RealHomeAssistant
from lab.virtual_router import VirtualRouter, free_port
from tests.e2e.clients import PAGE, Camera, fetch, is_closed
from tests.e2e.conftest import up_for_a_day
from tests.e2e.forms import Step
from tests.e2e.log import LogBook
from tests.e2e.ui import ForwardOnScreen, Ui
from tests.e2e.waiting import GUARD, until

FIX = "/api/repairs/issues/fix"
WAN = "urn:schemas-upnp-org:service:WANIPConnection:2"
FLOOD = 10_000
EVIL = (
    "<script>alert(1)</script>`](http://evil.example)",
    "\r\n2026-11-22 12:00:00.000 ERROR (MainThread) [root] \x1b[2J\u202e",
    "M" * 65536,
)


@pytest_asyncio.fixture(loop_scope="session")
async def router(log: LogBook) -> AsyncIterator[VirtualRouter]:
    """A router whose table never ends."""
    async with VirtualRouter(table_size=2 * FLOOD) as router:
        up_for_a_day(router)
        yield router


async def open_by_upnp(
    router: VirtualRouter, port: int, inside: Camera, description: str = "IPC-A2"
) -> None:
    """Open a port as a camera does by itself: with the device's own AddPortMapping."""
    arguments = {
        "NewRemoteHost": "",
        "NewExternalPort": port,
        "NewProtocol": "TCP",
        "NewInternalPort": inside.port,
        "NewInternalClient": "127.0.0.1",
        "NewEnabled": 1,
        "NewPortMappingDescription": description,
        "NewLeaseDuration": 0,
    }
    written = "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in arguments.items())
    body = (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<u:AddPortMapping xmlns:u="{WAN}">{written}</u:AddPortMapping></s:Body></s:Envelope>'
    )
    async with aiohttp.ClientSession() as session:
        async with session.get(router.description_url) as answer:
            root = ElementTree.fromstring(await answer.text())
        [path] = [
            service.findtext("{*}controlURL", "")
            for service in root.iter("{urn:schemas-upnp-org:device-1-0}service")
            if service.findtext("{*}serviceType") == WAN
        ]
        url = router.description_url.rpartition("/")[0] + path
        headers = {"SOAPAction": f'"{WAN}#AddPortMapping"', "Content-Type": "text/xml"}
        async with session.post(url, data=body.encode(), headers=headers) as answer:
            assert answer.ok, await answer.text()


async def asked(ui: Ui) -> list[dict[str, Any]]:
    """Return the repairs about what others have open."""
    return [issue for issue in await ui.repairs() if issue["issue_id"].startswith("foreign_")]


async def begin(ui: Ui) -> Step:
    """Open the only repair."""
    [issue] = await asked(ui)
    assert issue["is_fixable"]
    step: Step = await ui.ha.post(FIX, {"handler": "port_forward", "issue_id": issue["issue_id"]})
    assert (step["type"], step["step_id"]) == ("menu", "init")
    return step


async def test_a_camera_opens_its_own_port(
    ui: Ui, ha: RealHomeAssistant, router: VirtualRouter, door: ForwardOnScreen, inside: Camera
) -> None:
    port = free_port()
    sensor, event = [
        await ui.entity_of(door.entry, "foreign_mappings", kind) for kind in ("sensor", "event")
    ]
    assert (await ha.state(sensor))["state"] == "0"
    trigger = {
        "trigger": "port_forward.foreign_mapping_appeared",
        "target": {"entity_id": sensor},
    }
    async with await ha.subscribe("subscribe_trigger", trigger=[trigger]) as runs:
        await open_by_upnp(router, port, inside, EVIL[0])
        assert await fetch(port) == PAGE, "the whole internet may look"
        await ui.mappings(door.entry)
        async with asyncio.timeout(GUARD):
            told = (await runs.get())["variables"]["trigger"]
    assert (told["external_ports"], told["internal_host"]) == (str(port), "127.0.0.1")
    assert told["description"] == EVIL[0]
    state = await ha.state(sensor)
    assert state["state"] == "1"
    assert not state["attributes"]["mappings"][0]["accepted"]
    assert (await ha.state(event))["attributes"]["event_type"] == "foreign_mapping_appeared"
    assert await ui.is_on(door) is False

    step = await begin(ui)
    written = step["description_placeholders"]["description"]
    assert written == "`<script>alert(1)</script>'](http://evil.example)`", "as code, so inert"
    step = await ui.submit(FIX, step, next_step_id="close")
    assert step["type"] == "create_entry", step
    assert await is_closed(port)
    assert not await asked(ui)
    assert (await ha.state(sensor))["state"] == "0"
    assert (await ha.state(event))["attributes"]["event_type"] == "foreign_mapping_disappeared"


async def test_accepted_until_it_changes(
    ui: Ui, ha: RealHomeAssistant, router: VirtualRouter, door: ForwardOnScreen, inside: Camera
) -> None:
    port = free_port()
    await open_by_upnp(router, port, inside)
    await ui.mappings(door.entry)
    step = await ui.submit(FIX, await begin(ui), next_step_id="accept")
    assert step["type"] == "create_entry", step
    assert await fetch(port) == PAGE
    await ui.until_saved(door)
    await ha.kill()
    await ha.start()
    await ha.wait_for_state(door.switch, "off")
    await ui.mappings(door.entry)
    assert not await asked(ui), "remembered, even when the power fails"
    await router.remove("TCP", port)
    await open_by_upnp(router, port, inside, "another name")
    await ui.mappings(door.entry)
    assert len(await asked(ui)) == 1


async def test_changed_while_the_user_reads(
    ui: Ui, ha: RealHomeAssistant, router: VirtualRouter, door: ForwardOnScreen, inside: Camera
) -> None:
    port = free_port()
    await open_by_upnp(router, port, inside)
    await ui.mappings(door.entry)
    step = await begin(ui)
    await router.remove("TCP", port)
    await open_by_upnp(router, port, inside, "somebody else")
    step = await ui.submit(FIX, step, next_step_id="close")
    assert (step["type"], step["reason"]) == ("abort", "failed")
    assert await fetch(port) == PAGE, "that is not what the user has answered"


async def test_adopted_closes_by_itself(
    ui: Ui, ha: RealHomeAssistant, router: VirtualRouter, door: ForwardOnScreen, inside: Camera
) -> None:
    port = free_port()
    await open_by_upnp(router, port, inside)
    await ui.mappings(door.entry)
    known = {row["subentry_id"] for row in await ui.subentries(door.entry)}
    step = await ui.submit(FIX, await begin(ui), next_step_id="adopt")
    assert (step["type"], step["step_id"]) == ("form", "adopt")
    step = await ui.submit(
        FIX,
        step,
        name=f"Adopted {port}",
        close_after={"hours": 0, "minutes": 0, "seconds": 8},
        until_closed=False,
    )
    assert step["type"] == "create_entry", step
    [new] = [row for row in await ui.subentries(door.entry) if row["subentry_id"] not in known]
    assert new["title"] == f"Adopted {port}"
    switch = f"switch.adopted_{port}"
    await ha.wait_for_state(switch, "on")
    assert not await asked(ui)
    assert await fetch(port) == PAGE
    await until(lambda: any(0 < row.lease <= 8 for row in router.mappings))
    await ha.wait_for_state(switch, "off")
    assert await is_closed(port)


async def test_flood(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
    log: LogBook,
) -> None:
    """10,000 of them, and ours is opened and closed in time; the loop is never held for long."""
    chance = random.Random(1)  # noqa: S311  the same each time
    ports = [number for number in chance.sample(range(1, 60_000), FLOOD) if number != port]
    sensor = await ui.entity_of(door.entry, "foreign_mappings", "sensor")
    await ui.turn_on(door)
    await ui.turn_off(door)
    for number in ports:
        await router.add_foreign(
            protocol=chance.choice(("TCP", "UDP")),
            external_port=number,
            # No address, whose ports would be bound on this machine.
            internal_host="ipc.lan",
            internal_port=chance.randrange(1, 65536),
            description=chance.choice((*EVIL, door.name)),
        )
    looking = asyncio.create_task(ui.mappings(door.entry))
    slowest = 0.0
    loop = asyncio.get_running_loop()
    while not looking.done():
        began = loop.time()
        await ha.state(sensor)
        slowest = max(slowest, loop.time() - began)
        await asyncio.sleep(0.05)
    assert len(await looking) == 1024
    assert slowest < 3, "Home Assistant answers while it looks"
    state = await ha.state(sensor)
    assert int(state["state"]) == 1024
    assert (state["attributes"]["more"], state["attributes"]["complete"]) == (974, False)
    issues = await asked(ui)
    assert len(issues) == 11
    [flood] = [issue for issue in issues if issue["translation_key"] == "foreign_flood"]
    assert flood["translation_placeholders"]["count"] == "1024+"
    assert "evil.example" not in log.text()

    await router.remove("TCP", router.mappings[0].external_port)
    async with await ui.activities() as activities:
        await ha.call("port_forward", "open", entity_id=door.switch, duration={"seconds": 5})
        assert await fetch(port) == PAGE
        looking = asyncio.create_task(ui.mappings(door.entry))
        closed = await ui.happens(activities, "closed")
        assert closed["reason"] == "time_up"
        assert closed["late"] < 2
        assert await is_closed(port)
        await looking
    assert len(router.mappings) == len(ports) - 1, "nobody else's was touched"
