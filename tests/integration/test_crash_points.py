"""Home Assistant dies at every point of an operation, and starts again.

What survives it is the ledger on the disk and the table of the router. Both
are noted before and after each request of an operation; between two notes
either has changed once at the most, so these are all the states that a kill
can leave behind.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import VirtualMapping, VirtualRouter, free_port
from lab.virtual_router.web import Request, Response

from .conftest import (
    add_forward,
    forward_data,
    ledger_of,
    ledger_path,
    make_entry,
    refresh,
    set_up,
    start_home_assistant,
    state_of,
    stop_home_assistant,
    switch,
    up_for_a_day,
)
from .whereabouts import CAMERA, add_device, add_tracker, track

FOREIGN = "127.0.0.9"
LOCKDOWN = "switch.virtual_router_lockdown"

type Remains = tuple[str, tuple[VirtualMapping, ...]]
"""The text of the ledger, and the rows of the router."""


@dataclass(kw_only=True)
class House:
    """A router with a camera's forward of TCP and UDP, and a stranger's row."""

    hass: HomeAssistant
    freezer: FrozenDateTimeFactory
    router: VirtualRouter
    entry: MockConfigEntry
    ledger: Path
    noted: list[Remains] = field(default_factory=list)

    def note(self) -> None:
        """Note what a kill would leave behind now."""
        remains = (self.ledger.read_text(), self.router.mappings)
        if remains not in self.noted:
            self.noted.append(remains)

    async def open(self, **duration: float) -> None:
        """Open the camera's forward for so long."""
        await self.hass.services.async_call(
            DOMAIN,
            "open",
            {"entity_id": "switch.camera", "duration": duration},
            blocking=True,
        )

    async def pass_time(self, **time: float) -> None:
        """Let the clock go on."""
        self.freezer.tick(timedelta(**time))
        async_fire_time_changed(self.hass)
        await self.hass.async_block_till_done(wait_background_tasks=True)

    async def start_from(self, remains: Remains) -> None:
        """Start Home Assistant on what a kill left behind."""
        text, rows = remains
        await stop_home_assistant(self.hass, self.entry)
        self.ledger.write_text(text)
        self.router.wans[0].clear()
        for row in rows:
            await self.router.wans[0].put(row)
        await start_home_assistant(self.hass, self.entry)


@pytest.fixture
async def house(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[House]:
    """A house in which all is noted from now on, with the forward closed."""
    router = VirtualRouter()
    handle = router._upnp._handler.handle
    notes: list[Callable[[], None]] = []

    async def note_and_handle(request: Request) -> Response | None:
        for note in notes:
            note()
        response = await handle(request)
        for note in notes:
            note()
        return response

    monkeypatch.setattr(router._upnp._handler, "handle", note_and_handle)
    async with router:
        up_for_a_day(router)
        entry = await make_entry(hass, router)
        port = free_port()
        await router.add_foreign(
            protocol="TCP", external_port=free_port(), internal_host=FOREIGN, internal_port=1
        )
        add_forward(hass, entry, forward_data(port, protocol="both"))
        await set_up(hass, entry)
        await switch(hass, "turn_on")  # the ledger is there from now on
        await switch(hass, "turn_off")
        house = House(
            hass=hass,
            freezer=freezer,
            router=router,
            entry=entry,
            ledger=ledger_path(hass, entry),
        )
        notes.append(house.note)
        yield house


async def opened(house: House) -> None:
    await house.open(minutes=30)


async def extended(house: House) -> None:
    await house.open(minutes=50)


async def shortened(house: House) -> None:
    await house.open(minutes=10)


async def closed(house: House) -> None:
    await switch(house.hass, "turn_off")


async def overdue(house: House) -> None:
    await house.pass_time(minutes=31)


async def kept_open(house: House) -> None:
    await switch(house.hass, "turn_on")


async def renewed(house: House) -> None:
    await house.pass_time(minutes=31)


async def made_by_another(house: House) -> None:
    """Somebody else makes the very mappings of the forward."""
    await house.open(minutes=5)
    rows = [row for row in house.router.mappings if row.internal_host != FOREIGN]
    await switch(house.hass, "turn_off")
    for row in rows:
        await house.router.wans[0].put(row)
    await refresh(house.hass, house.entry)


async def locked(house: House) -> None:
    await switch(house.hass, "turn_on", LOCKDOWN)


async def lost_and_restored(house: House) -> None:
    await house.router.restart(change_port=False)
    house.noted.clear()  # The router is one that has restarted, at every point.
    await refresh(house.hass, house.entry)


@pytest.mark.parametrize(
    ("before", "operation", "outcomes"),
    [
        (None, opened, {None, 30}),
        (opened, extended, {30, 50}),
        (opened, shortened, {30, 10}),
        (opened, closed, {30, None}),
        (opened, overdue, {None}),
        (kept_open, renewed, {0}),
        (kept_open, closed, {0, None}),
        (kept_open, lost_and_restored, {0}),
        (opened, lost_and_restored, {30}),
    ],
)
async def test_killed_at_every_point_of(
    house: House,
    before: Callable[[House], Coroutine[None, None, None]] | None,
    operation: Callable[[House], Coroutine[None, None, None]],
    outcomes: set[int | None],
) -> None:
    """Afterwards it is closed (None), open until closed (0), or for so many minutes."""
    start = dt_util.utcnow()
    if before:
        await before(house)
    house.noted.clear()
    house.note()
    await operation(house)
    house.note()
    assert len(house.noted) > 2
    foreign = foreign_of(house.noted[0])
    seen: set[int | None] = set()
    for remains in list(house.noted):
        assert foreign_of(remains) == foreign
        await house.start_from(remains)
        seen.add(judge(house, start, foreign))
    assert seen == outcomes


@pytest.mark.parametrize("before", [opened, kept_open, made_by_another])
async def test_killed_at_every_point_of_locking(
    house: House, before: Callable[[House], Coroutine[None, None, None]]
) -> None:
    """As soon as the router was asked for anything, it ends locked and closed."""
    await before(house)
    house.noted.clear()
    await locked(house)
    house.note()
    assert len(house.noted) > 2
    foreign = foreign_of(house.noted[0])
    for remains in list(house.noted):
        await house.start_from(remains)
        assert state_of(house.hass, LOCKDOWN) == "on"
        assert list(house.router.mappings) == foreign
        assert ledger_of(house.hass, house.entry)["openings"] == []
        assert state_of(house.hass) == "off"
        with pytest.raises(HomeAssistantError):
            await house.open(minutes=5)
        assert list(house.router.mappings) == foreign


async def test_killed_at_every_point_of_following_a_device(house: House) -> None:
    """It leads to where the device is now, with the time that it had, whenever that was."""
    start = dt_util.utcnow()
    await follow_camera(house)
    await house.open(minutes=30)
    house.noted.clear()
    house.note()
    track(house.hass, "camera", CAMERA, "127.0.0.6")
    await house.hass.async_block_till_done(wait_background_tasks=True)
    house.note()
    assert len(house.noted) > 5
    foreign = foreign_of(house.noted[0])
    for remains in list(house.noted):
        await house.start_from(remains)
        assert judge(house, start, foreign) == 30
        ours = [row for row in house.router.mappings if row not in foreign]
        assert {row.internal_host for row in ours} == {"127.0.0.6"}


async def forward_deleted(house: House) -> None:
    [subentry_id] = house.entry.subentries
    house.hass.config_entries.async_remove_subentry(house.entry, subentry_id)
    await house.hass.async_block_till_done()


async def router_disabled(house: House) -> None:
    await house.hass.config_entries.async_set_disabled_by(
        house.entry.entry_id, ConfigEntryDisabler.USER
    )
    await house.hass.async_block_till_done()


@pytest.mark.parametrize("before", [opened, kept_open])
@pytest.mark.parametrize("given_up", [forward_deleted, router_disabled])
async def test_killed_at_every_point_of_giving_up(
    house: House,
    before: Callable[[House], Coroutine[None, None, None]],
    given_up: Callable[[House], Coroutine[None, None, None]],
) -> None:
    """It ends closed, whether or not the entry is set up again."""
    await before(house)
    house.noted.clear()
    house.note()
    await given_up(house)
    house.note()
    assert len(house.noted) > 2
    foreign = foreign_of(house.noted[0])
    for remains in list(house.noted):
        await house.start_from(remains)
        assert list(house.router.mappings) == foreign
        assert ledger_of(house.hass, house.entry)["openings"] == []


async def edited(house: House) -> None:
    [subentry] = house.entry.subentries.values()
    house.hass.config_entries.async_update_subentry(
        house.entry, subentry, data={**subentry.data, "internal_ports": "8081"}
    )
    await house.hass.async_block_till_done()


async def test_killed_at_every_point_of_moving_what_was_edited(house: House) -> None:
    """It leads nowhere but to where it leads now, and is open with its deadline or not at all."""
    start = dt_util.utcnow()
    await house.open(minutes=30)
    house.noted.clear()
    house.note()
    await edited(house)
    house.note()
    assert len(house.noted) > 5
    foreign = foreign_of(house.noted[0])
    for remains in list(house.noted):
        await house.start_from(remains)
        assert judge(house, start, foreign) in (30, None)
        ours = [row for row in house.router.mappings if row not in foreign]
        assert {row.internal_port for row in ours} <= {8081}


async def follow_camera(house: House) -> None:
    """Let the forward follow the camera, which is where it leads to."""
    add_tracker(house.hass, "camera")
    track(house.hass, "camera", CAMERA, "127.0.0.5")
    device = add_device(house.hass, "Camera", CAMERA)
    [subentry] = house.entry.subentries.values()
    data = {key: value for key, value in subentry.data.items() if key != "internal_host"}
    house.hass.config_entries.async_update_subentry(
        house.entry, subentry, data=data | {"device": device.id}
    )
    await house.hass.async_block_till_done()


def foreign_of(remains: Remains) -> list[VirtualMapping]:
    return [row for row in remains[1] if row.internal_host == FOREIGN]


def judge(house: House, start: datetime, foreign: list[VirtualMapping]) -> int | None:
    """Return what became of it, after a look whether router, ledger and switch agree."""
    rows = house.router.mappings
    assert [row for row in rows if row.internal_host == FOREIGN] == foreign
    ours = {(row.protocol.lower(), str(row.external_port)) for row in rows if row not in foreign}
    openings = ledger_of(house.hass, house.entry)["openings"]
    assert ours == {
        (*mapping["protocols"], mapping["external_ports"])
        for opening in openings
        for mapping in opening["mappings"]
    }
    assert state_of(house.hass) == ("on" if ours else "off")
    if not openings:
        return None
    (opening,) = openings
    assert opening["phase"] == "open"
    if opening["deadline"] is None:
        return 0
    return round((datetime.fromisoformat(opening["deadline"]) - start) / timedelta(minutes=1))
