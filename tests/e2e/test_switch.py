"""The switch opens and closes a real port."""

import pytest

from lab.virtual_router import VirtualRouter
from tests.e2e.clients import FRIEND, PAGE, STRANGER, Camera, echo, fetch, is_closed, throw
from tests.e2e.forms import to_camera
from tests.e2e.ui import ForwardOnScreen, Ui


async def test_tcp(ui: Ui, router: VirtualRouter, door: ForwardOnScreen, port: int) -> None:
    assert door.switch == f"switch.camera_{port}"
    assert not await ui.is_on(door)
    assert await is_closed(port)

    await ui.turn_on(door)
    assert await ui.is_on(door)
    assert await fetch(port) == PAGE

    await ui.turn_off(door)
    assert not await ui.is_on(door)
    assert await is_closed(port)
    assert router.mappings == ()


async def test_udp(ui: Ui, router: VirtualRouter, inside: Camera, port: int) -> None:
    added = await ui.add_router(router.description_url)
    door = await ui.add_forward(
        added.entry,
        **to_camera(port, inside.port, internal_host="This Home Assistant", protocol="udp"),
    )
    await ui.turn_on(door)
    assert await echo(port, b"hello") == b"HELLO"
    with pytest.raises(ConnectionRefusedError):
        await fetch(port)

    await ui.turn_off(door)
    assert await is_closed(port)


async def test_both_protocols(ui: Ui, router: VirtualRouter, inside: Camera, port: int) -> None:
    added = await ui.add_router(router.description_url)
    door = await ui.add_forward(
        added.entry, **to_camera(port, inside.port, internal_host="localhost", protocol="both")
    )
    await ui.turn_on(door)
    assert await fetch(port) == PAGE
    assert await echo(port, b"hello") == b"HELLO"
    assert len(router.mappings) == 2

    await ui.turn_off(door)
    assert await is_closed(port)


async def test_allowed_source(ui: Ui, router: VirtualRouter, inside: Camera, port: int) -> None:
    added = await ui.add_router(router.description_url)
    door = await ui.add_forward(
        added.entry, **to_camera(port, inside.port, protocol="both", allowed_source=FRIEND)
    )
    await ui.turn_on(door)
    assert await fetch(port, FRIEND) == PAGE
    with pytest.raises(ConnectionResetError):
        await fetch(port, STRANGER)
    await throw(port, b"stranger", STRANGER)
    assert await echo(port, b"friend", FRIEND) == b"FRIEND"
    assert inside.heard == [b"friend"]

    await ui.turn_off(door)
    assert await is_closed(port)
