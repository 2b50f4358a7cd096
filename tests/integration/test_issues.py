"""Repairs of each state that needs the user: they come by themselves, and go by themselves."""

from collections.abc import AsyncGenerator, Collection
from datetime import timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryDisabler, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from lab.openwrt import DEDICATED, READ_ONLY
from lab.opnsense import Privilege
from lab.virtual_router import Fault, VirtualRouter, free_port

from .adopt_home import Home, OnOpenWrt, OnOpnsense, home_of, opnsense_home, users_router
from .conftest import (
    add_forward,
    forward_data,
    ledger_path,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)


def issues(hass: HomeAssistant) -> dict[str, str]:
    """Return what each issue says by its key; that OPNsense keeps no leases needs nobody here."""
    found = {}
    for (domain, _), issue in ir.async_get(hass).issues.items():
        if domain == DOMAIN and issue.active and issue.translation_key != "router_does_not_close":
            assert issue.translation_key
            found[issue.translation_key] = str(issue.translation_placeholders)
    return found


async def later(
    hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory, **ahead: float
) -> None:
    """Look at the router again after a time."""
    freezer.tick(timedelta(**ahead))
    await refresh(hass, entry)


@pytest.fixture
async def opnsense(hass: HomeAssistant) -> AsyncGenerator[Home[OnOpnsense]]:
    """A home with an OPNsense, whose rule is off and is taken over."""
    async with opnsense_home(hass) as home:
        await home.adopt()
        yield home


@pytest.fixture
async def openwrt(hass: HomeAssistant) -> AsyncGenerator[Home[OnOpenWrt]]:
    """A home with an OpenWrt and the forward *Camera*."""
    async with users_router("openwrt") as router:
        assert isinstance(router, OnOpenWrt)
        home = await home_of(hass, router)
        data = forward_data(free_port(), until_closed=False, close_after={"hours": 1})
        add_forward(hass, home.entry, data)
        await hass.async_block_till_done()
        yield home
        for entry in hass.config_entries.async_entries(DOMAIN):
            await stop_home_assistant(hass, entry)


def state_of_entry(entry: MockConfigEntry) -> ConfigEntryState:
    """Return what it is now; mypy thinks that it stays what it was."""
    return entry.state


def rights(home: Home[OnOpnsense], privileges: Collection[Privilege]) -> None:
    home.router.firewall.accounts[0].privileges = set(privileges)


async def test_rights_that_were_taken_away(hass: HomeAssistant, opnsense: Home[OnOpnsense]) -> None:
    """While it is set up, over a set-up that fails, and until they are given back."""
    assert issues(hass) == {}
    rights(opnsense, {Privilege.SHOW_STATES})
    await refresh(hass, opnsense.entry)
    assert "lacks a right" in issues(hass)["router_refuses"]
    await hass.config_entries.async_reload(opnsense.entry.entry_id)
    assert state_of_entry(opnsense.entry) is ConfigEntryState.SETUP_RETRY
    assert issues(hass).keys() == {"router_refuses"}
    rights(opnsense, Privilege)
    await hass.config_entries.async_reload(opnsense.entry.entry_id)
    await hass.async_block_till_done()
    assert state_of_entry(opnsense.entry) is ConfigEntryState.LOADED
    assert issues(hass) == {}


async def test_deleted_with_the_router(hass: HomeAssistant, opnsense: Home[OnOpnsense]) -> None:
    rights(opnsense, {Privilege.SHOW_STATES})
    await refresh(hass, opnsense.entry)
    assert issues(hass).keys() == {"router_refuses"}
    await hass.config_entries.async_remove(opnsense.entry.entry_id)
    assert not ir.async_get(hass).issues


async def test_disabled_with_what_was_told(hass: HomeAssistant, opnsense: Home[OnOpnsense]) -> None:
    rights(opnsense, {Privilege.SHOW_STATES})
    await refresh(hass, opnsense.entry)
    assert issues(hass).keys() == {"router_refuses"}
    await hass.config_entries.async_set_disabled_by(
        opnsense.entry.entry_id, ConfigEntryDisabler.USER
    )
    assert not ir.async_get(hass).issues


async def test_a_right_that_only_a_change_needs(
    hass: HomeAssistant, openwrt: Home[OnOpenWrt]
) -> None:
    """Nobody need look at the switch: an automation may have tried."""
    openwrt.router.router.grant(READ_ONLY)
    with pytest.raises(HomeAssistantError, match="lacks a right"):
        await openwrt.on()
    assert "lacks a right" in issues(hass)["router_refuses"]
    await refresh(hass, openwrt.entry)
    assert issues(hass).keys() == {"router_refuses"}
    openwrt.router.router.grant(DEDICATED)
    await openwrt.on()
    assert issues(hass) == {}


async def test_a_clock_by_which_no_port_would_close(
    hass: HomeAssistant, openwrt: Home[OnOpenWrt]
) -> None:
    clock = openwrt.router.router.clock
    clock.wrong_by = timedelta(days=300)
    with pytest.raises(HomeAssistantError, match="clock"):
        await openwrt.on()
    assert "NTP" in issues(hass)["router_refuses"]
    clock.wrong_by = timedelta(0)
    await openwrt.on()
    assert issues(hass) == {}


async def test_upnp_that_was_switched_off_is_told_when_it_does_not_come_back(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    """A router that starts may answer like that for a while."""
    await set_up(hass, entry)
    router.fault(Fault.HTTP_500_EMPTY, times=None)
    for minutes in (0, 7, 7):
        freezer.tick(timedelta(minutes=minutes))
        await hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_RETRY
        assert issues(hass) == {}
    freezer.tick(timedelta(minutes=2))
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert "UPnP is switched on" in issues(hass)["router_refuses"]
    router.clear_faults()
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert issues(hass) == {}


async def test_a_rule_that_was_changed(hass: HomeAssistant, opnsense: Home[OnOpnsense]) -> None:
    await opnsense.on()
    await opnsense.router.lead_elsewhere()
    await refresh(hass, opnsense.entry)
    assert "Camera" in issues(hass)["rule_changed"]
    # Deleting the forward, as it says, ends it.
    [subentry_id] = opnsense.entry.subentries
    hass.config_entries.async_remove_subentry(opnsense.entry, subentry_id)
    await hass.async_block_till_done()
    assert "rule_changed" not in issues(hass)


async def test_a_rule_that_was_deleted(hass: HomeAssistant, opnsense: Home[OnOpnsense]) -> None:
    await refresh(hass, opnsense.entry)
    assert issues(hass) == {}
    await opnsense.router.delete()
    await refresh(hass, opnsense.entry)
    assert issues(hass).keys() == {"rule_changed"}
    await opnsense.router.add(enabled=False)
    await refresh(hass, opnsense.entry)
    assert issues(hass) == {}


async def test_a_disk_that_takes_no_record_of_what_was_closed(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    path = ledger_path(hass, entry)
    saved = path.rename(path.with_suffix(".full"))
    path.mkdir()
    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_off")
    assert not router.mappings
    await refresh(hass, entry)
    assert issues(hass).keys() == {"ledger_unsaved"}
    path.rmdir()
    saved.rename(path)
    await refresh(hass, entry)
    assert issues(hass) == {}


@pytest.mark.parametrize(("is_open", "hours"), [(True, 1), (False, 24)])
async def test_a_device_that_is_not_found_any_more(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    external_port: int,
    name_server: dict[str, list[str]],
    freezer: FrozenDateTimeFactory,
    hours: int,
    *,
    is_open: bool,
) -> None:
    name_server["nas"] = ["127.0.0.9"]
    add_forward(hass, entry, forward_data(external_port, internal_host="nas"))
    await set_up(hass, entry)
    if is_open:
        await switch(hass, "turn_on")
    del name_server["nas"]
    await later(hass, entry, freezer, seconds=1)
    await later(hass, entry, freezer, hours=hours - 0.1)
    assert issues(hass) == {}
    # A reload, as after a change of the options, does not make it wait again.
    await hass.config_entries.async_reload(entry.entry_id)
    await later(hass, entry, freezer, hours=0.2)
    assert "“nas” was not found" in issues(hass)["host_lost"]
    assert state_of(hass) == ("on" if is_open else "off")
    name_server["nas"] = ["127.0.0.9"]
    await later(hass, entry, freezer, seconds=1)
    assert issues(hass) == {}
    # It begins anew.
    del name_server["nas"]
    await later(hass, entry, freezer, seconds=1)
    assert issues(hass) == {}


async def test_a_port_that_was_closed_with_its_router_at_last(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=1)
    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_off")
    assert issues(hass).keys() == {"not_closed"}
    await hass.config_entries.async_remove(entry.entry_id)
    assert not router.mappings
    assert issues(hass) == {}


async def test_a_forward_and_its_router_deleted_before_it_was_closed(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    subentry = add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=None)
    hass.config_entries.async_remove_subentry(entry, subentry.subentry_id)
    await hass.async_block_till_done()
    assert issues(hass).keys() == {"not_closed"}
    router.clear_faults()
    await hass.config_entries.async_remove(entry.entry_id)
    assert not router.mappings
    assert issues(hass) == {}
