"""The actions for foreign mappings, and what becomes of one that is made a port forward."""

from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.auth.const import GROUP_ID_USER
from homeassistant.components.repairs.const import DOMAIN as REPAIRS
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import Context, HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_capture_events,
)

from custom_components.port_forward.announce import EVENT_ACTIVITY
from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.foreign.sightings import EVENT_SIGHTING
from lab.virtual_router import VirtualRouter, free_port

from .adopt_home import UsersRouter, home_of, users_router
from .automating import pass_time
from .conftest import (
    add_forward,
    forward_data,
    ledger_of,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)
from .test_foreign import SENSOR, answer, asked, begin, choose, open_by_other
from .test_forward_flow import shown

NAS = "127.0.0.9"
DOOR = "switch.front_door"


@pytest.fixture
async def watched(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """An entry with a closed forward."""
    add_forward(hass, entry, forward_data(external_port))
    assert await async_setup_component(hass, REPAIRS, {})
    await set_up(hass, entry)
    return entry


async def call(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    action: str,
    port: int,
    *,
    context: Context | None = None,
    **data: Any,
) -> None:
    """Call an action for the mapping of a port, as a script would."""
    data = {
        "config_entry_id": entry.entry_id,
        "protocol": "tcp",
        "external_ports": str(port),
        **data,
    }
    await hass.services.async_call(DOMAIN, action, data, blocking=True, context=context)
    await hass.async_block_till_done()


async def test_close(hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry) -> None:
    await open_by_other(router, 8080)
    await call(hass, watched, "close_mapping", 8080)
    assert not router.mappings
    assert state_of(hass, SENSOR) == "0"
    assert not asked(hass)


async def test_closed_and_opened_again_is_new(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    """Though it was there when the router was added."""
    await open_by_other(router, 8080)
    await set_up(hass, entry)
    await call(hass, entry, "close_mapping", 8080)
    await open_by_other(router, 8080)
    await refresh(hass, entry)
    assert len(asked(hass)) == 1


@pytest.mark.parametrize("action", ["close_mapping", "adopt_mapping"])
async def test_only_for_administrators(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry, action: str
) -> None:
    user = MockUser(
        groups=[await hass.auth.async_get_group(GROUP_ID_USER)]  # type: ignore[list-item]
    ).add_to_hass(hass)
    await open_by_other(router, 8080)
    with pytest.raises(Unauthorized):
        await call(hass, watched, action, 8080, context=Context(user_id=user.id))
    assert len(router.mappings) == 1
    assert len(watched.subentries) == 1


@pytest.mark.parametrize("action", ["close_mapping", "adopt_mapping"])
async def test_what_is_ours_is_refused(
    hass: HomeAssistant,
    router: VirtualRouter,
    watched: MockConfigEntry,
    external_port: int,
    action: str,
) -> None:
    await switch(hass, "turn_on")
    with pytest.raises(ServiceValidationError, match="This is the port mapping of Camera"):
        await call(hass, watched, action, external_port)
    assert len(router.mappings) == 1
    assert state_of(hass) == "on"


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"external_ports": "8081"}, "mapping_unknown"),
        ({"protocol": "udp"}, "mapping_unknown"),
        ({"protocol": "both"}, "mapping_unknown"),
        ({"internal_host": "other.lan"}, "mapping_unknown"),
        ({}, "mapping_ambiguous"),
    ],
)
async def test_just_one_must_be_meant(
    hass: HomeAssistant,
    router: VirtualRouter,
    watched: MockConfigEntry,
    data: dict[str, Any],
    key: str,
) -> None:
    await open_by_other(router, 8080)
    await open_by_other(router, 8080, remote_host="198.51.100.7", internal_host="nas.lan")
    with pytest.raises(ServiceValidationError) as raised:
        await call(hass, watched, "close_mapping", 8080, **data)
    assert raised.value.translation_key == key
    assert router.requests["DeletePortMapping"] == 0


@pytest.mark.parametrize("data", [{"internal_host": "nas.lan"}, {"allowed_source": "198.51.100.7"}])
async def test_one_of_two(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry, data: dict[str, Any]
) -> None:
    await open_by_other(router, 8080)
    await open_by_other(router, 8080, remote_host="198.51.100.7", internal_host="nas.lan")
    await call(hass, watched, "close_mapping", 8080, **data)
    assert [row.internal_host for row in router.mappings] == ["cam.lan"]


async def test_router_away(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    await router.stop()
    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, watched, "close_mapping", 8080)
    assert raised.value.translation_key == "not_listed"


async def test_adopted_mapping_is_ours_until_its_deadline(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    watched: MockConfigEntry,
    hass_admin_user: MockUser,
) -> None:
    port = free_port()
    await open_by_other(router, port, internal_host=NAS, lease=0)
    await refresh(hass, watched)
    sightings = async_capture_events(hass, EVENT_SIGHTING)
    told = async_capture_events(hass, EVENT_ACTIVITY)
    deadline = dt_util.utcnow() + timedelta(minutes=20)
    await call(
        hass,
        watched,
        "adopt_mapping",
        port,
        name="Front door",
        close_after={"minutes": 20},
        context=Context(user_id=hass_admin_user.id),
    )
    await pass_time(hass, freezer, seconds=1)
    assert state_of(hass, DOOR) == "on"
    assert state_of(hass, "sensor.front_door_closes_at") == deadline.isoformat(timespec="seconds")
    assert state_of(hass, SENSOR) == "0"
    assert not sightings, "it has not disappeared"
    assert not asked(hass)
    [opened] = told
    assert opened.data["kind"] == "opened"
    assert opened.data["user_id"] == hass_admin_user.id
    [row] = router.mappings
    assert 0 < row.lease <= 1200, "so that the router itself closes it in time"
    assert (row.internal_host, row.internal_port) == (NAS, 80)
    assert router.requests["DeletePortMapping"] == 0, "it was open all the time"

    await pass_time(hass, freezer, minutes=20)
    assert not router.mappings
    assert state_of(hass, DOOR) == "off"
    assert told[-1].data["reason"] == "time_up"


async def test_adopt_by_the_repair(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    port = free_port()
    await open_by_other(router, port, internal_host=NAS, description="Front\ndoor")
    await refresh(hass, watched)
    step = await answer(hass, "adopt")
    assert (step["type"], step["step_id"]) == (FlowResultType.FORM, "adopt")
    assert step["data_schema"]
    quarter = {"days": 0, "hours": 0, "minutes": 15, "seconds": 0}
    assert shown(step) == {"name": "Front door", "close_after": quarter}, "a risk closes sooner"
    told = (step["description_placeholders"] or {})["risks"]
    assert "Web page without TLS" in told
    times: dict[str, Any] = {"close_after": {"hours": 1}, "until_closed": True}
    step = await choose(hass, step, name="Front door", **times)
    assert step["errors"] == {"confirmed": "not_confirmed"}
    [other] = watched.subentries
    times["confirmed"] = True
    refused = await choose(hass, step, name=" ", **times)
    assert refused["errors"] == {"base": "refused"}
    assert "Give the forward a name" in (refused["description_placeholders"] or {})["error"]
    step = await choose(hass, refused, name="Front door", **times)
    assert step["type"] is FlowResultType.CREATE_ENTRY
    assert state_of(hass, DOOR) == "on"
    assert [row["deadline"] for row in ledger_of(hass, watched)["openings"]] == [None]
    assert not asked(hass)
    [subentry] = (row for key, row in watched.subentries.items() if key != other)
    assert "confirmed" not in subentry.data


async def test_adopt_what_is_not_risky_by_the_repair(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    await open_by_other(router, free_port(), internal_host=NAS, internal_port=8080)
    await refresh(hass, watched)
    step = await answer(hass, "adopt")
    assert "close_after" not in shown(step)
    assert (step["description_placeholders"] or {})["risks"] == ""


@pytest.mark.parametrize(("leads_to", "minutes"), [(80, 15), (8080, 60)])
async def test_adopted_without_a_time(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    watched: MockConfigEntry,
    leads_to: int,
    minutes: int,
) -> None:
    port = free_port()
    await open_by_other(router, port, internal_host=NAS, internal_port=leads_to, lease=0)
    await refresh(hass, watched)
    await call(hass, watched, "adopt_mapping", port, name="Front door")
    deadline = dt_util.utcnow() + timedelta(minutes=minutes)
    assert state_of(hass, "sensor.front_door_closes_at") == deadline.isoformat(timespec="seconds")


async def test_adopting_needs_a_free_port(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry, external_port: int
) -> None:
    await open_by_other(router, external_port, internal_host="127.0.0.6")
    with pytest.raises(ServiceValidationError, match="already used by “Camera”"):
        await call(hass, watched, "adopt_mapping", external_port)
    assert len(watched.subentries) == 1


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"internal_port": 0}, "cannot become a port forward"),
        ({"internal_host": "xbox.lan"}, "xbox.lan"),
        ({"internal_host": "203.0.113.99", "enabled": False}, "not a device in the network"),
        ({"internal_host": "0.0.0.0", "enabled": False}, "not a device in the network"),  # noqa: S104
        ({"internal_host": NAS, "remote_host": "*", "enabled": False}, "cannot become"),
    ],
)
async def test_what_cannot_be_a_forward_is_not_adopted(
    hass: HomeAssistant,
    router: VirtualRouter,
    watched: MockConfigEntry,
    name_server: dict[str, list[str]],
    row: dict[str, Any],
    error: str,
) -> None:
    await open_by_other(router, 8080, **({"internal_host": "cam.lan"} | row))
    with pytest.raises(HomeAssistantError, match=error):
        await call(hass, watched, "adopt_mapping", 8080)
    assert len(watched.subentries) == 1
    assert len(router.mappings) == 1


async def test_a_name_is_not_pinned_to_what_it_means_now(
    hass: HomeAssistant,
    router: VirtualRouter,
    watched: MockConfigEntry,
    name_server: dict[str, list[str]],
) -> None:
    """The router says a name: what it leads to is the router's affair."""
    name_server["xbox.lan"] = ["127.0.0.7"]
    await open_by_other(router, 8080, internal_host="xbox.lan")
    with pytest.raises(ServiceValidationError) as raised:
        await call(hass, watched, "adopt_mapping", 8080)
    assert raised.value.translation_key == "mapping_no_forward"


async def test_gone_before_it_is_taken_over(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    port = free_port()
    await open_by_other(router, port, internal_host=NAS)
    await refresh(hass, watched)
    foreign = watched.runtime_data.foreign
    await foreign.async_expect("unheard-of", None, None)
    assert foreign._taking_over
    await hass.config_entries.async_reload(watched.entry_id)
    await hass.async_block_till_done()
    assert not watched.runtime_data.foreign._taking_over, "Home Assistant died before it was added"
    assert len(asked(hass)) == 1
    assert len(router.mappings) == 1


async def test_killed_before_it_is_taken_over(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    watched: MockConfigEntry,
) -> None:
    """The forward is there, its opening is not yet: its time goes on from when it was said."""
    port = free_port()
    await open_by_other(router, port, internal_host=NAS)
    await refresh(hass, watched)
    foreign = watched.runtime_data.foreign
    subentry = ConfigSubentry(
        data=MappingProxyType(forward_data(port, internal_host=NAS, internal_ports="80")),
        subentry_type="forward",
        title="Front door",
        unique_id=None,
    )
    await foreign.async_expect(subentry.subentry_id, dt_util.utcnow() + timedelta(minutes=5), None)
    await stop_home_assistant(hass, watched)
    hass.config_entries.async_add_subentry(watched, subentry)
    await set_up(hass, watched)
    assert state_of(hass, DOOR) == "on"
    await pass_time(hass, freezer, minutes=5, seconds=1)
    assert state_of(hass, DOOR) == "off"
    assert not router.mappings


async def test_adopted_in_lockdown_is_closed(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    port = free_port()
    await switch(hass, "turn_on", "switch.virtual_router_lockdown")
    await open_by_other(router, port, internal_host=NAS)
    await refresh(hass, watched)
    assert len(router.mappings) == 1, "it is not ours"
    await call(hass, watched, "adopt_mapping", port, name="Front door")
    assert not router.mappings
    assert state_of(hass, DOOR) == "off"


@pytest.mark.parametrize("kind", ["openwrt", "mikrotik"])
async def test_adopt_a_rule_of_a_router_that_can_switch_it(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, kind: str
) -> None:
    async with users_router(kind) as router:
        assert isinstance(router, UsersRouter)
        home = await home_of(hass, router)
        await router.by_hand(enabled=True)
        await refresh(hass, home.entry)
        [issue] = [i for i in ir.async_get(hass).issues.values() if i.is_fixable]
        assert issue.translation_key == "foreign_mapping"
        before = router.rule
        await call(hass, home.entry, "adopt_mapping", router.port, close_after={"minutes": 10})
        assert state_of(hass, "switch.nas") == "on"
        await pass_time(hass, freezer, minutes=10, seconds=1)
        assert (state_of(hass, "switch.nas"), router.is_on) == ("off", False)
        assert router.rule == before, "and it is still there"
        await stop_home_assistant(hass, home.entry)


@pytest.mark.parametrize("kind", ["mikrotik", "unifi", "opnsense"])
async def test_close_switches_a_rule_off_where_that_can_be(hass: HomeAssistant, kind: str) -> None:
    async with users_router(kind) as router:
        home = await home_of(hass, router, enabled=True)
        before = router.rule
        await call(hass, home.entry, "close_mapping", router.port)
        assert (router.is_on, router.rule) == (False, before)
        await stop_home_assistant(hass, home.entry)


async def test_the_flow_of_a_router_that_is_gone(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    await open_by_other(router, 8080)
    await refresh(hass, watched)
    [issue] = asked(hass)
    step = await begin(hass, issue)
    await stop_home_assistant(hass, watched)
    step = await choose(hass, step, next_step_id="accept")
    assert (step["type"], step["reason"]) == (FlowResultType.ABORT, "failed")
