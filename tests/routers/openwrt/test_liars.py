"""Routers that say yes and do not do it, and what is told then."""

from collections.abc import Mapping

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    NotAppliedError,
    NotClosedError,
    NotMappedError,
    ProtocolError,
    RouterBusyError,
)
from lab.openwrt import PLAIN, Fault
from lab.openwrt.sessions import Session

from ..forwards import forward
from .home import HOUR, Home, home_with


async def test_what_is_not_even_written_is_no_success(home: Home) -> None:
    home.router.fault(Fault.IGNORE, "uci add", times=None)
    with pytest.raises(NotAppliedError) as caught:
        await home.open(forward())
    assert caught.value.left == ()
    home.router.clear_faults()
    home.router.fault(Fault.IGNORE, "uci add")
    assert (await home.open(forward())).enabled, "once more did it"


async def test_what_is_not_deleted_is_not_closed(home: Home) -> None:
    granted = await home.open(forward())
    home.router.fault(Fault.IGNORE, "uci delete", times=None)
    with pytest.raises(NotAppliedError):
        await home.driver.close(granted)
    home.router.clear_faults()
    await home.driver.close(granted)
    assert home.sections == []


async def test_a_section_that_comes_back_is_not_closed(session: aiohttp.ClientSession) -> None:
    async with home_with(session, rights=PLAIN) as home:
        granted = await home.open(forward())
        section = home.router.section(granted.id)
        assert section is not None
        confirm = home.router.uci.confirm

        async def revived(session: Session | None, args: Mapping[str, object]) -> object:
            await home.router.luci_edit(**{granted.id: dict(section.options)})
            return await confirm(session, args)

        home.router.ubus.objects["uci"]["confirm"] = revived
        with pytest.raises((NotClosedError, NotAppliedError)):
            await home.driver.close(granted)


async def test_a_section_that_is_written_back_and_not_loaded_is_not_closed(home: Home) -> None:
    """The firewall does not use it now, and will at its next reload."""
    granted = await home.open(forward())
    section = home.router.section(granted.id)
    assert section is not None
    confirm = home.router.uci.confirm

    async def written_back(session: Session | None, args: Mapping[str, object]) -> object:
        confirmed = await confirm(session, args)
        home.router._packages["firewall"].sections.append(section)
        return confirmed

    home.router.ubus.objects["uci"]["confirm"] = written_back
    with pytest.raises(NotClosedError):
        await home.driver.close(granted)


async def test_a_firewall_that_does_not_load_is_not_closed(home: Home) -> None:
    granted = await home.open(forward())
    home.router.firewall._delay = 60
    for _ in range(2):  # Also the next time, when the section is gone already.
        with pytest.raises(NotClosedError):
            await home.driver.close(granted)
    assert home.sections == []
    await home.router.firewall.reload()
    await home.driver.close(granted)


async def test_a_section_that_another_hand_changed_at_once_is_not_ours_as_asked(
    home: Home,
) -> None:
    wanted = forward()
    changes = home.router.ubus.objects["uci"]["get"]

    async def widened(session: Session | None, args: Mapping[str, object]) -> object:
        if section := home.router.section("ha_pf_camera1_0"):
            section.options["src_dport"] = "1-65535"
        return await changes(session, args)

    home.router.ubus.objects["uci"]["get"] = widened
    with pytest.raises(NotMappedError) as caught:
        await home.open(wanted)
    assert caught.value.left == ()
    assert home.sections == []


async def test_what_cannot_be_taken_back_is_told(session: aiohttp.ClientSession) -> None:
    async with home_with(session, reload_delay=60) as home:
        wanted = forward()
        home.router.fault(Fault.DROP_BEFORE, "uci delete")
        with pytest.raises(NotMappedError) as caught:
            await home.driver.open(wanted, HOUR)
        assert caught.value.left == home.driver.plan(wanted)
        assert home.sections == ["ha_pf_camera1_0"]


async def test_a_renewal_that_fails_takes_nothing_away(home: Home) -> None:
    wanted = forward()
    granted = await home.open(wanted)
    home.router.firewall._delay = 60
    with pytest.raises(NotMappedError) as caught:
        await home.driver.open(wanted, 3 * HOUR, ours=(granted,))
    assert caught.value.left == ()
    assert home.sections == [granted.id]


async def test_rules_that_make_no_sense_prove_nothing(home: Home) -> None:
    home.router.fault(Fault.GARBAGE, "file exec")
    with pytest.raises(ProtocolError):
        await home.open(forward())
    assert home.sections == []

    async def nonsense(session: Session | None, args: Mapping[str, object]) -> object:
        return {"code": 0, "stdout": "not what nft says"}

    home.router.ubus.objects["file"]["exec"] = nonsense
    with pytest.raises(ProtocolError):
        await home.open(forward())
    assert home.sections == []


async def test_changes_that_cannot_be_dropped_are_not_looked_at(home: Home) -> None:
    """The session would show what is not in force."""

    async def dirty(session: Session | None, args: Mapping[str, object]) -> object:
        return {"changes": [["set", "ha_pf_camera1_0", "redirect"]]}

    home.router.ubus.objects["uci"]["changes"] = dirty
    with pytest.raises(RouterBusyError):
        await home.driver.snapshot()


async def test_what_came_back_to_the_session_is_dropped(home: Home) -> None:
    """What the router took back is in our hands again, and would look as if it stood."""
    granted = await home.open(forward())
    session = next(iter(home.router.sessions.ids))
    held = home.router.sessions.find(session)
    assert held is not None
    held.deltas["firewall"].delete(granted.id)
    assert (await home.shown())[granted.id].enabled
    assert session not in home.router.sessions.ids
