"""Names are looked up side by side, with patience, and followed with limits."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Generator
from ipaddress import IPv4Address
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.devices import names
from custom_components.port_forward.devices.hosts import HostError, async_resolve_host
from custom_components.port_forward.devices.names import async_get_names
from lab.virtual_router import VirtualRouter, free_port

from .conftest import add_forward, forward_data, phases, refresh, set_up, state_of, switch

FIVE, SIX, SEVEN, EIGHT = "127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8"
NAME = "camera.lan"


class SlowNameServer:
    """A name server that answers only when it is told to."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked: Counter[str] = Counter()
        self.together = 0
        self.most_together = 0
        self._lock = threading.Lock()

    def wait(self, host: str) -> None:
        with self._lock:
            self.asked[host] += 1
            self.together += 1
            self.most_together = max(self.most_together, self.together)
        assert self.answers.wait(60)
        with self._lock:
            self.together -= 1


@pytest.fixture
def slow(
    name_server: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> Generator[SlowNameServer]:
    """The name server, which is silent."""
    server = SlowNameServer()
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        if host in name_server:
            server.wait(host)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(names, "_PATIENCE", 0.2)
    server.answers.set()
    yield server
    server.answers.set()


def hosts(router: VirtualRouter) -> list[str]:
    return [mapping.internal_host for mapping in router.mappings]


def why(hass: HomeAssistant) -> tuple[str, str | None]:
    event = hass.states.get("event.camera_activity")
    assert event
    return event.attributes["event_type"], event.attributes.get("reason")


async def until_idle(hass: HomeAssistant) -> None:
    """Wait until no name is being looked up."""
    async with asyncio.timeout(60):
        while async_get_names(hass)._under_way:  # noqa: ASYNC110  threads tell nobody
            await asyncio.sleep(0.01)


async def add_named(
    hass: HomeAssistant, entry: MockConfigEntry, name_server: dict[str, list[str]], *hosts: str
) -> None:
    for number, host in enumerate(hosts, 1):
        name_server[host] = [FIVE]
        add_forward(hass, entry, forward_data(free_port(), internal_host=host), f"No {number}")


async def test_side_by_side_and_each_once(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    name_server: dict[str, list[str]],
    slow: SlowNameServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five slow names cost no more than one."""
    monkeypatch.setattr(names, "_PATIENCE", 60)
    await add_named(hass, entry, name_server, "a.lan", "b.lan", "c.lan", "d.lan", "e.lan", "a.lan")
    await set_up(hass, entry)
    slow.asked.clear()
    slow.answers.clear()
    look = hass.async_create_task(entry.runtime_data.async_refresh())
    async with asyncio.timeout(30):
        while slow.together < 5:  # noqa: ASYNC110  threads tell nobody
            await asyncio.sleep(0.01)
    slow.answers.set()
    await look
    assert slow.asked == Counter(["a.lan", "b.lan", "c.lan", "d.lan", "e.lan"])


async def test_a_name_server_that_never_answers(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    name_server: dict[str, list[str]],
    slow: SlowNameServer,
) -> None:
    """It neither fails a look nor moves a port, nor takes up all threads."""
    many = [f"host{number}.lan" for number in range(40)]
    await add_named(hass, entry, name_server, *many)
    await set_up(hass, entry)
    await switch(hass, "turn_on", "switch.no_1")
    assert hosts(router) == [FIVE]
    slow.asked.clear()
    slow.answers.clear()
    for _ in range(3):
        await refresh(hass, entry)
        assert entry.runtime_data.last_update_success
    assert (hosts(router), state_of(hass, "switch.no_1")) == ([FIVE], "on")
    assert slow.most_together <= 16
    assert set(slow.asked.values()) == {1}, "what hangs is not asked again"
    for entity_id in ("switch.no_1", "switch.no_2"):
        with pytest.raises(HomeAssistantError) as raised:
            await switch(hass, "turn_on", entity_id)
        assert raised.value.translation_key == "host_timed_out"
    # Home Assistant has threads left.
    assert await hass.async_add_executor_job(lambda: 7) == 7

    name_server["host0.lan"] = [SIX]
    slow.answers.set()
    await until_idle(hass)
    await refresh(hass, entry)
    assert hosts(router) == [SIX]


async def test_a_host_that_cannot_be_looked_up_in_time(
    hass: HomeAssistant, name_server: dict[str, list[str]], slow: SlowNameServer
) -> None:
    name_server["nas.lan"] = [FIVE]
    slow.answers.clear()
    with pytest.raises(HostError) as raised:
        await async_resolve_host(hass, "nas.lan", IPv4Address("127.0.0.1"))
    assert raised.value.key == "host_timed_out"
    slow.answers.set()
    await until_idle(hass)


@pytest.fixture
async def opened(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    name_server: dict[str, list[str]],
) -> MockConfigEntry:
    """A forward to the name of a camera, open."""
    name_server[NAME] = [FIVE]
    add_forward(hass, entry, forward_data(external_port, internal_host=NAME))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    assert hosts(router) == [FIVE]
    return entry


async def test_a_name_is_followed(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    name_server: dict[str, list[str]],
) -> None:
    name_server[NAME] = [SIX]
    await refresh(hass, opened)
    assert hosts(router) == [SIX]
    assert why(hass) == ("moved", "device_moved")
    assert phases(hass, opened) == ["open"]


@pytest.mark.parametrize("interval", [60, 600])
async def test_a_name_that_is_elsewhere_at_each_look(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,  # before the router begins to count
    router: VirtualRouter,
    opened: MockConfigEntry,
    name_server: dict[str, list[str]],
    interval: int,
) -> None:
    hass.config_entries.async_update_entry(opened, options={"refresh_interval": interval})
    await hass.async_block_till_done()
    router.requests.clear()
    led_to = []
    for number in range(1, 9):
        name_server[NAME] = [(FIVE, SIX, SEVEN, EIGHT)[number % 4]]
        freezer.tick(interval)
        await refresh(hass, opened)
        led_to += hosts(router)
    assert led_to == [SIX, SEVEN, EIGHT]
    assert why(hass) == ("closed", "address_unsteady")
    assert (phases(hass, opened), state_of(hass)) == ([], "off")
    assert router.requests["AddPortMapping"] == 3


async def test_three_moves_and_then_steady(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    name_server: dict[str, list[str]],
) -> None:
    for address in (SIX, SEVEN, EIGHT):
        name_server[NAME] = [address]
        for _ in range(3):
            await refresh(hass, opened)
            assert hosts(router) == [address]


async def test_one_name_with_many_addresses_stays_where_it_is(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    name_server: dict[str, list[str]],
) -> None:
    """Name servers tell them in another order each time."""
    many = [FIVE, SIX, SEVEN]
    router.requests.clear()
    for number in range(6):
        name_server[NAME] = many[number % 3 :] + many[: number % 3]
        await refresh(hass, opened)
        assert hosts(router) == [FIVE]
    assert router.requests["DeletePortMapping"] == 0
    name_server[NAME] = [SEVEN, SIX]
    await refresh(hass, opened)
    assert hosts(router) == [SEVEN]
