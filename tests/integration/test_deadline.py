"""Everything temporary closes: at its deadline, whatever the clock and the router do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.port_forward.announce import SIGNAL_ACTIVITY
from custom_components.port_forward.const import CONF_CLOSE_ON_STOP, DOMAIN
from custom_components.port_forward.openings import Activity, Kind, Reason
from lab.virtual_router import Fault, Quirk, VirtualRouter, free_port

from .conftest import (
    add_forward,
    arrived,
    forward_data,
    ledger_of,
    ledger_path,
    phases,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
    until_one_waits,
)

HALF_AN_HOUR = {"hours": 0, "minutes": 30, "seconds": 0}


@pytest.fixture
async def told(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> list[Activity]:
    """Set up one forward that closes after half an hour; return what is told of it."""
    add_forward(
        hass, entry, forward_data(external_port, until_closed=False, close_after=HALF_AN_HOUR)
    )
    await set_up(hass, entry)
    activities: list[Activity] = []

    @callback
    def listen(_entry_id: str, activity: Activity) -> None:
        activities.append(activity)

    async_dispatcher_connect(hass, SIGNAL_ACTIVITY, listen)
    return activities


async def pass_time(hass: HomeAssistant, freezer: FrozenDateTimeFactory, seconds: float) -> None:
    freezer.tick(seconds)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)


async def open_for(hass: HomeAssistant, **data: Any) -> None:
    await hass.services.async_call(
        DOMAIN,
        "open",
        {"entity_id": "switch.camera", **data},
        blocking=True,
    )


async def test_the_switch_opens_for_its_own_time_and_not_longer(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    told: list[Activity],
) -> None:
    await switch(hass, "turn_on")
    deadline = dt_util.utcnow() + timedelta(minutes=30)
    assert dt_util.parse_datetime(state_of(hass, "sensor.camera_closes_at")) == deadline.replace(
        microsecond=0
    )
    assert router.mappings[0].lease == 1800  # not the hour that leases last otherwise

    await pass_time(hass, freezer, 1799)
    assert state_of(hass) == "on"
    assert router.requests["AddPortMapping"] == 1  # the router keeps it to the end by itself
    await pass_time(hass, freezer, 1)
    assert state_of(hass) == "off"
    assert not router.mappings
    assert state_of(hass, "sensor.camera_closes_at") == "unknown"
    assert [(a.kind, a.reason) for a in told] == [
        (Kind.OPENED, None),
        (Kind.CLOSED, Reason.TIME_UP),
    ]
    assert told[-1].late is not None
    assert told[-1].late <= timedelta(seconds=1)


async def test_a_long_opening_is_renewed_and_its_last_lease_ends_with_it(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    told: list[Activity],
) -> None:
    await open_for(hass, duration={"hours": 2, "minutes": 10})
    assert router.mappings[0].lease == 3600
    start = dt_util.utcnow()
    leases = set()
    while dt_util.utcnow() < start + timedelta(hours=2, minutes=9):
        await pass_time(hass, freezer, 60)
        leases.add(router.mappings[0].lease)
        remaining = start + timedelta(hours=2, minutes=10) - dt_util.utcnow()
        assert router.mappings[0].lease <= max(3600, remaining.total_seconds() + 3600)
    assert max(leases) == 3600
    assert min(leases) < 3600
    await pass_time(hass, freezer, 60)
    assert not router.mappings


async def test_opening_again_moves_the_deadline(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    told: list[Activity],
) -> None:
    await switch(hass, "turn_on")
    await pass_time(hass, freezer, 1200)
    await open_for(hass, duration={"minutes": 30})
    await pass_time(hass, freezer, 1200)
    assert state_of(hass) == "on"
    await open_for(hass, duration={"minutes": 5})  # shorter, this time
    await pass_time(hass, freezer, 301)
    assert state_of(hass) == "off"
    assert not router.mappings
    assert [a.kind for a in told] == [Kind.OPENED, Kind.EXTENDED, Kind.EXTENDED, Kind.CLOSED]


async def test_a_failed_extension_changes_nothing(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    told: list[Activity],
) -> None:
    await switch(hass, "turn_on")
    before = state_of(hass, "sensor.camera_closes_at")
    router.fault(Fault.HTTP_500_EMPTY, action="AddPortMapping")
    with pytest.raises(HomeAssistantError):
        await open_for(hass, duration={"hours": 5})
    assert state_of(hass, "sensor.camera_closes_at") == before
    await pass_time(hass, freezer, 1801)
    assert not router.mappings


async def test_a_close_that_fails_is_repeated_until_it_succeeds(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    issue_registry: ir.IssueRegistry,
    router: VirtualRouter,
    entry: MockConfigEntry,
    told: list[Activity],
    caplog: pytest.LogCaptureFixture,
) -> None:
    router.quirks.add(Quirk.Q01)  # permanent: nobody but us will close it
    await switch(hass, "turn_on")
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=None)
    await pass_time(hass, freezer, 1801)
    issue_id = f"not_closed_{told[0].forward_id}"
    for _ in range(3):
        assert state_of(hass) == "on"
        assert phases(hass, entry) == ["closing"]
        assert issue_registry.async_get_issue(DOMAIN, issue_id)
        attempts = router.requests["DeletePortMapping"]
        await pass_time(hass, freezer, 31)  # after 1, 2, 5, 10 and 30 s, polls apart
        assert router.requests["DeletePortMapping"] > attempts
    router.clear_faults()
    await pass_time(hass, freezer, 61)

    assert state_of(hass) == "off"
    assert not router.mappings
    assert ledger_of(hass, entry)["openings"] == []
    assert issue_registry.async_get_issue(DOMAIN, issue_id) is None
    assert [(a.kind, a.reason) for a in told] == [
        (Kind.OPENED, None),
        (Kind.CLOSE_FAILED, Reason.TIME_UP),
        (Kind.CLOSED, Reason.TIME_UP),
    ]
    assert told[-1].late is not None
    assert told[-1].late > timedelta(seconds=90)
    assert caplog.text.count("Could not close Camera") == 1


async def test_overdue_at_start_is_closed_at_once(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    told: list[Activity],
) -> None:
    router.quirks.add(Quirk.Q01)
    await switch(hass, "turn_on")
    await stop_home_assistant(hass, entry)
    freezer.tick(86400)
    assert router.mappings
    await set_up(hass, entry)
    assert not router.mappings
    assert state_of(hass) == "off"
    activity = told[-1]
    assert (activity.kind, activity.reason) == (Kind.CLOSED, Reason.TIME_UP)
    assert activity.late == timedelta(seconds=86400 - 1800)


async def test_the_deadline_survives_a_restart(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    told: list[Activity],
) -> None:
    router.quirks.add(Quirk.Q01)
    await switch(hass, "turn_on")
    before = state_of(hass, "sensor.camera_closes_at")
    await pass_time(hass, freezer, 600)
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert state_of(hass) == "on"
    assert state_of(hass, "sensor.camera_closes_at") == before
    await pass_time(hass, freezer, 1199)
    assert router.mappings
    await pass_time(hass, freezer, 2)
    assert not router.mappings


async def test_a_clock_that_is_set_back_keeps_nothing_open(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    told: list[Activity],
) -> None:
    router.quirks.add(Quirk.Q01)  # without leases: nobody but us closes it
    await switch(hass, "turn_on")
    deadlines = entry.runtime_data.keeper._schedule._deadlines
    ((forward_id, time),) = deadlines.items()
    assert time.loop == pytest.approx(hass.loop.time() + 1800, abs=5)
    freezer.move_to(datetime(2020, 1, 1, tzinfo=UTC))  # as after a bad answer of a time server
    # Half an hour has passed all the same.
    deadlines[forward_id] = replace(time, loop=hass.loop.time())
    # The timer that looks at the clock fires; the wall says 2020 to whoever asks it. (Firing it by
    # the helper of Home Assistant would tell it another time.)
    entry.runtime_data.keeper._schedule._look(dt_util.utcnow())
    await hass.async_block_till_done(wait_background_tasks=True)
    assert state_of(hass) == "off"
    assert not router.mappings
    assert router.requests["DeletePortMapping"] == 1
    assert (told[-1].kind, told[-1].reason) == (Kind.CLOSED, Reason.TIME_UP)
    assert told[-1].at < time.wall


async def test_the_clock_is_looked_at_each_second(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    told: list[Activity],
) -> None:
    """A timer of its own would come as much too late as the clock was set forward."""
    router.quirks.add(Quirk.Q01)
    await switch(hass, "turn_on")
    begun = dt_util.utcnow()
    # Set forward, while only a second and a half has passed for all timers.
    freezer.move_to(begun + timedelta(hours=1))
    async_fire_time_changed(hass, begun + timedelta(seconds=1.5))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert not router.mappings
    assert told[-1].reason is Reason.TIME_UP


async def test_a_clock_that_was_wrong_at_start_keeps_nothing_open_for_longer(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    told: list[Activity],
) -> None:
    await switch(hass, "turn_on")
    await stop_home_assistant(hass, entry)
    freezer.move_to(datetime(2020, 1, 1, tzinfo=UTC))
    await set_up(hass, entry)
    assert state_of(hass) == "on"
    (time,) = entry.runtime_data.keeper._schedule._deadlines.values()
    assert time.loop <= hass.loop.time() + 1800


async def test_restored_with_what_remains(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    told: list[Activity],
) -> None:
    await switch(hass, "turn_on")
    await pass_time(hass, freezer, 600)
    await router.restart(change_port=False)
    await refresh(hass, entry)
    assert 1190 <= router.mappings[0].lease <= 1200
    assert (told[-1].kind, told[-1].reason) == (Kind.RESTORED, Reason.ROUTER_RESTARTED)
    await pass_time(hass, freezer, 1201)
    assert not router.mappings


async def test_all_are_closed_when_home_assistant_stops_if_asked(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    hass.config_entries.async_update_entry(entry, options={CONF_CLOSE_ON_STOP: True})
    for name in ("Camera", "Plex"):
        add_forward(hass, entry, forward_data(free_port()), title=name)
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await switch(hass, "turn_on", "switch.plex")
    assert len(router.mappings) == 2
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()
    assert not router.mappings
    assert ledger_of(hass, entry)["openings"] == []


async def test_many_that_end_at_the_same_second(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
) -> None:
    """For a thousand there is `python -m bench.mass`."""
    router.quirks.add(Quirk.Q01)  # none of them goes by itself
    ports: set[int] = set()
    while len(ports) < 100:
        ports.add(free_port())
    for number, port in enumerate(ports):
        add_forward(hass, entry, forward_data(port), title=f"Forward {number}")
    await set_up(hass, entry)
    await hass.services.async_call(
        DOMAIN,
        "open",
        {
            "entity_id": [f"switch.forward_{number}" for number in range(len(ports))],
            "duration": {"minutes": 30},
        },
        blocking=True,
    )
    assert len(router.mappings) == len(ports)
    await pass_time(hass, freezer, 1801)
    assert not router.mappings
    assert router.requests["DeletePortMapping"] == len(ports)
    assert phases(hass, entry) == []


async def test_an_opening_whose_time_is_over_when_its_turn_comes_is_refused(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    told: list[Activity],
) -> None:
    add_forward(hass, entry, forward_data(free_port()), title="Plex")
    await hass.async_block_till_done()
    router.fault(Fault.SLOW_TO_ACT, action="AddPortMapping", delay=1)
    slow = hass.async_create_task(switch(hass, "turn_on", "switch.plex"))
    await arrived(router, "AddPortMapping", 1)
    opening = hass.async_create_task(open_for(hass, duration={"seconds": 1}))
    await until_one_waits(entry)
    freezer.tick(2)  # for the router, too, which has not answered yet
    with pytest.raises(ServiceValidationError, match="still to come"):
        await opening
    await slow
    assert router.requests["AddPortMapping"] == 1
    assert state_of(hass) == "off"
    assert [a.kind for a in told] == [Kind.OPENED, Kind.OPEN_FAILED]


async def test_several_that_fail_to_close_are_tried_again_as_soon_as_one(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    told: list[Activity],
) -> None:
    names = ("plex", "game", "mail")
    for name in names:
        add_forward(hass, entry, forward_data(free_port()), title=name)
    await hass.async_block_till_done()
    for name in names:
        await switch(hass, "turn_on", f"switch.{name}")
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=None)
    with pytest.raises(HomeAssistantError):
        await hass.services.async_call(
            DOMAIN,
            "close",
            {"entity_id": [f"switch.{name}" for name in names]},
            blocking=True,
        )
    await pass_time(hass, freezer, 6)  # the three calls have failed one after the other
    for delay in (10, 30):
        attempts = router.requests["DeletePortMapping"]
        await pass_time(hass, freezer, delay + 1)
        assert router.requests["DeletePortMapping"] == attempts + len(names)
    router.clear_faults()
    await pass_time(hass, freezer, 61)
    assert not router.mappings


async def test_a_close_that_fails_while_the_disk_is_full_is_repeated(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    entry: MockConfigEntry,
    told: list[Activity],
) -> None:
    await switch(hass, "turn_on")
    path = ledger_path(hass, entry)
    saved = path.rename(path.with_suffix(".full"))
    path.mkdir()
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping")
    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_off")
    path.rmdir()
    saved.rename(path)
    assert len(router.mappings) == 1
    await pass_time(hass, freezer, 1.1)
    assert not router.mappings
    assert state_of(hass) == "off"
    assert phases(hass, entry) == []
