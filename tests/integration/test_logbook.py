"""The sentences of the logbook, and how often they stand there."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.logbook.models import LogbookConfig
from homeassistant.components.logbook.processor import EventProcessor
from homeassistant.components.recorder.core import Recorder
from homeassistant.core import Context, HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
)

from custom_components.port_forward.logbook import sentence
from custom_components.port_forward.openings import Kind, Reason

from .automating import device_of, forward_id_of, open_for, pass_time
from .conftest import add_forward, forward_data, set_up, switch

NEVER = None
AT_SIX = "2026-11-22T17:00:00+00:00"  # in Berlin
NEXT_DAY = "2026-11-22T23:30:00+00:00"
ERROR = "The router does not answer at 192.0.2.1"

SENTENCES = [
    (Kind.OPENED, None, NEVER, None, "was opened until somebody closes it"),
    (Kind.OPENED, None, AT_SIX, None, "was opened until 18:00"),
    (Kind.OPENED, None, NEXT_DAY, None, "was opened until 2026-11-23 00:30"),
    (Kind.EXTENDED, None, NEVER, None, "is now open until somebody closes it"),
    (Kind.EXTENDED, None, AT_SIX, None, "is now open until 18:00"),
    (
        Kind.RESTORED,
        Reason.ROUTER_RESTARTED,
        AT_SIX,
        None,
        "was opened again until 18:00 because the router had restarted",
    ),
    (
        Kind.RESTORED,
        Reason.LEASE_RAN_OUT,
        NEVER,
        None,
        "was opened again until somebody closes it because its lease had run out",
    ),
    (Kind.CLOSED, Reason.TIME_UP, AT_SIX, None, "was closed because its time was up"),
    (Kind.CLOSED, Reason.TURNED_OFF, AT_SIX, None, "was closed"),
    (
        Kind.CLOSED,
        Reason.REMOVED_ELSEWHERE,
        AT_SIX,
        None,
        "was closed because somebody removed it at the router",
    ),
    (Kind.CLOSED, Reason.FORWARD_EDITED, NEVER, None, "was closed because the forward was edited"),
    (
        Kind.CLOSED,
        Reason.SOURCE_CHANGED,
        NEVER,
        None,
        "was closed because it is opened for another source",
    ),
    (
        Kind.CLOSED,
        Reason.FORWARD_DELETED,
        NEVER,
        None,
        "was closed because the forward was deleted",
    ),
    (
        Kind.CLOSED,
        Reason.ROUTER_DISABLED,
        NEVER,
        None,
        "was closed because its router was disabled",
    ),
    (Kind.CLOSED, Reason.ROUTER_DELETED, NEVER, None, "was closed because its router was deleted"),
    (
        Kind.CLOSED,
        Reason.WAN_CHANGED,
        NEVER,
        None,
        "was closed because another internet connection was chosen",
    ),
    (
        Kind.CLOSED,
        Reason.HOME_ASSISTANT_STOPPED,
        NEVER,
        None,
        "was closed because Home Assistant stopped",
    ),
    (
        Kind.CLOSED,
        Reason.NOT_RESTORED,
        NEVER,
        None,
        "was closed because the router had lost it and would not open it again",
    ),
    (
        Kind.CLOSED,
        Reason.NOT_SAVED,
        NEVER,
        None,
        "was closed because it could not be noted on the disk",
    ),
    (
        Kind.CLOSED,
        Reason.REFUSED,
        NEVER,
        None,
        "was closed because it could only be opened in part",
    ),
    (Kind.CLOSED, Reason.LOCKDOWN, NEVER, None, "was closed because lockdown was turned on"),
    (Kind.CLOSED, Reason.ALL_CLOSED, NEVER, None, "was closed because all forwards were closed"),
    (
        Kind.CLOSED,
        Reason.ADDRESS_TAKEN,
        NEVER,
        None,
        "was closed because its address belongs to another device now",
    ),
    (
        Kind.CLOSED,
        Reason.ADDRESS_UNSTEADY,
        NEVER,
        None,
        "was closed because its device changed its address too often",
    ),
    (
        Kind.CLOSED,
        Reason.LONG_AWAY,
        NEVER,
        None,
        "was closed because Home Assistant was away for long, or a backup was restored",
    ),
    (
        Kind.CLOSED,
        Reason.TARGET_RISKY,
        NEVER,
        None,
        "was closed because it would lead to the router or to Home Assistant itself",
    ),
    (
        Kind.CLOSED,
        Reason.DEVICE_GONE,
        NEVER,
        None,
        "was closed because its device is not in the network any more",
    ),
    (
        Kind.CLOSED,
        Reason.TARGET_UNREACHABLE,
        NEVER,
        None,
        "was closed because its target did not answer",
    ),
    (Kind.CLOSED, Reason.IDLE, NEVER, None, "was closed because nobody used it"),
    (
        Kind.OPENED,
        Reason.TRIGGERED,
        NEVER,
        None,
        "was opened until somebody closes it because what it waits for began",
    ),
    (
        Kind.MOVED,
        Reason.DEVICE_MOVED,
        NEVER,
        None,
        "was moved because its device has another address",
    ),
    (Kind.OPEN_FAILED, Reason.REFUSED, NEVER, ERROR, f"could not be opened: {ERROR}"),
    (
        Kind.OPEN_FAILED,
        Reason.INTERRUPTED,
        NEVER,
        None,
        "could not be opened because Home Assistant was interrupted",
    ),
    (Kind.CLOSE_FAILED, Reason.TIME_UP, AT_SIX, ERROR, f"could not be closed yet: {ERROR}"),
]


@pytest.fixture(autouse=True)
def _loopback_is_the_network(recorder_db_url: str, _loopback_is_the_network: None) -> None:
    """Choose the database before there is a Home Assistant, as its harness wants it."""


@pytest.mark.parametrize(("kind", "reason", "deadline", "error", "expected"), SENTENCES)
async def test_sentence(
    hass: HomeAssistant,
    kind: Kind,
    reason: Reason | None,
    deadline: str | None,
    error: str | None,
    expected: str,
) -> None:
    await hass.config.async_set_time_zone("Europe/Berlin")
    assert (
        sentence(
            {
                "kind": str(kind),
                "reason": str(reason) if reason else None,
                "at": "2026-11-22T09:00:00+00:00",
                "deadline": deadline,
                "late": 0.4 if reason is Reason.TIME_UP else None,
                "error": error,
            }
        )
        == expected
    )


def test_every_reason_to_close_has_a_sentence() -> None:
    told = {reason for kind, reason, *_ in SENTENCES if kind is Kind.CLOSED}
    assert told == set(Reason) - {
        Reason.ROUTER_RESTARTED,
        Reason.LEASE_RAN_OUT,
        Reason.INTERRUPTED,
        Reason.FOUND,
        Reason.TRIGGERED,
        Reason.DEVICE_MOVED,
    }


@pytest.mark.parametrize(("kind", "reason"), product(Kind, [None, *Reason]))
def test_no_combination_shows_the_words_of_the_program(kind: Kind, reason: Reason | None) -> None:
    text = sentence({"kind": kind, "reason": reason, "at": AT_SIX})
    assert "_" not in text
    assert "(" not in text
    assert not text.endswith(" ")


def test_how_late_it_was_closed() -> None:
    data = {"kind": "closed", "reason": "time_up", "at": AT_SIX, "deadline": AT_SIX, "late": 7201.6}
    assert sentence(data) == "was closed 2:00:02 too late because its time was up"


def test_what_another_version_told_is_told_as_it_is() -> None:
    assert sentence({"kind": "hidden", "reason": "for_fun", "at": AT_SIX}) == "hidden (for_fun)"


async def lines(
    hass: HomeAssistant,
    entity_ids: list[str] | None = None,
    device_ids: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Return what the logbook shows of this day, as its own page asks for it."""
    await async_wait_recording_done(hass)
    config: LogbookConfig = hass.data["logbook"]
    processor = EventProcessor(hass, config.external_events, entity_ids, device_ids)
    today = dt_util.start_of_local_day()
    return await hass.async_add_executor_job(processor.get_events, today, today + timedelta(days=1))


def sentences(shown: list[dict[str, Any]]) -> list[str]:
    return [f"{line['name']} {line['message']}" for line in shown if "message" in line]


async def test_each_sentence_stands_once_in_the_logbook(
    recorder_mock: Recorder,
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    entry: MockConfigEntry,
    external_port: int,
    hass_admin_user: MockUser,
) -> None:
    freezer.move_to("2026-11-22T16:30:00+00:00")
    await hass.config.async_set_time_zone("Europe/Berlin")
    # What the page is shown on is not installed here, and not what is asked.
    hass.config.components.add("frontend")
    assert await async_setup_component(hass, "logbook", {})
    add_forward(hass, entry, forward_data(external_port), "Front door camera")
    await set_up(hass, entry)
    switch_id = "switch.front_door_camera"
    await hass.services.async_call(
        "switch",
        "turn_on",
        {"entity_id": switch_id},
        blocking=True,
        context=Context(user_id=hass_admin_user.id),
    )
    await open_for(hass, switch_id, minutes=30)
    await pass_time(hass, freezer, minutes=30)

    expected = [
        "Front door camera was opened until somebody closes it",
        "Front door camera is now open until 18:00",
        "Front door camera was closed because its time was up",
    ]
    everything = await lines(hass)
    at_the_switch = await lines(hass, entity_ids=[switch_id])
    device = device_of(hass, switch_id)
    at_the_device = await lines(
        hass, entity_ids=[switch_id, "event.front_door_camera_activity"], device_ids=[device]
    )
    for shown in (everything, at_the_switch, at_the_device):
        assert sentences(shown) == expected
    for line in everything:
        if "message" in line:
            assert line["entity_id"] == switch_id
            assert line["domain"] == "port_forward"
    opened, *_, closed = (line for line in at_the_switch if "message" in line)
    assert opened["context_user_id"] == hass_admin_user.id
    assert "context_user_id" not in closed
    # The line of the event entity, which Home Assistant makes and nobody can leave out.
    own = [line for line in at_the_device if line["entity_id"].startswith("event.")]
    assert [line["attributes"] for line in own] == [
        {"event_type": "opened"},
        {"event_type": "extended"},
        {"event_type": "closed"},
    ]


async def test_a_deleted_forward_still_has_its_name_in_the_logbook(
    recorder_mock: Recorder,
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    entry: MockConfigEntry,
    external_port: int,
) -> None:
    freezer.move_to("2026-11-22T16:30:00+00:00")
    hass.config.components.add("frontend")
    assert await async_setup_component(hass, "logbook", {})
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    hass.config_entries.async_remove_subentry(entry, forward_id_of(entry))
    await hass.async_block_till_done()
    (_, deleted) = (line for line in await lines(hass) if "message" in line)
    assert sentences([deleted]) == ["Camera was closed because the forward was deleted"]
    assert deleted["entity_id"] is None
