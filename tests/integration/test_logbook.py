"""The sentences of the logbook, and how often they stand there."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.logbook.processor import EventProcessor
from homeassistant.components.recorder import Recorder
from homeassistant.core import Context, HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
)

from custom_components.port_forward.logbook import sentence
from custom_components.port_forward.openings import Kind, Reason
from lab.virtual_router import VirtualRouter

from .automating import device_of, pass_time
from .conftest import add_forward, forward_data, refresh, set_up, switch


@pytest.fixture(autouse=True)
def _loopback_is_the_network(recorder_db_url: str, _loopback_is_the_network: None) -> None:
    """Choose the database before there is a Home Assistant, as its harness wants it."""


async def test_x(recorder_mock: Recorder, hass: HomeAssistant, entry: MockConfigEntry, external_port: int) -> None:
    hass.config.components.add("frontend")
    assert await async_setup_component(hass, "logbook", {})
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    start = dt_util.utcnow()
    await switch(hass, "turn_on")
    await switch(hass, "turn_off")
    await async_wait_recording_done(hass)
    p = EventProcessor(hass, hass.data["logbook"].external_events, None, None)
    lines = await recorder_mock.async_add_executor_job(p.get_events, start, dt_util.utcnow())
    for l in lines: print(l)
    assert 0
