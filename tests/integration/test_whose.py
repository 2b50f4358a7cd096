"""Whose a port mapping is: ours, another Home Assistant's, or what nobody has opened."""

from datetime import timedelta
from typing import Any

import pytest
from homeassistant.components.repairs.const import DOMAIN as REPAIRS
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import instance_id
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.port_forward.announce import EVENT_ACTIVITY
from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.foreign.sightings import EVENT_SIGHTING
from custom_components.port_forward.home import async_home
from lab.virtual_router import VirtualRouter, free_port

from .automating import forward_id_of
from .conftest import (
    add_forward,
    forward_data,
    ledger_of,
    ledger_path,
    make_entry,
    refresh,
    restart_home_assistant,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)
from .test_foreign import SENSOR, answer, asked, kinds
from .test_foreign_actions import call

CAMERA = "127.0.0.5"


@pytest.fixture(autouse=True)
async def _repairs(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, REPAIRS, {})


async def open_like_camera(router: VirtualRouter, port: int, description: str = "Cam") -> None:
    """Map just what the forward Camera would."""
    await router.add_foreign(
        protocol="TCP",
        external_port=port,
        internal_host=CAMERA,
        internal_port=8080,
        description=description,
    )


async def lose_ledger(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Begin anew with a ledger that cannot be read."""
    await stop_home_assistant(hass, entry)
    ledger_path(hass, entry).parent.mkdir(exist_ok=True)
    ledger_path(hass, entry).write_text('{"version": 1, "learned": {}, "openings": [')
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()


def ports(router: VirtualRouter) -> list[int]:
    return [row.external_port for row in router.mappings]


async def test_our_tag_names_this_home_assistant(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    [row] = router.mappings
    home = async_home(hass)
    assert row.description == f"Camera [ha-pf:{home}-{forward_id_of(closed)}]"
    assert home not in await instance_id.async_get(hass), "and does not give its id away"


async def test_another_home_assistant_keeps_its_ports_when_our_ledger_is_lost(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    camera = forward_id_of(closed)
    home = async_home(hass)
    theirs = {
        free_port(): "Door [ha-pf:0ther0ne-01K9ZZZZZZZZZZZZZZZZZZZZZZ]",
        # Its configuration was copied from ours.
        free_port(): f"Camera [ha-pf:0ther0ne-{camera}]",
        # Of an earlier version, and of none of our forwards.
        free_port(): "Door [ha-pf:01K9YYYYYYYYYYYYYYYYYYYYYY]",
    }
    ours = {
        free_port(): f"Gone [ha-pf:{home}-01K9WWWWWWWWWWWWWWWWWWWWWW]",
        free_port(): f"Camera [ha-pf:{camera}]",
    }
    await switch(hass, "turn_on")
    await stop_home_assistant(hass, closed)
    for port, description in (theirs | ours).items():
        await router.add_foreign(
            protocol="TCP",
            external_port=port,
            internal_host="127.0.0.9",
            internal_port=80,
            description=description,
        )
    await lose_ledger(hass, closed)
    left = ports(router)
    assert set(theirs) < set(left)
    assert not set(ours) & set(left)
    assert state_of(hass) == "on"


async def test_what_another_home_assistant_opened_is_not_ours_to_renew(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, external_port: int
) -> None:
    tag = f"Camera [ha-pf:0ther0ne-{forward_id_of(closed)}]"
    await open_like_camera(router, external_port, tag)
    with pytest.raises(Exception, match="already"):
        await switch(hass, "turn_on")
    assert [row.description for row in router.mappings] == [tag]


async def test_a_tag_of_an_earlier_version_is_taken_up_and_kept(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, external_port: int
) -> None:
    tag = f"Camera [ha-pf:{forward_id_of(closed)}]"
    await open_like_camera(router, external_port, tag)
    await lose_ledger(hass, closed)
    [opening] = ledger_of(hass, closed)["openings"]
    assert opening["forward"]["home"] == ""
    # Opened again, or edited in nothing that matters, it is neither closed nor moved.
    await switch(hass, "turn_on")
    await refresh(hass, closed)
    assert state_of(hass) == "on"
    assert [row.description for row in router.mappings] == [tag]
    await switch(hass, "turn_off")
    assert not router.mappings


async def test_a_ledger_of_an_earlier_version_goes_on(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    removed = router.requests["DeletePortMapping"]
    await stop_home_assistant(hass, closed)
    home = async_home(hass)
    path = ledger_path(hass, closed)
    path.write_text(path.read_text().replace(f',"home":"{home}"', ""))
    assert "home" not in path.read_text()
    await hass.config_entries.async_setup(closed.entry_id)
    await hass.async_block_till_done()
    assert state_of(hass) == "on"
    assert router.requests["DeletePortMapping"] == removed


async def test_a_forward_that_cannot_be_planned_keeps_nothing_else_from_going_on(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    network = add_forward(
        hass, entry, forward_data(free_port(), allowed_source="203.0.113.0/24"), "Office"
    )
    await set_up(hass, entry)
    issue_id = f"not_plannable_{network.subentry_id}"
    issue = ir.async_get(hass).async_get_issue(DOMAIN, issue_id)
    assert issue
    assert (issue.translation_placeholders or {})["forward"] == "Office"
    await switch(hass, "turn_on")
    stray = free_port()
    await router.add_foreign(
        protocol="TCP",
        external_port=stray,
        internal_host="127.0.0.9",
        internal_port=80,
        description=f"Office [ha-pf:{async_home(hass)}-{network.subentry_id}]",
    )
    await lose_ledger(hass, entry)
    assert entry.state is ConfigEntryState.LOADED
    assert ports(router) == [external_port], "and its row is closed"
    assert state_of(hass, "switch.office") == "off"
    answered = await hass.services.async_call(
        DOMAIN,
        "list_mappings",
        {"config_entry_id": entry.entry_id},
        blocking=True,
        return_response=True,
    )
    assert answered
    hass.config_entries.async_update_subentry(
        entry, network, data={**network.data, "allowed_source": "203.0.113.5"}
    )
    await hass.async_block_till_done()
    assert not ir.async_get(hass).async_get_issue(DOMAIN, issue_id)


async def test_our_tag_without_an_opening_gets_an_end(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, external_port: int
) -> None:
    """As after an older ledger was restored."""
    told = async_capture_events(hass, EVENT_ACTIVITY)
    tag = f"Camera [ha-pf:{async_home(hass)}-{forward_id_of(closed)}]"
    await open_like_camera(router, external_port, tag)
    await refresh(hass, closed)
    [opening] = ledger_of(hass, closed)["openings"]
    left = dt_util.parse_datetime(opening["deadline"], raise_on_error=True) - dt_util.utcnow()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert [(event.data["kind"], event.data["reason"]) for event in told] == [("opened", "found")]
    assert (state_of(hass), state_of(hass, SENSOR)) == ("on", "0")
    assert not asked(hass)


async def test_what_leads_where_a_forward_does_is_asked_about(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, external_port: int
) -> None:
    told = async_capture_events(hass, EVENT_SIGHTING)
    await open_like_camera(router, external_port)
    await refresh(hass, closed)
    assert (state_of(hass), state_of(hass, SENSOR)) == ("on", "1")
    assert kinds(told) == ["appeared"]
    [issue] = asked(hass)
    assert issue.translation_key == "opened_by_others"
    assert (issue.translation_placeholders or {})["forward"] == "Camera"
    await switch(hass, "turn_off")
    assert not router.mappings
    await refresh(hass, closed)
    assert not asked(hass)


async def test_not_even_the_first_look_accepts_it(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    await open_like_camera(router, external_port)
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    assert state_of(hass) == "on"
    assert len(asked(hass)) == 1


async def test_what_was_accepted_before_there_was_the_forward_is_asked_about(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    await open_like_camera(router, external_port)
    await set_up(hass, entry)
    assert not asked(hass)
    told = async_capture_events(hass, EVENT_SIGHTING)
    add_forward(hass, entry, forward_data(external_port))
    await hass.async_block_till_done()
    assert state_of(hass) == "on"
    assert len(asked(hass)) == 1
    assert kinds(told) == ["appeared"], "it has not gone"


async def test_it_is_taken_over_as_an_opening_of_that_forward(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    times: dict[str, Any] = {"until_closed": False, "close_after": {"minutes": 20}}
    add_forward(hass, entry, forward_data(external_port, **times))
    await set_up(hass, entry)
    await open_like_camera(router, external_port)
    await refresh(hass, entry)
    told = async_capture_events(hass, EVENT_SIGHTING)
    await answer(hass, "adopt")
    [opening] = ledger_of(hass, entry)["openings"]
    left = dt_util.parse_datetime(opening["deadline"], raise_on_error=True) - dt_util.utcnow()
    assert timedelta(minutes=19) < left <= timedelta(minutes=20)
    assert len(entry.subentries) == 1
    assert (state_of(hass), state_of(hass, SENSOR)) == ("on", "0")
    assert not asked(hass)
    assert not told, "it has not gone"


async def test_a_part_of_a_forward_cannot_be_taken_over(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port, protocol="both"))
    await set_up(hass, entry)
    await open_like_camera(router, external_port)
    await refresh(hass, entry)
    with pytest.raises(ServiceValidationError, match="only a part of Camera"):
        await call(hass, entry, "adopt_mapping", external_port)
    assert not entry.runtime_data.keeper.openings


@pytest.mark.parametrize(("option", "left"), [("close", 0), ("accept", 1)])
async def test_it_is_closed_or_accepted(
    hass: HomeAssistant,
    router: VirtualRouter,
    closed: MockConfigEntry,
    external_port: int,
    option: str,
    left: int,
) -> None:
    await open_like_camera(router, external_port)
    await refresh(hass, closed)
    await answer(hass, option)
    await refresh(hass, closed)
    assert not asked(hass)
    assert len(router.mappings) == left


async def test_lists_it_as_foreign(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, external_port: int
) -> None:
    await open_like_camera(router, external_port)
    answered = await hass.services.async_call(
        DOMAIN,
        "list_mappings",
        {"config_entry_id": closed.entry_id},
        blocking=True,
        return_response=True,
    )
    rows: Any = (answered or {})["mappings"]
    [row] = rows
    assert (row["foreign"], row["forward"]) == (True, "Camera")


@pytest.fixture
async def second(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> MockConfigEntry:
    """Another entry for the same gateway, as by another protocol."""
    made = await make_entry(hass, router)
    await hass.config_entries.async_remove(made.entry_id)
    entry = MockConfigEntry(domain=DOMAIN, title="Second", unique_id="second", data=made.data)
    entry.add_to_hass(hass)
    await set_up(hass, entry)
    return entry


async def test_what_one_entry_opens_is_not_foreign_to_the_other(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, second: MockConfigEntry
) -> None:
    told = async_capture_events(hass, EVENT_SIGHTING)
    await switch(hass, "turn_on")
    await refresh(hass, second)
    assert state_of(hass, f"{SENSOR}_2") == "0"
    await switch(hass, "turn_off")
    await refresh(hass, second)
    assert not told
    assert not asked(hass)


@pytest.mark.parametrize("through", ["its own entry", "another entry"])
async def test_ours_is_not_closed_as_foreign(
    hass: HomeAssistant,
    router: VirtualRouter,
    closed: MockConfigEntry,
    second: MockConfigEntry,
    external_port: int,
    through: str,
) -> None:
    entry = closed if through == "its own entry" else second
    await switch(hass, "turn_on")
    with pytest.raises(ServiceValidationError, match="port mapping of Camera"):
        await call(hass, entry, "close_mapping", external_port)
    # Nor by a repair that began before it was ours.
    coordinator = entry.runtime_data
    [mapping] = coordinator.data.mappings
    with pytest.raises(ServiceValidationError, match="port mapping of Camera"):
        await coordinator.keeper.close_foreign(mapping, coordinator.foreign.opened_elsewhere)
    assert ports(router) == [external_port]


async def test_what_another_entry_opened_survives_a_lost_ledger(
    hass: HomeAssistant,
    router: VirtualRouter,
    closed: MockConfigEntry,
    second: MockConfigEntry,
    external_port: int,
) -> None:
    await switch(hass, "turn_on")
    await restart_home_assistant(hass, second)
    await lose_ledger(hass, second)
    assert ports(router) == [external_port]
