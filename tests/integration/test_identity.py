"""A router whose ids, or whose address, are others than before: the same one, or another."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.repairs.const import DOMAIN as REPAIRS
from homeassistant.config_entries import SOURCE_IGNORE, ConfigEntryState
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.routers import ipv4
from lab.virtual_router import Quirk, VirtualRouter, Wan, free_port

from .announcing import announce, discovered
from .conftest import (
    ROUTER_UDN,
    add_forward,
    forward_data,
    ledger_path,
    make_entry,
    phases,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)
from .flows import assert_abort, assert_form, default, options, start_typing, submit
from .neighbours import OURS, THEIRS, write_neighbours
from .routes import HEADER, route

CALLER, STRANGER = "127.0.0.1", "127.0.0.66"


@pytest.fixture(autouse=True)
def arp_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's table of neighbours, without one."""
    path = tmp_path / "arp"
    monkeypatch.setattr(ipv4, "ARP_TABLE", path)
    write_neighbours(path, {})
    return path


@pytest.fixture
async def open_entry(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    arp_table: Path,
    external_port: int,
) -> MockConfigEntry:
    """The entry of a router that draws another UDN at each start, with Camera open for an hour."""
    router.quirks.add(Quirk.Q51)
    assert await async_setup_component(hass, REPAIRS, {})
    data = forward_data(external_port, until_closed=False, close_after={"hours": 1})
    add_forward(hass, entry, data)
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    assert len(router.mappings) == 1
    return entry


async def renamed(router: VirtualRouter, *, change_port: bool = False) -> str:
    """Let the router draw another UDN, and keep what is open."""
    await router.restart(forget=False, change_port=change_port)
    assert router.udn != ROUTER_UDN
    return router.udn


async def reload(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()


async def forget_identity(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Leave what an earlier version has learned."""
    await stop_home_assistant(hass, entry)
    path = ledger_path(hass, entry)
    stored = json.loads(path.read_text())
    stored["learned"] = {"wan": stored["learned"]["wan"]}
    path.write_text(json.dumps(stored))


def issues(hass: HomeAssistant) -> dict[str, ir.IssueEntry]:
    """The repairs of ours by their texts, without those of what routers leave open."""
    return {
        issue.translation_key or "": issue
        for issue in ir.async_get(hass).issues.values()
        if issue.domain == DOMAIN and issue.active
    }


async def confirm(hass: HomeAssistant, issue: ir.IssueEntry) -> str | None:
    """Answer yes; return why that failed, if it did."""
    manager = hass.data[REPAIRS]["flow_manager"]
    step = await manager.async_init(DOMAIN, data={"issue_id": issue.issue_id})
    assert step["step_id"] == "confirm"
    step = await manager.async_configure(step["flow_id"], {})
    await hass.async_block_till_done()
    if step["type"] is FlowResultType.CREATE_ENTRY:
        return None
    assert_abort(step, "failed")
    return str(step["description_placeholders"]["error"])


def assert_is_of(entry: MockConfigEntry, router: VirtualRouter) -> None:
    """Make sure that the entry has the ids and the address of today."""
    assert entry.state is ConfigEntryState.LOADED
    assert entry.unique_id == router.udn
    assert entry.data[CONF_URL] == router.description_url
    assert entry.data["wan"] in entry.runtime_data.router.learned["wans"].split("\n")


async def close_by_time(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    freezer.tick(3600)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)


@pytest.mark.usefixtures("gateway_is_unknown")
class TestRenamed:
    """Q51: the UDN is another one after a restart of the router."""

    async def test_closed_at_its_deadline(
        self,
        hass: HomeAssistant,
        freezer: FrozenDateTimeFactory,
        router: VirtualRouter,
        open_entry: MockConfigEntry,
    ) -> None:
        await renamed(router)
        await reload(hass, open_entry)
        assert_is_of(open_entry, router)
        assert state_of(hass) == "on"
        await close_by_time(hass, freezer)
        assert not router.mappings
        assert phases(hass, open_entry) == []
        assert "router_unconfirmed" not in issues(hass)

    async def test_again_and_again(
        self, hass: HomeAssistant, router: VirtualRouter, open_entry: MockConfigEntry
    ) -> None:
        for _ in range(3):
            await renamed(router)
            await reload(hass, open_entry)
            assert_is_of(open_entry, router)
        await switch(hass, "turn_off")
        assert not router.mappings

    async def test_reloads_no_more_than_once(
        self, hass: HomeAssistant, router: VirtualRouter, open_entry: MockConfigEntry
    ) -> None:
        await renamed(router)
        router.requests.clear()
        await reload(hass, open_entry)
        assert router.requests["GET /rootDesc.xml"] == 1

    async def test_other_wan_of_two(self, hass: HomeAssistant, external_port: int) -> None:
        wans = (Wan(), Wan(external_address="198.51.100.7"))
        async with VirtualRouter(udn=ROUTER_UDN, wans=wans, quirks={Quirk.Q51}) as router:
            entry = await make_entry(hass, router)
            step = await entry.start_reconfigure_flow(hass)
            step = await submit(hass, step, url=router.description_url)
            second = [wan for wan in options(step, "wan") if wan != entry.data["wan"]]
            await submit(hass, step, wan=second[0])
            add_forward(hass, entry, forward_data(external_port))
            await set_up(hass, entry)
            await switch(hass, "turn_on")
            assert len(router.wans[1].mappings) == 1
            await renamed(router)
            await reload(hass, entry)
            assert_is_of(entry, router)
            step = await entry.start_reconfigure_flow(hass)
            step = await submit(hass, step, url=router.description_url)
            assert default(step, "wan") == entry.data["wan"]
            await switch(hass, "turn_off")
            assert not router.wans[1].mappings

    async def test_foreign_mappings_stay_known(
        self, hass: HomeAssistant, router: VirtualRouter, open_entry: MockConfigEntry
    ) -> None:
        """Neither does one that is accepted become new, nor is one that is new accepted."""
        await renamed(router)
        await router.add_foreign(
            protocol="TCP", external_port=3074, internal_host="cam.lan", internal_port=80
        )
        await reload(hass, open_entry)
        asked = issues(hass)["foreign_mapping"]
        await renamed(router)
        await reload(hass, open_entry)
        assert issues(hass)["foreign_mapping"].issue_id == asked.issue_id
        [row] = open_entry.runtime_data.foreign.rows
        await open_entry.runtime_data.foreign.async_accept(row.mark)
        await renamed(router)
        await reload(hass, open_entry)
        assert "foreign_mapping" not in issues(hass)

    @pytest.mark.parametrize("change_port", [False, True])
    async def test_announced(
        self,
        hass: HomeAssistant,
        router: VirtualRouter,
        open_entry: MockConfigEntry,
        change_port: bool,  # noqa: FBT001
    ) -> None:
        await renamed(router, change_port=change_port)
        await announce(hass, router)
        assert discovered(hass) == []
        assert_is_of(open_entry, router)
        await switch(hass, "turn_off")
        assert not router.mappings

    async def test_announced_although_the_new_name_was_ignored(
        self, hass: HomeAssistant, router: VirtualRouter, open_entry: MockConfigEntry
    ) -> None:
        udn = await renamed(router, change_port=True)
        MockConfigEntry(domain=DOMAIN, source=SOURCE_IGNORE, unique_id=udn).add_to_hass(hass)
        await announce(hass, router)
        assert_is_of(open_entry, router)
        assert hass.config_entries.async_entries(DOMAIN) == [open_entry]

    async def test_added_once_more(
        self, hass: HomeAssistant, router: VirtualRouter, open_entry: MockConfigEntry
    ) -> None:
        await renamed(router, change_port=True)
        step = await submit(hass, await start_typing(hass), url=router.description_url)
        assert_abort(step, "already_configured")
        assert_is_of(open_entry, router)

    async def test_reconfigured(
        self, hass: HomeAssistant, router: VirtualRouter, open_entry: MockConfigEntry
    ) -> None:
        await renamed(router, change_port=True)
        step = await open_entry.start_reconfigure_flow(hass)
        step = await submit(hass, step, url=router.description_url)
        assert_abort(step, "reconfigure_successful")
        assert_is_of(open_entry, router)
        assert len(router.mappings) == 1


@pytest.mark.usefixtures("gateway_is_unknown")
class TestUnconfirmed:
    """Nobody but the user knows whether it is the same router."""

    @pytest.fixture
    async def unsure(
        self, hass: HomeAssistant, router: VirtualRouter, open_entry: MockConfigEntry
    ) -> MockConfigEntry:
        """An entry whose router has another UDN since, and nothing else is known of it."""
        await renamed(router)
        await forget_identity(hass, open_entry)
        await set_up(hass, open_entry)
        assert open_entry.state is ConfigEntryState.SETUP_RETRY
        return open_entry

    async def test_confirmed(
        self,
        hass: HomeAssistant,
        freezer: FrozenDateTimeFactory,
        router: VirtualRouter,
        unsure: MockConfigEntry,
    ) -> None:
        assert await confirm(hass, issues(hass)["router_unconfirmed"]) is None
        assert_is_of(unsure, router)
        assert "router_unconfirmed" not in issues(hass)
        assert state_of(hass) == "on"
        await close_by_time(hass, freezer)
        assert not router.mappings

    async def test_deleted(
        self, hass: HomeAssistant, router: VirtualRouter, unsure: MockConfigEntry
    ) -> None:
        """What is certainly ours is closed all the same."""
        await hass.config_entries.async_remove(unsure.entry_id)
        assert not router.mappings
        assert not issues(hass)

    async def test_deleted_and_nothing_of_ours_is_there(
        self, hass: HomeAssistant, router: VirtualRouter, unsure: MockConfigEntry
    ) -> None:
        """On another router, that proves nothing."""
        await router.restart(change_port=False)
        await hass.config_entries.async_remove(unsure.entry_id)
        assert set(issues(hass)) == {"left_open"}

    async def test_gone_when_it_is_confirmed(
        self, hass: HomeAssistant, router: VirtualRouter, unsure: MockConfigEntry
    ) -> None:
        issue = issues(hass)["router_unconfirmed"]
        await router.stop()
        error = await confirm(hass, issue)
        assert error
        assert error.startswith("The router does not answer")
        assert unsure.unique_id == ROUTER_UDN

    async def test_reconfigured(
        self, hass: HomeAssistant, router: VirtualRouter, unsure: MockConfigEntry
    ) -> None:
        step = await unsure.start_reconfigure_flow(hass)
        step = await submit(hass, step, url=router.description_url)
        assert_form(step, "same_router")
        assert_abort(await submit(hass, step), "reconfigure_successful")
        assert_is_of(unsure, router)
        assert len(router.mappings) == 1

    async def test_announced_at_another_port(
        self, hass: HomeAssistant, router: VirtualRouter, unsure: MockConfigEntry
    ) -> None:
        await renamed(router, change_port=True)
        await announce(hass, router)
        assert discovered(hass) == []
        assert unsure.unique_id == ROUTER_UDN
        assert await confirm(hass, issues(hass)["router_moved"]) is None
        assert_is_of(unsure, router)
        assert "router_moved" not in issues(hass)

    async def test_another_one_when_it_is_confirmed(
        self, hass: HomeAssistant, router: VirtualRouter, unsure: MockConfigEntry
    ) -> None:
        await renamed(router, change_port=True)
        await announce(hass, router)
        issue = issues(hass)["router_moved"]
        await renamed(router)
        assert await confirm(hass, issue)
        assert unsure.unique_id == ROUTER_UDN


@pytest.mark.usefixtures("gateway_is_unknown")
async def test_replaced_while_it_is_loaded(
    hass: HomeAssistant, router: VirtualRouter, open_entry: MockConfigEntry, arp_table: Path
) -> None:
    """Its announcement tells; from then on nothing is opened there before the user says so."""
    port = router.port
    await router.stop()
    write_neighbours(arp_table, {CALLER: THEIRS})
    async with VirtualRouter(port=port, serial_number="2") as other:
        await announce(hass, other)
        assert discovered(hass) == []
        assert open_entry.state is ConfigEntryState.SETUP_RETRY
        assert not other.mappings
        assert await confirm(hass, issues(hass)["router_unconfirmed"]) is None
        assert_is_of(open_entry, other)
        # What the old one had is made again on the one in its place.
        assert len(other.mappings) == 1
        await switch(hass, "turn_off")
        assert not other.mappings


@pytest.fixture
async def impostor() -> AsyncGenerator[VirtualRouter]:
    """Another machine in the network that claims the UDN of the router."""
    async with VirtualRouter(udn=ROUTER_UDN, lan_host=STRANGER) as machine:
        yield machine


@pytest.mark.usefixtures("loopback_enabled")
class TestMoved:
    """The UDN of a router is claimed at another address."""

    @pytest.fixture
    async def loaded(
        self, hass: HomeAssistant, entry: MockConfigEntry, route_table: Path
    ) -> MockConfigEntry:
        route_table.write_text(HEADER + route("lo", CALLER))
        assert await async_setup_component(hass, REPAIRS, {})
        await set_up(hass, entry)
        return entry

    async def test_silent_router_is_asked_about(
        self,
        hass: HomeAssistant,
        router: VirtualRouter,
        loaded: MockConfigEntry,
        impostor: VirtualRouter,
    ) -> None:
        url = router.description_url
        await router.stop()
        await announce(hass, impostor, sender=STRANGER)
        assert loaded.data[CONF_URL] == url
        assert discovered(hass) == []
        issue = issues(hass)["router_moved"]
        said = issue.translation_placeholders
        assert said
        assert (said["old"], said["new"]) == (f"`{url}`", f"`{impostor.description_url}`")
        # It was silent for a moment only.
        await router.start()
        await reload(hass, loaded)
        assert "router_moved" not in issues(hass)
        assert loaded.data[CONF_URL] == url

    async def test_comes_back(
        self,
        hass: HomeAssistant,
        router: VirtualRouter,
        loaded: MockConfigEntry,
        impostor: VirtualRouter,
    ) -> None:
        """Even after the user has been taken in."""
        await router.stop()
        await announce(hass, impostor, sender=STRANGER)
        assert await confirm(hass, issues(hass)["router_moved"]) is None
        assert loaded.data[CONF_URL] == impostor.description_url
        await router.start()
        await announce(hass, router)
        assert_is_of(loaded, router)
        await announce(hass, impostor, sender=STRANGER)
        assert loaded.data[CONF_URL] == router.description_url

    @pytest.mark.usefixtures("gateway_is_unknown")
    async def test_comes_back_by_its_mac(
        self,
        hass: HomeAssistant,
        router: VirtualRouter,
        entry: MockConfigEntry,
        impostor: VirtualRouter,
        arp_table: Path,
    ) -> None:
        """Whose MAC is not that of whoever had its place meanwhile."""
        write_neighbours(arp_table, {CALLER: OURS, STRANGER: THEIRS})
        assert await async_setup_component(hass, REPAIRS, {})
        await set_up(hass, entry)
        await router.stop()
        await announce(hass, impostor, sender=STRANGER)
        assert await confirm(hass, issues(hass)["router_moved"]) is None
        await reload(hass, entry)
        assert entry.data[CONF_URL] == impostor.description_url
        await router.start()
        await announce(hass, router)
        assert_is_of(entry, router)

    @pytest.mark.parametrize("by", ["gateway", "mac"])
    async def test_moves_by_itself(
        self,
        hass: HomeAssistant,
        router: VirtualRouter,
        loaded: MockConfigEntry,
        impostor: VirtualRouter,
        route_table: Path,
        arp_table: Path,
        by: str,
    ) -> None:
        """To the default gateway, or to the MAC that it had."""
        write_neighbours(arp_table, {CALLER: OURS})
        await reload(hass, loaded)
        await router.stop()
        if by == "gateway":
            route_table.write_text(HEADER + route("lo", STRANGER))
        write_neighbours(arp_table, {STRANGER: OURS} if by == "mac" else {})
        await announce(hass, impostor, sender=STRANGER)
        assert_is_of(loaded, impostor)
        assert not issues(hass)

    async def test_asked_when_it_is_added(
        self,
        hass: HomeAssistant,
        router: VirtualRouter,
        loaded: MockConfigEntry,
        impostor: VirtualRouter,
    ) -> None:
        step = await submit(hass, await start_typing(hass), url=impostor.description_url)
        assert_abort(step, "already_configured")
        assert loaded.data[CONF_URL] == router.description_url
        await router.stop()
        step = await submit(hass, await start_typing(hass), url=impostor.description_url)
        assert_form(step, "moved")
        assert loaded.data[CONF_URL] == router.description_url
        assert_abort(await submit(hass, step), "already_configured")
        assert loaded.data[CONF_URL] == impostor.description_url


@pytest.mark.usefixtures("gateway_is_unknown")
class TestSecondEntry:
    """One gateway, set up twice."""

    async def test_asked(self, hass: HomeAssistant, router: VirtualRouter) -> None:
        data = {"driver": "pcp", CONF_URL: "pcp://127.0.0.1"}
        known = MockConfigEntry(domain=DOMAIN, title="Gate", unique_id="pcp-x", data=data)
        known.add_to_hass(hass)
        step = await submit(hass, await start_typing(hass), url=router.description_url)
        assert_form(step, "second_entry")
        assert step["description_placeholders"] == {"host": "127.0.0.1", "known": "Gate"}
        assert hass.config_entries.async_entries(DOMAIN) == [known]
        step = await submit(hass, step)
        assert step["type"] is FlowResultType.CREATE_ENTRY

    async def test_asked_by_its_mac(
        self, hass: HomeAssistant, router: VirtualRouter, arp_table: Path
    ) -> None:
        data = {"driver": "mikrotik", CONF_URL: f"https://{STRANGER}"}
        MockConfigEntry(domain=DOMAIN, unique_id="mikrotik-x", data=data).add_to_hass(hass)
        write_neighbours(arp_table, {CALLER: OURS, STRANGER: OURS})
        step = await submit(hass, await start_typing(hass), url=router.description_url)
        assert_form(step, "second_entry")

    async def test_not_asked_of_another_router(
        self, hass: HomeAssistant, router: VirtualRouter, arp_table: Path
    ) -> None:
        data = {"driver": "mikrotik", CONF_URL: f"https://{STRANGER}"}
        MockConfigEntry(domain=DOMAIN, unique_id="mikrotik-x", data=data).add_to_hass(hass)
        write_neighbours(arp_table, {CALLER: OURS, STRANGER: THEIRS})
        step = await submit(hass, await start_typing(hass), url=router.description_url)
        assert step["type"] is FlowResultType.CREATE_ENTRY

    @pytest.mark.parametrize("driver", ["pcp", "openwrt"])
    async def test_not_announced(
        self, hass: HomeAssistant, router: VirtualRouter, driver: str
    ) -> None:
        data = {"driver": driver, CONF_URL: f"https://127.0.0.1:{free_port()}"}
        MockConfigEntry(domain=DOMAIN, unique_id=f"{driver}-x", data=data).add_to_hass(hass)
        await announce(hass, router)
        assert discovered(hass) == []
