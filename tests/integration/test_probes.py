"""Whether the targets of the forwards answer, and the forwards that are open only while they do."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
)

from lab.virtual_router import Fault, VirtualRouter, free_port

from .adopt_home import Home, OnOpnsense, opnsense_home
from .automating import open_for, pass_time
from .conftest import (
    add_forward,
    forward_data,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)

TARGET = "binary_sensor.camera_target_reachable"
HOST = "127.0.0.5"


@dataclass(kw_only=True, slots=True)
class Device:
    """A device of the home with one TCP port, which can be switched off and on."""

    host: str = HOST
    port: int = 0
    visits: int = 0
    heard: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    _server: asyncio.Server | None = None

    async def on(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def off(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def visited(self, times: int) -> None:
        """Wait until it was tried so often, and no more often."""
        for _ in range(20):
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            while self.visits < times:  # noqa: ASYNC110  it counts and tells nobody
                await asyncio.sleep(0)
        assert self.visits == times

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        await self.heard.put(await reader.read())
        writer.close()


@pytest.fixture
async def device() -> AsyncGenerator[Device]:
    """A device that is on."""
    device = Device()
    await device.on()
    yield device
    await device.off()


@asynccontextmanager
async def silent_datagrams() -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=(HOST, 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def settle(hass: HomeAssistant) -> None:
    """Let what is due be tried."""
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)


async def forward_to(
    hass: HomeAssistant, entry: MockConfigEntry, internal_ports: int | str, **changes: Any
) -> None:
    """Add the forward *Camera*, set the entry up and wait for the first try."""
    data = forward_data(free_port(), internal_ports=str(internal_ports)) | changes
    data.pop("external_ports") if "-" in str(internal_ports) else None
    add_forward(hass, entry, data)
    await set_up(hass, entry)
    await settle(hass)


async def watched(hass: HomeAssistant, entry: MockConfigEntry, device: Device) -> None:
    """Add a forward to the device that is open only while it answers, and open it."""
    await forward_to(hass, entry, device.port, only_while_reachable=True)
    await switch(hass, "turn_on")
    await settle(hass)
    assert state_of(hass) == "on"
    await device.visited(3)  # at first, to be opened, and after that


def told(hass: HomeAssistant) -> tuple[str, str | None]:
    """Return the kind and the reason of what happened last."""
    state = hass.states.get("event.camera_activity")
    assert state
    return state.attributes["event_type"], state.attributes.get("reason")


async def test_sensor(hass: HomeAssistant, entry: MockConfigEntry, device: Device) -> None:
    await forward_to(hass, entry, device.port)
    state = hass.states.get(TARGET)
    assert state
    assert (state.state, state.name) == ("on", "Camera Target reachable")
    assert state.attributes["device_class"] == "connectivity"
    assert await device.heard.get() == b""


async def test_how_often_it_is_tried(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    device: Device,
    freezer: FrozenDateTimeFactory,
) -> None:
    await forward_to(hass, entry, device.port)
    await device.visited(1)
    await pass_time(hass, freezer, seconds=265)
    await device.visited(1)
    await device.off()
    await pass_time(hass, freezer, seconds=70)
    assert state_of(hass, TARGET) == "off"
    await device.on()
    await pass_time(hass, freezer, seconds=265)
    await device.visited(1)
    assert state_of(hass, TARGET) == "off"
    await pass_time(hass, freezer, seconds=70)
    await device.visited(2)
    assert state_of(hass, TARGET) == "on"
    # And right after it was opened.
    await device.off()
    await switch(hass, "turn_on")
    await settle(hass)
    assert state_of(hass, TARGET) == "off"
    assert state_of(hass) == "on"  # Of this one only the sensor tells.
    for _ in range(5):
        await pass_time(hass, freezer, seconds=335)
    assert state_of(hass) == "on"


async def test_many_are_spread_out(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    device: Device,
    freezer: FrozenDateTimeFactory,
) -> None:
    for number in range(20):
        data = forward_data(20000 + number, internal_ports=str(device.port))
        add_forward(hass, entry, data, title=f"Camera {number}")
    await set_up(hass, entry)
    await settle(hass)
    assert device.visits < 6
    await pass_time(hass, freezer, seconds=1.5)
    assert 8 < device.visits < 15
    await pass_time(hass, freezer, seconds=3)
    await device.visited(20)
    # From then on they drift apart.
    await pass_time(hass, freezer, seconds=295)
    assert 20 < device.visits < 40


async def test_unknown_until_it_was_tried(
    hass: HomeAssistant, entry: MockConfigEntry, device: Device, freezer: FrozenDateTimeFactory
) -> None:
    for number in range(10):
        data = forward_data(20000 + number, internal_ports=str(device.port))
        add_forward(hass, entry, data, title="Camera" if number == 9 else f"Game {number}")
    await set_up(hass, entry)
    await settle(hass)
    assert state_of(hass, TARGET) == "unknown"
    await pass_time(hass, freezer, seconds=3)
    assert state_of(hass, TARGET) == "on"


async def test_name_that_nobody_has(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    device: Device,
    name_server: dict[str, list[str]],
    freezer: FrozenDateTimeFactory,
) -> None:
    """Nobody was asked, so nobody knows."""
    await forward_to(hass, entry, device.port, internal_host="camera.lan")
    assert state_of(hass, TARGET) == "unknown"
    name_server["camera.lan"] = [HOST]
    await refresh(hass, entry)
    await pass_time(hass, freezer, seconds=335)
    assert state_of(hass, TARGET) == "on"
    # A name server that is away for a moment has moved nothing.
    del name_server["camera.lan"]
    await refresh(hass, entry)
    await pass_time(hass, freezer, seconds=335)
    await device.visited(2)
    assert state_of(hass, TARGET) == "on"


async def test_host_outside_is_never_tried(
    hass: HomeAssistant, entry: MockConfigEntry, name_server: dict[str, list[str]]
) -> None:
    name_server["camera.lan"] = ["198.51.100.7"]
    await forward_to(hass, entry, 80, internal_host="camera.lan")
    assert state_of(hass, TARGET) == "unknown"


async def test_this_home_assistant(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    here = Device(host="127.0.0.1")
    await here.on()
    await forward_to(hass, entry, here.port, internal_host="This Home Assistant")
    assert state_of(hass, TARGET) == "on"
    await here.off()


async def test_range_and_both_protocols(
    hass: HomeAssistant, entry: MockConfigEntry, device: Device
) -> None:
    await forward_to(hass, entry, f"{device.port - 1}-{device.port + 3}", protocol="both")
    assert state_of(hass, TARGET) == "on"


async def test_udp(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "custom_components.port_forward.reach.probing._DATAGRAM_ANSWERS_WITHIN", 0.1
    )
    async with silent_datagrams() as port:
        await forward_to(hass, entry, port, protocol="udp")
        assert state_of(hass, TARGET) == "on"
    await hass.config_entries.async_reload(entry.entry_id)
    await settle(hass)
    assert state_of(hass, TARGET) == "off"


async def test_known_while_the_router_is_away(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    device: Device,
    freezer: FrozenDateTimeFactory,
) -> None:
    await forward_to(hass, entry, device.port)
    router.fault(Fault.DROP_BEFORE, times=None)
    await device.off()
    await pass_time(hass, freezer, seconds=335)
    assert (state_of(hass), state_of(hass, TARGET)) == ("unavailable", "off")


async def test_nothing_is_tried_after_an_unload(
    hass: HomeAssistant, entry: MockConfigEntry, device: Device, freezer: FrozenDateTimeFactory
) -> None:
    await forward_to(hass, entry, device.port)
    await stop_home_assistant(hass, entry)
    await pass_time(hass, freezer, seconds=335)
    await device.visited(1)


async def test_refused_while_the_target_does_not_answer(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, device: Device
) -> None:
    await device.off()
    await forward_to(hass, entry, device.port, only_while_reachable=True)
    with pytest.raises(HomeAssistantError) as raised:
        await switch(hass, "turn_on")
    assert raised.value.translation_key == "target_unreachable"
    assert raised.value.translation_placeholders == {"forward": "Camera"}
    assert (state_of(hass), router.mappings) == ("off", ())
    assert router.requests["AddPortMapping"] == 0
    assert told(hass)[0] == "open_failed"
    with pytest.raises(HomeAssistantError):
        await open_for(hass, minutes=5)

    # Asked at that moment, not when it was its turn.
    await device.on()
    await switch(hass, "turn_on")
    assert (state_of(hass), len(router.mappings)) == ("on", 1)
    assert state_of(hass, TARGET) == "on"


async def test_closed_when_the_target_fails_twice(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    device: Device,
    freezer: FrozenDateTimeFactory,
) -> None:
    await watched(hass, entry, device)
    await pass_time(hass, freezer, seconds=67)
    await device.visited(4)
    await device.off()
    await pass_time(hass, freezer, seconds=67)
    # Anybody may miss one call.
    assert (state_of(hass), state_of(hass, TARGET)) == ("on", "off")
    await pass_time(hass, freezer, seconds=25)
    assert state_of(hass) == "on"
    await pass_time(hass, freezer, seconds=9)
    assert (state_of(hass), router.mappings) == ("off", ())
    assert told(hass) == ("closed", "target_unreachable")

    # Nobody opens it again by itself.
    await device.on()
    for _ in range(3):
        await pass_time(hass, freezer, seconds=335)
    assert (state_of(hass), state_of(hass, TARGET)) == ("off", "on")


async def test_one_failure_is_forgiven(
    hass: HomeAssistant, entry: MockConfigEntry, device: Device, freezer: FrozenDateTimeFactory
) -> None:
    await watched(hass, entry, device)
    for _ in range(3):
        await device.off()
        await pass_time(hass, freezer, seconds=67)
        assert state_of(hass, TARGET) == "off"
        await device.on()
        await pass_time(hass, freezer, seconds=34)
        assert (state_of(hass), state_of(hass, TARGET)) == ("on", "on")


async def test_two_failures_after_a_restart(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    device: Device,
    freezer: FrozenDateTimeFactory,
) -> None:
    await watched(hass, entry, device)
    await device.off()
    await pass_time(hass, freezer, seconds=67)
    await stop_home_assistant(hass, entry)
    await set_up(hass, entry)
    await settle(hass)
    assert (state_of(hass), state_of(hass, TARGET)) == ("on", "off")
    await pass_time(hass, freezer, seconds=34)
    assert (state_of(hass), router.mappings) == ("off", ())


async def test_close_that_fails_is_tried_again(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    device: Device,
    freezer: FrozenDateTimeFactory,
) -> None:
    await watched(hass, entry, device)
    await device.off()
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=None)
    await pass_time(hass, freezer, seconds=67)
    await pass_time(hass, freezer, seconds=34)
    assert (state_of(hass), told(hass)) == ("on", ("close_failed", "target_unreachable"))
    # What was decided stays decided.
    await device.on()
    router.clear_faults()
    await pass_time(hass, freezer, seconds=67)
    assert (state_of(hass), told(hass)) == ("off", ("closed", "target_unreachable"))


async def test_router_that_takes_the_way_to_the_target_with_it(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    device: Device,
    freezer: FrozenDateTimeFactory,
) -> None:
    """Its restart must not become a close for good."""
    await watched(hass, entry, device)
    await device.off()
    router.fault(Fault.DROP_BEFORE, times=None)
    for _ in range(5):
        await pass_time(hass, freezer, seconds=67)
    assert state_of(hass, TARGET) == "off"
    await device.on()
    router.clear_faults()
    for _ in range(3):
        await pass_time(hass, freezer, seconds=67)
    assert (state_of(hass), state_of(hass, TARGET)) == ("on", "on")
    assert len(router.mappings) == 1

    # The router alone is back.
    await device.off()
    router.fault(Fault.DROP_BEFORE, times=None)
    for _ in range(3):
        await pass_time(hass, freezer, seconds=67)
    router.clear_faults()
    for _ in range(3):
        await pass_time(hass, freezer, seconds=67)
    assert (state_of(hass), told(hass)) == ("off", ("closed", "target_unreachable"))


async def test_mapping_of_another_program_is_left(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    device: Device,
    freezer: FrozenDateTimeFactory,
) -> None:
    """We close by ourselves only what we have opened."""
    await forward_to(hass, entry, device.port, only_while_reachable=True)
    [subentry] = entry.subentries.values()
    await router.add_foreign(
        protocol="TCP",
        external_port=int(subentry.data["external_ports"]),
        internal_host=HOST,
        internal_port=device.port,
    )
    await refresh(hass, entry)
    assert state_of(hass) == "on"
    await device.off()
    for _ in range(4):
        await pass_time(hass, freezer, seconds=335)
    assert (state_of(hass), state_of(hass, TARGET)) == ("on", "off")
    assert len(router.mappings) == 1


async def test_target_of_which_nothing_is_known(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
    freezer: FrozenDateTimeFactory,
) -> None:
    """It neither keeps the port closed nor closes it."""
    probing = "custom_components.port_forward.reach.probing"
    monkeypatch.setattr(f"{probing}._DATAGRAM_ANSWERS_WITHIN", 0)
    # As a silent device over IPv6, or on a machine without such a table.
    monkeypatch.setattr(f"{probing}._is_own", lambda _: False)
    async with silent_datagrams() as port:
        await forward_to(hass, entry, port, protocol="udp", only_while_reachable=True)
        await switch(hass, "turn_on")
        for _ in range(3):
            await pass_time(hass, freezer, seconds=67)
        assert (state_of(hass), state_of(hass, TARGET)) == ("on", "unknown")


@pytest.fixture
async def home(hass: HomeAssistant) -> AsyncGenerator[Home[OnOpnsense]]:
    """A home with a rule of the user's, which leads to port 80."""
    async with opnsense_home(hass) as home:
        yield home


async def lead(home: Home[OnOpnsense], host: str, port: int) -> None:
    """Let the user's rule lead there."""
    home.router.firewall.table[home.router.uuid].update({"target": host, "local-port": str(port)})
    await home.router.apply()
    await refresh(home.hass, home.entry)


async def test_rule_that_was_adopted(
    hass: HomeAssistant, home: Home[OnOpnsense], device: Device, freezer: FrozenDateTimeFactory
) -> None:
    await lead(home, HOST, device.port)
    await home.adopt(only_while_reachable=True)
    await settle(hass)
    assert state_of(hass, TARGET) == "on"
    await home.on()
    await settle(hass)
    assert (home.state, home.router.is_on) == ("on", True)
    await device.off()
    await pass_time(hass, freezer, seconds=67)
    await pass_time(hass, freezer, seconds=34)
    assert (home.state, home.router.is_on) == ("off", False)
    assert home.told == ("closed", "target_unreachable")
    with pytest.raises(HomeAssistantError) as raised:
        await home.on()
    assert raised.value.translation_key == "target_unreachable"
    assert not home.router.is_on


@pytest.mark.parametrize("target", ["198.51.100.7", "2a11:2233::5", "nas_alias"])
async def test_rule_that_leads_out_of_the_home_is_never_tried(
    hass: HomeAssistant, home: Home[OnOpnsense], target: str
) -> None:
    await lead(home, target, 12345)
    await home.adopt()
    await settle(hass)
    assert state_of(hass, TARGET) == "unknown"
