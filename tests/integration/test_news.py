"""What a router announces has an effect at once, and not at the next poll."""

import pytest
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward import news
from lab.virtual_router import Fault, VirtualRouter

from .announcing import announce
from .conftest import add_forward, forward_data, set_up, state_of, stop_home_assistant, switch

LOOKED = "GetExternalIPAddress"
BEFORE, ANEW = "1", "2"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "_REST", 0)
    monkeypatch.setattr(news, "_ANSWERS_SOON", (0, 0))


@pytest.fixture
async def opened(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, external_port: int
) -> MockConfigEntry:
    """A router that has announced itself, with an open forward."""
    add_forward(hass, entry, forward_data(external_port))
    await set_up(hass, entry)
    await announce(hass, router, notify=True, boot_id=BEFORE)
    await switch(hass, "turn_on")
    router.requests.clear()
    return entry


async def test_restarted(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await router.restart(change_port=False)
    assert not router.mappings
    await announce(hass, router, notify=True, boot_id=ANEW)
    assert len(router.mappings) == 1
    assert state_of(hass) == "on"
    event = hass.states.get("event.camera_activity")
    assert event
    assert event.attributes["reason"] == "router_restarted"


async def test_restarted_as_fast_as_its_uptime_cannot_tell(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    [mapping] = router.mappings
    await router.remove("TCP", mapping.external_port)
    await announce(hass, router, notify=True, boot_id=ANEW)
    assert len(router.mappings) == 1


async def test_restarted_while_home_assistant_was_off(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await opened.runtime_data.async_refresh()
    await switch(hass, "turn_on")
    await stop_home_assistant(hass, opened)
    [mapping] = router.mappings
    await set_up(hass, opened)
    # Gone since, with an announcement that only this start has heard of.
    await router.remove("TCP", mapping.external_port)
    await announce(hass, router, notify=True, boot_id=ANEW)
    assert len(router.mappings) == 1


async def test_removed_without_a_restart_stays_closed(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    [mapping] = router.mappings
    await router.remove("TCP", mapping.external_port)
    await announce(hass, router, byebye=True, boot_id=BEFORE)
    assert not router.mappings
    assert state_of(hass) == "off"


async def test_goodbye_and_hello(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    router.fault(Fault.HTTP_500_EMPTY, times=None)
    await announce(hass, router, byebye=True)
    assert state_of(hass) == "unavailable"
    router.clear_faults()
    await announce(hass, router, notify=True, boot_id=BEFORE)
    assert state_of(hass) == "on"


async def test_nothing_new_is_no_reason_to_look(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await announce(hass, router, notify=True, boot_id=BEFORE)
    await announce(hass, router)
    await announce(hass, router, notify=True)
    assert not router.requests[LOOKED]


async def test_from_somebody_else(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await announce(hass, router, notify=True, sender="127.0.0.9", boot_id=ANEW)
    await announce(hass, router, byebye=True, sender="127.0.0.9")
    assert not router.requests[LOOKED]


async def test_unloaded_it_listens_no_more(
    hass: HomeAssistant, router: VirtualRouter, opened: MockConfigEntry
) -> None:
    await stop_home_assistant(hass, opened)
    await announce(hass, router, byebye=True)
    await announce(hass, router, notify=True, boot_id=ANEW)
    assert not router.requests[LOOKED]


async def test_much_news_is_few_looks(
    hass: HomeAssistant,
    router: VirtualRouter,
    opened: MockConfigEntry,
) -> None:
    """A storm of announcements while one look is under way asks for just one more."""
    router.fault(Fault.SLOW, action=LOOKED, times=1, delay=0.2)
    listener = news._News(opened)
    for _ in range(100):
        listener.tell()
    await hass.async_block_till_done(wait_background_tasks=True)
    assert 1 <= router.requests[LOOKED] <= 2
