"""A device gets another address while its port is open, and somebody else gets its address."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lab.home_assistant import REPOSITORY, CommandError, RealHomeAssistant
from lab.virtual_router import VirtualRouter
from tests.e2e.clients import FRIEND, PAGE, Camera, camera, echo, fetch, is_closed, throw
from tests.e2e.conftest import shared
from tests.e2e.log import LogBook
from tests.e2e.ui import FORWARD_FLOW, ROUTER_FLOW, ForwardOnScreen, Ui
from tests.e2e.waiting import GUARD, until

FIVE, SIX = "127.0.0.5", "127.0.0.6"
CAMERA, NAS = "aa:bb:cc:00:00:05", "aa:bb:cc:00:00:06"

# What a person would call at once. The router and Home Assistant are this machine, but it is busy.
AT_ONCE = 3.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared_ha(
    environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RealHomeAssistant]:
    """A Home Assistant with the integration of a router that tracks devices."""
    config = tmp_path_factory.mktemp("config")
    link = config / "custom_components" / "lab_tracker"
    link.parent.mkdir()
    link.symlink_to(REPOSITORY / "lab" / "tracker", target_is_directory=True)
    async with shared(environment, config) as ha:
        step = await ha.post(ROUTER_FLOW, {"handler": "lab_tracker"})
        assert step["type"] == "create_entry", step
        yield ha


async def see(ha: RealHomeAssistant, mac: str, ip: str, *, home: bool = True) -> None:
    """Let the router's integration show where a device is."""
    name = "Front camera" if mac == CAMERA else "Disk"
    await ha.call("lab_tracker", "see", mac=mac, name=name, ip=ip, home=home)


@pytest_asyncio.fixture(loop_scope="session")
async def five(log: object) -> AsyncIterator[Camera]:
    """Who is at .5."""
    async with camera(FIVE) as host:
        yield host


@pytest_asyncio.fixture(loop_scope="session")
async def six(five: Camera) -> AsyncIterator[Camera]:
    """Who is at .6, on the same port."""
    async with camera(SIX, port=five.port) as host:
        yield host


@pytest_asyncio.fixture(loop_scope="session")
async def device(ha: RealHomeAssistant) -> str:
    """The id of the camera, which is at .5."""
    await see(ha, NAS, "127.0.0.9")
    await see(ha, CAMERA, FIVE)
    rows = await ha.command("config/device_registry/list")
    [found] = [row["id"] for row in rows if ["mac", CAMERA] in row["connections"]]
    return str(found)


@pytest_asyncio.fixture(loop_scope="session")
async def door(
    ui: Ui, router: VirtualRouter, five: Camera, six: Camera, device: str, port: int
) -> ForwardOnScreen:
    """An open forward that follows the camera."""
    added = await ui.add_router(router.description_url)
    door = await ui.add_forward(
        added.entry,
        added.first_forward,
        name=f"Camera {port}",
        device=device,
        protocol="both",
        internal_ports=str(five.port),
        external_ports=str(port),
    )
    await ui.turn_on(door)
    assert await fetch(port) == PAGE
    assert await echo(port, b"at five") == b"AT FIVE"
    assert five.heard == [b"at five"]
    return door


async def until_at(host: Camera, port: int) -> float:
    """Knock until `host` hears it, and return how many seconds that took."""
    began = time.perf_counter()
    async with asyncio.timeout(GUARD):
        while b"moved?" not in host.heard:
            await throw(port, b"moved?", FRIEND)
            await asyncio.sleep(0.005)
    return time.perf_counter() - began


async def test_port_moves_with_its_device(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    five: Camera,
    six: Camera,
    port: int,
) -> None:
    async with await ui.activities() as activities:
        moving = asyncio.create_task(until_at(six, port))
        await see(ha, CAMERA, SIX)
        took = await moving
        told = await ui.happens(activities, "moved")
    # Shown with `pytest -rP`.
    sys.stdout.write(f"moved within {took * 1000:.0f} ms\n")
    assert took < AT_ONCE
    assert told["reason"] == "device_moved"
    assert {row.internal_host for row in router.mappings} == {SIX}
    assert len(router.mappings) == 2
    # Nothing leads to the old address any more.
    heard = len(five.heard)
    assert await echo(port, b"at six") == b"AT SIX"
    assert six.heard[-1] == b"at six"
    assert len(five.heard) == heard
    assert await fetch(port) == PAGE
    assert await ui.is_on(door)


async def test_port_closes_when_its_address_is_given_to_another_device(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    port: int,
    log: LogBook,
) -> None:
    log.provoke("Error during service call to switch.turn_on", because="it must not be opened")
    await see(ha, CAMERA, FIVE, home=False)
    assert await fetch(port) == PAGE
    async with await ui.activities() as activities:
        began = time.perf_counter()
        await see(ha, NAS, FIVE)
        told = await ui.happens(activities, "closed")
        took = time.perf_counter() - began
    assert await is_closed(port)
    # Shown with `pytest -rP`.
    sys.stdout.write(f"closed within {took * 1000:.0f} ms\n")
    assert took < AT_ONCE
    assert told["reason"] == "address_taken"
    assert router.mappings == ()
    assert not await ui.is_on(door)
    with pytest.raises(CommandError, match="belongs to another device now"):
        await ui.turn_on(door)
    # Both are seen there: nobody knows where it would lead.
    await see(ha, CAMERA, FIVE)
    with pytest.raises(CommandError, match="both have the address"):
        await ui.turn_on(door)
    assert router.mappings == ()
    await see(ha, NAS, "127.0.0.9")
    await ui.turn_on(door)
    assert await fetch(port) == PAGE


async def test_device_moves_while_home_assistant_is_killed(
    ui: Ui,
    ha: RealHomeAssistant,
    router: VirtualRouter,
    door: ForwardOnScreen,
    six: Camera,
    port: int,
) -> None:
    await ui.until_saved(door)
    # Home Assistant writes its registry 10 s later: it would not know the device any more.
    registry = ha.log.parent / ".storage" / "core.device_registry"
    await until(lambda: registry.exists() and CAMERA in registry.read_text())
    await ha.kill()
    assert await fetch(port) == PAGE
    await ha.start()
    # Its tracker has said nothing yet, and nobody else is there.
    await ha.wait_for_state(door.switch, "on")
    assert {row.internal_host for row in router.mappings} == {FIVE}
    await see(ha, CAMERA, SIX)
    await until_at(six, port)
    assert {row.internal_host for row in router.mappings} == {SIX}


async def test_flapping_tracker(
    ui: Ui, ha: RealHomeAssistant, router: VirtualRouter, door: ForwardOnScreen, port: int
) -> None:
    before = sum(router.requests.values())
    async with await ui.activities() as activities:
        flapping = asyncio.create_task(_flap(ha))
        told = await ui.happens(activities, "closed")
        await flapping
    assert told["reason"] == "address_unsteady"
    assert await is_closed(port)
    assert sum(router.requests.values()) - before < 60


async def _flap(ha: RealHomeAssistant) -> None:
    for _ in range(30):
        for address in (SIX, FIVE):
            await see(ha, CAMERA, address)
            await asyncio.sleep(0.05)


async def test_form_refuses_what_cannot_be_followed(
    ui: Ui, ha: RealHomeAssistant, router: VirtualRouter, device: str, port: int
) -> None:
    added = await ui.add_router(router.description_url)
    values = {
        "name": f"Camera {port}",
        "device": device,
        "protocol": "tcp",
        "internal_ports": "8080",
    }
    step = added.first_forward
    both = await ui.submit(FORWARD_FLOW, step, **values, internal_host=FIVE)
    assert both["errors"] == {"device": "host_and_device"}
    over_ipv6 = await ui.submit(FORWARD_FLOW, step, **values, ip_version="ipv6")
    assert over_ipv6["errors"] == {"ip_version": "device_ipv4_only"}
    rows = await ha.command("config/device_registry/list")
    without_mac = next(row["id"] for row in rows if not row["connections"])
    unknown = await ui.submit(FORWARD_FLOW, step, **(values | {"device": without_mac}))
    assert unknown["errors"] == {"device": "device_no_mac"}
