"""What becomes of a rule that was taken over: in time, over restarts, and when something fails."""

import json
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from custom_components.port_forward.const import DOMAIN
from lab.opnsense import Fault

from .adopt_home import ELSEWHERE, Home, OnOpnsense, opnsense_home
from .conftest import ledger_of, ledger_path, phases, refresh, set_up, state_of, stop_home_assistant


@pytest.fixture
async def home(hass: HomeAssistant) -> AsyncGenerator[Home[OnOpnsense]]:
    """A home with an OPNsense, whose rule is off and is taken over."""
    async with opnsense_home(hass) as home:
        await home.adopt()
        yield home


def edit_ledger(home: Home[OnOpnsense], **changes: str) -> None:
    """Make the ledger what it was at another instant of a run that was killed."""
    ledger = ledger_of(home.hass, home.entry)
    ledger["openings"][0].update(changes)
    ledger_path(home.hass, home.entry).write_text(json.dumps(ledger))


async def open_for(home: Home[OnOpnsense], **duration: float) -> None:
    """Open the camera's forward for so long."""
    await home.hass.services.async_call(
        DOMAIN, "open", {"entity_id": "switch.camera", "duration": duration}, blocking=True
    )


class TestTime:
    async def test_closes_at_its_deadline(
        self, home: Home[OnOpnsense], freezer: FrozenDateTimeFactory
    ) -> None:
        await open_for(home, minutes=30)
        until = (dt_util.utcnow() + timedelta(minutes=30)).replace(microsecond=0)
        assert state_of(home.hass, "sensor.camera_closes_at") == until.isoformat()
        freezer.tick(timedelta(minutes=29))
        async_fire_time_changed(home.hass)
        await home.hass.async_block_till_done(wait_background_tasks=True)
        assert home.router.is_on
        freezer.tick(timedelta(minutes=1, seconds=1))
        async_fire_time_changed(home.hass)
        await home.hass.async_block_till_done(wait_background_tasks=True)
        assert (home.state, home.router.is_on, home.router.is_in_force) == ("off", False, False)
        assert home.told == ("closed", "time_up")

    @pytest.mark.usefixtures("freezer")
    async def test_its_own_time(self, home: Home[OnOpnsense]) -> None:
        step = await home.edit()
        typed = {"name": "Camera", "close_after": {"minutes": 5}, "until_closed": False}
        await home.submit(step, **typed)
        await home.on()
        until = (dt_util.utcnow() + timedelta(minutes=5)).replace(microsecond=0)
        assert state_of(home.hass, "sensor.camera_closes_at") == until.isoformat()

    async def test_extended_without_a_change_to_the_router(self, home: Home[OnOpnsense]) -> None:
        await open_for(home, minutes=30)
        before = home.router.firewall.requests.copy()
        await open_for(home, minutes=60)
        asked = home.router.firewall.requests - before
        assert not {"toggleRule", "apply"} & set(asked)
        assert home.told == ("extended", None)
        assert home.router.is_on

    async def test_overdue_after_a_restart(self, home: Home[OnOpnsense]) -> None:
        await open_for(home, minutes=30)
        await stop_home_assistant(home.hass, home.entry)
        edit_ledger(home, deadline="2026-01-01T00:00:00+00:00")
        await set_up(home.hass, home.entry)
        assert (home.state, home.router.is_in_force) == ("off", False)
        assert home.router.rule

    async def test_still_open_after_a_restart(
        self, home: Home[OnOpnsense], freezer: FrozenDateTimeFactory
    ) -> None:
        await open_for(home, minutes=30)
        until = state_of(home.hass, "sensor.camera_closes_at")
        before = home.router.firewall.requests.copy()
        await home.restart()
        assert (home.state, state_of(home.hass, "sensor.camera_closes_at")) == ("on", until)
        assert "toggleRule" not in home.router.firewall.requests - before
        freezer.tick(timedelta(minutes=31))
        async_fire_time_changed(home.hass)
        await home.hass.async_block_till_done(wait_background_tasks=True)
        assert (home.state, home.router.is_in_force) == ("off", False)


class TestDeleted:
    async def test_the_forward_while_open(self, home: Home[OnOpnsense]) -> None:
        before = home.router.rule
        await home.on()
        [subentry_id] = home.entry.subentries
        home.hass.config_entries.async_remove_subentry(home.entry, subentry_id)
        await home.hass.async_block_till_done()
        assert (home.router.rule, home.router.is_on) == (before, False)
        assert not home.router.is_in_force
        assert ledger_of(home.hass, home.entry)["openings"] == []

    async def test_the_forward_of_a_rule_that_the_user_switched_on(
        self, home: Home[OnOpnsense]
    ) -> None:
        await home.router.by_hand(enabled=True)
        await refresh(home.hass, home.entry)
        [subentry_id] = home.entry.subentries
        home.hass.config_entries.async_remove_subentry(home.entry, subentry_id)
        await home.hass.async_block_till_done()
        assert home.router.is_on

    async def test_the_router_while_open(self, home: Home[OnOpnsense]) -> None:
        before = home.router.rule
        await home.on()
        await home.hass.config_entries.async_remove(home.entry.entry_id)
        assert (home.router.rule, home.router.is_on) == (before, False)

    async def test_the_router_disabled_while_open(self, home: Home[OnOpnsense]) -> None:
        await home.on()
        await home.hass.config_entries.async_set_disabled_by(
            home.entry.entry_id, ConfigEntryDisabler.USER
        )
        assert not home.router.is_on


class TestAnotherRule:
    async def test_under_its_id(self, home: Home[OnOpnsense]) -> None:
        """It was deleted, and the router gave its id to another one. It is never touched."""
        await home.on()
        table = home.router.firewall.table
        table[home.router.uuid].update(
            {"target": ELSEWHERE, "destination.port": "22", "local-port": "22", "descr": "SSH"}
        )
        after = home.router.rule
        await home.off()
        assert (home.router.rule, home.router.is_on) == (after, True)
        assert (home.state, phases(home.hass, home.entry)) == ("off", [])
        with pytest.raises(HomeAssistantError):
            await home.on()
        assert (home.router.rule, home.router.is_on) == (after, True)

    async def test_that_has_the_port(self, home: Home[OnOpnsense]) -> None:
        await home.router.add_rule(target=ELSEWHERE)
        with pytest.raises(HomeAssistantError) as raised:
            await home.on()
        assert raised.value.translation_key == "port_conflict"
        assert (home.state, home.router.is_on, phases(home.hass, home.entry)) == ("off", False, [])

    async def test_that_does_just_the_same(self, home: Home[OnOpnsense]) -> None:
        """It is open whichever of the two it is, and so it shows."""
        twin = await home.router.add_rule()
        await refresh(home.hass, home.entry)
        assert home.state == "on"
        home.router.firewall.table.toggle(twin, "1")
        await refresh(home.hass, home.entry)
        assert home.state == "off"
        await home.router.by_hand(enabled=True)
        await refresh(home.hass, home.entry)
        assert home.state == "on", "whichever of them comes last"


class TestKilled:
    async def test_before_the_router_was_asked(self, home: Home[OnOpnsense]) -> None:
        await home.on()
        await stop_home_assistant(home.hass, home.entry)
        edit_ledger(home, phase="opening")
        await home.router.by_hand(enabled=False)
        await set_up(home.hass, home.entry)
        assert (home.state, home.router.is_on) == ("off", False)
        assert home.told == ("open_failed", "interrupted")
        assert ledger_of(home.hass, home.entry)["openings"] == []

    async def test_before_the_router_has_answered(
        self, home: Home[OnOpnsense], freezer: FrozenDateTimeFactory
    ) -> None:
        await open_for(home, minutes=30)
        await stop_home_assistant(home.hass, home.entry)
        edit_ledger(home, phase="opening")
        await set_up(home.hass, home.entry)
        assert (home.state, phases(home.hass, home.entry)) == ("on", ["open"])
        freezer.tick(timedelta(minutes=31))
        async_fire_time_changed(home.hass)
        await home.hass.async_block_till_done(wait_background_tasks=True)
        assert (home.state, home.router.is_in_force) == ("off", False)

    async def test_when_it_was_saved_and_not_in_force(self, home: Home[OnOpnsense]) -> None:
        await home.on()
        await stop_home_assistant(home.hass, home.entry)
        edit_ledger(home, phase="opening")
        await home.router.firewall.pf.load(())
        assert (home.router.is_on, home.router.is_in_force) == (True, False)
        await set_up(home.hass, home.entry)
        assert (home.state, home.router.is_in_force) == ("on", True)

    async def test_while_closing(self, home: Home[OnOpnsense]) -> None:
        before = home.router.rule
        await home.on()
        await stop_home_assistant(home.hass, home.entry)
        edit_ledger(home, phase="closing", reason="turned_off")
        await set_up(home.hass, home.entry)
        assert (home.state, home.router.is_in_force, home.router.rule) == ("off", False, before)
        assert home.told == ("closed", "turned_off")

    async def test_and_the_ledger_lost(
        self, home: Home[OnOpnsense], freezer: FrozenDateTimeFactory
    ) -> None:
        """Nobody knows who has switched it on: it is safer off than forgotten."""
        await home.on()
        await stop_home_assistant(home.hass, home.entry)
        path = ledger_path(home.hass, home.entry)
        path.write_text(path.read_text()[:-20])
        await set_up(home.hass, home.entry)
        assert home.state == "on"
        freezer.tick(timedelta(hours=1, seconds=1))
        async_fire_time_changed(home.hass)
        await home.hass.async_block_till_done(wait_background_tasks=True)
        assert (home.state, home.router.is_in_force) == ("off", False)
        assert home.router.rule


class TestFailing:
    async def test_no_answer_to_the_look(self, home: Home[OnOpnsense]) -> None:
        home.router.firewall.fault(Fault.DROP_BEFORE, times=None)
        with pytest.raises(HomeAssistantError):
            await home.on()
        assert phases(home.hass, home.entry) == []
        assert "toggleRule" not in home.router.firewall.requests

    async def test_done_but_the_answer_lost(self, home: Home[OnOpnsense]) -> None:
        home.router.firewall.fault(Fault.DROP_AFTER, action="toggleRule")
        with pytest.raises(HomeAssistantError):
            await home.on()
        assert home.router.firewall.requests["toggleRule"] == 2, "on, and off again"
        assert (home.state, home.router.is_on, phases(home.hass, home.entry)) == ("off", False, [])

    async def test_done_and_not_taken_back(self, home: Home[OnOpnsense]) -> None:
        home.router.firewall.fault(Fault.DROP_AFTER, action="apply", times=None)
        with pytest.raises(HomeAssistantError):
            await home.on()
        assert phases(home.hass, home.entry) == ["closing"]
        assert home.state == "on", "as far as is known"
        home.router.firewall.clear_faults()
        await refresh(home.hass, home.entry)
        assert (home.state, home.router.is_on, phases(home.hass, home.entry)) == ("off", False, [])
        assert not home.router.is_in_force

    async def test_a_failure_leaves_on_what_was_on(self, home: Home[OnOpnsense]) -> None:
        await home.router.by_hand(enabled=True)
        await refresh(home.hass, home.entry)
        home.router.firewall.fault(Fault.DROP_AFTER, action="apply", times=2)
        with pytest.raises(HomeAssistantError):
            await home.on()
        assert (home.state, home.router.is_on, phases(home.hass, home.entry)) == ("on", True, [])

    async def test_closed_later_what_cannot_be_now(self, home: Home[OnOpnsense]) -> None:
        await home.on()
        home.router.firewall.fault(Fault.ERROR_500, action="toggleRule", times=None)
        with pytest.raises(HomeAssistantError):
            await home.off()
        assert (home.state, phases(home.hass, home.entry)) == ("on", ["closing"])
        [subentry_id] = home.entry.subentries
        issues = ir.async_get(home.hass)
        assert issues.async_get_issue(DOMAIN, f"not_closed_{subentry_id}")
        home.router.firewall.clear_faults()
        await refresh(home.hass, home.entry)
        assert (home.state, home.router.is_on, phases(home.hass, home.entry)) == ("off", False, [])
        assert not issues.async_get_issue(DOMAIN, f"not_closed_{subentry_id}")


class TestLockdown:
    async def test_closes_it_whoever_enabled_it(self, home: Home[OnOpnsense]) -> None:
        """When it is turned on, and while it is."""
        before = home.router.rule
        await home.router.by_hand(enabled=True)
        await refresh(home.hass, home.entry)
        assert home.state == "on"
        await home.lock()
        assert (home.state, home.router.is_in_force, home.router.rule) == ("off", False, before)
        assert home.told == ("closed", "lockdown")
        with pytest.raises(HomeAssistantError):
            await home.on()
        await home.router.by_hand(enabled=True)
        await refresh(home.hass, home.entry)
        assert (home.state, home.router.is_in_force, home.router.rule) == ("off", False, before)


async def test_its_source_is_its_own_affair(home: Home[OnOpnsense]) -> None:
    with pytest.raises(HomeAssistantError) as raised:
        await home.hass.services.async_call(
            DOMAIN,
            "open",
            {"entity_id": "switch.camera", "allowed_source": "198.51.100.7"},
            blocking=True,
        )
    assert raised.value.translation_key == "source_of_rule"
    assert not home.router.is_on
