"""The actions: what they do, what they answer, and whom they refuse."""

from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.auth.const import GROUP_ID_READ_ONLY
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import Fault, VirtualRouter, free_port

from .conftest import (
    add_forward,
    forward_data,
    make_entry,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)


@pytest.fixture
async def ready(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """An entry with two forwards, `switch.camera` (half an hour) and `switch.plex`."""
    half_an_hour = {"hours": 0, "minutes": 30, "seconds": 0}
    add_forward(
        hass, entry, forward_data(external_port, until_closed=False, close_after=half_an_hour)
    )
    add_forward(hass, entry, forward_data(free_port()), title="Plex")
    await set_up(hass, entry)
    return entry


async def call(
    hass: HomeAssistant, action: str, *, context: Context | None = None, **data: Any
) -> Any:  # noqa: ANN401  whatever is answered
    """Call an action as a script would, with its answer where it gives one."""
    return await hass.services.async_call(
        DOMAIN,
        action,
        data,
        blocking=True,
        context=context,
        return_response=action != "close",
    )


async def test_open_answers_where_and_until_when(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    ready: MockConfigEntry,
    external_port: int,
) -> None:
    answer = await call(hass, "open", entity_id="switch.camera", duration={"minutes": 5})
    deadline = dt_util.utcnow() + timedelta(minutes=5)
    assert answer == {
        "switch.camera": {
            "external_address": "203.0.113.7",
            "external_ports": str(external_port),
            "address": f"203.0.113.7:{external_port}",
            "ipv6_address": None,
            "deadline": deadline.isoformat(),
            "allowed_source": None,
        }
    }
    assert router.mappings[0].lease == 300


async def test_open_until_a_local_time(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, ready: MockConfigEntry
) -> None:
    await hass.config.async_set_time_zone("America/New_York")
    freezer.move_to("2026-03-08 06:30:00+00:00")  # half an hour before the clocks go forward
    answer = await call(hass, "open", entity_id="switch.camera", until="2026-03-08 03:30:00")
    assert answer["switch.camera"]["deadline"] == "2026-03-08T07:30:00+00:00"


async def test_open_without_a_time_uses_that_of_each_forward(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, ready: MockConfigEntry
) -> None:
    answer = await call(hass, "open", entity_id=["switch.camera", "switch.plex"])
    half_an_hour = dt_util.utcnow() + timedelta(minutes=30)
    assert answer["switch.camera"]["deadline"] == half_an_hour.isoformat()
    assert answer["switch.plex"]["deadline"] is None


async def test_close(hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry) -> None:
    await call(hass, "open", entity_id=["switch.camera", "switch.plex"])
    assert len(router.mappings) == 2
    await call(hass, "close", entity_id=["switch.camera", "switch.plex"])
    assert not router.mappings
    await call(hass, "close", entity_id="switch.camera")  # closed is closed


async def test_close_tries_all_before_it_fails(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry
) -> None:
    await call(hass, "open", entity_id=["switch.camera", "switch.plex"])
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=1)
    with pytest.raises(HomeAssistantError):
        await call(hass, "close", entity_id=["switch.camera", "switch.plex"])
    assert [state_of(hass), state_of(hass, "switch.plex")] == ["on", "off"]
    await refresh(hass, ready)
    assert not router.mappings


async def test_close_is_not_kept_from_one_router_by_another_that_is_away(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry
) -> None:
    await switch(hass, "turn_on")
    async with VirtualRouter() as other:
        away = await make_entry(hass, other)
        add_forward(hass, away, forward_data(free_port()), title="Attic")
        await set_up(hass, away)
    await refresh(hass, away)
    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, "close", entity_id=["switch.attic", "switch.camera"])
    assert raised.value.translation_key == "router_away"
    assert not router.mappings


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"duration": {"seconds": 0}}, "in_the_past"),
        ({"duration": "-00:05:00"}, "in_the_past"),
        ({"duration": {"days": 30, "seconds": 1}}, "too_long"),
        ({"duration": {"days": 999_999_999}}, "too_long"),
        ({"duration": {"days": 1e30}}, "too_long"),
        ({"until": "2020-01-01 00:00:00"}, "in_the_past"),
        ({"until": "0001-01-01 00:00:00+14:00"}, "in_the_past"),
        ({"until": "2099-01-01 00:00:00"}, "too_long"),
        ({"until": "9999-12-31 23:59:59"}, "too_long"),
        ({"until": "2099-01-01 00:00:00", "duration": {"hours": 1}}, "duration_and_until"),
        ({"entity_id": "switch.nothing"}, "no_port_forward"),
        ({"entity_id": "sensor.virtual_router_open_forwards"}, "no_port_forward"),
        ({"entity_id": "all"}, "no_target"),  # too many for one word
        ({"entity_id": [], "area_id": "kitchen"}, "no_target"),
    ],
)
async def test_bad_input_changes_nothing(
    hass: HomeAssistant,
    router: VirtualRouter,
    ready: MockConfigEntry,
    data: dict[str, Any],
    key: str,
) -> None:
    with pytest.raises(ServiceValidationError) as raised:
        await call(hass, "open", **({"entity_id": "switch.camera"} | data))
    assert raised.value.translation_key == key
    assert router.requests["AddPortMapping"] == 0
    assert state_of(hass) == "off"


@pytest.mark.parametrize("action", ["open", "close"])
async def test_a_router_that_is_away_is_told(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry, action: str
) -> None:
    await router.stop()
    await refresh(hass, ready)
    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, action, entity_id="switch.camera")
    assert raised.value.translation_key == "router_away"
    await stop_home_assistant(hass, ready)
    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, action, entity_id="switch.camera")
    assert raised.value.translation_key == "router_away"


async def test_whoever_may_not_control_the_switch_may_not_open(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry
) -> None:
    group = await hass.auth.async_get_group(GROUP_ID_READ_ONLY)
    assert group
    user = MockUser(groups=[group]).add_to_hass(hass)
    for user_id in (user.id, "somebody who was deleted"):
        with pytest.raises(Unauthorized):
            await call(hass, "open", entity_id="switch.camera", context=Context(user_id=user_id))
    assert router.requests["AddPortMapping"] == 0


async def test_list_mappings_tells_ours_from_foreign(
    hass: HomeAssistant, router: VirtualRouter, ready: MockConfigEntry, external_port: int
) -> None:
    await switch(hass, "turn_on")
    foreign_port = free_port()
    await router.add_foreign(
        protocol="UDP",
        external_port=foreign_port,
        internal_host="127.0.0.9",
        internal_port=3074,
        remote_host="198.51.100.7",
        description="Xbox",
    )
    answer = await call(hass, "list_mappings", config_entry_id=ready.entry_id)
    assert answer["external_address"] == "203.0.113.7"
    ours, foreign = sorted(answer["mappings"], key=lambda row: bool(row["foreign"]))
    assert ours["forward"] == "Camera"
    assert not ours["foreign"]
    assert (ours["protocols"], ours["external_ports"]) == (["tcp"], str(external_port))
    assert 0 < ours["lease"] <= 1800
    assert foreign == {
        "protocols": ["udp"],
        "external_ports": str(foreign_port),
        "internal_host": "127.0.0.9",
        "internal_ports": "3074",
        "allowed_source": "198.51.100.7",
        "enabled": True,
        "description": "Xbox",
        "lease": foreign["lease"],
        "hits": None,
        "foreign": True,
        "forward": None,
    }
    await router.stop()
    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, "list_mappings", config_entry_id=ready.entry_id)
    assert raised.value.translation_key == "not_listed"
