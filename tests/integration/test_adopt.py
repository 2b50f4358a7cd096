"""Rules of the user's become forwards, and are switched instead of made and deleted."""

from collections.abc import AsyncGenerator

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError

from .adopt_home import Home, UsersRouter, home_of, users_router
from .conftest import ledger_of, refresh

ROUTERS = ("openwrt", "mikrotik", "opnsense", "unifi", "fritzbox")


@pytest.fixture(params=ROUTERS)
async def home(
    hass: HomeAssistant, request: pytest.FixtureRequest
) -> AsyncGenerator[Home[UsersRouter]]:
    """A home with one router after the other, whose rule is off."""
    async with users_router(request.param) as router:
        yield await home_of(hass, router)
        for entry in hass.config_entries.async_entries("port_forward"):
            await hass.config_entries.async_unload(entry.entry_id)


async def test_taken_over_switched_and_kept(home: Home[UsersRouter]) -> None:
    before = home.router.rule
    assert before
    await home.adopt()
    assert (home.state, home.router.is_on, home.router.rule) == ("off", False, before)

    await home.on()
    assert (home.state, home.router.is_on, home.router.rule) == ("on", True, before)
    await refresh(home.hass, home.entry)
    assert home.state == "on"

    await home.restart()
    assert (home.state, home.router.is_on) == ("on", True)

    await home.off()
    assert (home.state, home.router.is_on, home.router.rule) == ("off", False, before)
    assert ledger_of(home.hass, home.entry)["openings"] == []
    await refresh(home.hass, home.entry)
    assert home.state == "off"


async def test_switched_by_hand(home: Home[UsersRouter]) -> None:
    await home.adopt()
    await home.router.by_hand(enabled=True)
    await refresh(home.hass, home.entry)
    assert home.state == "on", "though nobody opened it here"
    before = home.router.rule
    await home.off()
    assert (home.state, home.router.is_on, home.router.rule) == ("off", False, before)

    await home.on()
    await home.router.by_hand(enabled=False)
    await refresh(home.hass, home.entry)
    assert home.state == "off"
    assert home.told == ("closed", "removed_elsewhere")
    assert not home.router.is_on


async def test_another_rule_by_now(home: Home[UsersRouter]) -> None:
    await home.adopt()
    await home.on()
    await home.router.lead_elsewhere()
    after = home.router.rule
    await refresh(home.hass, home.entry)
    assert (home.state, home.told) == ("off", ("closed", "removed_elsewhere"))
    assert (home.router.rule, home.router.is_on) == (after, True), "which the user has made it"
    assert ledger_of(home.hass, home.entry)["openings"] == []

    with pytest.raises(HomeAssistantError) as raised:
        await home.on()
    assert raised.value.translation_key == "rule_changed"
    await home.off()
    assert (home.router.rule, home.router.is_on) == (after, True)


async def test_deleted_while_open(home: Home[UsersRouter]) -> None:
    await home.adopt()
    await home.on()
    await home.router.delete()
    await refresh(home.hass, home.entry)
    assert (home.state, home.told) == ("off", ("closed", "removed_elsewhere"))
    assert home.router.rule is None, "and it is not made again"
    with pytest.raises(HomeAssistantError) as raised:
        await home.on()
    assert raised.value.translation_key == "rule_changed"
    assert home.router.rule is None
    assert ledger_of(home.hass, home.entry)["openings"] == []
