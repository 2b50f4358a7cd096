"""What is risky to open is kept from voice assistants until the user says otherwise."""

from types import MappingProxyType
from typing import Any

import pytest
from homeassistant.components.homeassistant.exposed_entities import (
    KNOWN_ASSISTANTS,
    async_expose_entity,
    async_should_expose,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.intent import IntentResponseErrorCode, IntentResponseType
from pytest_homeassistant_custom_component.common import MockConfigEntry

from lab.virtual_router import VirtualRouter

from .conftest import add_forward, forward_data, make_entry, set_up, state_of, stop_home_assistant
from .talking import say, set_up_assist, spoken

SSH = "switch.ssh"


def exposed_to(hass: HomeAssistant, entity_id: str = SSH) -> set[str]:
    """Return the assistants that may use an entity."""
    return {name for name in KNOWN_ASSISTANTS if async_should_expose(hass, name, entity_id)}


def expose_to_all(hass: HomeAssistant, entity_id: str = SSH) -> None:
    """Do what the user does in the dialog."""
    for assistant in KNOWN_ASSISTANTS:
        async_expose_entity(hass, assistant, entity_id, should_expose=True)
    assert exposed_to(hass, entity_id) == set(KNOWN_ASSISTANTS)


async def edit(hass: HomeAssistant, entry: MockConfigEntry, **changes: Any) -> None:
    """Change the only forward as its form would."""
    (subentry,) = entry.subentries.values()
    hass.config_entries.async_update_subentry(
        entry, subentry, data=MappingProxyType({**subentry.data, **changes})
    )
    await hass.async_block_till_done()


@pytest.fixture
async def ssh(hass: HomeAssistant, entry: MockConfigEntry, external_port: int) -> None:
    """Assist, and a forward that leads to port 22."""
    await set_up_assist(hass)
    add_forward(hass, entry, forward_data(external_port, internal_ports="22"), title="SSH")
    await set_up(hass, entry)


async def test_assist_does_not_open_it(
    hass: HomeAssistant, router: VirtualRouter, ssh: None
) -> None:
    response = await say(hass, "turn on ssh")
    assert response.response_type is IntentResponseType.ERROR
    assert response.error_code is IntentResponseErrorCode.NO_VALID_TARGETS
    assert spoken(response) == "Sorry, SSH is not exposed"
    assert not router.mappings
    assert state_of(hass, SSH) == "off"
    assert not router.requests["AddPortMapping"]


async def test_it_is_exposed_to_none_from_the_first_moment(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int
) -> None:
    await set_up_assist(hass)
    seen: list[set[str]] = []
    hass.bus.async_listen(
        "state_changed",
        lambda event: seen.append(exposed_to(hass)) if event.data["entity_id"] == SSH else None,
    )
    add_forward(hass, entry, forward_data(external_port, internal_ports="22"), title="SSH")
    await set_up(hass, entry)
    assert seen
    assert not any(seen)


async def test_others_are_exposed_to_assist(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int
) -> None:
    await set_up_assist(hass)
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    assert exposed_to(hass, "switch.camera") == {"conversation"}


async def test_what_the_user_chose_stands(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, ssh: None
) -> None:
    expose_to_all(hass)
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert exposed_to(hass) == set(KNOWN_ASSISTANTS)
    await edit(hass, entry, internal_host="127.0.0.6", protocol="both", close_after={"hours": 2})
    assert exposed_to(hass) == set(KNOWN_ASSISTANTS)
    # And so Assist opens it.
    await say(hass, "turn on ssh")
    assert router.mappings


async def test_edited_to_be_risky(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int
) -> None:
    await set_up_assist(hass)
    add_forward(hass, entry, forward_data(external_port), title="SSH")
    await set_up(hass, entry)
    expose_to_all(hass)
    await edit(hass, entry, internal_ports="22")
    assert not exposed_to(hass)


@pytest.mark.parametrize("ports", ["3389", "22-23"])
async def test_edited_to_be_risky_in_another_way(
    hass: HomeAssistant, entry: MockConfigEntry, ssh: None, ports: str
) -> None:
    expose_to_all(hass)
    await edit(hass, entry, internal_ports=ports, external_ports="")
    assert not exposed_to(hass)


async def test_edited_to_be_less_risky(
    hass: HomeAssistant, entry: MockConfigEntry, ssh: None
) -> None:
    await edit(hass, entry, internal_ports="22-23", external_ports="")
    expose_to_all(hass)
    await edit(hass, entry, internal_ports="22")
    assert exposed_to(hass) == set(KNOWN_ASSISTANTS)


async def test_not_risky_any_more(hass: HomeAssistant, entry: MockConfigEntry, ssh: None) -> None:
    await edit(hass, entry, internal_ports="8080")
    assert not exposed_to(hass), "nothing is exposed by itself"
    expose_to_all(hass)
    await edit(hass, entry, internal_ports="22")
    assert not exposed_to(hass), "it is risky anew"


async def test_a_renamed_switch_stays_what_it_is(
    hass: HomeAssistant, entry: MockConfigEntry, ssh: None
) -> None:
    expose_to_all(hass)
    er.async_get(hass).async_update_entity(SSH, new_entity_id="switch.shell")
    await hass.async_block_till_done()
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert exposed_to(hass, "switch.shell") == set(KNOWN_ASSISTANTS)


@pytest.mark.parametrize("changes", [{"internal_ports": "443"}, {"external_ports": "443"}])
async def test_a_privileged_port(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int, changes: dict[str, Any]
) -> None:
    await set_up_assist(hass)
    add_forward(hass, entry, forward_data(external_port, **changes), title="SSH")
    await set_up(hass, entry)
    assert not exposed_to(hass)


@pytest.mark.parametrize("host", ["127.0.0.9", "fritz.box"])
async def test_the_router_itself(
    hass: HomeAssistant, external_port: int, name_server: dict[str, list[str]], host: str
) -> None:
    name_server["fritz.box"] = ["127.0.0.9"]
    await set_up_assist(hass)
    async with VirtualRouter(lan_host="127.0.0.9") as router:
        entry = await make_entry(hass, router)
        add_forward(hass, entry, forward_data(external_port, internal_host=host), title="SSH")
        await set_up(hass, entry)
        assert not exposed_to(hass)
        await stop_home_assistant(hass, entry)


async def test_for_administrators_alone(
    hass: HomeAssistant, entry: MockConfigEntry, external_port: int
) -> None:
    await set_up_assist(hass)
    add_forward(hass, entry, forward_data(external_port), title="SSH")
    await set_up(hass, entry)
    assert exposed_to(hass) == {"conversation"}
    await edit(hass, entry, admins_only=True)
    assert not exposed_to(hass)
    expose_to_all(hass)
    await edit(hass, entry, internal_host="127.0.0.6")
    assert exposed_to(hass) == set(KNOWN_ASSISTANTS), "what the user chose stands"
    await edit(hass, entry, admins_only=False)
    # All of the router is no less a limit.
    hass.config_entries.async_update_entry(entry, options={"admins_only": True})
    await hass.async_block_till_done()
    assert not exposed_to(hass)
