"""The file for a bug report: it has what a maintainer needs, and nothing that is anybody's own."""

import json
from collections.abc import Iterable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, get_system_health_info
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.history import async_history
from custom_components.port_forward.mask import SECRET
from custom_components.port_forward.routers.errors import ProtocolError
from lab.virtual_router import Fault, Quirk, VirtualRouter, free_port

from .adopt_home import home_of, users_router
from .conftest import (
    ROUTER_UDN,
    add_forward,
    forward_data,
    ledger_path,
    make_entry,
    refresh,
    set_up,
    stop_home_assistant,
    switch,
)
from .pcp_home import pcp_home

type Json = dict[str, Any]


class Download:
    """Clicks "Download diagnostics", and keeps what came."""

    def __init__(self, hass: HomeAssistant, client: Any) -> None:  # noqa: ANN401  aiohttp's own
        self._hass = hass
        self._client = client
        self.text = ""

    async def __call__(self, entry: MockConfigEntry, device: dr.DeviceEntry | None = None) -> Json:
        path = f"/api/diagnostics/config_entry/{entry.entry_id}"
        response = await self._client.get(path + (f"/device/{device.id}" if device else ""))
        self.text = await response.text()
        assert response.status == HTTPStatus.OK, self.text
        data: Json = json.loads(self.text)["data"]
        return data

    def told(self, needles: Iterable[str]) -> set[str]:
        """Return which of these are in the file."""
        return {needle for needle in needles if needle.casefold() in self.text.casefold()}


@pytest.fixture
async def download(hass: HomeAssistant, hass_client: ClientSessionGenerator) -> Download:
    """Clicks "Download diagnostics"."""
    assert await async_setup_component(hass, "diagnostics", {})
    return Download(hass, await hass_client())


async def test_what_a_maintainer_needs(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    download: Download,
) -> None:
    data = forward_data(external_port, until_closed=False, close_after={"minutes": 30})
    add_forward(hass, entry, data)
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await hass.async_block_till_done(wait_background_tasks=True)  # tries whether it answers
    found = await download(entry)

    assert found["entry"]["state"] == "loaded"
    assert found["entry"]["data"]["driver"] == "upnp"
    assert found["entry"]["url"]["scheme"] == "http"
    assert found["router"]["model"]
    assert found["router"]["capabilities"]["listing"] == "full"
    assert found["learned"]["leases"] == "kept"
    look = found["last_look"]
    assert (look["success"], look["last_error"], look["interval"]) == (True, None, 60)
    assert look["external_address"] == "public-1"
    [row] = look["mappings"]
    assert (row["ours"], row["made_for"]) == (True, "forward-1")
    assert row["external_ports"] == str(external_port)
    assert 1700 <= row["lease"] <= 1800
    [forward] = found["forwards"]
    assert forward["settings"] == {
        "internal_host": row["internal_host"],
        "protocol": "tcp",
        "internal_ports": "8080",
        "external_ports": str(external_port),
        "until_closed": False,
        "close_after": {"minutes": 30},
    }
    assert forward["leads_to"] == [row["internal_host"]]
    assert (forward["is_open"], forward["is_sure"]) == (True, True)
    assert forward["target_answers"] is False  # There is no such device.
    assert look["reachability"] == "reachable"
    [opening] = found["ledger"]["openings"]
    assert (opening["forward"], opening["phase"]) == ("forward-1", "open")
    deadline = dt_util.parse_datetime(opening["deadline"])
    assert deadline
    assert timedelta(minutes=25) < deadline - dt_util.utcnow() <= timedelta(minutes=30)
    assert found["operations"].keys() == {"connect", "snapshot", "open"}
    assert found["operations"]["open"]["calls"] == 1
    assert 0 < found["operations"]["open"]["median_ms"] <= found["operations"]["open"]["longest_ms"]
    assert [(line["forward"], line["source"], line["what"]) for line in found["journal"]] == [
        ("forward-1", "command", "open"),
        ("forward-1", "activity", "opened"),
    ]


async def test_errors_with_the_codes_of_the_router(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, download: Download
) -> None:
    router.quirks.add(Quirk.Q12)
    add_forward(hass, entry, forward_data(1023))
    await set_up(hass, entry)
    for _ in range(2):
        with pytest.raises(Exception, match="low ports"):
            await switch(hass, "turn_on")
    found = await download(entry)
    [error] = found["errors"]
    assert error["said"].startswith("AddPortMapping: 606")
    assert (error["operation"], error["error"], error["times"]) == (
        "open",
        "not_permitted_low_port",
        2,
    )
    [asked, failed] = found["journal"][:2]
    assert (asked["what"], failed["what"], failed["why"]) == ("open", "open_failed", "refused")
    assert failed["error"] == "not_permitted_low_port"


async def test_a_router_that_is_away_while_it_is_set_up(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    download: Download,
) -> None:
    """What the ledger holds is open perhaps: it is not to be lost sight of."""
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await stop_home_assistant(hass, entry)
    router.fault(Fault.DROP_BEFORE, times=None)
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    found = await download(entry)
    assert (found["entry"]["state"], found["entry"]["reason"]) == ("setup_retry", "unreachable")
    assert found["entry"]["reason_details"] == {"host": "router"}
    assert found["router"] is found["last_look"] is None
    [opening] = found["ledger"]["openings"]
    assert opening["phase"] == "open"
    [error] = found["errors"]
    assert (error["operation"], error["error"]) == ("connect", "unreachable")
    assert [line["what"] for line in found["journal"]] == ["open", "opened"]
    [forward] = found["forwards"]
    assert (forward["is_open"], forward["leads_to"]) == (None, [])

    # While it is set up, what failed last is told, too.
    router.clear_faults()
    await hass.config_entries.async_reload(entry.entry_id)
    router.fault(Fault.DROP_BEFORE, times=None)
    await refresh(hass, entry)
    look = (await download(entry))["last_look"]
    assert look["success"] is False
    assert look["last_error"] == {"error": "unreachable", "details": {"host": "router"}}
    assert download.told([str(entry.data["url"]), router.lan_host]) == set()


async def test_nothing_is_told_of_those_who_live_here(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    name_server: dict[str, list[str]],
    download: Download,
) -> None:
    name_server["jane-laptop.example.org"] = ["127.0.0.9"]
    needles = {
        "router": ROUTER_UDN.removeprefix("uuid:"),
        "forward": "Jane's secret door",
        "host name": "jane-laptop.example.org",
        "host": "127.0.0.9",
        "source": "198.51.100.77",
        "external address": "203.0.113.7",
        "foreign host": "127.0.0.8",
        "description": "Tom's PlayStation",
        "mac": "00:1A:2B:3C:4D:5E",
        "address in a description": "198.51.100.88",
        "ipv6": "2001:db8:aa:bb::1",
        "ipv4 in an error": "192.0.2.99",
        "serial number in an error": "SN123456789012",
        "option": "https://check.example.org/?token=s3cr3t",
        "title": "Jane's router",
    }
    hass.config_entries.async_update_entry(
        entry,
        title=needles["title"],
        options={
            "a_later_option": needles["option"],
            "sources": [needles["source"]],
            "lease": 3600,
        },
    )
    for wan in router.wans:
        wan.external_address = needles["external address"]
    port = free_port()
    add_forward(
        hass,
        entry,
        forward_data(port, internal_host=needles["host name"], allowed_source=needles["source"]),
        title=needles["forward"],
    )
    await router.add_foreign(
        protocol="TCP",
        external_port=free_port(),
        internal_host=needles["foreign host"],
        internal_port=80,
        description=needles["description"],
    )
    await router.add_foreign(
        protocol="UDP",
        external_port=free_port(),
        internal_host=needles["foreign host"],
        internal_port=80,
        description=f"{needles['mac']} {needles['address in a description']} {needles['ipv6']}",
    )
    await set_up(hass, entry)
    await switch(hass, "turn_on", "switch.jane_s_secret_door")
    # As a router would answer that tells more than it should.
    said = [needles[key] for key in ("host name", "mac", "ipv6", "description", "forward")]
    said += [needles["ipv4 in an error"], needles["serial number in an error"]]
    observations = async_history(hass, entry.entry_id).observations
    for text in said:
        with pytest.raises(ProtocolError), observations.of("close"):
            raise ProtocolError(host="203.0.113.7", detail=f"HTTP 500 {text}!")
    found = await download(entry)

    needles |= {"url": router.description_url, "udn in another spelling": ROUTER_UDN.upper()}
    assert download.told(needles.values()) == set()
    assert found["entry"]["options"] == {"a_later_option": SECRET, "sources": SECRET, "lease": 3600}
    assert all(error["said"].startswith("HTTP 500 ") for error in found["errors"])
    # What belongs together can still be seen to.
    ours, foreign, other = sorted(found["last_look"]["mappings"], key=lambda row: not row["ours"])
    [forward] = found["forwards"]
    assert forward["leads_to"] == [ours["internal_host"]] != [foreign["internal_host"]]
    assert forward["settings"]["allowed_source"] == ours["allowed_source"] == "public-2"
    assert (foreign["made_for"], foreign["description_length"]) == ("", 17)
    assert foreign["internal_host"] == other["internal_host"]
    assert f"HTTP 500 {foreign['description']}!" in {error["said"] for error in found["errors"]}


@pytest.mark.parametrize("kind", ["fritzbox", "mikrotik", "openwrt", "opnsense", "unifi"])
async def test_logins(hass: HomeAssistant, download: Download, kind: str) -> None:
    """Also those that a router has told an error about, and while it cannot be set up."""
    async with users_router(kind) as router:
        home = await home_of(hass, router)
        if kind != "fritzbox":  # Its rules cannot be taken over.
            await home.adopt()
            await home.on()
        login = {
            key: value
            for key, value in home.entry.data.items()
            if key in ("username", "password", "api_key", "api_secret", "fingerprint")
        }
        assert login
        observations = async_history(hass, home.entry.entry_id).observations
        for value in login.values():
            with pytest.raises(ProtocolError), observations.of("close"):
                raise ProtocolError(host="127.0.0.1", detail=f"HTTP 401 for {value}")
        coordinator = home.entry.runtime_data
        ids = {row.id for row in coordinator.data.mappings if len(row.id) > 6}
        own = {coordinator.info.unique_id, coordinator.info.serial_number or "", *ids} - {""}

        for state in ("loaded", "not_loaded"):
            found = await download(home.entry)
            assert found["entry"]["state"] == state
            assert {found["entry"]["data"][key] for key in login} == {SECRET}
            assert len(found["errors"]) == len(login)
            words = set(login.values()) - {"root", "admin"}  # Names of other things, too.
            assert download.told({*words, *own}) == set()
            await stop_home_assistant(hass, home.entry)


async def test_who_reads_it_cannot_delete_a_mapping_of_pcp(
    hass: HomeAssistant,
    external_port: int,
    download: Download,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which takes its nonce (RFC 6887 section 15)."""
    async with pcp_home(hass, monkeypatch, third_party=True) as home:
        await home.add(external_port)
        await switch(hass, "turn_on")
        [nonce] = [row.nonce for row in home.router.mappings]
        [mapping] = home.entry.runtime_data.keeper.mappings
        assert mapping.id
        for _ in ("loaded", "not loaded"):
            found = await download(home.entry)
            assert len(found["ledger"]["openings"]) == 1
            assert download.told({mapping.id, nonce.hex(), str(list(nonce))}) == set()
            await stop_home_assistant(hass, home.entry)


async def test_the_device_of_a_forward(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    device_registry: dr.DeviceRegistry,
    download: Download,
) -> None:
    for name in ("Camera", "Plex"):
        add_forward(hass, entry, forward_data(free_port()), title=name)
    await set_up(hass, entry)
    for name in ("camera", "plex"):
        await switch(hass, "turn_on", f"switch.{name}")
    everything = await download(entry)
    devices = {
        device.name: device
        for device in dr.async_entries_for_config_entry(device_registry, entry.entry_id)
    }
    plex = await download(entry, devices["Plex"])
    assert [row["forward"] for row in plex["forwards"]] == ["forward-2"]
    assert {line["forward"] for line in plex["journal"]} == {"forward-2"}
    assert plex["last_look"]["rows"] == 2
    whole = await download(entry, devices[entry.runtime_data.info.name])
    assert whole["journal"] == everything["journal"]


async def test_a_router_that_was_flooded_and_a_forward_that_was_deleted(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    download: Download,
) -> None:
    for number in range(300):
        await router.add_foreign(
            protocol="UDP",
            external_port=20_000 + number,
            internal_host="127.0.0.8",
            internal_port=1,
            enabled=False,
            description="<b>\x1b" + "x" * 60,
        )
    subentry = add_forward(hass, entry, forward_data(free_port()))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    hass.config_entries.async_remove_subentry(entry, subentry.subentry_id)
    await hass.async_block_till_done()
    look = (found := await download(entry))["last_look"]
    assert (look["rows"], len(look["mappings"])) == (300, 200)
    assert len(download.text) < 200_000
    assert "xxx" not in download.text
    assert subentry.subentry_id not in download.text
    assert {line["forward"] for line in found["journal"]} == {"forgotten-forward-1"}


async def test_a_ledger_that_is_damaged(
    hass: HomeAssistant, entry: MockConfigEntry, download: Download
) -> None:
    await set_up(hass, entry)
    await stop_home_assistant(hass, entry)
    ledger_path(hass, entry).parent.mkdir(exist_ok=True)
    ledger_path(hass, entry).write_text("{")
    found = await download(entry)
    assert found["ledger"] == {
        "is_locked": True,
        "is_lost": True,
        "is_unsaved": False,
        "openings": [],
    }


class TestSystemHealth:
    async def info(self, hass: HomeAssistant) -> Json:
        assert await async_setup_component(hass, "system_health", {})
        await hass.async_block_till_done()
        return await get_system_health_info(hass, DOMAIN)

    async def test_no_router(self, hass: HomeAssistant) -> None:
        assert await async_setup_component(hass, DOMAIN, {})
        info = await self.info(hass)
        assert set(info.values()) == {0}
        assert "last_error" not in info

    async def test_two_routers_of_which_one_is_away(
        self,
        hass: HomeAssistant,
        router: VirtualRouter,
        entry: MockConfigEntry,
        external_port: int,
    ) -> None:
        add_forward(hass, entry, forward_data(external_port))
        await set_up(hass, entry)
        await switch(hass, "turn_on")
        await router.add_foreign(
            protocol="TCP", external_port=free_port(), internal_host="127.0.0.8", internal_port=80
        )
        await refresh(hass, entry)
        async with VirtualRouter() as other:
            away = await make_entry(hass, other)
            other.fault(Fault.DROP_BEFORE, times=None)
            await set_up(hass, away)
        info = await self.info(hass)
        at = info.pop("last_error")
        assert at.startswith("unreachable (20")
        assert info == {
            "routers": 2,
            "routers_answering": 1,
            "routers_locked": 0,
            "open_forwards": 1,
            "foreign_mappings": 1,
            "records_unsaved": 0,
        }
        await entry.runtime_data.keeper.lock({})
        info = await self.info(hass)
        assert (info["routers_locked"], info["open_forwards"]) == (1, 0)
