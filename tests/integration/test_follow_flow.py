"""Choosing the device that a forward follows."""

from typing import Any

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr
from pytest_homeassistant_custom_component.common import MockConfigEntry

from .conftest import add_forward, forward_data, set_up
from .test_forward_flow import FILLED_IN, TYPED, assert_form, edit, start, submit
from .whereabouts import CAMERA, NAS, add_device, add_tracker, track

FIVE = "127.0.0.5"
WITHOUT_HOST = {key: value for key, value in TYPED.items() if key != "internal_host"}


@pytest.fixture
async def loaded(hass: HomeAssistant, entry: MockConfigEntry) -> MockConfigEntry:
    """A router without a forward, in a home with trackers."""
    for name in ("camera", "nas"):
        add_tracker(hass, name)
    await set_up(hass, entry)
    assert entry.state is ConfigEntryState.LOADED
    return entry


@pytest.fixture
def camera(hass: HomeAssistant) -> dr.DeviceEntry:
    return add_device(hass, "Front camera", CAMERA)


async def test_device(hass: HomeAssistant, loaded: MockConfigEntry, camera: dr.DeviceEntry) -> None:
    track(hass, "camera", CAMERA, FIVE)
    # The frontend sends what was suggested for a field that nobody touched.
    values = TYPED | {"internal_host": "", "device": camera.id}
    result = await submit(hass, await start(hass, loaded), values)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    [subentry] = loaded.subentries.values()
    kept = WITHOUT_HOST | FILLED_IN | {"device": camera.id, "accepted_targets": []}
    assert subentry.data == {key: value for key, value in kept.items() if key != "name"}


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        (WITHOUT_HOST, {"internal_host": "host_empty"}),
        (TYPED | {"internal_host": " "}, {"internal_host": "host_empty"}),
        (TYPED | {"device": "camera"}, {"device": "host_and_device"}),
        (WITHOUT_HOST | {"device": "nobody's"}, {"device": "device_gone"}),
        (
            WITHOUT_HOST | {"device": "camera", "ip_version": "ipv6"},
            {"ip_version": "device_ipv4_only"},
        ),
        (
            WITHOUT_HOST | {"device": "camera", "ip_version": "both"},
            {"ip_version": "device_ipv4_only"},
        ),
    ],
)
async def test_refused(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    camera: dr.DeviceEntry,
    values: dict[str, Any],
    errors: dict[str, str],
) -> None:
    track(hass, "camera", CAMERA, FIVE)
    chosen = values | ({"device": camera.id} if values.get("device") == "camera" else {})
    result = await submit(hass, await start(hass, loaded), chosen)
    assert_form(result, "user", errors)


async def test_device_without_a_mac(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    sun = add_device(hass, "Sun")
    values = WITHOUT_HOST | {"device": sun.id}
    result = await submit(hass, await start(hass, loaded), values)
    assert_form(result, "user", {"device": "device_no_mac"})


async def test_device_that_is_nowhere_now(
    hass: HomeAssistant, loaded: MockConfigEntry, camera: dr.DeviceEntry
) -> None:
    step = await start(hass, loaded)
    values = WITHOUT_HOST | {"device": camera.id}
    step = await submit(hass, step, values)
    assert_form(step, "user", {"device": "device_address_unknown"})
    track(hass, "camera", CAMERA, FIVE)
    track(hass, "nas", NAS, FIVE)
    step = await submit(hass, step, values)
    assert_form(step, "user", {"device": "address_conflict"})
    track(hass, "camera", CAMERA, FIVE, state="not_home")
    step = await submit(hass, step, values)
    assert_form(step, "user", {"device": "address_taken"})
    track(hass, "camera", CAMERA, "198.51.100.7")
    step = await submit(hass, step, values)
    assert_form(step, "user", {"device": "host_outside"})
    track(hass, "camera", CAMERA, "127.0.0.6")
    step = await submit(hass, step, values)
    assert step["type"] is FlowResultType.CREATE_ENTRY


async def test_a_device_in_place_of_an_address(
    hass: HomeAssistant, loaded: MockConfigEntry, camera: dr.DeviceEntry, external_port: int
) -> None:
    subentry = add_forward(hass, loaded, forward_data(external_port))
    await hass.async_block_till_done()
    track(hass, "camera", CAMERA, FIVE)
    result = await submit(
        hass,
        await edit(hass, loaded, subentry),
        WITHOUT_HOST | {"device": camera.id},
    )
    assert result["type"] is FlowResultType.ABORT
    [edited] = loaded.subentries.values()
    assert edited.data["device"] == camera.id
    assert "internal_host" not in edited.data

    result = await submit(hass, await edit(hass, loaded, edited), TYPED)
    assert result["type"] is FlowResultType.ABORT
    [edited] = loaded.subentries.values()
    assert edited.data["internal_host"] == FIVE
    assert "device" not in edited.data
