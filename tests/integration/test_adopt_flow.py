"""Choosing which rule of the router becomes a forward, and editing what may be edited of it."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import VirtualRouter, free_port
from tests.translations import rendered

from .adopt_home import (
    ELSEWHERE,
    HERE,
    Home,
    OnOpnsense,
    OnUnifi,
    home_of,
    labels,
    opnsense_home,
    users_router,
)
from .conftest import add_forward, forward_data, set_up, state_of, stop_home_assistant, switch
from .test_forward_flow import ADOPTED_FILLED_IN, TYPED, assert_form, fields, message, shown, start

NEVER_CLOSES = "issues.router_does_not_close.description"


@pytest.fixture
async def home(hass: HomeAssistant) -> AsyncGenerator[Home[OnOpnsense]]:
    """A home with an OPNsense, whose rule is off."""
    async with opnsense_home(hass) as home:
        yield home


def data_of(home: Home[Any]) -> dict[str, Any]:
    """Return what the only forward is kept as."""
    [subentry] = home.entry.subentries.values()
    return dict(subentry.data)


def names(home: Home[Any]) -> list[str]:
    """Return what the forwards are called."""
    return [subentry.title for subentry in home.entry.subentries.values()]


async def test_a_rule(home: Home[OnOpnsense]) -> None:
    step = await home.begin()
    assert (step["type"], step["menu_options"]) == (FlowResultType.MENU, ["new", "adopt"])
    before = home.router.firewall.requests.copy()
    step = await home.submit(step, next_step_id="adopt")
    port = home.router.port
    assert list(labels(step).values()) == [f"NAS · TCP {port} → {HERE}:8080 · Off"]

    step = await home.submit(step, rule=next(iter(labels(step))))
    assert_form(step, "adopt_as")
    assert shown(step) == {"name": "NAS"}
    placeholders = step["description_placeholders"]
    assert placeholders
    assert placeholders["rule"] == f"`TCP {port} → {HERE}:8080`", "shown as Markdown"
    step = await home.submit(step, name=" Disk ", close_after={"hours": 2}, until_closed=False)
    assert step["type"] is FlowResultType.CREATE_ENTRY
    assert names(home) == ["Disk"]
    assert data_of(home) == {
        "adopted": {
            "protocols": ["tcp"],
            "external_ports": str(port),
            "internal_host": HERE,
            "internal_ports": "8080",
            "allowed_source": "",
            "id": home.router.uuid,
        },
        "close_after": {"hours": 2},
        "until_closed": False,
        **ADOPTED_FILLED_IN,
    }
    asked = home.router.firewall.requests - before
    assert not {"toggleRule", "setRule", "addRule", "delRule", "apply"} & set(asked)
    assert state_of(home.hass, "switch.disk") == "off"


async def test_a_rule_that_is_on_stays_on(hass: HomeAssistant) -> None:
    async with users_router("opnsense") as router:
        assert isinstance(router, OnOpnsense)
        home = await home_of(hass, router, enabled=True)
        [label] = labels(await home.rules()).values()
        assert label.endswith(" · On")
        await home.adopt()
        assert (home.state, router.is_on) == ("on", True)
        assert state_of(hass, "sensor.camera_closes_at") == "unknown"
        await stop_home_assistant(hass, home.entry)


async def test_a_new_forward_all_the_same(home: Home[OnOpnsense]) -> None:
    step = await home.submit(await home.begin(), next_step_id="new")
    assert_form(step, "user")
    assert shown(step) == {"internal_host": ""}
    step = await home.submit(step, **TYPED | {"internal_host": HERE, "internal_ports": "0"})
    assert_form(step, "user", {"internal_ports": "invalid_ports"})
    step = await home.submit(step, **TYPED | {"internal_host": HERE})
    assert step["type"] is FlowResultType.CREATE_ENTRY


async def test_a_rule_without_a_name_limited_to_some(home: Home[OnOpnsense]) -> None:
    fields = {"descr": "", "source": {"network": "198.51.100.0/24"}, "protocol": "tcp/udp"}
    port = free_port()
    await home.router.add_rule(destination={"network": "wanip", "port": str(port)}, **fields)
    step = await home.rules()
    told = f"TCP+UDP {port} → {HERE}:8080 (198.51.100.0/24)"
    key = next(key for key, label in labels(step).items() if label == f"{told} · On")
    step = await home.submit(step, rule=key)
    assert shown(step) == {"name": told}


async def test_what_cannot_be_taken_over(home: Home[OnOpnsense]) -> None:
    """What opens all ports, what is ours, and what is taken over already."""
    add_forward(home.hass, home.entry, forward_data(free_port(), internal_host=HERE), "Door")
    await home.hass.async_block_till_done()
    await switch(home.hass, "turn_on", "switch.door")
    await home.router.add_rule(destination={"network": "wanip", "port": "1-65535"})
    [label] = labels(await home.rules()).values()
    assert label.startswith("NAS")
    await home.adopt()
    step = await home.begin()
    assert_form(step, "user")
    await switch(home.hass, "turn_off", "switch.door")


async def test_a_rule_for_several_ranges_of_ports(hass: HomeAssistant) -> None:
    async with users_router("unifi") as router:
        assert isinstance(router, OnUnifi)
        home = await home_of(hass, router)
        await router.controller.change(router.id, dst_port="8000,9000", fwd_port="80,90")
        assert_form(await home.begin(), "user")
        await stop_home_assistant(hass, home.entry)


async def test_nothing_there(home: Home[OnOpnsense]) -> None:
    await home.router.delete()
    assert_form(await home.begin(), "user")


async def test_not_set_up(home: Home[OnOpnsense]) -> None:
    await stop_home_assistant(home.hass, home.entry)
    step = await home.begin()
    assert_form(step, "user")
    assert step["description_placeholders"] == {"note": ""}


async def test_a_router_whose_rules_cannot_be_switched(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await router.add_foreign(
        protocol="TCP", external_port=free_port(), internal_host=ELSEWHERE, internal_port=1
    )
    await set_up(hass, entry)
    step = await start(hass, entry)
    assert_form(step, "user")
    assert step["description_placeholders"] == {"note": ""}


async def test_the_form_says_that_the_router_never_closes(home: Home[OnOpnsense]) -> None:
    step = await home.submit(await home.begin(), next_step_id="new")
    assert step["description_placeholders"] == {"note": f"\n\n{rendered(NEVER_CLOSES)}"}


async def test_the_form_says_so_of_a_lease_that_is_not_proven(hass: HomeAssistant) -> None:
    """A FRITZ!Box may keep to its leases, which nobody has seen yet."""
    async with users_router("fritzbox") as router:
        home = await home_of(hass, router)
        step = await home.submit(await home.begin(), next_step_id="new")
        assert step["description_placeholders"] == {"note": f"\n\n{rendered(NEVER_CLOSES)}"}
        await stop_home_assistant(hass, home.entry)


async def test_a_rule_whose_port_a_forward_has(home: Home[OnOpnsense]) -> None:
    add_forward(home.hass, home.entry, forward_data(home.router.port, internal_host=HERE), "Door")
    await home.hass.async_block_till_done()
    step = await home.rules()
    step = await home.submit(step, rule=next(iter(labels(step))))
    assert_form(step, "adopt", {"base": "rule_in_use"})
    assert f"Port {home.router.port}" in message(step)
    assert "“Door”" in message(step)


async def test_taken_over_in_two_windows(home: Home[OnOpnsense]) -> None:
    step = await home.rules()
    step = await home.submit(step, rule=next(iter(labels(step))))
    await home.adopt()
    typed = {"name": "Again", "close_after": {"hours": 1}, "until_closed": False}
    step = await home.submit(step, **typed)
    assert_form(step, "adopt_as", {"base": "rule_in_use"})
    assert names(home) == ["Camera"]


async def test_two_rules_of_one_port(home: Home[OnOpnsense]) -> None:
    """The router has both: which of them is on is chosen with their switches."""
    await home.adopt()
    await home.router.add_rule(target=ELSEWHERE, disabled="1", descr="Other")
    await home.adopt(name="Other")
    assert names(home) == ["Camera", "Other"]
    await home.on()
    assert (home.state, state_of(home.hass, "switch.other")) == ("on", "off")
    await home.off()


async def test_a_forward_whose_port_a_rule_has(home: Home[OnOpnsense]) -> None:
    await home.adopt()
    typed = TYPED | {"internal_host": HERE, "external_ports": str(home.router.port)}
    step = await home.submit(await home.begin(), **typed)
    assert_form(step, "user", {"external_ports": "ports_in_use"})
    assert "“Camera”" in message(step)


@pytest.mark.parametrize(
    ("wrong", "field", "key"),
    [
        ({"name": " "}, "name", "name_empty"),
        ({"close_after": {"hours": 0}}, "close_after", "close_after_out_of_range"),
    ],
)
async def test_bad_input(
    home: Home[OnOpnsense], wrong: dict[str, Any], field: str, key: str
) -> None:
    good = {"name": "Camera", "close_after": {"hours": 1}, "until_closed": False}
    step = await home.rules()
    step = await home.submit(step, rule=next(iter(labels(step))))
    step = await home.submit(step, **good | wrong)
    assert_form(step, "adopt_as", {field: key})
    assert shown(step) == good | wrong | ADOPTED_FILLED_IN
    step = await home.submit(step, **good)
    assert step["type"] is FlowResultType.CREATE_ENTRY
    step = await home.submit(await home.edit(), **good | wrong)
    assert_form(step, "reconfigure_adopted", {field: key})


async def test_edit(home: Home[OnOpnsense]) -> None:
    await home.adopt()
    await home.on()
    adopted = data_of(home)["adopted"]
    step = await home.edit()
    assert_form(step, "reconfigure_adopted")
    times = {"close_after": {"hours": 1}, "until_closed": True}
    assert shown(step) == {"name": "Camera", **times, **ADOPTED_FILLED_IN}
    assert step["data_schema"]
    offered = [str(key) for key in fields(step["data_schema"])]
    optional = {"close_when_idle", "opened_by", "linger"}
    assert [key for key in offered if key not in optional] == list(shown(step))
    before = home.router.firewall.requests.copy()
    step = await home.submit(step, name="Disk", close_after={"hours": 3}, until_closed=False)
    assert step["reason"] == "reconfigure_successful"
    assert names(home) == ["Disk"]
    assert data_of(home) == {
        "adopted": adopted,
        "close_after": {"hours": 3},
        "until_closed": False,
        **ADOPTED_FILLED_IN,
    }
    assert home.entry.state is ConfigEntryState.LOADED
    assert (home.state, home.router.is_on) == ("on", True)
    asked = home.router.firewall.requests - before
    assert not {"toggleRule", "apply"} & set(asked), "a name and a time are no reason to close"
    await home.off()


async def test_what_is_listed(home: Home[OnOpnsense]) -> None:
    await home.adopt()
    answer = await home.hass.services.async_call(
        DOMAIN,
        "list_mappings",
        {"config_entry_id": home.entry.entry_id},
        blocking=True,
        return_response=True,
    )
    assert answer
    rows = answer["mappings"]
    assert isinstance(rows, list)
    [row] = rows
    assert isinstance(row, dict)
    assert (row["description"], row["foreign"], row["forward"]) == ("NAS", False, "Camera")
    assert row["enabled"] is False
