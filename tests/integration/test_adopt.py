"""Rules of the user's become forwards, and are switched instead of made and deleted."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util

from .adopt_home import (
    Home,
    OnMikrotik,
    OnOpenWrt,
    OnUnifi,
    UsersRouter,
    home_of,
    users_router,
)
from .conftest import ledger_of, phases, refresh, stop_home_assistant

ROUTERS = ("openwrt", "mikrotik", "opnsense", "unifi", "fritzbox")


@pytest.fixture(params=ROUTERS)
async def home(
    hass: HomeAssistant, request: pytest.FixtureRequest
) -> AsyncGenerator[Home[UsersRouter]]:
    """A home with one router after the other, whose rule is off."""
    async with users_router(request.param) as router:
        yield await home_of(hass, router)
        for entry in hass.config_entries.async_entries("port_forward"):
            await stop_home_assistant(hass, entry)


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


@pytest.mark.parametrize("kind", ["openwrt", "mikrotik"])
async def test_off_after_a_restart_of_the_router_is_a_decision(
    hass: HomeAssistant, kind: str
) -> None:
    """Rules outlive restarts: what was switched off meanwhile is not switched on again."""
    async with users_router(kind) as router:
        assert isinstance(router, OnOpenWrt | OnMikrotik)
        home = await home_of(hass, router)
        await home.adopt()
        await home.on()
        seen = home.entry.runtime_data.data
        await router.by_hand(enabled=False)
        await router.router.reboot()
        # As if it had been up for a day when it was looked at last.
        home.entry.runtime_data.keeper._ledger.last_seen = replace(
            seen, uptime=timedelta(days=1), taken_at=dt_util.utcnow()
        )
        await refresh(hass, home.entry)
        assert (home.state, home.told) == ("off", ("closed", "removed_elsewhere"))
        assert not router.is_on
        await stop_home_assistant(hass, home.entry)


async def test_somebody_saves_the_rule_while_it_is_switched_off(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their page still had it as on: it is, and so it is switched off once more."""
    async with users_router("unifi") as router:
        assert isinstance(router, OnUnifi)
        home = await home_of(hass, router)
        await home.adopt()
        await home.on()
        changed = router.controller.changed

        def save_meanwhile() -> None:
            monkeypatch.undo()
            for document in router.controller.sites[0].forwards:
                document.update(enabled=True, name="NAS box")
            changed()

        monkeypatch.setattr(router.controller, "changed", save_meanwhile)
        with pytest.raises(HomeAssistantError) as raised:
            await home.off()
        assert raised.value.translation_key == "not_closed"
        assert (home.state, phases(hass, home.entry)) == ("on", ["closing"])
        await refresh(hass, home.entry)
        assert (home.state, router.is_on, phases(hass, home.entry)) == ("off", False, [])
        assert router.rule
        assert router.rule["name"] == "NAS box"
        await stop_home_assistant(hass, home.entry)
