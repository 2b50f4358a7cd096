"""What is open closes, and is told of, whatever becomes of the config entry of its router."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryDisabler, ConfigEntryState, ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.port_forward.const import CONF_REFRESH_INTERVAL, DOMAIN
from custom_components.port_forward.runtime import RUNTIMES, async_runtimes
from lab.virtual_router import Fault, VirtualRouter, free_port

from .conftest import (
    add_forward,
    arrived,
    forward_data,
    ledger_of,
    ledger_path,
    phases,
    refresh,
    set_up,
    start_home_assistant,
    state_of,
    stop_home_assistant,
    switch,
)
from .flows import fix


@pytest.fixture
async def two(
    hass: HomeAssistant, entry: MockConfigEntry
) -> tuple[MockConfigEntry, ConfigSubentry, ConfigSubentry]:
    """The entry with Camera and Plex, both open until closed."""
    camera = add_forward(hass, entry, forward_data(free_port()))
    plex = add_forward(hass, entry, forward_data(free_port()), "Plex")
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await switch(hass, "turn_on", "switch.plex")
    return entry, camera, plex


async def open_for(
    hass: HomeAssistant, entity_id: str = "switch.camera", **duration: float
) -> None:
    await hass.services.async_call(
        DOMAIN, "open", {"entity_id": entity_id, "duration": duration}, blocking=True
    )


async def pass_time(hass: HomeAssistant, freezer: FrozenDateTimeFactory, **time: float) -> None:
    freezer.tick(timedelta(**time))
    async_fire_time_changed(hass)
    await hass.async_block_till_done()


def issues(hass: HomeAssistant) -> set[str]:
    """Return the beginnings of the ids of all issues, which say what they are about."""
    return {
        issue_id.rpartition("_")[0]
        for domain, issue_id in ir.async_get(hass).issues
        if domain == DOMAIN and ir.async_get(hass).issues[domain, issue_id].active
    }


def ports_of(router: VirtualRouter) -> list[int]:
    return sorted(row.external_port for row in router.mappings)


# While the entry is set up


async def test_what_is_deleted_while_another_forward_moves_is_closed(
    hass: HomeAssistant,
    router: VirtualRouter,
    two: tuple[MockConfigEntry, ConfigSubentry, ConfigSubentry],
) -> None:
    entry, camera, plex = two
    router.fault(Fault.SLOW_TO_ACT, action="DeletePortMapping", delay=0.3)
    other = free_port()
    deletes = router.requests["DeletePortMapping"]
    hass.config_entries.async_update_subentry(entry, camera, data=forward_data(other))
    await arrived(router, "DeletePortMapping", deletes + 1)
    hass.config_entries.async_remove_subentry(entry, plex.subentry_id)
    await hass.async_block_till_done()
    assert ports_of(router) == [other]
    assert len(ledger_of(hass, entry)["openings"]) == 1
    assert hass.states.get("switch.plex") is None
    assert state_of(hass) == "on"


@pytest.mark.parametrize("asked", ["GetExternalIPAddress", "GetGenericPortMappingEntry"])
async def test_what_is_changed_during_the_first_look_counts(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, asked: str
) -> None:
    gone = add_forward(hass, entry, forward_data(free_port()), "Gone")
    router.fault(Fault.SLOW_TO_ACT, action=asked, delay=0.3)
    setting_up = hass.async_create_task(set_up(hass, entry))
    await arrived(router, asked, 1)
    add_forward(hass, entry, forward_data(free_port()), "Plex")
    hass.config_entries.async_remove_subentry(entry, gone.subentry_id)
    hass.config_entries.async_update_entry(entry, options={CONF_REFRESH_INTERVAL: 30})
    await setting_up
    await hass.async_block_till_done()
    assert state_of(hass, "switch.plex") == "off"
    assert hass.states.get("switch.gone") is None
    assert entry.runtime_data.update_interval == timedelta(seconds=30)
    assert entry.runtime_data.forwards.keys() == entry.subentries.keys()


async def fails(*_: Any) -> None:
    raise RuntimeError("a platform that fails")


async def is_cancelled(*_: Any) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("goes_wrong", [fails, is_cancelled])
async def test_a_set_up_that_fails_after_the_first_look_leaves_one_keeper(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    goes_wrong: Callable[..., Any],
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await open_for(hass, minutes=10)
    with patch.object(hass.config_entries, "async_forward_entry_setups", goes_wrong):
        for _ in range(3):
            with suppress(asyncio.CancelledError):
                await hass.config_entries.async_reload(entry.entry_id)
    assert len(async_runtimes(hass)) == 1
    # It goes on renewing, extends when it is set up again, and closes at the new deadline alone.
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.LOADED
    await open_for(hass, minutes=30)
    await pass_time(hass, freezer, minutes=11)
    assert ports_of(router) == [external_port]
    assert phases(hass, entry) == ["open"]
    await pass_time(hass, freezer, minutes=20)
    assert not router.mappings
    assert len(async_runtimes(hass)) == 1


async def test_a_deadline_counts_while_set_up_has_failed(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await open_for(hass, minutes=10)
    with patch.object(hass.config_entries, "async_forward_entry_setups", fails):
        await hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_ERROR
    await pass_time(hass, freezer, minutes=10)
    assert not router.mappings
    # What nobody could show then is shown when there are entities.
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    state = hass.states.get("event.camera_activity")
    assert state
    assert (state.attributes["event_type"], state.attributes["reason"]) == ("closed", "time_up")


# While the router does not answer


@pytest.fixture
async def away(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> AsyncGenerator[MockConfigEntry]:
    """Home Assistant has started while the router answers 500; Camera is open for 10 minutes."""
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await open_for(hass, minutes=10)
    await stop_home_assistant(hass, entry)
    router.fault(Fault.HTTP_500_EMPTY, times=None)
    await start_home_assistant(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    yield entry
    router.clear_faults()


@pytest.mark.parametrize("answers", [True, False])
async def test_disabled_while_set_up_is_tried_again(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    away: MockConfigEntry,
    answers: bool,  # noqa: FBT001
) -> None:
    if answers:
        router.clear_faults()
    await hass.config_entries.async_set_disabled_by(away.entry_id, ConfigEntryDisabler.USER)
    await hass.async_block_till_done()
    if not answers:
        assert "left_open" in issues(hass)
        router.clear_faults()
        await pass_time(hass, freezer, seconds=2)
    assert not router.mappings
    assert ledger_of(hass, away)["openings"] == []
    assert "left_open" not in issues(hass)
    # Enabled again, it stays closed.
    await hass.config_entries.async_set_disabled_by(away.entry_id, None)
    await hass.async_block_till_done()
    assert state_of(hass) == "off"


@pytest.mark.parametrize("answers", [True, False])
async def test_deleted_while_set_up_is_tried_again(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    away: MockConfigEntry,
    answers: bool,  # noqa: FBT001
) -> None:
    if answers:
        router.clear_faults()
    await hass.config_entries.async_remove(away.entry_id)
    await hass.async_block_till_done()
    assert not ledger_path(hass, away).exists()
    if not answers:
        assert "left_open" in issues(hass)
        router.clear_faults()
        await pass_time(hass, freezer, seconds=2)
    assert not router.mappings
    assert issues(hass) == set()
    assert not ledger_path(hass, away).exists()
    assert not async_runtimes(hass)


async def test_a_forward_deleted_while_set_up_is_tried_again(
    hass: HomeAssistant, router: VirtualRouter, away: MockConfigEntry
) -> None:
    router.clear_faults()
    [subentry] = away.subentries.values()
    hass.config_entries.async_remove_subentry(away, subentry.subentry_id)
    await hass.async_block_till_done()
    assert not router.mappings


async def test_a_deadline_while_set_up_is_tried_again(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    away: MockConfigEntry,
) -> None:
    away.async_cancel_retry_setup()  # It must not be set-up that helps.
    await pass_time(hass, freezer, minutes=10, seconds=1)
    assert "not_closed" in issues(hass)
    router.clear_faults()
    await pass_time(hass, freezer, seconds=3)
    assert away.state is ConfigEntryState.SETUP_RETRY
    assert not router.mappings
    assert "not_closed" not in issues(hass)


async def test_what_was_due_before_the_start_needs_no_entry(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    two: tuple[MockConfigEntry, ConfigSubentry, ConfigSubentry],
) -> None:
    entry, *_ = two
    await open_for(hass, minutes=10)
    await stop_home_assistant(hass, entry)
    freezer.tick(timedelta(minutes=11))
    await start_home_assistant(hass)  # without any entry
    await pass_time(hass, freezer, seconds=0)
    assert len(router.mappings) == 1
    assert phases(hass, entry) == ["open"]


# After a long absence


async def months_later(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    entry: MockConfigEntry,
    remains: str,
    **time: float,
) -> None:
    """Start on a ledger that is older than the router."""
    await stop_home_assistant(hass, entry)
    freezer.tick(timedelta(**time))
    ledger_path(hass, entry).write_text(remains)
    await start_home_assistant(hass, entry)


async def test_an_older_backup_opens_nothing_by_itself(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    two: tuple[MockConfigEntry, ConfigSubentry, ConfigSubentry],
) -> None:
    entry, camera, _ = two
    backup = ledger_path(hass, entry).read_text()
    await switch(hass, "turn_off")
    await switch(hass, "turn_off", "switch.plex")
    await months_later(hass, freezer, entry, backup, days=20)
    assert (state_of(hass), state_of(hass, "switch.plex")) == ("off", "off")
    assert not router.mappings
    issue = ir.async_get(hass).async_get_issue(DOMAIN, f"reopen_{camera.subentry_id}")
    assert issue
    assert issue.is_fixable
    assert issue.translation_placeholders
    assert issue.translation_placeholders["since"]
    # It is asked once: the next starts find nothing open.
    assert phases(hass, entry) == []


async def test_a_backup_of_an_hour_ago_opens_nothing_by_itself(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    two: tuple[MockConfigEntry, ConfigSubentry, ConfigSubentry],
) -> None:
    entry, *_ = two
    backup = ledger_path(hass, entry).read_text()
    await switch(hass, "turn_off")
    await stop_home_assistant(hass, entry)
    path = ledger_path(hass, entry)
    path.write_text(backup)
    an_hour_ago = path.stat().st_mtime - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))  # as whoever restores a backup does
    await start_home_assistant(hass, entry)
    assert state_of(hass) == "off"
    assert "reopen" in issues(hass)
    # Plex is open on the router still, and gets an end.
    assert state_of(hass, "switch.plex") == "on"
    [opening] = ledger_of(hass, entry)["openings"]
    assert datetime.fromisoformat(opening["deadline"]) <= dt_util.utcnow() + timedelta(hours=1)


async def test_what_was_asked_after_a_long_absence_is_answered(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    two: tuple[MockConfigEntry, ConfigSubentry, ConfigSubentry],
) -> None:
    entry, camera, plex = two
    await stop_home_assistant(hass, entry)
    router.wans[0].clear()
    freezer.tick(timedelta(hours=25))
    await start_home_assistant(hass, entry)
    assert state_of(hass) == "off"
    await fix(hass, f"reopen_{camera.subentry_id}", "reopen")
    assert state_of(hass) == "on"
    [opening] = ledger_of(hass, entry)["openings"]
    assert opening["deadline"] is None
    await fix(hass, f"reopen_{plex.subentry_id}", "leave")
    assert state_of(hass, "switch.plex") == "off"
    assert "reopen" not in issues(hass)


@pytest.mark.parametrize("deleted", ["forward", "router"])
async def test_what_is_asked_goes_with_what_it_is_about(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    two: tuple[MockConfigEntry, ConfigSubentry, ConfigSubentry],
    deleted: str,
) -> None:
    entry, camera, plex = two
    await stop_home_assistant(hass, entry)
    router.wans[0].clear()
    freezer.tick(timedelta(hours=25))
    await start_home_assistant(hass, entry)
    registry = ir.async_get(hass)
    assert registry.async_get_issue(DOMAIN, f"reopen_{camera.subentry_id}")
    if deleted == "forward":
        hass.config_entries.async_remove_subentry(entry, camera.subentry_id)
    else:
        await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    assert not registry.async_get_issue(DOMAIN, f"reopen_{camera.subentry_id}")
    left = registry.async_get_issue(DOMAIN, f"reopen_{plex.subentry_id}")
    assert bool(left) == (deleted == "forward")


async def test_a_restart_of_an_hour_is_no_long_absence(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    two: tuple[MockConfigEntry, ConfigSubentry, ConfigSubentry],
) -> None:
    entry, *_ = two
    # It was open for long before that.
    for _ in range(30):
        await pass_time(hass, freezer, hours=1)
        await refresh(hass, entry)
    await stop_home_assistant(hass, entry)
    router.wans[0].clear()
    freezer.tick(timedelta(hours=1))
    await start_home_assistant(hass, entry)
    assert (state_of(hass), state_of(hass, "switch.plex")) == ("on", "on")
    assert "reopen" not in issues(hass)


async def test_a_clock_set_back_over_a_restart_makes_nothing_longer(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    two: tuple[MockConfigEntry, ConfigSubentry, ConfigSubentry],
) -> None:
    entry, *_ = two
    await open_for(hass, hours=1)
    await pass_time(hass, freezer, minutes=59)
    await switch(hass, "turn_off", "switch.plex")  # written at that time
    await stop_home_assistant(hass, entry)
    freezer.tick(timedelta(days=-2))
    await start_home_assistant(hass, entry)
    schedule = entry.runtime_data.keeper._schedule
    [time] = schedule._deadlines.values()
    assert time.loop - hass.loop.time() <= 61


# The record


async def test_a_record_of_a_newer_version_is_left_alone(
    hass: HomeAssistant,
    router: VirtualRouter,
    two: tuple[MockConfigEntry, ConfigSubentry, ConfigSubentry],
) -> None:
    entry, *_ = two
    await stop_home_assistant(hass, entry)
    newer = json.dumps(ledger_of(hass, entry) | {"version": 2, "openings": {"as": "nobody knows"}})
    ledger_path(hass, entry).write_text(newer)
    await start_home_assistant(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_ERROR
    assert entry.error_reason_translation_key == "ledger_too_new"
    assert ledger_path(hass, entry).read_text() == newer
    assert not list(ledger_path(hass, entry).parent.glob("*.corrupt.*"))
    assert entry.entry_id not in hass.data[RUNTIMES]
    assert len(router.mappings) == 2


async def test_a_damaged_record_goes_with_its_router(
    hass: HomeAssistant,
    router: VirtualRouter,
    two: tuple[MockConfigEntry, ConfigSubentry, ConfigSubentry],
) -> None:
    entry, *_ = two
    await stop_home_assistant(hass, entry)
    ledger_path(hass, entry).write_text("{")
    await start_home_assistant(hass, entry)
    assert "ledger_unreadable" in issues(hass)
    folder = ledger_path(hass, entry).parent
    assert list(folder.glob("*.corrupt.*"))
    await hass.config_entries.async_remove(entry.entry_id)
    assert not list(folder.glob("*.corrupt.*"))
    assert issues(hass) == set()
    assert not router.mappings
