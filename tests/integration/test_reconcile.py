"""Every row of the reconcile table, with a router that really went through it."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryDisabler, ConfigEntryState
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.port_forward.announce import EVENT_ACTIVITY
from custom_components.port_forward.const import CONF_CLOSE_ON_STOP, DOMAIN
from custom_components.port_forward.openings import GivenUpError
from lab.virtual_router import Fault, Quirk, VirtualMapping, VirtualRouter, free_port

from .conftest import (
    add_forward,
    arrived,
    forward_data,
    ledger_of,
    ledger_path,
    make_entry,
    phases,
    refresh,
    restart_home_assistant,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)


@pytest.fixture
async def opened(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """An entry whose one forward, `switch.camera`, is open."""
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    return entry


def edit_ledger(hass: HomeAssistant, entry: MockConfigEntry, **changes: str | None) -> None:
    """Make the ledger what it was at another instant of a run that was killed."""
    ledger = ledger_of(hass, entry)
    ledger["openings"][0].update(changes)
    ledger_path(hass, entry).write_text(json.dumps(ledger))


async def test_still_there_after_a_restart_of_home_assistant(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await restart_home_assistant(hass, opened)
    assert state_of(hass) == "on"
    assert router.requests["AddPortMapping"] == 1
    assert router.requests["DeletePortMapping"] == 0
    async_fire_time_changed(hass, hass_time(minutes=31))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert router.requests["AddPortMapping"] == 2


def hass_time(**ahead: float) -> datetime:
    return dt_util.utcnow() + timedelta(**ahead)


async def test_lost_with_a_restart_of_the_router_is_made_again(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await router.restart(change_port=False)
    assert not router.mappings
    await refresh(hass, opened)
    assert state_of(hass) == "on"
    assert len(router.mappings) == 1


async def test_lost_is_made_again_when_the_wan_is_up_and_not_dropped_before(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await router.restart(change_port=False)
    router.quirks.add(Quirk.Q14)  # no external address yet
    await refresh(hass, opened)
    assert state_of(hass) == "off"
    assert phases(hass, opened) == ["lost"]
    router.quirks.clear()
    await refresh(hass, opened)
    assert state_of(hass) == "on"


async def test_lost_and_then_taken_by_somebody_else_is_left_to_them(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, external_port: int
) -> None:
    await router.restart(change_port=False)
    await router.add_foreign(
        protocol="TCP", external_port=external_port, internal_host="127.0.0.9", internal_port=1
    )
    foreign = router.mappings
    await refresh(hass, opened)
    assert state_of(hass) == "off"
    assert router.mappings == foreign
    assert ledger_of(hass, opened)["openings"] == []


async def test_lost_with_a_restart_while_home_assistant_was_off_is_made_again(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await stop_home_assistant(hass, opened)
    await router.restart(change_port=False)
    await set_up(hass, opened)
    assert state_of(hass) == "on"
    assert len(router.mappings) == 1


async def test_lost_with_a_reconnect_of_the_wan_is_made_again(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    router.quirks.add(Quirk.Q44)
    await router.reconnect_wan(new_address="203.0.113.8")
    await refresh(hass, opened)
    assert state_of(hass) == "on"
    assert state_of(hass, "sensor.virtual_router_external_ip_address") == "203.0.113.8"
    assert len(router.mappings) == 1


async def test_lost_with_all_others_is_made_again(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, external_port: int
) -> None:
    await router.add_foreign(
        protocol="UDP", external_port=free_port(), internal_host="127.0.0.9", internal_port=1
    )
    await refresh(hass, opened)
    router.wans[0].clear()
    await refresh(hass, opened)
    assert state_of(hass) == "on"
    assert [row.external_port for row in router.mappings] == [external_port]


async def test_removed_at_the_router_stays_closed(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    external_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await router.remove("TCP", external_port)
    await refresh(hass, opened)
    assert state_of(hass) == "off"
    assert not router.mappings
    assert ledger_of(hass, opened)["openings"] == []
    assert "Camera: closed (removed_elsewhere)" in caplog.text
    await router.restart(change_port=False)
    await refresh(hass, opened)
    assert not router.mappings


async def test_one_of_a_pair_removed_at_the_router_closes_the_other(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port, protocol="both"))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await router.remove("UDP", external_port)
    await refresh(hass, entry)
    assert not router.mappings
    assert state_of(hass) == "off"


async def test_replaced_by_somebody_else_is_left_to_them(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, external_port: int
) -> None:
    await router.remove("TCP", external_port)
    await router.add_foreign(
        protocol="TCP", external_port=external_port, internal_host="127.0.0.9", internal_port=1
    )
    foreign = router.mappings
    await refresh(hass, opened)
    assert state_of(hass) == "off"
    assert router.mappings == foreign
    assert ledger_of(hass, opened)["openings"] == []


@pytest.mark.parametrize("noted", [-3600, 0.9])
async def test_run_out_while_home_assistant_was_off_is_made_again(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    external_port: int,
    noted: float,
) -> None:
    """Also if the ledger thinks that it has a moment to go: it was told in whole seconds."""
    await stop_home_assistant(hass, opened)
    await router.remove("TCP", external_port)
    edit_ledger(hass, opened, lease_until=hass_time(seconds=noted).isoformat())
    await set_up(hass, opened)
    assert state_of(hass) == "on"
    assert len(router.mappings) == 1


async def test_killed_while_opening_after_the_router_did_it(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await stop_home_assistant(hass, opened)
    edit_ledger(hass, opened, phase="opening", lease_until=None)
    await set_up(hass, opened)
    assert state_of(hass) == "on"
    assert phases(hass, opened) == ["open"]


async def test_killed_while_opening_half_of_a_pair_closes_the_half(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port, protocol="both"))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await stop_home_assistant(hass, entry)
    await router.remove("UDP", external_port)
    edit_ledger(hass, entry, phase="opening", lease_until=None)
    await set_up(hass, entry)
    assert state_of(hass) == "off"
    assert not router.mappings
    assert ledger_of(hass, entry)["openings"] == []


async def test_killed_while_closing_is_closed(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await stop_home_assistant(hass, opened)
    edit_ledger(hass, opened, phase="closing")
    await set_up(hass, opened)
    assert state_of(hass) == "off"
    assert not router.mappings


async def test_the_ledger_is_on_the_disk_before_the_router_is_asked(hass: HomeAssistant) -> None:
    seen: list[list[str]] = []

    def look(what: str, _mapping: VirtualMapping) -> None:
        if what == "opened":
            seen.append(phases(hass, entry))

    async with VirtualRouter(on_change=look) as router:
        entry = await make_entry(hass, router)
        add_forward(hass, entry, forward_data(free_port()))
        await set_up(hass, entry)
        await switch(hass, "turn_on")
        await switch(hass, "turn_off")
    assert seen == [["opening"]]


async def test_edited_while_open_moves(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    (subentry,) = opened.subentries.values()
    port = free_port()
    hass.config_entries.async_update_subentry(opened, subentry, data=forward_data(port))
    await hass.async_block_till_done()
    assert [row.external_port for row in router.mappings] == [port]
    assert state_of(hass) == "on"


async def test_edited_while_open_to_what_the_router_refuses_is_told(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    told = async_capture_events(hass, EVENT_ACTIVITY)
    (subentry,) = opened.subentries.values()
    port = free_port()
    await router.add_foreign(
        protocol="TCP", external_port=port, internal_host="127.0.0.9", internal_port=1
    )
    hass.config_entries.async_update_subentry(opened, subentry, data=forward_data(port))
    await hass.async_block_till_done()
    assert [event.data["kind"] for event in told] == ["closed", "open_failed"]
    assert "127.0.0.9" in told[1].data["error"]
    assert state_of(hass) == "off"
    assert ledger_of(hass, opened)["openings"] == []


async def test_renamed_while_open_is_left_alone(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    (subentry,) = opened.subentries.values()
    hass.config_entries.async_update_subentry(opened, subentry, title="Back door")
    await hass.async_block_till_done()
    assert router.requests["DeletePortMapping"] == 0
    assert state_of(hass) == "on"


async def test_deleted_is_closed(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    (subentry,) = opened.subentries.values()
    hass.config_entries.async_remove_subentry(opened, subentry.subentry_id)
    await hass.async_block_till_done()
    assert not router.mappings
    assert hass.states.get("switch.camera") is None


async def test_deleted_while_the_router_is_away_is_closed_when_it_is_back(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    (subentry,) = opened.subentries.values()
    router.fault(Fault.HTTP_500_EMPTY, times=None)
    hass.config_entries.async_remove_subentry(opened, subentry.subentry_id)
    await hass.async_block_till_done()
    assert router.requests["DeletePortMapping"] == 0
    router.clear_faults()
    async_fire_time_changed(hass, hass_time(minutes=1))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert not router.mappings


async def test_reloading_leaves_it_open(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await hass.config_entries.async_reload(opened.entry_id)
    await hass.async_block_till_done()
    assert router.requests["DeletePortMapping"] == 0
    assert len(router.mappings) == 1
    assert state_of(hass) == "on"


async def test_disabling_the_router_closes_it(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await hass.config_entries.async_set_disabled_by(opened.entry_id, ConfigEntryDisabler.USER)
    assert not router.mappings


@pytest.mark.parametrize("why", ["disabled", "stopped"])
async def test_what_is_opened_meanwhile_is_refused(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, why: str
) -> None:
    """As by a cause, which opens again what others have closed."""
    hass.config_entries.async_update_entry(opened, options={CONF_CLOSE_ON_STOP: True})
    await hass.async_block_till_done()
    [forward_id] = opened.subentries
    router.requests.clear()
    router.fault(Fault.SLOW_TO_ACT, action="DeletePortMapping", delay=0.3)
    if why == "disabled":
        closing = hass.config_entries.async_set_disabled_by(
            opened.entry_id, ConfigEntryDisabler.USER
        )
        hass.async_create_task(closing)
    else:
        hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await arrived(router, "DeletePortMapping", 1)
    with pytest.raises(GivenUpError):
        await opened.runtime_data.async_open(forward_id)
    await hass.async_block_till_done()
    assert not router.mappings


async def test_deleting_the_router_closes_it(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await hass.config_entries.async_remove(opened.entry_id)
    assert not router.mappings
    assert not ledger_path(hass, opened).exists()


@pytest.mark.parametrize("how", ["disabled", "deleted"])
async def test_what_could_not_be_closed_is_reported(
    hass: HomeAssistant,
    issue_registry: ir.IssueRegistry,
    router: VirtualRouter,
    opened: MockConfigEntry,
    external_port: int,
    how: str,
) -> None:
    await router.stop()
    if how == "disabled":
        await hass.config_entries.async_set_disabled_by(opened.entry_id, ConfigEntryDisabler.USER)
        assert phases(hass, opened) == ["closing"]
    else:
        await hass.config_entries.async_remove(opened.entry_id)
    issue = issue_registry.async_get_issue(DOMAIN, f"left_open_{opened.entry_id}")
    assert issue
    assert issue.translation_placeholders == {
        "router": "Virtual Router",
        "ports": f"{external_port} (Camera)",
    }
    # Nobody tries any more, which that one says.
    (subentry_id,) = opened.subentries
    assert issue_registry.async_get_issue(DOMAIN, f"not_closed_{subentry_id}") is None

    if how == "disabled":
        await router.start()
        await hass.config_entries.async_set_disabled_by(opened.entry_id, None)
        await hass.async_block_till_done()
        assert not router.mappings
        assert phases(hass, opened) == []
        issue = issue_registry.async_get_issue(DOMAIN, f"left_open_{opened.entry_id}")
        assert issue is None


async def test_what_was_left_open_is_closed_when_the_router_is_deleted(
    hass: HomeAssistant,
    issue_registry: ir.IssueRegistry,
    router: VirtualRouter,
    opened: MockConfigEntry,
) -> None:
    await router.stop()
    await hass.config_entries.async_set_disabled_by(opened.entry_id, ConfigEntryDisabler.USER)
    assert issue_registry.async_get_issue(DOMAIN, f"left_open_{opened.entry_id}")
    await router.start()
    await hass.config_entries.async_remove(opened.entry_id)
    assert not router.mappings
    assert not issue_registry.issues


@pytest.mark.parametrize("why", ["disabled", "stopped"])
async def test_a_full_disk_keeps_nothing_open(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, why: str
) -> None:
    hass.config_entries.async_update_entry(opened, options={CONF_CLOSE_ON_STOP: True})
    await hass.async_block_till_done()
    path = ledger_path(hass, opened)
    path.unlink()
    path.mkdir()
    if why == "disabled":
        await hass.config_entries.async_set_disabled_by(opened.entry_id, ConfigEntryDisabler.USER)
        assert opened.state is ConfigEntryState.NOT_LOADED
    else:
        hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
        await hass.async_block_till_done()
    assert not router.mappings


def damage(hass: HomeAssistant, entry: MockConfigEntry, done: Callable[[str], str]) -> None:
    """Damage the ledger; `test_lockdown.py` has what is not even legible at its beginning."""
    path = ledger_path(hass, entry)
    text = path.read_text()
    assert done(text) != text
    path.write_text(done(text))


async def test_a_damaged_ledger_is_kept_aside_and_reported(
    hass: HomeAssistant,
    issue_registry: ir.IssueRegistry,
    router: VirtualRouter,
    opened: MockConfigEntry,
) -> None:
    await stop_home_assistant(hass, opened)
    path = ledger_path(hass, opened)
    damaged = path.read_text()[:-20]
    path.write_text(damaged)
    await set_up(hass, opened)
    (kept,) = path.parent.glob(f"{path.name}.corrupt.*")
    assert kept.read_text() == damaged
    assert issue_registry.async_get_issue(DOMAIN, f"ledger_unreadable_{opened.entry_id}")
    # The router still has it, so the switch says so and can close it.
    assert state_of(hass) == "on"
    await switch(hass, "turn_off")
    assert not router.mappings


async def test_what_is_ours_is_found_on_the_router_when_the_ledger_is_lost(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    add_forward(hass, opened, forward_data(free_port()), title="Gone")
    await hass.async_block_till_done()
    await switch(hass, "turn_on", "switch.gone")
    await router.add_foreign(
        protocol="UDP", external_port=free_port(), internal_host="127.0.0.9", internal_port=1
    )
    kept, gone, foreign = router.mappings
    await stop_home_assistant(hass, opened)
    damage(hass, opened, lambda text: text[:-20])
    (subentry_id,) = (key for key, s in opened.subentries.items() if s.title == "Gone")
    hass.config_entries.async_remove_subentry(opened, subentry_id)
    await set_up(hass, opened)

    # The one that is still a forward is kept for an hour, the other closed at once.
    assert [row.description for row in router.mappings] == [kept.description, foreign.description]
    assert gone not in router.mappings
    (opening,) = ledger_of(hass, opened)["openings"]
    assert opening["phase"] == "open"
    remaining = datetime.fromisoformat(opening["deadline"]) - dt_util.utcnow()
    assert timedelta(minutes=59) < remaining <= timedelta(hours=1)


@pytest.mark.parametrize(
    "done",
    [
        lambda text: text[:40],
        lambda text: text[:-20],
        lambda text: text[:-20] + "\0" * 20,
        lambda text: text.replace('"protocols":["tcp"]', '"protocols":[]'),
        lambda text: text.replace('"id"', '"if"', 1),
        lambda text: text.replace('"learned": {', '"learned": {"more": 5,'),
        lambda text: text.replace('"openings": [', '"openings": [{},'),
    ],
)
async def test_nothing_of_ours_stays_open_unnoticed_when_the_ledger_is_lost(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    done: Callable[[str], str],
) -> None:
    """Not even when the router is away at first, and Home Assistant restarts meanwhile."""
    router.quirks.add(Quirk.Q01)  # nobody but us will close it
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await stop_home_assistant(hass, entry)
    damage(hass, entry, done)
    router.fault(Fault.DROP_BEFORE, times=None)
    for _ in range(2):
        await hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_RETRY
    assert len(list(ledger_path(hass, entry).parent.glob("*.corrupt.*"))) == 1
    router.clear_faults()
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert state_of(hass) == "on"
    assert phases(hass, entry) == ["open"]
    freezer.tick(3601)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert state_of(hass) == "off"
    assert not router.mappings


async def test_what_has_no_forward_any_more_is_closed_though_the_router_refuses_at_first(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    opened: MockConfigEntry,
) -> None:
    """And meanwhile the time of what has one does not begin anew."""
    add_forward(hass, opened, forward_data(free_port()), title="Gone")
    await hass.async_block_till_done()
    await switch(hass, "turn_on", "switch.gone")
    await stop_home_assistant(hass, opened)
    damage(hass, opened, lambda text: text[:-20])
    (subentry_id,) = (key for key, s in opened.subentries.items() if s.title == "Gone")
    hass.config_entries.async_remove_subentry(opened, subentry_id)
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=None)
    await set_up(hass, opened)
    (before,) = ledger_of(hass, opened)["openings"]
    freezer.tick(60)
    await refresh(hass, opened)
    await hass.config_entries.async_reload(opened.entry_id)
    (after,) = ledger_of(hass, opened)["openings"]
    assert after["deadline"] == before["deadline"]
    assert len(router.mappings) == 2
    router.clear_faults()
    await refresh(hass, opened)
    assert len(router.mappings) == 1
    assert "lost" not in ledger_of(hass, opened)


async def test_a_disk_that_was_full_does_not_bring_back_what_was_closed(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    path = ledger_path(hass, opened)
    saved = path.rename(path.with_suffix(".full"))
    path.mkdir()
    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_off")
    assert not router.mappings
    assert state_of(hass) == "off"
    path.rmdir()
    saved.rename(path)
    assert phases(hass, opened) == ["open"]  # what a restart would find
    await refresh(hass, opened)
    assert phases(hass, opened) == []


async def test_removed_at_the_router_after_we_closed_the_others_stays_closed(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, opened, forward_data(free_port()), title="Plex")
    await hass.async_block_till_done()
    await switch(hass, "turn_on", "switch.plex")
    await refresh(hass, opened)
    await switch(hass, "turn_off", "switch.plex")
    await router.remove("TCP", external_port)
    await refresh(hass, opened)
    assert not router.mappings
    assert state_of(hass) == "off"


@pytest.mark.parametrize("known", [{"phase": "opening", "lease_until": None}, {}])
@pytest.mark.parametrize(("remains", "renewed_after"), [(80, 40), (40, 30), (1, 0.8)])
async def test_killed_before_a_shorter_lease_was_in_the_ledger(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
    known: dict[str, str | None],
    remains: int,
    renewed_after: float,
) -> None:
    await stop_home_assistant(hass, opened)
    edit_ledger(hass, opened, **known)
    monkeypatch.setattr(router.wans[0], "remaining", lambda _: remains)
    await set_up(hass, opened)
    assert router.requests["AddPortMapping"] == 1
    async_fire_time_changed(hass, hass_time(seconds=renewed_after))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert router.requests["AddPortMapping"] == 2


async def test_overdue_ones_are_closed_together(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    for number in range(5):
        add_forward(hass, entry, forward_data(free_port()), title=f"Forward {number}")
    await set_up(hass, entry)
    for number in range(5):
        await switch(hass, "turn_on", f"switch.forward_{number}")
    await stop_home_assistant(hass, entry)
    path = ledger_path(hass, entry)
    ledger = ledger_of(hass, entry)
    for opening in ledger["openings"]:
        opening["deadline"] = "2026-01-01T00:00:00+00:00"
    path.write_text(json.dumps(ledger))
    # Before the first of them is asked to be closed, the disk knows that all are to be.
    seen: list[list[str]] = []
    router.wans[0]._on_change = lambda *_: seen.append(phases(hass, entry))
    await set_up(hass, entry)
    assert not router.mappings
    assert seen == [["closing"] * 5] * 5
    assert phases(hass, entry) == []
