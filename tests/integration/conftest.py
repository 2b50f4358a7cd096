"""Home Assistant, the integration and a virtual router that it really speaks to."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import Mock, patch

import pytest
import pytest_socket
from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.storage import STORAGE_DIR
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN, SUBENTRY_TYPE_FORWARD
from custom_components.port_forward.routers import ipv4
from custom_components.port_forward.routers.upnp import describe
from custom_components.port_forward.runtime import RUNTIMES, async_load_runtimes, runtime_of
from lab.virtual_router import VirtualRouter, free_port

from .reader import reading_along

ROUTER_UDN = "uuid:5f2ad1c3-3f1c-4b38-9b3e-000000000001"


@pytest.fixture(autouse=True)
def _loopback_is_the_network(
    enable_custom_integrations: None,
    socket_enabled: None,
) -> Generator[None]:
    """Let the integration speak to virtual routers, and ssdp to nobody."""
    pytest_socket.socket_allow_hosts(["127.0.0.0/8"], allow_unix_socket=True)
    loopback = Mock(
        nice_name="lo", ips=[Mock(is_IPv6=False, ip="127.0.0.1", network_prefix=8)], index=1
    )
    ssdp = "homeassistant.components.ssdp"
    with ExitStack() as stack:
        for target in (
            f"{ssdp}.Scanner._async_start_ssdp_listeners",
            f"{ssdp}.Scanner._async_stop_ssdp_listeners",
            f"{ssdp}.Scanner.async_scan",
            f"{ssdp}.Server._async_start_upnp_servers",
            f"{ssdp}.Server._async_stop_upnp_servers",
        ):
            stack.enter_context(patch(target))
        stack.enter_context(
            patch(
                "homeassistant.components.network.util.ifaddr.get_adapters",
                return_value=[loopback],
            )
        )
        yield


@pytest.fixture(autouse=True)
def _all_is_readable() -> Generator[None]:
    """Fail when a form, an error or an issue has no text, or one with a gap."""
    with reading_along():
        yield


@pytest.fixture
def own_loopback() -> str:
    """An address of this process alone, so that tests may run side by side on port 1900."""
    return f"127.1.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"


@pytest.fixture
def gateway_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel know no route."""
    monkeypatch.setattr(ipv4, "ROUTE_TABLE", tmp_path / "no_route_table")


@pytest.fixture
def route_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's route table, without a route."""
    path = tmp_path / "route"
    path.write_text("the header\n")
    monkeypatch.setattr(ipv4, "ROUTE_TABLE", path)
    return path


@pytest.fixture
def loopback_enabled(hass_storage: dict[str, Any]) -> None:
    """Let the user have chosen the adapter that all tests happen on."""
    hass_storage["core.network"] = {"version": 1, "data": {"configured_adapters": ["lo"]}}


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The addresses of each name that there is."""
    names: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int | None, *args: Any, **kwargs: Any) -> list[Any]:
        with suppress(ValueError):
            return real(str(ip_address(host)), port, *args, **kwargs)
        host.encode("idna")  # as the real one does first
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found: list[Any] = []
        for address in names[host]:
            with suppress(socket.gaierror):  # of the family that is not asked for
                found += real(address, port, *args, **kwargs)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


@pytest.fixture
def hass_config_dir(tmp_path: Path) -> str:
    """Keep the ledgers of one test from those of another."""
    return str(tmp_path)


@pytest.fixture
async def router() -> AsyncGenerator[VirtualRouter]:
    """A running IGD:2 without a mapping."""
    async with VirtualRouter(udn=ROUTER_UDN) as virtual_router:
        up_for_a_day(virtual_router)
        yield virtual_router


def up_for_a_day(router: VirtualRouter) -> None:
    """Make a restart visible: the uptime falls, and does not go from 0 s to 0 s."""
    for wan in router.wans:
        wan._up_since -= 86400


@pytest.fixture
def external_port() -> int:
    """A port that nobody listens on."""
    return free_port()


@pytest.fixture
async def entry(
    hass: HomeAssistant,
    router: VirtualRouter,
) -> MockConfigEntry:
    """The entry of the router, not set up and without a forward."""
    return await make_entry(hass, router)


async def make_entry(hass: HomeAssistant, router: VirtualRouter) -> MockConfigEntry:
    """Return an entry for `router` as the config flow would make it."""
    description = await describe(async_get_clientsession(hass), router.description_url)
    entry = MockConfigEntry(
        domain=DOMAIN,
        title="Virtual Router",
        unique_id=description.info.unique_id,
        data={
            "driver": "upnp",
            CONF_URL: router.description_url,
            "wan": description.wans[0].id,
        },
    )
    entry.add_to_hass(hass)
    return entry


@pytest.fixture
async def closed(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """The entry with two forwards that have never been open, Camera and Games."""
    add_forward(hass, entry, forward_data(external_port))
    add_forward(hass, entry, forward_data(free_port()), "Games")
    await set_up(hass, entry)
    return entry


@pytest.fixture
async def neighbour(hass: HomeAssistant) -> AsyncGenerator[VirtualRouter]:
    """Another router with one forward, Attic, open."""
    async with VirtualRouter() as other:
        entry = await make_entry(hass, other)
        add_forward(hass, entry, forward_data(free_port()), title="Attic")
        await set_up(hass, entry)
        await switch(hass, "turn_on", "switch.attic")
        yield other


def forward_data(port: int, **changes: Any) -> dict[str, Any]:
    """Return what the form gives for a forward of one external port, open until closed."""
    return {
        "internal_host": "127.0.0.5",
        "protocol": "tcp",
        "internal_ports": "8080",
        "external_ports": str(port),
        "until_closed": True,
    } | changes


def add_forward(
    hass: HomeAssistant, entry: MockConfigEntry, data: dict[str, Any], title: str = "Camera"
) -> ConfigSubentry:
    """Add a forward to the entry as its flow would."""
    subentry = ConfigSubentry(
        data=MappingProxyType(data),
        subentry_type=SUBENTRY_TYPE_FORWARD,
        title=title,
        unique_id=None,
    )
    hass.config_entries.async_add_subentry(entry, subentry)
    return subentry


async def set_up(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Set the entry up."""
    # Which every Home Assistant has. It knows what is exposed to voice assistants.
    assert await async_setup_component(hass, "homeassistant", {})
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()


async def restart_home_assistant(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Begin anew with nothing but what is on the disk."""
    await stop_home_assistant(hass, entry)
    await start_home_assistant(hass, entry)


async def stop_home_assistant(hass: HomeAssistant, *entries: ConfigEntry) -> None:
    """Leave nothing of these routers but what is on the disk."""
    for entry in entries:
        await hass.config_entries.async_unload(entry.entry_id)
        if runtime := runtime_of(hass, entry.entry_id):
            runtime.keeper.stop()
            await hass.async_block_till_done()
            del hass.data[RUNTIMES][entry.entry_id]


async def start_home_assistant(hass: HomeAssistant, *entries: ConfigEntry) -> None:
    """Do what a start does: first of all the integration, then its entries."""
    await async_load_runtimes(hass)
    for entry in entries:
        await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()


async def switch(hass: HomeAssistant, service: str, entity_id: str = "switch.camera") -> None:
    """Call turn_on or turn_off."""
    await hass.services.async_call("switch", service, {"entity_id": entity_id}, blocking=True)


def state_of(hass: HomeAssistant, entity_id: str = "switch.camera") -> str:
    """Return the state of an entity."""
    state = hass.states.get(entity_id)
    assert state
    return state.state


def ledger_of(hass: HomeAssistant, entry: MockConfigEntry) -> dict[str, Any]:
    """Return what is on the disk."""
    stored: dict[str, Any] = json.loads(ledger_path(hass, entry).read_text())
    return stored


def ledger_path(hass: HomeAssistant, entry: MockConfigEntry) -> Path:
    """Return where the ledger of the entry is."""
    return Path(hass.config.path(STORAGE_DIR, f"{DOMAIN}.{entry.entry_id}"))


def phases(hass: HomeAssistant, entry: MockConfigEntry) -> list[str]:
    """Return the phase of each opening on the disk."""
    return [opening["phase"] for opening in ledger_of(hass, entry)["openings"]]


async def refresh(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Look at the router as the next poll would."""
    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()


async def until_one_waits(entry: MockConfigEntry) -> None:
    """Wait until something waits for its turn to be opened, which another has."""
    operations = entry.runtime_data.keeper._do
    async with asyncio.timeout(60):
        while not operations._waiting:  # noqa: ASYNC110  a lock tells nobody
            await asyncio.sleep(0)


async def until_idle(entry: MockConfigEntry) -> None:
    """Wait until nothing is being done to any forward."""
    operations = entry.runtime_data.keeper._do
    async with asyncio.timeout(60):
        while any(map(operations.is_busy, entry.subentries)):  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0)


async def arrived(router: VirtualRouter, action: str, times: int) -> None:
    """Wait until the router has been asked this often."""
    async with asyncio.timeout(60):
        while router.requests[action] < times:  # noqa: ASYNC110  it counts and tells nobody
            await asyncio.sleep(0)
