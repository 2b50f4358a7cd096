"""A device fills the router's table: 10,000 mappings, of anything that a description can hold."""

import random
from collections.abc import AsyncGenerator
from itertools import cycle

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.port_forward.foreign.issues import MOST_ISSUES
from custom_components.port_forward.foreign.sightings import EVENT_SIGHTING
from custom_components.port_forward.foreign.telling import MOST_TOLD
from custom_components.port_forward.routers.upnp import listing
from lab.virtual_router import Quirk, VirtualRouter
from lab.virtual_router.ports import HIGHEST, LOWEST

from .automating import open_for, pass_time
from .conftest import ROUTER_UDN, add_forward, forward_data, refresh, set_up, state_of, up_for_a_day
from .test_foreign import SENSOR, asked, open_by_other, shown

FLOOD = 10_000
READ = 256

EVIL = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "](http://evil.example) ![x](http://evil.example/x.png) `code` **bold**",
    "\x00\x01\x1b[2J\r\n2026-11-22 12:00:00 CRITICAL (MainThread) [root] \x7f",
    "]]></NewPortMappingDescription><NewEnabled>0</NewEnabled>",
    "\u202egnp.exe\u2028\ufeff\ud7ff",
    "M" * 65536,
    "&amp;&lt;" * 8192,
    "",
)


@pytest.fixture
async def router() -> AsyncGenerator[VirtualRouter]:
    """A router whose table never ends."""
    async with VirtualRouter(udn=ROUTER_UDN, table_size=20_000) as virtual_router:
        up_for_a_day(virtual_router)
        yield virtual_router


async def flood(router: VirtualRouter, tag: str) -> None:
    """Fill the table, with our own name and tag among the descriptions."""
    chance = random.Random(7)  # noqa: S311  a test that is the same each time
    descriptions = cycle((*EVIL, tag))
    # None that `free_port` gives to a forward.
    for port in chance.sample([*range(1, LOWEST), *range(HIGHEST + 1, 65536)], FLOOD):
        await open_by_other(
            router,
            port,
            protocol=chance.choice(("TCP", "UDP")),
            # No addresses: their ports would be bound on this machine.
            internal_host=chance.choice(("cam.lan", "nas.lan", "*", "A" * 300)),
            internal_port=chance.randrange(65536),
            description=next(descriptions),
        )


@pytest.fixture(autouse=True)
def _less_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the tests last no longer than they have to; tests/e2e/test_audit.py reads it all."""
    monkeypatch.setattr(listing, "_LAST_INDEX", READ - 1)


@pytest.fixture
async def watched(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """An entry with a forward."""
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    return entry


@pytest.mark.parametrize("quirks", [set(), {Quirk.Q26}], ids=["", "Q26"])
async def test_flood(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: VirtualRouter,
    watched: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
    quirks: set[Quirk],
) -> None:
    router.quirks |= quirks
    told = async_capture_events(hass, EVENT_SIGHTING)
    await flood(router, "Camera [ha-pf:01]")
    # Where it stands now, nobody reads that far.
    await open_for(hass, minutes=10)
    router.requests.clear()
    await refresh(hass, watched)
    assert state_of(hass) == "on"
    assert router.requests["GetGenericPortMappingEntry"] <= READ + 1

    state = shown(hass)
    assert int(state.state) > MOST_ISSUES
    assert (len(state.attributes["mappings"]), state.attributes["complete"]) == (50, False)
    assert len(told) == MOST_TOLD + 1
    assert len(asked(hass)) == MOST_ISSUES + 1
    [count] = [
        (issue.translation_placeholders or {})["count"]
        for issue in asked(hass)
        if issue.translation_key == "foreign_flood"
    ]
    assert count == f"{int(state.state)}+", "at least"
    kept = watched.runtime_data.foreign.rows
    assert max(len(row.mapping.description) for row in kept) <= 256
    for text in [str(event.data) for event in told] + [str(state.attributes)]:
        assert text.isprintable()
    assert "evil.example" not in caplog.text

    await refresh(hass, watched)
    assert len(told) == MOST_TOLD + 1, "nothing is told twice"
    await pass_time(hass, freezer, minutes=10, seconds=1)
    assert state_of(hass) == "off"
    assert not [row for row in router.mappings if row.internal_host == "127.0.0.5"]
    assert len(router.mappings) == FLOOD, "nobody else's was touched"


async def test_the_flood_ends(
    hass: HomeAssistant, router: VirtualRouter, watched: MockConfigEntry
) -> None:
    told = async_capture_events(hass, EVENT_SIGHTING)
    await flood(router, "")
    await refresh(hass, watched)
    for row in router.mappings:
        await router.remove(row.protocol, row.external_port, row.remote_host)
    await refresh(hass, watched)
    assert (state_of(hass, SENSOR), asked(hass)) == ("0", [])
    assert shown(hass).attributes["complete"]
    assert len(told) == 2 * (MOST_TOLD + 1)


async def test_a_list_that_takes_too_long_is_cut(
    hass: HomeAssistant,
    router: VirtualRouter,
    watched: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "_LONGEST_WALK", -1.0)
    for port in range(20_000, 20_150):
        await open_by_other(router, port)
    await open_for(hass, minutes=10)
    await refresh(hass, watched)
    assert (state_of(hass), state_of(hass, SENSOR)) == ("on", "0")
    assert not shown(hass).attributes["complete"]
    monkeypatch.setattr(listing, "_LONGEST_WALK", 60.0)
    await refresh(hass, watched)
    assert (state_of(hass), state_of(hass, SENSOR)) == ("on", "150")
    assert shown(hass).attributes["complete"]
