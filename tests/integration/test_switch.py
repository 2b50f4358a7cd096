"""The switch shows what the router holds, and changes it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_fire_time_changed,
)

from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import Fault, Quirk, VirtualRouter, free_port, free_range

from .conftest import (
    add_forward,
    arrived,
    forward_data,
    ledger_of,
    phases,
    refresh,
    set_up,
    state_of,
    switch,
)


async def test_on_opens_and_off_closes(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    assert state_of(hass) == "off"
    assert state_of(hass, "sensor.virtual_router_open_forwards") == "0"

    await switch(hass, "turn_on")
    assert state_of(hass) == "on"
    assert state_of(hass, "sensor.virtual_router_open_forwards") == "1"
    (mapping,) = router.mappings
    assert (mapping.protocol, mapping.external_port) == ("TCP", external_port)
    assert (mapping.internal_host, mapping.internal_port) == ("127.0.0.5", 8080)
    assert mapping.lease == 3600
    assert mapping.remote_host == ""
    await refresh(hass, entry)
    assert state_of(hass) == "on"

    await switch(hass, "turn_off")
    assert state_of(hass) == "off"
    assert not router.mappings
    assert ledger_of(hass, entry)["openings"] == []


async def test_a_range_of_both_protocols_for_one_source(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    external_port = free_range(2)
    ports = f"{external_port}-{external_port + 1}"
    add_forward(
        hass,
        entry,
        forward_data(
            0,
            external_ports=ports,
            internal_ports="8080-8081",
            protocol="both",
            allowed_source="127.0.0.2",
        ),
    )
    await set_up(hass, entry)

    await switch(hass, "turn_on")

    assert {
        (row.protocol, row.external_port - external_port, row.internal_port, row.remote_host)
        for row in router.mappings
    } == {
        (protocol, offset, 8080 + offset, "127.0.0.2")
        for protocol in ("TCP", "UDP")
        for offset in (0, 1)
    }
    await switch(hass, "turn_off")
    assert not router.mappings


async def test_on_while_on_renews(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await switch(hass, "turn_on")
    assert router.requests["AddPortMapping"] == 2
    assert len(router.mappings) == 1


async def test_a_port_of_somebody_else_is_left_alone_and_its_holder_named(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    await router.add_foreign(
        protocol="TCP",
        external_port=external_port,
        internal_host="127.0.0.9",
        internal_port=3074,
        description="Xbox",
    )
    before = router.mappings
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)

    with pytest.raises(HomeAssistantError) as raised:
        await switch(hass, "turn_on")

    assert raised.value.translation_key == "port_conflict"
    assert raised.value.translation_placeholders
    assert "127.0.0.9:3074" in raised.value.translation_placeholders["holder"]
    assert "Xbox" in raised.value.translation_placeholders["holder"]
    assert state_of(hass) == "off"
    assert router.mappings == before
    assert ledger_of(hass, entry)["openings"] == []
    await switch(hass, "turn_off")
    assert router.mappings == before


async def test_the_same_mapping_by_somebody_else_shows_and_can_be_closed(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await router.add_foreign(
        protocol="TCP",
        external_port=external_port,
        internal_host="127.0.0.5",
        internal_port=8080,
        description="Plex",
    )
    await refresh(hass, entry)
    assert state_of(hass) == "on"

    await switch(hass, "turn_off")
    assert state_of(hass) == "off"
    assert not router.mappings


async def test_nothing_of_a_pair_stays_when_one_is_refused(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    await router.add_foreign(
        protocol="UDP", external_port=external_port, internal_host="127.0.0.9", internal_port=1
    )
    add_forward(hass, entry, forward_data(external_port, protocol="both"))
    await set_up(hass, entry)

    with pytest.raises(HomeAssistantError) as raised:
        await switch(hass, "turn_on")
    assert raised.value.translation_key == "port_conflict"

    assert [row.protocol for row in router.mappings] == ["UDP"]
    assert state_of(hass) == "off"
    assert ledger_of(hass, entry)["openings"] == []


async def test_a_mapping_that_could_not_be_taken_back_is_closed_later(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    # The answer is lost, and the router with it: is it open or not?
    router.fault(Fault.DROP_AFTER_ACCEPT, action="AddPortMapping")
    router.fault(Fault.DROP_BEFORE, action="GetSpecificPortMappingEntry", times=0)
    for action in ("GetSpecificPortMappingEntry", "DeletePortMapping"):
        router.fault(Fault.HTTP_500_EMPTY, action=action, times=None)

    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_on")

    router.clear_faults()
    await refresh(hass, entry)
    assert not router.mappings
    assert state_of(hass) == "off"


async def test_a_close_that_fails_keeps_the_switch_on_and_is_done_later(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=None)

    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_off")
    assert state_of(hass) == "on"
    assert phases(hass, entry) == ["closing"]

    router.clear_faults()
    await refresh(hass, entry)
    assert not router.mappings
    assert state_of(hass) == "off"


async def test_a_full_disk_opens_nothing(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    path = entry.runtime_data.keeper._ledger._path
    path.unlink()
    path.mkdir()

    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_on")

    assert router.requests["AddPortMapping"] == 0
    assert not router.mappings
    assert state_of(hass) == "off"


async def test_a_snapshot_from_before_a_command_does_not_undo_it(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    router.fault(Fault.SLOW, action="GetListOfPortMappings", delay=0.3)
    asked = router.requests["GetListOfPortMappings"]
    polling = hass.async_create_task(entry.runtime_data.async_refresh())
    await arrived(router, "GetListOfPortMappings", asked + 1)
    opening = hass.async_create_task(switch(hass, "turn_on"))

    await polling
    await opening
    assert state_of(hass) == "on"
    assert len(router.mappings) == 1


@pytest.mark.parametrize("quirk", [Quirk.Q01, Quirk.Q05])
async def test_the_user_is_told_that_the_router_closes_nothing(
    hass: HomeAssistant,
    issue_registry: ir.IssueRegistry,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    quirk: Quirk,
) -> None:
    router.quirks.add(quirk)
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    issue_id = f"router_does_not_close_{entry.entry_id}"
    assert issue_registry.async_get_issue(DOMAIN, issue_id) is None
    await switch(hass, "turn_on")
    assert issue_registry.async_get_issue(DOMAIN, issue_id)
    await switch(hass, "turn_off")


async def test_an_unreachable_router_fails_the_action(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    add_forward(hass, entry, forward_data(free_port()))
    await set_up(hass, entry)
    await router.stop()
    with pytest.raises(HomeAssistantError) as raised:
        await switch(hass, "turn_on")
    assert raised.value.translation_key == "unreachable"


async def test_a_command_writes_the_states_of_no_other_forward(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    for name in ("Camera", "Plex"):
        add_forward(hass, entry, forward_data(free_port()), title=name)
    await set_up(hass, entry)
    # Both targets are tried soon after the start, which a slow machine would reach in between.
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=10))
    await hass.async_block_till_done(wait_background_tasks=True)
    before = {state.entity_id: state.last_reported for state in hass.states.async_all()}
    await switch(hass, "turn_on")
    await switch(hass, "turn_off")
    written = {
        state.entity_id
        for state in hass.states.async_all()
        if state.last_reported != before[state.entity_id]
    }
    assert {"switch.camera", "sensor.virtual_router_open_forwards"} < written
    assert not [entity_id for entity_id in written if "plex" in entity_id]


async def open_for(hass: HomeAssistant, **ahead: int) -> None:
    await hass.services.async_call(
        DOMAIN, "open", {"entity_id": "switch.camera", "duration": ahead}, blocking=True
    )


@pytest.mark.parametrize("service", ["switch", "homeassistant"])
async def test_on_while_on_never_shortens(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    external_port: int,
    hass_admin_user: MockUser,
    service: str,
) -> None:
    hour = {"until_closed": False, "close_after": {"hours": 1}}
    add_forward(hass, entry, forward_data(external_port, **hour))
    await set_up(hass, entry)
    await open_for(hass, days=2)
    [before] = entry.runtime_data.keeper.openings.values()
    told: list[str] = []
    entry.runtime_data.async_listen(callback(lambda activity: told.append(activity.kind)))
    await hass.services.async_call(
        service,
        "turn_on",
        {"entity_id": "switch.camera"},
        blocking=True,
        context=Context(user_id=hass_admin_user.id),
    )
    [after] = entry.runtime_data.keeper.openings.values()
    assert replace(after, lease_until=before.lease_until) == before
    assert told == []
    # The action may.
    await open_for(hass, minutes=10)
    [shorter] = entry.runtime_data.keeper.openings.values()
    assert shorter.deadline
    assert before.deadline
    assert shorter.deadline < before.deadline
    await switch(hass, "turn_on")
    [longer] = entry.runtime_data.keeper.openings.values()
    assert longer.deadline
    assert longer.deadline > shorter.deadline
    assert told == ["extended", "extended"]


async def test_on_while_open_until_closed_sets_no_deadline(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int
) -> None:
    subentry = add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    hass.config_entries.async_update_subentry(
        entry, subentry, data={**subentry.data, "until_closed": False}
    )
    await hass.async_block_till_done()
    await switch(hass, "turn_on")
    [opening] = entry.runtime_data.keeper.openings.values()
    assert opening.deadline is None


async def test_on_while_limited_lets_in_all_and_shortens_nothing(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    hour = {"until_closed": False, "close_after": {"hours": 1}}
    add_forward(hass, entry, forward_data(external_port, **hour))
    await set_up(hass, entry)
    limited = {
        "entity_id": "switch.camera",
        "duration": {"days": 2},
        "allowed_source": "198.51.100.7",
    }
    await hass.services.async_call(DOMAIN, "open", limited, blocking=True)
    [before] = entry.runtime_data.keeper.openings.values()
    await switch(hass, "turn_on")
    [after] = entry.runtime_data.keeper.openings.values()
    assert (after.deadline, after.limit) == (before.deadline, None)
    assert [row.remote_host for row in router.mappings] == [""]
