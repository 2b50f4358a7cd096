"""What fails between the ledger and the router leaves nothing open, or is closed later."""

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from lab.virtual_router import Fault, VirtualRouter

from .conftest import (
    add_forward,
    arrived,
    forward_data,
    ledger_path,
    phases,
    refresh,
    set_up,
    state_of,
    switch,
)


async def test_open_on_the_router_but_the_disk_is_full_by_now(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    router.fault(Fault.SLOW, action="AddPortMapping", delay=0.2)
    opening = hass.async_create_task(switch(hass, "turn_on"))
    await arrived(router, "AddPortMapping", 1)
    path = ledger_path(hass, entry)
    noted = path.rename(path.with_suffix(".full"))
    path.mkdir()
    with pytest.raises(HomeAssistantError):
        await opening
    assert not router.mappings
    assert state_of(hass) == "off"

    path.rmdir()
    noted.rename(path)
    assert phases(hass, entry) == ["opening"]  # what a restart would find
    await refresh(hass, entry)
    assert phases(hass, entry) == []


async def test_half_of_a_pair_that_could_not_be_taken_back_is_closed_later(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port, protocol="both"))
    await set_up(hass, entry)
    router.fault(Fault.SLOW, action="AddPortMapping", times=1, delay=0.2)
    opening = hass.async_create_task(switch(hass, "turn_on"))
    await arrived(router, "AddPortMapping", 1)
    for action in ("AddPortMapping", "DeletePortMapping"):
        router.fault(Fault.HTTP_500_EMPTY, action=action, times=None)
    with pytest.raises(HomeAssistantError):
        await opening
    assert len(router.mappings) == 1
    assert state_of(hass) == "on"  # and so it is
    assert phases(hass, entry) == ["closing"]

    router.clear_faults()
    await refresh(hass, entry)
    assert not router.mappings
    assert (state_of(hass), phases(hass, entry)) == ("off", [])


async def test_opening_again_after_the_host_has_moved_leads_to_the_new_one(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    external_port: int,
    name_server: dict[str, list[str]],
) -> None:
    name_server["camera.lan"] = ["127.0.0.5"]
    add_forward(hass, entry, forward_data(external_port, internal_host="camera.lan"))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    name_server["camera.lan"] = ["127.0.0.6"]
    await switch(hass, "turn_on")
    assert [mapping.internal_host for mapping in router.mappings] == ["127.0.0.6"]
    await switch(hass, "turn_off")
    assert not router.mappings


async def test_what_this_router_can_never_hold_is_not_open(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    """The form refuses it; the router may have been another one then."""
    add_forward(hass, entry, forward_data(external_port, allowed_source="198.51.100.0/24"))
    await set_up(hass, entry)
    assert state_of(hass) == "off"
    with pytest.raises(HomeAssistantError) as raised:
        await switch(hass, "turn_on")
    assert raised.value.translation_key == "not_permitted_one_source_only"
    assert router.requests["AddPortMapping"] == 0


@pytest.mark.usefixtures("name_server")
async def test_no_setup_while_the_name_of_the_router_does_not_resolve(hass: HomeAssistant) -> None:
    entry = MockConfigEntry(
        domain="port_forward",
        data={"driver": "upnp", "url": "http://router.lan/rootDesc.xml", "wan": "wan"},
    )
    entry.add_to_hass(hass)
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "router_unknown"
    # With nothing open, there is nobody to be asked.
    await hass.config_entries.async_remove(entry.entry_id)
    assert not ledger_path(hass, entry).exists()
