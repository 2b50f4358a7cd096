"""Ports that open by themselves while they are needed, and close when nobody uses them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from lab.home_assistant import CommandError, RealHomeAssistant
from lab.openwrt import PASSWORD, USERNAME, OpenWrt
from lab.virtual_router import VirtualRouter
from tests.e2e.clients import FRIEND, PAGE, Camera, camera, fetch, is_closed
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.logins import add_by_login
from tests.e2e.ui import ForwardOnScreen, Ui
from tests.e2e.waiting import until

CONSOLE, TABLET = "127.0.0.50", "127.0.0.51"
SERVICE = ("198.51.100.20", 3074)
LINGER = timedelta(seconds=8)


@pytest_asyncio.fixture(loop_scope="session")
async def openwrt(log: LogBook) -> AsyncIterator[OpenWrt]:
    """A router that shows its connections."""
    async with OpenWrt() as router:
        yield router


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _deleted_while_it_answers(ui: Ui, openwrt: OpenWrt) -> AsyncIterator[None]:
    yield
    for entry in await ui.routers():
        await ui.delete_router(entry["entry_id"])


@pytest_asyncio.fixture(loop_scope="session")
async def console(openwrt: OpenWrt) -> AsyncIterator[Camera]:
    """A device in the home that others on the internet want to reach while it plays."""
    async with camera(CONSOLE) as host:
        yield host


@pytest_asyncio.fixture(loop_scope="session")
async def way(openwrt: OpenWrt) -> AsyncIterator[int]:
    """The way to the game's service on the internet, which really answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while heard := await reader.read(100):
            writer.write(heard.upper())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.9", 0) as server:
        yield await openwrt.outbound.way_to(SERVICE, server.sockets[0].getsockname()[:2])


async def play(way: int, device: str = CONSOLE) -> asyncio.StreamWriter:
    """Let a device connect to the service of the game, until the writer is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", way, local_addr=(device, 0))
    writer.write(b"play")
    assert await reader.readexactly(4) == b"PLAY"
    return writer


async def add(ui: Ui, openwrt: OpenWrt, port: int, **values: Any) -> ForwardOnScreen:
    """Add the router, and a forward of `port`."""
    login = {"username": USERNAME, "password": PASSWORD}
    added = await add_by_login(ui, "openwrt", {"url": openwrt.url, **login})
    name = f"Camera {port}"
    return await ui.add_forward(
        added.entry,
        added.first_forward,
        **{"name": name, "protocol": "tcp", "external_ports": str(port), **values},
    )


async def shorten(ui: Ui, door: ForwardOnScreen, **data: Any) -> None:
    """Restart with times that are too short for the forms, and for anybody but a test."""
    await ui.until_saved(door)
    await ui.ha.stop()
    path = ui.ha.log.parent / ".storage" / "core.config_entries"
    stored = json.loads(path.read_text())
    [entry] = [row for row in stored["data"]["entries"] if row["entry_id"] == door.entry]
    entry["options"]["refresh_interval"] = 1
    [forward] = [row for row in entry["subentries"] if row["subentry_id"] == door.subentry]
    forward["data"] |= data
    path.write_text(json.dumps(stored))
    await ui.ha.start()
    await ui.ha.wait_for_state(door.switch, "off")


async def looks(openwrt: OpenWrt, call: str, times: int) -> None:
    """Wait until the router was asked this often from now on."""
    before = openwrt.calls[call]
    await until(lambda: openwrt.calls[call] >= before + times)


async def lets_nobody_in(port: int) -> bool:
    """Tell whether new connections are refused, or reset as long as an old one stands."""
    try:
        await fetch(port)
    except ConnectionError:
        return True
    return False


def end_of(openwrt: OpenWrt) -> datetime:
    """Return when the only open port closes by itself."""
    [rule] = openwrt.rules
    assert rule.until
    return rule.until


async def test_traffic_opens_a_port_to_the_device_that_causes_it(
    ui: Ui,
    ha: RealHomeAssistant,
    openwrt: OpenWrt,
    console: Camera,
    way: int,
    port: int,
    log: LogBook,
) -> None:
    log.provoke("Error during service call to switch.turn_on: ", because="it waits")
    door = await add(
        ui,
        openwrt,
        port,
        internal_host="The device that causes it",
        internal_ports=str(console.port),
        trigger_ports="3074",
        trigger_protocol="tcp",
        linger={"minutes": 1},
    )
    await shorten(ui, door, linger={"seconds": LINGER.seconds})
    await looks(openwrt, "file exec", 2)
    assert await is_closed(port)
    with pytest.raises(CommandError) as raised:
        await ui.turn_on(door)
    assert raised.value.translation_key == "host_waits"

    async with await ui.activities() as told:
        playing = await play(way)
        opened = await ui.happens(told, "opened")
        assert opened["reason"] == "triggered"
        assert await fetch(port) == PAGE
        [rule] = openwrt.rules
        assert str(rule.host) == CONSOLE
        # Somebody else takes nothing over, and it goes on for longer than its time.
        tablet = await play(way, TABLET)
        first_end = end_of(openwrt)
        await until(lambda: end_of(openwrt) > first_end + LINGER)
        [rule] = openwrt.rules
        assert str(rule.host) == CONSOLE
        assert await fetch(port) == PAGE
        tablet.close()
        await tablet.wait_closed()

        playing.close()
        await playing.wait_closed()
        ended = datetime.now(UTC)
        assert (await ui.happens(told, "closed"))["reason"] == "time_up"
        assert await lets_nobody_in(port)
        assert openwrt.committed == []
        assert datetime.now(UTC) - ended < LINGER + timedelta(seconds=8)


async def test_what_is_closed_by_hand_stays_closed_until_it_is_caused_anew(
    ui: Ui, ha: RealHomeAssistant, openwrt: OpenWrt, console: Camera, way: int, port: int
) -> None:
    door = await add(
        ui,
        openwrt,
        port,
        internal_host="The device that causes it",
        internal_ports=str(console.port),
        trigger_ports="3074",
    )
    await shorten(ui, door, linger={"seconds": LINGER.seconds})
    playing = await play(way)
    await ha.wait_for_state(door.switch, "on")
    await ui.turn_off(door)
    await looks(openwrt, "uci get", 4)
    assert await is_closed(port)
    # Whatever happens to Home Assistant meanwhile.
    await ha.stop()
    await ha.start()
    await ha.wait_for_state(door.switch, "off")
    await looks(openwrt, "uci get", 4)
    assert await is_closed(port)
    playing.close()
    await playing.wait_closed()
    await looks(openwrt, "uci get", 4)

    playing = await play(way)
    await ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE
    # If Home Assistant is dead, the router closes it all the same, though they play on.
    await ha.kill()
    end = end_of(openwrt)
    assert end <= datetime.now(UTC) + LINGER
    await until(lambda: datetime.now(UTC) >= end + timedelta(seconds=1))
    with pytest.raises(ConnectionResetError):
        await fetch(port)
    await ha.start()
    await ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE
    playing.close()
    await playing.wait_closed()
    await ha.wait_for_state(door.switch, "off")
    assert await lets_nobody_in(port)


async def test_an_entity_opens_a_port_on_any_router(
    ui: Ui, ha: RealHomeAssistant, router: VirtualRouter, inside: Camera, port: int
) -> None:
    added = await ui.add_router(router.description_url)
    helper = await ha.command("input_boolean/create", name=f"Visit {port}")
    visit = f"input_boolean.visit_{port}"
    try:
        door = await ui.add_forward(
            added.entry, added.first_forward, **to_camera(port, inside.port, opened_by=visit)
        )
        # Helpers are written some seconds after they were made.
        helpers = ha.log.parent / ".storage" / "input_boolean"
        await until(lambda: helpers.exists() and str(port) in helpers.read_text())
        await shorten(ui, door, linger={"seconds": LINGER.seconds})
        assert await is_closed(port)
        await ha.call("input_boolean", "turn_on", entity_id=visit)
        await ha.wait_for_state(door.switch, "on")
        assert await fetch(port) == PAGE
        await ha.call("input_boolean", "turn_off", entity_id=visit)
        await ha.wait_for_state(door.switch, "off")
        assert await is_closed(port)
        assert not router.mappings
    finally:
        await ha.command("input_boolean/delete", input_boolean_id=helper["id"])


async def test_what_nobody_uses_is_closed(
    ui: Ui, ha: RealHomeAssistant, openwrt: OpenWrt, inside: Camera, port: int
) -> None:
    door = await add(
        ui,
        openwrt,
        port,
        internal_host="127.0.0.1",
        internal_ports=str(inside.port),
        close_when_idle={"minutes": 1},
    )
    await shorten(ui, door, close_when_idle={"seconds": 4})
    async with await ui.activities() as told:
        await ui.turn_on(door)
        # One who stays connected uses it, though nobody else comes.
        staying = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        staying.bind((FRIEND, 0))
        staying.setblocking(False)  # noqa: FBT003  the name of it in the library
        await asyncio.get_running_loop().sock_connect(staying, ("127.0.0.1", port))
        await looks(openwrt, "uci get", 8)
        assert await fetch(port) == PAGE
        staying.close()
        await ui.happens(told, "opened")
        assert (await ui.happens(told, "closed"))["reason"] == "idle"
    assert await lets_nobody_in(port)
    assert openwrt.committed == []
