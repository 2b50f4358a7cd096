"""Changing where a router is, and which of its WANs is meant."""

from collections.abc import AsyncGenerator

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.port_forward.openings import GivenUpError
from lab.virtual_router import Fault, VirtualRouter, Wan, free_port

from .announcing import announce
from .conftest import (
    ROUTER_UDN,
    add_forward,
    arrived,
    forward_data,
    make_entry,
    phases,
    refresh,
    set_up,
    state_of,
    switch,
)
from .flows import assert_abort, assert_form, default, options, submit

pytestmark = pytest.mark.usefixtures("gateway_is_unknown")


@pytest.fixture
async def two_wans() -> AsyncGenerator[VirtualRouter]:
    """A router whose second WAN is as good as its first."""
    wans = (Wan(), Wan(kind="ppp", external_address="198.51.100.7"))
    async with VirtualRouter(udn=ROUTER_UDN, wans=wans) as router:
        yield router


@pytest.fixture
async def open_entry(
    hass: HomeAssistant, two_wans: VirtualRouter, external_port: int
) -> MockConfigEntry:
    """The entry of the first WAN of that router, with its forward open."""
    entry = await make_entry(hass, two_wans)
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    assert len(two_wans.mappings) == 1
    return entry


async def test_new_url(hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry) -> None:
    await set_up(hass, entry)
    await router.restart()
    step = await entry.start_reconfigure_flow(hass)
    assert_form(step, "reconfigure")
    schema = step["data_schema"]
    assert schema
    [field] = schema.schema
    assert field.description == {"suggested_value": entry.data[CONF_URL]}
    wan = entry.data["wan"]

    step = await submit(hass, step, url=router.description_url)
    assert_abort(step, "reconfigure_successful")
    assert dict(entry.data) == {"driver": "upnp", "url": router.description_url, "wan": wan}
    assert entry.state is ConfigEntryState.LOADED
    assert entry.runtime_data.last_update_success


async def test_new_url_of_a_router_that_could_not_be_set_up(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await router.restart()
    await set_up(hass, entry)
    assert not hass.states.async_all()
    step = await entry.start_reconfigure_flow(hass)
    assert_abort(await submit(hass, step, url=router.description_url), "reconfigure_successful")
    assert entry.state is ConfigEntryState.LOADED


async def test_open_port_stays_open_at_the_new_url(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> None:
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    await router.restart(forget=False)
    step = await entry.start_reconfigure_flow(hass)
    await submit(hass, step, url=router.description_url)
    assert state_of(hass) == "on"
    assert len(router.mappings) == 1
    await switch(hass, "turn_off")
    assert not router.mappings


@pytest.mark.parametrize(
    ("url", "errors"),
    [
        ("ftp://127.0.0.1", {"url": "invalid_url"}),
        ("http://127.0.0.1:{free}/rootDesc.xml", {"base": "unreachable"}),
        ("http://127.0.0.1:{port}/missing.xml", {"base": "unsupported"}),
    ],
)
async def test_wrong_url(
    hass: HomeAssistant,
    router: VirtualRouter,
    entry: MockConfigEntry,
    url: str,
    errors: dict[str, str],
) -> None:
    step = await entry.start_reconfigure_flow(hass)
    step = await submit(hass, step, url=url.format(port=router.port, free=free_port()))
    assert_form(step, "reconfigure", errors)
    step = await submit(hass, step, url=router.description_url)
    assert_abort(step, "reconfigure_successful")


async def test_another_router(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    async with VirtualRouter() as other:
        step = await entry.start_reconfigure_flow(hass)
        assert_abort(await submit(hass, step, url=other.description_url), "another_router")
        assert entry.data[CONF_URL] == router.description_url


async def test_while_it_is_announced(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await announce(hass, router)
    step = await entry.start_reconfigure_flow(hass)
    assert_abort(await submit(hass, step, url=router.description_url), "reconfigure_successful")


async def test_same_wan_is_the_default(
    hass: HomeAssistant, two_wans: VirtualRouter, open_entry: MockConfigEntry
) -> None:
    """Clicking through must not close anything."""
    # The other one is the better one now, and stands first.
    two_wans.wans[0].external_address = ""
    step = await open_entry.start_reconfigure_flow(hass)
    step = await submit(hass, step, url=two_wans.description_url)
    assert_form(step, "wan")
    assert default(step, "wan") == open_entry.data["wan"] == list(options(step, "wan"))[1]
    step = await submit(hass, step)
    assert_abort(step, "reconfigure_successful")
    assert len(two_wans.mappings) == 1
    assert phases(hass, open_entry) == ["open"]


async def test_another_wan_closes_what_is_open(
    hass: HomeAssistant, two_wans: VirtualRouter, open_entry: MockConfigEntry
) -> None:
    step = await open_entry.start_reconfigure_flow(hass)
    step = await submit(hass, step, url=two_wans.description_url)
    _, other = options(step, "wan")
    assert_abort(await submit(hass, step, wan=other), "reconfigure_successful")
    assert open_entry.data["wan"] == other
    assert not two_wans.mappings
    assert state_of(hass) == "off"

    await switch(hass, "turn_on")
    assert not two_wans.mappings
    assert len(two_wans.wans[1].mappings) == 1


async def test_another_wan_is_refused_while_a_port_cannot_be_closed(
    hass: HomeAssistant, two_wans: VirtualRouter, open_entry: MockConfigEntry
) -> None:
    wan = open_entry.data["wan"]
    step = await open_entry.start_reconfigure_flow(hass)
    step = await submit(hass, step, url=two_wans.description_url)
    _, other = options(step, "wan")
    two_wans.fault(Fault.GARBAGE, action="DeletePortMapping", times=None)
    two_wans.fault(Fault.DROP_BEFORE, times=None)
    step = await submit(hass, step, wan=other)
    assert_abort(step, "not_closed")
    placeholders = step["description_placeholders"]
    assert placeholders
    assert placeholders["error"].startswith("The router does not answer at 127.0.0.1")
    assert open_entry.data["wan"] == wan
    assert len(two_wans.mappings) == 1
    # It is closed when the router answers, and is opened there as before.
    two_wans.clear_faults()
    await refresh(hass, open_entry)
    assert not two_wans.mappings
    await switch(hass, "turn_on")
    assert len(two_wans.mappings) == 1


async def test_what_is_opened_meanwhile_is_not_left_on_the_old_wan(
    hass: HomeAssistant, two_wans: VirtualRouter, open_entry: MockConfigEntry
) -> None:
    [forward_id] = open_entry.subentries
    step = await open_entry.start_reconfigure_flow(hass)
    step = await submit(hass, step, url=two_wans.description_url)
    _, other = options(step, "wan")
    two_wans.requests.clear()
    two_wans.fault(Fault.SLOW_TO_ACT, action="DeletePortMapping", delay=0.3)
    done = hass.async_create_task(submit(hass, step, wan=other))
    await arrived(two_wans, "DeletePortMapping", 1)
    with pytest.raises(GivenUpError):
        await open_entry.runtime_data.async_open(forward_id)
    assert_abort(await done, "reconfigure_successful")
    await hass.async_block_till_done()
    assert not two_wans.mappings


async def test_another_wan_of_a_router_that_could_not_be_set_up(
    hass: HomeAssistant, two_wans: VirtualRouter, open_entry: MockConfigEntry
) -> None:
    """What is in the ledger is closed all the same."""
    two_wans.fault(Fault.DROP_BEFORE, times=None)
    await hass.config_entries.async_reload(open_entry.entry_id)
    await hass.async_block_till_done()
    assert state_of(hass) == "unavailable"
    two_wans.clear_faults()
    assert len(two_wans.mappings) == 1
    step = await open_entry.start_reconfigure_flow(hass)
    step = await submit(hass, step, url=two_wans.description_url)
    _, other = options(step, "wan")
    assert_abort(await submit(hass, step, wan=other), "reconfigure_successful")
    assert not two_wans.mappings
    assert open_entry.data["wan"] == other
    assert state_of(hass) == "off"


async def test_a_router_that_is_set_up_while_it_is_closed_for_another_wan(
    hass: HomeAssistant, two_wans: VirtualRouter, open_entry: MockConfigEntry
) -> None:
    """Never two keepers on one ledger: the set-up waits."""
    two_wans.fault(Fault.DROP_BEFORE, times=None)
    await hass.config_entries.async_reload(open_entry.entry_id)
    two_wans.clear_faults()
    step = await open_entry.start_reconfigure_flow(hass)
    step = await submit(hass, step, url=two_wans.description_url)
    _, other = options(step, "wan")
    two_wans.requests.clear()
    two_wans.fault(Fault.SLOW_TO_ACT, action="DeletePortMapping", delay=0.3)
    closing = hass.async_create_task(submit(hass, step, wan=other))
    await arrived(two_wans, "DeletePortMapping", 1)
    await hass.config_entries.async_reload(open_entry.entry_id)
    await hass.async_block_till_done()
    assert not two_wans.mappings
    assert_abort(await closing, "reconfigure_successful")
    assert two_wans.requests["DeletePortMapping"] == 1
    assert phases(hass, open_entry) == []


async def test_what_could_not_be_closed_is_left_to_the_next_set_up(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    two_wans: VirtualRouter,
    open_entry: MockConfigEntry,
) -> None:
    """Whoever tried before must not write what it knew then over what is open by now."""
    two_wans.fault(Fault.DROP_BEFORE, times=None)
    await hass.config_entries.async_reload(open_entry.entry_id)
    two_wans.clear_faults()
    step = await open_entry.start_reconfigure_flow(hass)
    step = await submit(hass, step, url=two_wans.description_url)
    _, other = options(step, "wan")
    two_wans.fault(Fault.HTTP_500_EMPTY, action="DeletePortMapping")
    assert_abort(await submit(hass, step, wan=other), "not_closed")
    await hass.config_entries.async_reload(open_entry.entry_id)
    await hass.async_block_till_done()
    assert state_of(hass) == "off"
    await switch(hass, "turn_on")
    freezer.tick(2)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert len(two_wans.mappings) == 1
    assert phases(hass, open_entry) == ["open"]
