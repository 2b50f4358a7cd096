"""A risky forward is kept only when the user has confirmed exactly that."""

from typing import Any

import pytest
from homeassistant.config_entries import SubentryFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from pytest_homeassistant_custom_component.common import MockConfigEntry

from lab.virtual_router import VirtualRouter
from tests.translations import rendered, texts

from .adopt_home import OnOpnsense, home_of, users_router
from .conftest import add_forward, forward_data, make_entry, set_up, state_of, stop_home_assistant
from .test_forward_flow import (
    ADOPTED_FILLED_IN,
    FILLED_IN,
    TYPED,
    assert_form,
    edit,
    message,
    shown,
    start,
    submit,
)

REMOTE_DESKTOP = TYPED | {"name": " Office ", "internal_ports": "3389", "external_ports": "50389"}
QUARTER = {"days": 0, "hours": 0, "minutes": 15, "seconds": 0}
HOUR = {"days": 0, "hours": 1, "minutes": 0, "seconds": 0}
UNTIL_CLOSED = f"\n\n{texts()['common.risk_until_closed']}"


def placeholder(step: SubentryFlowResult, key: str) -> str:
    placeholders = step["description_placeholders"]
    assert placeholders
    return placeholders[key]


def paragraph(danger: str, *names: str) -> str:
    return rendered(
        "common.risk_paragraph",
        {
            "names": ", ".join(texts()[f"common.risk_name_{name}"] for name in names),
            "why": texts()[f"common.risk_why_{danger}"],
            "safer": texts()[f"common.risk_safer_{danger}"],
        },
    )


async def confirm(
    hass: HomeAssistant, step: SubentryFlowResult, **values: Any
) -> SubentryFlowResult:
    """Tick the box, and leave all else as it stands there."""
    return await submit(hass, step, shown(step) | {"confirmed": True} | values)


async def test_nothing_is_kept_without_the_tick(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await set_up(hass, entry)
    step = await submit(hass, await start(hass, entry), REMOTE_DESKTOP)
    assert_form(step, "confirm_risk")
    assert placeholder(step, "name") == "`Office`"
    assert placeholder(step, "risks") == paragraph("remote_desktop", "remote_desktop")
    assert placeholder(step, "until_closed") == ""
    for values in ({}, {"confirmed": False}):
        step = await submit(hass, step, values)
        assert_form(step, "confirm_risk", {"confirmed": "not_confirmed"})
        assert "close this window" in message(step)
        assert not entry.subentries
    # And the window is closed.
    hass.config_entries.subentries.async_abort(step["flow_id"])
    await hass.async_block_till_done()
    assert not entry.subentries
    assert hass.states.get("switch.office") is None
    assert not router.requests["AddPortMapping"]


async def test_confirmed(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await set_up(hass, entry)
    step = await submit(hass, await start(hass, entry), REMOTE_DESKTOP)
    assert shown(step) == {"close_after": QUARTER, "until_closed": False, "admins_only": False}
    step = await confirm(hass, step, admins_only=True)
    assert step["type"] is FlowResultType.CREATE_ENTRY
    [subentry] = entry.subentries.values()
    assert subentry.title == "Office"
    assert subentry.data == {
        "internal_host": "127.0.0.5",
        "protocol": "tcp",
        "internal_ports": "3389",
        "external_ports": "50389",
        **FILLED_IN,
        "close_after": QUARTER,
        "admins_only": True,
    }
    assert state_of(hass, "switch.office") == "off"


async def test_a_time_that_was_chosen_stays(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    two_hours = {"days": 0, "hours": 2, "minutes": 0, "seconds": 0}
    typed: dict[str, Any] = REMOTE_DESKTOP | {"close_after": two_hours, "admins_only": True}
    step = await submit(hass, await start(hass, entry), typed)
    assert shown(step) == {"close_after": two_hours, "until_closed": False, "admins_only": True}
    # An hour is no less a choice when it is made here.
    await confirm(hass, step, close_after=HOUR)
    [subentry] = entry.subentries.values()
    assert (subentry.data["close_after"], subentry.data["admins_only"]) == (HOUR, True)


async def test_bad_input(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    step = await submit(hass, await start(hass, entry), REMOTE_DESKTOP)
    step = await confirm(hass, step, close_after={"hours": 0}, admins_only=True)
    assert_form(step, "confirm_risk", {"close_after": "close_after_out_of_range"})
    assert "at most 30 days" in message(step)
    assert shown(step)["admins_only"] is True
    step = await confirm(hass, step, close_after=QUARTER)
    assert step["type"] is FlowResultType.CREATE_ENTRY


async def test_until_closed_is_asked_twice(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    typed: dict[str, Any] = REMOTE_DESKTOP | {"until_closed": True}
    step = await submit(hass, await start(hass, entry), typed)
    assert placeholder(step, "until_closed") == UNTIL_CLOSED
    assert shown(step)["until_closed"] is False
    step = await submit(hass, step, {"until_closed": True})
    assert_form(step, "confirm_risk", {"confirmed": "not_confirmed"})
    assert shown(step)["until_closed"] is True, "what was ticked here stands"
    await confirm(hass, step)
    [subentry] = entry.subentries.values()
    assert subentry.data["until_closed"] is True

    typed = REMOTE_DESKTOP | {"until_closed": True, "external_ports": "50390"}
    await confirm(hass, await submit(hass, await start(hass, entry), typed))
    _, other = entry.subentries.values()
    assert (other.data["until_closed"], other.data["close_after"]) == (False, QUARTER)


async def test_all_risks_are_told(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    typed = TYPED | {"internal_ports": "22-80"}
    step = await submit(hass, await start(hass, entry), typed)
    assert placeholder(step, "risks") == "\n\n".join(
        (paragraph("ssh", "ssh"), paragraph("telnet", "telnet"), paragraph("web", "web"))
    )
    typed = TYPED | {"internal_ports": "3306", "external_ports": "443"}
    step = await submit(hass, await start(hass, entry), typed)
    assert placeholder(step, "risks") == paragraph("database", "mysql")


async def test_services_that_share_a_danger(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    typed = TYPED | {"internal_ports": "8000"}
    step = await submit(hass, await start(hass, entry), typed)
    assert placeholder(step, "risks") == paragraph("camera", "hikvision")
    typed = TYPED | {"internal_ports": "8000-8090"}
    step = await submit(hass, await start(hass, entry), typed)
    assert placeholder(step, "risks") == "\n\n".join(
        (paragraph("camera", "hikvision"), paragraph("database", "influxdb"))
    )
    typed = TYPED | {"internal_ports": "81-88"}
    step = await submit(hass, await start(hass, entry), typed)
    assert placeholder(step, "risks") == paragraph("camera", "foscam", "wificam")


@pytest.mark.parametrize(
    "typed", [{"internal_ports": "443"}, {"external_ports": "443"}, {"internal_ports": "1023"}]
)
async def test_a_privileged_port(
    hass: HomeAssistant, entry: MockConfigEntry, typed: dict[str, str]
) -> None:
    step = await submit(hass, await start(hass, entry), TYPED | typed)
    assert placeholder(step, "risks") == paragraph("privileged", "privileged")


async def test_the_router_itself(hass: HomeAssistant, name_server: dict[str, list[str]]) -> None:
    name_server["fritz.box"] = ["127.0.0.9"]
    async with VirtualRouter(lan_host="127.0.0.9") as router:
        entry = await make_entry(hass, router)
        for host in ("127.0.0.9", "fritz.box"):
            step = await submit(hass, await start(hass, entry), TYPED | {"internal_host": host})
            assert placeholder(step, "risks") == paragraph("administration", "router")
        await set_up(hass, entry)
        step = await submit(hass, await start(hass, entry), TYPED)
        assert step["type"] is FlowResultType.CREATE_ENTRY
        await stop_home_assistant(hass, entry)


async def test_the_port_is_taken_meanwhile(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """And what is chosen in its place is asked about anew."""
    step = await submit(hass, await start(hass, entry), REMOTE_DESKTOP)
    add_forward(hass, entry, forward_data(50389), title="Door")
    step = await confirm(hass, step, admins_only=True)
    assert_form(step, "user", {"external_ports": "ports_in_use"})
    assert shown(step)["close_after"] == QUARTER
    assert shown(step)["admins_only"] is True
    typed = shown(step) | {"external_ports": "50390", "internal_ports": "23"}
    step = await submit(hass, step, typed)
    assert_form(step, "confirm_risk")
    assert placeholder(step, "risks") == paragraph("telnet", "telnet")
    step = await confirm(hass, step)
    assert step["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Shell"},
        {"internal_host": "127.0.0.6"},
        {"external_ports": "50023"},
        {"close_after": {"hours": 3}},
        {"internal_ports": "8080"},
    ],
)
async def test_an_edit_that_is_no_riskier_is_not_asked_about(
    hass: HomeAssistant, entry: MockConfigEntry, change: dict[str, Any]
) -> None:
    """Also of a forward of an earlier version, which nobody has confirmed."""
    before = TYPED | {"internal_ports": "22", "external_ports": "50022"}
    subentry = add_forward(hass, entry, {k: v for k, v in before.items() if k != "name"})
    step = await edit(hass, entry, subentry)
    step = await submit(hass, step, before | change)
    assert (step["type"], step.get("reason")) == (FlowResultType.ABORT, "reconfigure_successful")


@pytest.mark.parametrize(
    ("change", "danger"),
    [
        ({"internal_ports": "3389"}, "remote_desktop"),
        ({"internal_ports": "22-23", "external_ports": "50022-50023"}, "ssh"),
        ({"until_closed": True}, "ssh"),
    ],
)
async def test_an_edit_that_is_riskier(
    hass: HomeAssistant, entry: MockConfigEntry, change: dict[str, Any], danger: str
) -> None:
    before = TYPED | {"internal_ports": "22", "external_ports": "50022"}
    subentry = add_forward(hass, entry, {k: v for k, v in before.items() if k != "name"})
    step = await submit(hass, await edit(hass, entry, subentry), before | change)
    assert_form(step, "confirm_risk")
    assert paragraph(danger, danger) in placeholder(step, "risks")
    assert (placeholder(step, "until_closed") == UNTIL_CLOSED) is ("until_closed" in change)
    assert subentry.data["internal_ports"] == "22"
    assert "until_closed" not in subentry.data
    step = await confirm(hass, step, until_closed="until_closed" in change)
    assert step["reason"] == "reconfigure_successful"
    assert subentry.data["internal_ports"] == change.get("internal_ports", "22")
    assert subentry.data["until_closed"] is ("until_closed" in change)
    assert subentry.data["close_after"] == QUARTER


@pytest.mark.parametrize("then", ["", "0.0.0.0/0"])
async def test_an_edit_that_lets_in_everybody(
    hass: HomeAssistant, entry: MockConfigEntry, then: str
) -> None:
    before = TYPED | {"internal_ports": "22", "allowed_source": "198.51.100.7"}
    subentry = add_forward(hass, entry, {k: v for k, v in before.items() if k != "name"})
    step = await submit(
        hass, await edit(hass, entry, subentry), before | {"allowed_source": "198.51.100.8"}
    )
    assert step["reason"] == "reconfigure_successful", "it is for some, as before"
    step = await submit(hass, await edit(hass, entry, subentry), before | {"allowed_source": then})
    assert_form(step, "confirm_risk")
    assert placeholder(step, "risks") == paragraph("ssh", "ssh")
    assert subentry.data["allowed_source"] == "198.51.100.8"
    step = await confirm(hass, step)
    assert step["reason"] == "reconfigure_successful"
    assert subentry.data.get("allowed_source", "") == then


async def test_an_existing_rule(hass: HomeAssistant) -> None:
    async with users_router("opnsense") as router:
        assert isinstance(router, OnOpnsense)
        home = await home_of(hass, router)
        router.firewall.table[router.uuid].update({"local-port": "22"})
        await router.apply()
        step = await home.rules()
        [rule] = step["data_schema"].schema["rule"].config["options"] if step["data_schema"] else []
        step = await home.submit(step, rule=rule["value"])
        step = await home.submit(step, name="Shell", close_after=HOUR, until_closed=False)
        assert_form(step, "confirm_risk")
        assert placeholder(step, "risks") == paragraph("ssh", "ssh")
        assert not home.entry.subentries
        assert shown(step)["close_after"] == QUARTER
        step = await home.submit(step, confirmed=True, **shown(step))
        assert step["type"] is FlowResultType.CREATE_ENTRY
        [subentry] = home.entry.subentries.values()
        kept = {key: value for key, value in subentry.data.items() if key != "adopted"}
        assert kept == {"close_after": QUARTER, "until_closed": False, **ADOPTED_FILLED_IN}

        step = await home.submit(await home.edit(), name="Disk", **kept)
        assert step["reason"] == "reconfigure_successful"
        typed = kept | {"until_closed": True}
        step = await home.submit(await home.edit(), name="Disk", **typed)
        assert_form(step, "confirm_risk")
        assert placeholder(step, "until_closed") == UNTIL_CLOSED
        step = await home.submit(step, **shown(step) | {"confirmed": True, "until_closed": True})
        assert step["reason"] == "reconfigure_successful"
        [subentry] = home.entry.subentries.values()
        assert subentry.data["until_closed"] is True
        await stop_home_assistant(hass, home.entry)
