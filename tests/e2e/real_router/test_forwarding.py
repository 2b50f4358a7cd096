"""A switch, a real router, and clients on the internet behind it."""

import pytest

from lab.home_assistant import CommandError
from lab.netns import HomeNetwork, RealRouter
from lab.netns.network import CAMERA, FRIEND, STRANGER
from lab.netns.witness import Row, kernel_rows, upnpc, upnpc_rows
from tests.e2e.clients import PAGE, Camera, Internet, echo, fetch, is_closed
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.ui import Added, ForwardOnScreen, Ui

FAILED = r"Error during service call to switch.turn_on: "
AWAY = r"Error fetching port_forward Real Router data"


async def listed_rows(ui: Ui, entry: str) -> list[Row]:
    """What the action tells that the router holds, sorted."""
    return sorted(
        (
            protocol.upper(),
            int(row["external_ports"]),
            row["internal_host"],
            int(row["internal_ports"]),
        )
        for row in await ui.mappings(entry)
        for protocol in row["protocols"]
    )


async def test_opened_and_closed(
    ui: Ui,
    router: RealRouter,
    internet: Internet,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
) -> None:
    assert await ui.sensor(door.entry, "external_ip_address") == internet.router
    assert await is_closed(port, internet)

    await ui.turn_on(door)
    assert await fetch(port, FRIEND, internet) == PAGE
    assert await echo(port, b"hello", STRANGER, internet) == b"HELLO"
    rows = [(protocol, port, CAMERA, inside.port) for protocol in ("TCP", "UDP")]
    assert await listed_rows(ui, door.entry) == rows
    assert await kernel_rows(router) == await upnpc_rows(router) == rows

    await ui.turn_off(door)
    assert await is_closed(port, internet)
    assert await kernel_rows(router) == await upnpc_rows(router) == []


async def test_secure_mode(
    ui: Ui,
    router: RealRouter,
    internet: Internet,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    log.provoke(FAILED, because="the router forwards to the caller alone")
    log.provoke(AWAY, because="it says goodbye, and is looked at")
    router.secure_mode = True
    await router.restart()
    await ui.refresh(door)
    await ui.ha.wait_for_state(door.switch, "off")
    with pytest.raises(CommandError) as error:
        await ui.turn_on(door)
    assert error.value.translation_key == "not_permitted_secure_mode"
    assert not await ui.is_on(door)
    assert await is_closed(port, internet)
    assert await kernel_rows(router) == []


async def test_behind_another_router(
    ui: Ui,
    network: HomeNetwork,
    router: RealRouter,
    door: ForwardOnScreen,
    log: LogBook,
) -> None:
    log.provoke(FAILED, because="the external address is private")
    await network.set_wan_address("192.168.100.2")
    # Its address and its uptime are asked for in turns.
    for _ in range(2):
        assert await listed_rows(ui, door.entry) == []
    with pytest.raises(CommandError) as error:
        await ui.turn_on(door)
    assert error.value.translation_key == "not_permitted_double_nat"
    assert not await ui.is_on(door)
    assert "#AddPortMapping" not in router.log
    assert await kernel_rows(router) == []


async def test_held_by_another_client(
    ui: Ui, router: RealRouter, door: ForwardOnScreen, port: int, log: LogBook
) -> None:
    log.provoke(FAILED, because="the port is taken")
    await upnpc(router, "-e", "Xbox", "-a", CAMERA, "3074", str(port), "UDP", "0")
    with pytest.raises(CommandError) as error:
        await ui.turn_on(door)
    assert error.value.translation_key == "port_conflict"
    assert f"{CAMERA}:3074 (Xbox)" in error.value.message
    assert not await ui.is_on(door)
    assert await kernel_rows(router) == [("UDP", port, CAMERA, 3074)]

    await upnpc(router, "-d", str(port), "UDP")
    await ui.turn_on(door)
    assert len(await kernel_rows(router)) == 2


async def test_never_open_to_all_when_limited_to_one(
    ui: Ui,
    router: RealRouter,
    internet: Internet,
    added: Added,
    inside: Camera,
    port: int,
    log: LogBook,
) -> None:
    """miniupnpd 2.3.1 limits the source without a word of it, so it is not relied on."""
    log.provoke(FAILED, because="the list of 2.3.1 does not show the source")
    door = await ui.add_forward(
        added.entry,
        added.first_forward,
        **to_camera(port, inside.port, internal_host=CAMERA, allowed_source=FRIEND),
    )
    # A newer one that shows the source opens.
    refusal = await refused(ui, door)
    assert refusal in (None, "not_permitted_source_ignored")
    if refusal is None:
        assert await fetch(port, FRIEND, internet) == PAGE
    else:
        assert await is_closed(port, internet)
        assert await kernel_rows(router) == []
    with pytest.raises((ConnectionError, TimeoutError)):
        await fetch(port, STRANGER, internet)


async def refused(ui: Ui, door: ForwardOnScreen) -> str | None:
    """Turn the switch on, and return the key of the error, None without one."""
    try:
        await ui.turn_on(door)
    except CommandError as error:
        return error.translation_key
    return None
