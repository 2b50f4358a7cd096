"""What others have open on the router: seen, told, asked about, closed, accepted."""

from typing import Any

import pytest
from homeassistant.components.repairs import RepairsFlowResult
from homeassistant.components.repairs.const import DOMAIN as REPAIRS
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import Event, HomeAssistant, State
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.foreign.issues import MOST_ISSUES
from custom_components.port_forward.foreign.sightings import EVENT_SIGHTING
from custom_components.port_forward.foreign.telling import MOST_TOLD
from custom_components.port_forward.logbook import sentence_of_sighting
from lab.virtual_router import Fault, Quirk, VirtualRouter, free_port

from .automating import automate, device_of
from .conftest import (
    add_forward,
    forward_data,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)

SENSOR = "sensor.virtual_router_foreign_mappings"
EVENT = "event.virtual_router_foreign_mappings"
HOST = "cam.lan"
EVERYBODY = "0.0.0.0"  # noqa: S104  a spelling, nothing is bound


@pytest.fixture
async def watched(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """An entry with a closed forward, and a console that was there before."""
    await open_by_other(router, 3074, description="Console")
    add_forward(hass, entry, forward_data(external_port))
    assert await async_setup_component(hass, REPAIRS, {})
    await set_up(hass, entry)
    return entry


async def open_by_other(router: VirtualRouter, port: int, **changes: Any) -> None:
    """Map as another device would, to a name: so the port need not be free on this machine."""
    row: dict[str, Any] = {
        "protocol": "TCP",
        "external_port": port,
        "internal_host": HOST,
        "internal_port": 80,
        "description": "Cam",
        **changes,
    }
    await router.add_foreign(**row)


def shown(hass: HomeAssistant, entity_id: str = SENSOR) -> State:
    state = hass.states.get(entity_id)
    assert state
    return state


def asked(hass: HomeAssistant) -> list[ir.IssueEntry]:
    """Return the issues about foreign mappings."""
    return [
        issue
        for (domain, issue_id), issue in ir.async_get(hass).issues.items()
        if domain == DOMAIN and issue_id.startswith("foreign_") and issue.active
    ]


async def begin(hass: HomeAssistant, issue: ir.IssueEntry) -> RepairsFlowResult:
    """Open the repair."""
    manager = hass.data[REPAIRS]["flow_manager"]
    result: RepairsFlowResult = await manager.async_init(
        DOMAIN, context={"issue_id": issue.issue_id}
    )
    return result


async def choose(hass: HomeAssistant, step: RepairsFlowResult, **values: Any) -> RepairsFlowResult:
    """Choose from the menu, or fill in the form."""
    manager = hass.data[REPAIRS]["flow_manager"]
    result: RepairsFlowResult = await manager.async_configure(step["flow_id"], values)
    await hass.async_block_till_done()
    return result


async def answer(hass: HomeAssistant, option: str) -> RepairsFlowResult:
    """Answer the only repair that there is."""
    [issue] = asked(hass)
    step = await begin(hass, issue)
    assert step["type"] is FlowResultType.MENU
    assert step["menu_options"] == ["close", "adopt", "accept"]
    return await choose(hass, step, next_step_id=option)


def kinds(events: list[Event[dict[str, Any]]]) -> list[str]:
    return [event.data["kind"].removeprefix("foreign_mapping_") for event in events]


async def test_the_first_look_is_a_baseline(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    state = shown(hass)
    assert state.state == "1"
    assert state.attributes["mappings"] == [
        {
            "protocol": "tcp",
            "external_ports": "3074",
            "internal_host": HOST,
            "internal_ports": "80",
            "allowed_source": "",
            "description": "Console",
            "enabled": True,
            "accepted": True,
            "device": None,
        }
    ]
    assert (state.attributes["more"], state.attributes["complete"]) == (0, True)
    assert not asked(hass)
    assert shown(hass, EVENT).state == "unknown"


async def test_appears_and_disappears(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    told = async_capture_events(hass, EVENT_SIGHTING)
    await open_by_other(router, 8080)
    await refresh(hass, watched)
    assert state_of(hass, SENSOR) == "2"
    assert not shown(hass).attributes["mappings"][1]["accepted"]
    event = shown(hass, EVENT).attributes
    assert event["event_type"] == "foreign_mapping_appeared"
    assert (event["external_ports"], event["internal_host"]) == ("8080", HOST)
    assert (event["description"], event["protocol"], event["more"]) == ("Cam", "tcp", 0)
    [issue] = asked(hass)
    assert issue.is_fixable
    assert issue.translation_placeholders == {
        "ports": "8080",
        "protocol": "TCP",
        "router": "Virtual Router",
        "target": f"`{HOST}:80`",
        "source": "`*`",
        "description": "`Cam`",
    }

    await refresh(hass, watched)
    assert kinds(told) == ["appeared"], "told once"
    await router.remove("TCP", 8080)
    await refresh(hass, watched)
    assert kinds(told) == ["appeared", "disappeared"]
    assert not asked(hass)


async def test_the_console_comes_and_goes(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    told = async_capture_events(hass, EVENT_SIGHTING)
    for _ in range(2):
        await router.remove("TCP", 3074)
        await refresh(hass, watched)
        assert state_of(hass, SENSOR) == "0"
        await open_by_other(router, 3074, description="Console")
        await refresh(hass, watched)
    assert not told
    await router.remove("TCP", 3074)
    await open_by_other(router, 3074, description="Console", internal_port=22)
    await refresh(hass, watched)
    assert kinds(told) == ["appeared"], "it leads elsewhere"


async def test_ours_is_not_foreign(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry, external_port: int
) -> None:
    await switch(hass, "turn_on")
    await refresh(hass, watched)
    assert state_of(hass, SENSOR) == "1"
    await switch(hass, "turn_off")
    # Another program opens exactly what the forward would: its switch shows that.
    await open_by_other(router, external_port, internal_host="127.0.0.5", internal_port=8080)
    await refresh(hass, watched)
    # It shows as on, but nobody here has opened it.
    assert (state_of(hass), state_of(hass, SENSOR)) == ("on", "2")
    assert [issue.translation_key for issue in asked(hass)] == ["opened_by_others"]


async def test_an_imitation_is_foreign(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry, external_port: int
) -> None:
    """Our own name and tag, on our very port: but it leads to another device."""
    await switch(hass, "turn_on")
    [ours] = router.mappings[1:]
    await switch(hass, "turn_off")
    await open_by_other(router, external_port, description=ours.description)
    await refresh(hass, watched)
    assert (state_of(hass), state_of(hass, SENSOR)) == ("off", "2")
    assert len(asked(hass)) == 1
    await answer(hass, "close")
    assert [row.description for row in router.mappings] == ["Console"]


async def test_a_foreign_row_beside_ours(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry, external_port: int
) -> None:
    """Another spelling of "everybody" makes a second row of our key (Q18): only that is closed."""
    router.quirks.add(Quirk.Q18)
    await switch(hass, "turn_on")
    await open_by_other(router, external_port, remote_host=EVERYBODY)
    await refresh(hass, watched)
    assert (state_of(hass), len(asked(hass))) == ("on", 1)
    await answer(hass, "close")
    assert [row.internal_host for row in router.mappings] == [HOST, "127.0.0.5"]
    await refresh(hass, watched)
    assert (state_of(hass), asked(hass)) == ("on", [])


async def test_two_spellings_of_one_rule_are_closed_together(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    router.quirks.add(Quirk.Q18)
    await open_by_other(router, 8080)
    await open_by_other(router, 8080, remote_host=EVERYBODY)
    await refresh(hass, watched)
    assert (await answer(hass, "close"))["type"] is FlowResultType.CREATE_ENTRY
    assert [row.external_port for row in router.mappings] == [3074]


async def test_close(hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry) -> None:
    await open_by_other(router, 8080)
    await refresh(hass, watched)
    result = await answer(hass, "close")
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert [row.external_port for row in router.mappings] == [3074]
    assert not asked(hass)
    assert state_of(hass, SENSOR) == "1"
    await open_by_other(router, 8080)
    await refresh(hass, watched)
    assert len(asked(hass)) == 1, "nobody has accepted it"


async def test_changed_meanwhile_is_not_touched(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    await open_by_other(router, 8080)
    await refresh(hass, watched)
    [issue] = asked(hass)
    step = await begin(hass, issue)
    await router.remove("TCP", 8080)
    await open_by_other(router, 8080, internal_host="nas.lan")
    step = await choose(hass, step, next_step_id="close")
    assert (step["type"], step["reason"]) == (FlowResultType.ABORT, "failed")
    assert "has changed" in (step["description_placeholders"] or {})["error"]
    assert len(router.mappings) == 2
    assert router.requests["DeletePortMapping"] == 0


async def test_close_that_fails_is_told(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    await open_by_other(router, 8080)
    await refresh(hass, watched)
    router.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping", times=1)
    result = await answer(hass, "close")
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "failed")
    assert len(asked(hass)) == 1, "and it can be tried again"
    await answer(hass, "close")
    assert not asked(hass)


async def test_router_away_while_answering(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    await open_by_other(router, 8080)
    await refresh(hass, watched)
    await router.stop()
    for option in ("close", "adopt", "accept"):
        result = await answer(hass, option)
        assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "failed")


async def test_accept_outlives_a_restart(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    await open_by_other(router, 8080)
    await refresh(hass, watched)
    await answer(hass, "accept")
    assert not asked(hass)
    assert shown(hass).attributes["mappings"][1]["accepted"]
    told = async_capture_events(hass, EVENT_SIGHTING)
    await hass.config_entries.async_reload(watched.entry_id)
    await hass.async_block_till_done()
    assert not told
    assert not asked(hass)


async def test_what_came_while_home_assistant_was_off(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    await open_by_other(router, 8080)
    await refresh(hass, watched)
    told = async_capture_events(hass, EVENT_SIGHTING)
    await stop_home_assistant(hass, watched)
    await open_by_other(router, 8081)
    await set_up(hass, watched)
    assert [event.data["external_ports"] for event in told] == ["8081"], "the other was told before"
    assert shown(hass, EVENT).attributes["external_ports"] == "8081"
    assert len(asked(hass)) == 2


async def test_memory_that_cannot_be_read(
    hass: HomeAssistant,
    router: VirtualRouter,
    watched: MockConfigEntry,
    hass_storage: dict[str, Any],
) -> None:
    await stop_home_assistant(hass, watched)
    hass_storage[f"{DOMAIN}.{watched.entry_id}.foreign"]["data"] = {"memory": 5}
    await set_up(hass, watched)
    assert len(asked(hass)) == 1, "rather asked about once more than taken for granted"


async def test_rules_that_are_off_open_nothing(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    await open_by_other(router, 8080, enabled=False)
    await refresh(hass, watched)
    assert state_of(hass, SENSOR) == "2"
    assert not asked(hass)
    await open_by_other(router, 8080)
    await refresh(hass, watched)
    assert len(asked(hass)) == 1


async def test_triggers(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    told = async_capture_events(hass, "automation_ran")
    await automate(
        hass,
        f"""
        triggers:
          - trigger: port_forward.foreign_mapping_appeared
            target:
              device_id: {device_of(hass, EVENT)}
          - trigger: port_forward.foreign_mapping_disappeared
            target:
              entity_id: {SENSOR}
          - trigger: port_forward.foreign_mapping_appeared
            target:
              device_id: {device_of(hass, "switch.camera")}
        """,
    )
    # Anybody can fire that.
    hass.bus.async_fire(EVENT_SIGHTING, {"kind": "foreign_mapping_appeared"})
    await open_by_other(router, 8080)
    await refresh(hass, watched)
    assert len(told) == 1, "and the forward's device is not the router"
    assert told[0].data["entity_id"] == EVENT
    await router.remove("TCP", 8080)
    await refresh(hass, watched)
    assert len(told) == 2


async def test_many_at_once(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    told = async_capture_events(hass, EVENT_SIGHTING)
    for port in range(20000, 20060):
        await open_by_other(router, port, enabled=True)
    await refresh(hass, watched)
    assert len(told) == MOST_TOLD + 1
    assert told[-1].data["more"] == 60 - MOST_TOLD
    assert told[-1].data["external_ports"] is None
    assert (state_of(hass, SENSOR), shown(hass).attributes["more"]) == ("61", 11)
    assert len(asked(hass)) == MOST_ISSUES + 1
    flood = next(issue for issue in asked(hass) if issue.translation_key == "foreign_flood")
    assert flood.translation_placeholders == {"count": "60", "router": "Virtual Router"}

    step = await begin(hass, flood)
    assert step["type"] is FlowResultType.FORM
    step = await choose(hass, step)
    assert step["type"] is FlowResultType.CREATE_ENTRY
    assert not asked(hass)
    assert all(row["accepted"] for row in shown(hass).attributes["mappings"])


async def test_the_flood_ends(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    for port in range(20000, 20012):
        await open_by_other(router, port)
    await refresh(hass, watched)
    assert len(asked(hass)) == MOST_ISSUES + 1
    await router.remove("TCP", 20003)
    await router.remove("TCP", 20004)
    await refresh(hass, watched)
    assert {issue.translation_key for issue in asked(hass)} == {"foreign_mapping"}
    assert len(asked(hass)) == MOST_ISSUES


async def test_closing_what_the_router_does_not_find(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry, external_port: int
) -> None:
    """This one shows a spelling of "everybody" that it takes for another one when asked."""
    await open_by_other(router, 8080, remote_host=EVERYBODY)
    await refresh(hass, watched)
    result = await answer(hass, "close")
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "failed")
    assert len(asked(hass)) == 1


@pytest.mark.parametrize("how", ["disabled", "removed"])
async def test_nobody_asks_about_a_router_that_is_not_watched(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry, how: str
) -> None:
    for port in range(20000, 20012):
        await open_by_other(router, port)
    await refresh(hass, watched)
    if how == "disabled":
        await hass.config_entries.async_set_disabled_by(watched.entry_id, ConfigEntryDisabler.USER)
    else:
        await hass.config_entries.async_remove(watched.entry_id)
    await hass.async_block_till_done()
    assert not asked(hass)


async def test_a_router_that_lists_nothing_has_no_such_sensor(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    entities = er.async_entries_for_config_entry(er.async_get(hass), watched.entry_id)
    assert {SENSOR, EVENT} <= {entity.entity_id for entity in entities}


async def test_descriptions_cannot_act(
    hass: HomeAssistant,
    router: VirtualRouter,
    watched: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    evil = "`</b>[win](http://evil.example)\r\n2026 ERROR\x1b[0m\u202e" + "A" * 65536
    await open_by_other(router, free_port(), description=evil)
    await refresh(hass, watched)
    [issue] = asked(hass)
    written = (issue.translation_placeholders or {})["description"]
    assert written.startswith("`'</b>[win](http://evil.example) 2026 ERROR")
    assert written.count("`") == 2
    assert len(written) == 102
    answered: Any = await hass.services.async_call(
        DOMAIN,
        "list_mappings",
        {"config_entry_id": watched.entry_id},
        blocking=True,
        return_response=True,
    )
    for text in (
        shown(hass).attributes["mappings"][1]["description"],
        shown(hass, EVENT).attributes["description"],
        answered["mappings"][1]["description"],
    ):
        assert len(text) == 100
        assert text.isprintable()
    assert "evil" not in caplog.text
    await answer(hass, "close")
    assert len(router.mappings) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "now has the foreign mapping TCP 8080 to cam.lan:80 (Hall): Cam"),
        ({"device": None}, "now has the foreign mapping TCP 8080 to cam.lan:80: Cam"),
        ({"internal_ports": None, "description": ""}, "to cam.lan:? (Hall)"),
        ({"kind": "foreign_mapping_disappeared"}, "no longer has the foreign mapping TCP 8080"),
        ({"more": 40}, "now has 40 more foreign mappings"),
        ({"kind": "of a later version"}, "of a later version the foreign mapping TCP 8080"),
    ],
)
def test_sentences_of_the_logbook(changes: dict[str, Any], said: str) -> None:
    data = {
        "kind": "foreign_mapping_appeared",
        "protocol": "tcp",
        "external_ports": "8080",
        "internal_host": "cam.lan",
        "internal_ports": "80",
        "description": "Cam",
        "device": "Hall",
        "more": 0,
    }
    assert said in sentence_of_sighting(data | changes)
