"""A port follows its device, and never leads to another one."""

from contextlib import suppress
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.openings import Activity
from lab.virtual_router import Fault, VirtualRouter, free_port

from .conftest import (
    add_forward,
    arrived,
    forward_data,
    phases,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
    until_one_waits,
)
from .whereabouts import CAMERA, NAS, add_device, add_tracker, forget, set_up_dhcp, track

REPEATER = "aa:bb:cc:00:00:09"
FIVE, SIX, SEVEN = "127.0.0.5", "127.0.0.6", "127.0.0.7"


def following(port: int, device: dr.DeviceEntry, **changes: Any) -> dict[str, Any]:
    """Return what the form gives for a forward that follows a device."""
    data = forward_data(port, device=device.id, **changes)
    del data["internal_host"]
    return data


@pytest.fixture
def camera(hass: HomeAssistant) -> dr.DeviceEntry:
    """A camera at .5 and a disk elsewhere, which a router's integration tracks."""
    add_tracker(hass, "camera")
    add_tracker(hass, "nas")
    track(hass, "camera", CAMERA, FIVE)
    track(hass, "nas", NAS, "127.0.0.9")
    return add_device(hass, "Front camera", CAMERA)


@pytest.fixture
async def closed(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int, camera: dr.DeviceEntry
) -> MockConfigEntry:
    """A router with a forward that follows the camera."""
    add_forward(hass, entry, following(external_port, camera))
    await set_up(hass, entry)
    return entry


@pytest.fixture
async def opened(
    hass: HomeAssistant, closed: MockConfigEntry, router: VirtualRouter
) -> MockConfigEntry:
    """The same, open."""
    await switch(hass, "turn_on")
    assert hosts(router) == [FIVE]
    router.requests.clear()
    return closed


@pytest.fixture
def told(opened: MockConfigEntry) -> list[tuple[str, str | None]]:
    """What happens to it from now on, and why."""
    heard: list[tuple[str, str | None]] = []

    @callback
    def listen(activity: Activity) -> None:
        heard.append((activity.kind, activity.reason))

    opened.runtime_data.async_listen(listen)
    return heard


def hosts(router: VirtualRouter) -> list[str]:
    return [mapping.internal_host for mapping in router.mappings]


async def settle(hass: HomeAssistant) -> None:
    await hass.async_block_till_done(wait_background_tasks=True)


def why(hass: HomeAssistant) -> tuple[str, str | None]:
    """Return what the event entity shows."""
    event = hass.states.get("event.camera_activity")
    assert event
    return event.attributes["event_type"], event.attributes.get("reason")


async def refusal(hass: HomeAssistant) -> str | None:
    """Return why it cannot be opened."""
    with pytest.raises(HomeAssistantError) as raised:
        await switch(hass, "turn_on")
    return raised.value.translation_key


async def test_moves_at_once(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    told: list[tuple[str, str | None]],
) -> None:
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    assert hosts(router) == [SIX]
    assert told == [("moved", "device_moved")]
    assert why(hass) == ("moved", "device_moved")
    assert state_of(hass) == "on"
    assert phases(hass, opened) == ["open"]
    # Nothing had to be looked at before.
    assert router.requests["GetExternalIPAddress"] == 0
    assert router.requests["DeletePortMapping"] == 1
    assert router.requests["AddPortMapping"] == 1
    await refresh(hass, opened)
    assert hosts(router) == [SIX]
    await switch(hass, "turn_off")
    assert router.mappings == ()
    assert told[1:] == [("closed", "turned_off")]


async def test_leads_nowhere_before_it_leads_elsewhere(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    router.fault(Fault.SLOW_TO_ACT, action="AddPortMapping", delay=0.1)
    track(hass, "camera", CAMERA, SIX)
    await arrived(router, "AddPortMapping", 1)
    assert router.mappings == ()
    await settle(hass)
    assert hosts(router) == [SIX]


async def test_keeps_its_deadline(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    await hass.services.async_call(
        DOMAIN, "open", {"entity_id": "switch.camera", "duration": {"minutes": 10}}, blocking=True
    )
    [before] = opened.runtime_data.keeper.openings.values()
    freezer.tick(300)
    async_fire_time_changed(hass)
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    [after] = opened.runtime_data.keeper.openings.values()
    assert (after.deadline, after.opened_at) == (before.deadline, before.opened_at)
    assert hosts(router) == [SIX]
    freezer.tick(301)
    async_fire_time_changed(hass)
    await settle(hass)
    assert router.mappings == ()
    assert why(hass) == ("closed", "time_up")


async def test_keeps_the_source_that_it_was_opened_for(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    only = {"entity_id": "switch.camera", "allowed_source": "198.51.100.7"}
    await hass.services.async_call(DOMAIN, "open", only, blocking=True)
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    [mapping] = router.mappings
    assert (mapping.internal_host, mapping.remote_host) == (SIX, "198.51.100.7")
    assert why(hass) == ("moved", "device_moved")


async def test_locked_down_while_it_could_not_move(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    router.fault(Fault.DROP_BEFORE, times=None)
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    with suppress(HomeAssistantError):
        await switch(hass, "turn_on", "switch.virtual_router_lockdown")
    router.clear_faults()
    await refresh(hass, opened)
    assert router.mappings == ()
    assert why(hass) == ("closed", "lockdown")
    track(hass, "camera", CAMERA, SEVEN)
    await settle(hass)
    assert router.mappings == ()


async def test_moves_by_dhcp(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dhcp = await set_up_dhcp(hass, monkeypatch)
    add_forward(hass, entry, following(external_port, add_device(hass, "Front camera", CAMERA)))
    await set_up(hass, entry)
    assert await refusal(hass) == "device_address_unknown"
    dhcp.hear(CAMERA, FIVE, "camera")
    await switch(hass, "turn_on")
    assert hosts(router) == [FIVE]
    dhcp.hear(CAMERA, SIX, "camera")
    await settle(hass)
    assert hosts(router) == [SIX]
    # A scan finds a repeater, which answers for the camera behind it.
    for address in (SIX, "127.0.0.9"):
        dhcp.hear(REPEATER, address)
    await settle(hass)
    assert hosts(router) == [SIX]
    # The lease of the one is given to the other.
    dhcp.hear(NAS, SIX, "nas")
    await settle(hass)
    assert router.mappings == ()
    assert why(hass) == ("closed", "address_taken")
    assert await refusal(hass) == "address_taken"
    dhcp.hear(CAMERA, SEVEN, "camera")
    await switch(hass, "turn_on")
    assert hosts(router) == [SEVEN]


async def test_moved_while_home_assistant_was_off(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await stop_home_assistant(hass, opened)
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    assert hosts(router) == [FIVE]
    await set_up(hass, opened)
    assert hosts(router) == [SIX]
    assert why(hass) == ("moved", "device_moved")


async def test_stays_open_until_its_tracker_is_back(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await stop_home_assistant(hass, opened)
    forget(hass)
    await set_up(hass, opened)
    assert hosts(router) == [FIVE]
    assert state_of(hass) == "on"
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    assert hosts(router) == [SIX]


async def test_stranger_was_there_first_after_a_restart(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await stop_home_assistant(hass, opened)
    forget(hass)
    track(hass, "nas", NAS, FIVE)
    await set_up(hass, opened)
    assert router.mappings == ()
    assert why(hass) == ("closed", "address_taken")


async def test_stranger_has_its_address(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    told: list[tuple[str, str | None]],
) -> None:
    track(hass, "camera", CAMERA, FIVE, state="not_home")
    await settle(hass)
    assert hosts(router) == [FIVE]
    track(hass, "nas", NAS, FIVE)
    await settle(hass)
    assert router.mappings == ()
    assert told == [("closed", "address_taken")]
    assert state_of(hass) == "off"
    assert await refusal(hass) == "address_taken"


async def test_stranger_has_its_address_and_the_router_is_silent(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    router.fault(Fault.DROP_BEFORE, times=None)
    track(hass, "camera", CAMERA, FIVE, state="not_home")
    track(hass, "nas", NAS, FIVE)
    await settle(hass)
    assert hosts(router) == [FIVE]
    assert why(hass) == ("close_failed", "address_taken")
    router.clear_faults()
    await refresh(hass, opened)
    assert router.mappings == ()
    assert why(hass) == ("closed", "address_taken")


async def test_stranger_has_its_address_before_it_has_moved_there(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    """While a look closes what could not be closed, to make it again at the new address."""
    router.fault(Fault.DROP_BEFORE, times=None)
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    assert why(hass) == ("close_failed", "device_moved")
    router.requests.clear()
    router.clear_faults()
    router.fault(Fault.SLOW_TO_ACT, action="DeletePortMapping", delay=0.3)
    look = hass.async_create_task(opened.runtime_data.async_refresh())
    await arrived(router, "DeletePortMapping", 1)
    track(hass, "camera", CAMERA, SIX, state="not_home")
    track(hass, "nas", NAS, SIX)
    await look
    await settle(hass)
    assert router.mappings == ()
    await refresh(hass, opened)
    assert router.mappings == ()
    assert why(hass) == ("closed", "address_taken")


async def test_two_claim_one_address(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    told: list[tuple[str, str | None]],
) -> None:
    track(hass, "nas", NAS, FIVE)
    await settle(hass)
    assert router.mappings == ()
    assert told == [("closed", "address_taken")]
    assert await refusal(hass) == "address_conflict"
    track(hass, "nas", NAS, SIX)
    await switch(hass, "turn_on")
    assert hosts(router) == [FIVE]


async def test_moves_to_where_somebody_is(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    track(hass, "camera", CAMERA, "127.0.0.9")
    await settle(hass)
    assert router.mappings == ()
    assert why(hass) == ("closed", "address_taken")
    assert await refusal(hass) == "address_conflict"


async def test_flapping_tracker(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    for _ in range(50):
        for address in (SIX, FIVE):
            track(hass, "camera", CAMERA, address)
            await settle(hass)
    assert router.mappings == ()
    assert why(hass) == ("closed", "address_unsteady")
    assert router.requests["AddPortMapping"] == 3
    assert router.requests["DeletePortMapping"] == 4
    assert sum(router.requests.values()) < 40
    # Whoever opens it knows better, until it goes on.
    await switch(hass, "turn_on")
    assert hosts(router) == [FIVE]
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    assert hosts(router) == [SIX]


async def test_three_moves_in_five_minutes_are_no_trouble(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    for address in (SIX, SEVEN, FIVE):
        track(hass, "camera", CAMERA, address)
        await settle(hass)
        assert hosts(router) == [address]
    freezer.tick(301)
    for address in (SIX, SEVEN, FIVE):
        track(hass, "camera", CAMERA, address)
        await settle(hass)
        assert hosts(router) == [address]


async def test_storm_while_the_router_is_slow(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    router.fault(Fault.SLOW, action="DeletePortMapping", times=1, delay=0.1)
    for number in range(200):
        track(hass, "camera", CAMERA, f"127.0.1.{number + 1}")
    await settle(hass)
    assert hosts(router) == ["127.0.1.200"]
    assert router.requests["AddPortMapping"] <= 2


async def test_closed_it_is_not_moved(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    router.requests.clear()
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    assert sum(router.requests.values()) == 0
    await switch(hass, "turn_on")
    assert hosts(router) == [SIX]


async def test_moves_while_it_is_being_opened(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    router.requests.clear()
    router.fault(Fault.SLOW, action="AddPortMapping", times=1, delay=0.1)
    opening = hass.async_create_task(switch(hass, "turn_on"))
    await arrived(router, "AddPortMapping", 1)
    track(hass, "camera", CAMERA, SIX)
    await opening
    await settle(hass)
    assert hosts(router) == [SIX]


async def test_moves_while_it_waits_to_be_opened(
    hass: HomeAssistant,
    router: VirtualRouter,
    closed: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    """Its address was looked up before its turn came."""
    add_forward(hass, closed, forward_data(free_port(), internal_host=SEVEN), title="Garage")
    await settle(hass)
    router.requests.clear()
    router.fault(Fault.SLOW_TO_ACT, action="AddPortMapping", delay=1)
    first = hass.async_create_task(switch(hass, "turn_on", "switch.garage"))
    await arrived(router, "AddPortMapping", 1)
    # Switches are turned one by one; actions only wait for the router.
    second = hass.async_create_task(
        hass.services.async_call(DOMAIN, "open", {"entity_id": "switch.camera"}, blocking=True)
    )
    await until_one_waits(closed)
    track(hass, "camera", CAMERA, SIX)
    freezer.tick(2)  # for the router, which has not answered yet
    await first
    await second
    await settle(hass)
    assert hosts(router) == [SEVEN, SIX]


async def test_device_removed(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, camera: dr.DeviceEntry
) -> None:
    dr.async_get(hass).async_remove_device(camera.id)
    await settle(hass)
    assert router.mappings == ()
    assert why(hass) == ("closed", "device_gone")
    assert await refusal(hass) == "device_gone"
    [subentry] = opened.subentries.values()
    issue_id = f"host_lost_{subentry.subentry_id}"
    await refresh(hass, opened)
    assert ir.async_get(hass).async_get_issue(DOMAIN, issue_id)
    # Another one is chosen.
    another = add_device(hass, "Back camera", CAMERA)
    hass.config_entries.async_update_subentry(
        opened, subentry, data={**subentry.data, "device": another.id}
    )
    await settle(hass)
    assert not ir.async_get(hass).async_get_issue(DOMAIN, issue_id)
    await switch(hass, "turn_on")
    assert hosts(router) == [FIVE]


async def test_device_removed_while_home_assistant_was_off(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, camera: dr.DeviceEntry
) -> None:
    await stop_home_assistant(hass, opened)
    dr.async_get(hass).async_remove_device(camera.id)
    await set_up(hass, opened)
    assert router.mappings == ()
    assert why(hass) == ("closed", "device_gone")


async def test_device_left_the_network(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    track(hass, "camera", CAMERA, "198.51.100.7")
    await settle(hass)
    assert router.mappings == ()
    assert why(hass) == ("closed", "device_gone")
    assert await refusal(hass) == "host_outside"


async def test_close_of_the_old_fails_at_first(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    told: list[tuple[str, str | None]],
) -> None:
    """After a power cut devices ask for addresses before the router speaks UPnP."""
    router.fault(Fault.DROP_BEFORE, times=None)
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    assert hosts(router) == [FIVE]
    assert told == [("close_failed", "device_moved")]
    assert phases(hass, opened) == ["closing"]
    issues = ir.async_get(hass).issues
    assert [issue_id for _, issue_id in issues if issue_id.startswith("not_closed")]

    router.clear_faults()
    await refresh(hass, opened)
    assert hosts(router) == [SIX]
    assert told[1:] == [("moved", "device_moved")]
    assert not [issue_id for _, issue_id in issues if issue_id.startswith("not_closed")]


async def test_turned_off_while_the_old_could_not_be_closed(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    told: list[tuple[str, str | None]],
) -> None:
    router.fault(Fault.DROP_BEFORE, times=None)
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    router.clear_faults()
    await switch(hass, "turn_off")
    await refresh(hass, opened)
    assert router.mappings == ()
    assert told[1:] == [("closed", "turned_off")]


async def test_router_falls_silent_in_the_middle(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    told: list[tuple[str, str | None]],
) -> None:
    router.fault(Fault.DROP_BEFORE, action="AddPortMapping", times=None)
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    assert router.mappings == ()
    assert (told, phases(hass, opened), state_of(hass)) == ([], ["lost"], "off")

    router.clear_faults()
    await refresh(hass, opened)
    assert hosts(router) == [SIX]
    assert told == [("moved", "device_moved")]


@pytest.mark.parametrize("host", [SIX, SEVEN])
async def test_another_program_takes_the_port_in_the_middle(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
    told: list[tuple[str, str | None]],
    external_port: int,
    host: str,
) -> None:
    """Its mapping stays, even if it leads to the very same place."""
    router.fault(Fault.SLOW, action="DeletePortMapping", delay=0.1)
    track(hass, "camera", CAMERA, SIX)
    await arrived(router, "DeletePortMapping", 1)
    await router.add_foreign(
        protocol="TCP", external_port=external_port, internal_host=host, internal_port=8080
    )
    await settle(hass)
    assert told == [("closed", "not_restored")]
    await refresh(hass, opened)
    assert (hosts(router), phases(hass, opened)) == ([host], [])


async def test_edited_to_an_address(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry, external_port: int
) -> None:
    """Nothing but the host is another one, and yet no device has moved."""
    [subentry] = opened.subentries.values()
    hass.config_entries.async_update_subentry(
        opened, subentry, data=forward_data(external_port, internal_host=SIX)
    )
    await hass.async_block_till_done()
    assert hosts(router) == [SIX]
    assert why(hass)[0] == "opened"
    track(hass, "camera", CAMERA, SEVEN)
    track(hass, "nas", NAS, SIX)
    await settle(hass)
    assert hosts(router) == [SIX]


async def test_unloaded_it_follows_no_more(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await stop_home_assistant(hass, opened)
    track(hass, "camera", CAMERA, SIX)
    await settle(hass)
    assert sum(router.requests.values()) == 0
