"""Lockdown: everything is closed at once, and nothing is opened until it is off."""

from datetime import timedelta
from typing import Any

import pytest
from homeassistant.auth.const import GROUP_ID_USER
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.port_forward.announce import EVENT_ACTIVITY
from custom_components.port_forward.const import CONF_ADMINS_ONLY, DOMAIN
from lab.virtual_router import Fault, Quirk, VirtualRouter, free_port

from .conftest import (
    add_forward,
    arrived,
    forward_data,
    ledger_of,
    ledger_path,
    phases,
    refresh,
    restart_home_assistant,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)

LOCKDOWN = "switch.virtual_router_lockdown"


@pytest.fixture
async def opened(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """An entry with `switch.camera`, open, and `switch.plex`, closed."""
    add_forward(hass, entry, forward_data(external_port))
    add_forward(hass, entry, forward_data(free_port()), title="Plex")
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    return entry


async def lock(hass: HomeAssistant, **call: Any) -> None:
    await hass.services.async_call(
        "switch", "turn_on", {"entity_id": LOCKDOWN}, blocking=True, **call
    )


async def unlock(hass: HomeAssistant) -> None:
    await switch(hass, "turn_off", LOCKDOWN)


async def assert_refused(hass: HomeAssistant, entity_id: str = "switch.camera") -> None:
    with pytest.raises(HomeAssistantError) as raised:
        await switch(hass, "turn_on", entity_id)
    assert raised.value.translation_key == "lockdown"
    assert state_of(hass, entity_id) == "off"


async def test_closes_everything_of_ours_and_nothing_else(
    hass: HomeAssistant,
    hass_admin_user: MockUser,
    router: VirtualRouter,
    opened: MockConfigEntry,
) -> None:
    # A mapping that leads exactly where a forward does, and one that is nobody's.
    plex = next(s for s in opened.subentries.values() if s.title == "Plex")
    await router.add_foreign(
        protocol="TCP",
        external_port=int(plex.data["external_ports"]),
        internal_host=plex.data["internal_host"],
        internal_port=int(plex.data["internal_ports"]),
    )
    await router.add_foreign(
        protocol="TCP", external_port=free_port(), internal_host="127.0.0.9", internal_port=1
    )
    *_, foreign = router.mappings
    await refresh(hass, opened)
    assert state_of(hass, "switch.plex") == "on"
    told = async_capture_events(hass, EVENT_ACTIVITY)
    await lock(hass, context=Context(user_id=hass_admin_user.id))
    await hass.async_block_till_done()

    assert router.mappings == (foreign,)
    assert state_of(hass, LOCKDOWN) == "on"
    assert [state_of(hass), state_of(hass, "switch.plex")] == ["off", "off"]
    assert [(event.data["kind"], event.data["reason"]) for event in told] == [
        ("closed", "lockdown")
    ] * 2
    assert {event.data["user_id"] for event in told} == {hass_admin_user.id}
    assert ledger_of(hass, opened)["lockdown"] is True
    assert ledger_of(hass, opened)["openings"] == []


async def test_nothing_is_opened_until_it_is_off(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await lock(hass)
    told = async_capture_events(hass, EVENT_ACTIVITY)
    await assert_refused(hass)
    with pytest.raises(HomeAssistantError) as raised:
        await hass.services.async_call(
            DOMAIN, "open", {"entity_id": "switch.plex", "duration": 60}, blocking=True
        )
    assert raised.value.translation_key == "lockdown"
    assert not router.mappings
    await hass.async_block_till_done()
    assert [(event.data["kind"], event.data["reason"]) for event in told] == [
        ("open_failed", "refused")
    ] * 2
    assert "Turn off the switch Lockdown" in told[0].data["error"]

    asked = router.requests.total()
    await unlock(hass)
    assert state_of(hass, LOCKDOWN) == "off"
    assert router.requests.total() == asked  # opens nothing
    await switch(hass, "turn_on")
    assert len(router.mappings) == 1
    assert "lockdown" not in ledger_of(hass, opened)


async def test_stays_on_over_restarts_and_nothing_is_restored(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await lock(hass)
    await restart_home_assistant(hass, opened)
    assert state_of(hass, LOCKDOWN) == "on"
    await assert_refused(hass)
    await router.restart(change_port=False)
    await refresh(hass, opened)
    assert not router.mappings
    await unlock(hass)
    await restart_home_assistant(hass, opened)
    assert state_of(hass, LOCKDOWN) == "off"
    assert not router.mappings


async def test_what_the_router_lost_is_not_restored(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await router.restart(change_port=False)
    router.quirks.add(Quirk.Q14)  # no external address yet
    await refresh(hass, opened)
    assert phases(hass, opened) == ["lost"]
    await lock(hass)
    router.quirks.clear()
    await refresh(hass, opened)
    assert not router.mappings
    assert phases(hass, opened) == []


async def test_on_while_the_router_is_away_closes_when_it_is_back(
    hass: HomeAssistant,
    issue_registry: ir.IssueRegistry,
    router: VirtualRouter,
    opened: MockConfigEntry,
) -> None:
    (subentry_id,) = (key for key, s in opened.subentries.items() if s.title == "Camera")
    router.fault(Fault.DROP_BEFORE, times=None)
    await refresh(hass, opened)
    assert state_of(hass) == "unavailable"
    assert state_of(hass, LOCKDOWN) == "off"
    with pytest.raises(HomeAssistantError) as raised:
        await lock(hass)
    assert raised.value.translation_key == "unreachable"
    assert state_of(hass, LOCKDOWN) == "on"
    assert phases(hass, opened) == ["closing"]
    assert issue_registry.async_get_issue(DOMAIN, f"not_closed_{subentry_id}")
    assert len(router.mappings) == 1

    router.clear_faults()
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=2))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert not router.mappings
    assert not issue_registry.async_get_issue(DOMAIN, f"not_closed_{subentry_id}")
    await refresh(hass, opened)
    await assert_refused(hass)


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_full_disk_does_not_keep_a_port_open(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, *, is_open: bool
) -> None:
    if not is_open:
        await switch(hass, "turn_off")
    path = ledger_path(hass, opened)
    stored = path.read_text()
    path.unlink()
    path.mkdir()
    with pytest.raises(HomeAssistantError):
        await lock(hass)
    assert not router.mappings
    assert state_of(hass, LOCKDOWN) == "on"
    await assert_refused(hass)
    with pytest.raises(HomeAssistantError):
        await unlock(hass)
    assert state_of(hass, LOCKDOWN) == "on"
    # There is room again.
    path.rmdir()
    path.write_text(stored)
    await refresh(hass, opened)
    assert ledger_of(hass, opened)["lockdown"] is True
    await restart_home_assistant(hass, opened)
    await assert_refused(hass)


async def test_what_waits_to_be_opened_is_refused(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await switch(hass, "turn_off")
    asked = router.requests["AddPortMapping"]
    router.fault(Fault.SLOW_TO_ACT, action="AddPortMapping", delay=0.5)
    both = hass.async_create_task(
        hass.services.async_call(
            DOMAIN, "open", {"entity_id": ["switch.camera", "switch.plex"]}, blocking=True
        )
    )
    await arrived(router, "AddPortMapping", asked + 1)
    await lock(hass)
    with pytest.raises(HomeAssistantError) as raised:
        await both
    assert raised.value.translation_key == "lockdown"
    assert router.requests["AddPortMapping"] == asked + 1
    assert not router.mappings


async def test_switches_that_wait_for_their_turn_do_not_keep_it_waiting(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await switch(hass, "turn_off")
    asked = router.requests["AddPortMapping"]
    router.fault(Fault.SLOW_TO_ACT, action="AddPortMapping", delay=0.5)
    tasks = [
        hass.async_create_task(switch(hass, "turn_on", entity_id))
        for entity_id in ("switch.camera", "switch.plex")
    ]
    await arrived(router, "AddPortMapping", asked + 1)
    await lock(hass)
    # What was under way is taken back.
    for task in tasks:
        with pytest.raises(HomeAssistantError) as raised:
            await task
        assert raised.value.translation_key == "lockdown"
    assert router.requests["AddPortMapping"] == asked + 1
    assert not router.mappings


async def test_what_is_switched_on_at_the_router_is_closed(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, external_port: int
) -> None:
    """As is what was open, and in no ledger, when Home Assistant was killed."""
    await lock(hass)
    await router.add_foreign(
        protocol="TCP",
        external_port=external_port,
        internal_host="127.0.0.5",
        internal_port=8080,
    )
    await refresh(hass, opened)
    assert not router.mappings
    assert state_of(hass) == "off"


async def test_the_ledger_is_damaged_while_locked(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    router.fault(Fault.DROP_BEFORE, times=None)
    with pytest.raises(HomeAssistantError):
        await lock(hass)
    await stop_home_assistant(hass, opened)
    path = ledger_path(hass, opened)
    path.write_text(path.read_text()[:-20])
    for _ in range(2):
        await hass.config_entries.async_reload(opened.entry_id)
        assert opened.state is ConfigEntryState.SETUP_RETRY
        assert ledger_of(hass, opened)["lockdown"] is True
    router.clear_faults()
    await hass.config_entries.async_reload(opened.entry_id)
    await hass.async_block_till_done()
    assert state_of(hass, LOCKDOWN) == "on"
    assert not router.mappings
    await assert_refused(hass)


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"\0" * 100, b"\xff\xfe", b"[]", b'{"openings": [{}]}', b'{"version": 1, "lock'],
)
async def test_a_damaged_ledger_that_does_not_tell_is_locked(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, damage: bytes
) -> None:
    await stop_home_assistant(hass, opened)
    ledger_path(hass, opened).write_bytes(damage)
    await set_up(hass, opened)
    assert state_of(hass, LOCKDOWN) == "on"
    assert not router.mappings
    await unlock(hass)
    await switch(hass, "turn_on")
    assert len(router.mappings) == 1


async def test_deleting_a_forward_while_locked(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await lock(hass)
    (subentry_id,) = (key for key, s in opened.subentries.items() if s.title == "Camera")
    hass.config_entries.async_remove_subentry(opened, subentry_id)
    await hass.async_block_till_done()
    assert state_of(hass, LOCKDOWN) == "on"
    await assert_refused(hass, "switch.plex")


async def test_its_end_is_for_who_may_open(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    """Anybody who may control the switch turns it on."""
    group = await hass.auth.async_get_group(GROUP_ID_USER)
    assert group
    user = MockUser(groups=[group]).add_to_hass(hass)
    by = Context(user_id=user.id)
    hass.config_entries.async_update_entry(opened, options={CONF_ADMINS_ONLY: True})
    await hass.async_block_till_done()
    await lock(hass, context=by)
    assert not router.mappings
    with pytest.raises(HomeAssistantError) as raised:
        await hass.services.async_call(
            "switch", "turn_off", {"entity_id": LOCKDOWN}, blocking=True, context=by
        )
    assert raised.value.translation_key == "only_admins_router"
    assert state_of(hass, LOCKDOWN) == "on"
    await unlock(hass)
    assert state_of(hass, LOCKDOWN) == "off"
