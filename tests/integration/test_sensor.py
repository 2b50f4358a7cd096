"""The sensors: when a forward closes, how many are open, and the address of the router."""

from datetime import timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from lab.virtual_router import Fault, Quirk, VirtualRouter, free_port

from .automating import open_for, pass_time
from .conftest import add_forward, forward_data, refresh, set_up, state_of, switch

CLOSES_AT = "sensor.camera_closes_at"
OPEN_FORWARDS = "sensor.virtual_router_open_forwards"
EXTERNAL_ADDRESS = "sensor.virtual_router_external_ip_address"


@pytest.fixture
async def half_an_hour(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """An entry with a forward that closes after half an hour."""
    data = forward_data(external_port, until_closed=False, close_after={"minutes": 30})
    add_forward(hass, entry, data)
    await set_up(hass, entry)
    return entry


def in_minutes(minutes: int) -> str:
    return (dt_util.utcnow().replace(microsecond=0) + timedelta(minutes=minutes)).isoformat()


async def test_closes_at_follows_the_deadline(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, half_an_hour: MockConfigEntry
) -> None:
    state = hass.states.get(CLOSES_AT)
    assert state
    assert (state.state, state.name) == ("unknown", "Camera Closes at")
    assert state.attributes["device_class"] == "timestamp"

    await switch(hass, "turn_on")
    assert state_of(hass, CLOSES_AT) == in_minutes(30)
    await pass_time(hass, freezer, minutes=10)
    assert state_of(hass, CLOSES_AT) == in_minutes(20)
    await open_for(hass, hours=2)
    assert state_of(hass, CLOSES_AT) == in_minutes(120)
    await switch(hass, "turn_off")
    assert state_of(hass, CLOSES_AT) == "unknown"

    await switch(hass, "turn_on")
    assert state_of(hass, CLOSES_AT) == in_minutes(30)
    await pass_time(hass, freezer, seconds=1801)
    assert (state_of(hass), state_of(hass, CLOSES_AT)) == ("off", "unknown")


async def test_closes_at_is_unknown_until_closed(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port, until_closed=True))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    assert (state_of(hass), state_of(hass, CLOSES_AT)) == ("on", "unknown")
    await open_for(hass, minutes=5)
    assert state_of(hass, CLOSES_AT) != "unknown"
    await switch(hass, "turn_on")  # which is until closed again
    assert state_of(hass, CLOSES_AT) == "unknown"
    await switch(hass, "turn_off")


async def test_closes_at_does_not_move_when_the_router_refuses(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    half_an_hour: MockConfigEntry,
) -> None:
    router.fault(Fault.HTTP_500_EMPTY, action="AddPortMapping")
    with pytest.raises(HomeAssistantError):
        await switch(hass, "turn_on")
    assert state_of(hass, CLOSES_AT) == "unknown"
    await switch(hass, "turn_on")
    router.fault(Fault.HTTP_500_EMPTY, action="AddPortMapping")
    with pytest.raises(HomeAssistantError):
        await open_for(hass, hours=2)
    assert state_of(hass, CLOSES_AT) == in_minutes(30)


async def test_closes_at_is_what_is_still_tried(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    half_an_hour: MockConfigEntry,
) -> None:
    """A port that should be closed by now and is not must not look as if it had no time."""
    router.quirks.add(Quirk.Q01)  # or its lease would end as well
    await switch(hass, "turn_on")
    deadline = in_minutes(30)
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=None)
    await pass_time(hass, freezer, seconds=1801)
    router.clear_faults()
    assert state_of(hass, CLOSES_AT) == deadline
    await pass_time(hass, freezer, seconds=2)
    assert state_of(hass, CLOSES_AT) == "unknown"


async def test_nobody_knows_when_a_mapping_of_another_program_closes(
    hass: HomeAssistant,
    router: VirtualRouter,
    half_an_hour: MockConfigEntry,
    external_port: int,
) -> None:
    await router.add_foreign(
        protocol="TCP",
        external_port=external_port,
        internal_host="127.0.0.5",
        internal_port=8080,
        description="somebody",
    )
    await refresh(hass, half_an_hour)
    assert (state_of(hass), state_of(hass, CLOSES_AT)) == ("on", "unknown")


async def test_without_the_router_nothing_is_known(
    hass: HomeAssistant, router: VirtualRouter, half_an_hour: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    deadline = state_of(hass, CLOSES_AT)
    router.fault(Fault.DROP_BEFORE, times=None)
    await refresh(hass, half_an_hour)
    for entity_id in (CLOSES_AT, OPEN_FORWARDS, EXTERNAL_ADDRESS):
        assert state_of(hass, entity_id) == "unavailable"
    router.clear_faults()
    await refresh(hass, half_an_hour)
    assert state_of(hass, CLOSES_AT) == deadline


async def test_open_forwards_are_counted(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int
) -> None:
    for name, port in (("Camera", external_port), ("Games", free_port())):
        add_forward(hass, entry, forward_data(port), title=name)
    await set_up(hass, entry)
    counted = [state_of(hass, OPEN_FORWARDS)]
    for service, name in (("on", "camera"), ("on", "games"), ("off", "camera"), ("off", "games")):
        await switch(hass, f"turn_{service}", f"switch.{name}")
        counted.append(state_of(hass, OPEN_FORWARDS))
    assert counted == ["0", "1", "2", "1", "0"]


async def test_external_address(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await set_up(hass, entry)
    assert state_of(hass, EXTERNAL_ADDRESS) == "203.0.113.7"
    router.wans[0].external_address = "198.51.100.99"
    await refresh(hass, entry)
    await refresh(hass, entry)  # asked for in turns with the state of the connection
    assert state_of(hass, EXTERNAL_ADDRESS) == "198.51.100.99"
    router.wans[0].external_address = ""
    await refresh(hass, entry)
    await refresh(hass, entry)
    assert state_of(hass, EXTERNAL_ADDRESS) == "unknown"
