"""Somebody edits in LuCI at the same time, and rules of the user's are switched."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    NotPermittedError,
    PortConflictError,
    Refusal,
    RouterBusyError,
    RuleChangedError,
)
from custom_components.port_forward.routers.openwrt import OpenWrtRouter
from lab.openwrt import LUCI, ROOT_PASSWORD
from lab.virtual_router import free_port

from ..forwards import forward
from .home import HOUR, PATIENCE, Home, home_with, redirect, settings_of


async def test_what_somebody_is_writing_stays_with_them(home: Home) -> None:
    user = home.router.luci()
    await user.call("add", type="redirect", name="nas", values=redirect(8080))
    granted = await home.open(forward())
    assert home.sections == [granted.id], "it was not saved yet, and we did not do it"
    await user.apply()
    assert home.sections == [granted.id, "nas"]
    await user.call("set", section="nas", values={"name": "My NAS"})
    await home.driver.close(granted)
    await user.apply()
    assert home.sections == ["nas"]
    section = home.router.section("nas")
    assert section is not None
    assert section.options["name"] == "My NAS"


async def test_somebody_who_is_about_to_confirm_is_waited_for(home: Home) -> None:
    user = home.router.luci()
    await user.call("add", type="redirect", name="nas", values=redirect(8080))
    await user.apply(confirm=False)
    opening = asyncio.create_task(home.open(forward()))
    while not home.router.calls["uci confirm"]:  # noqa: ASYNC110  the router has no event for it
        await asyncio.sleep(0)
    await home.router.uci.confirm(user._session, {})
    granted = await opening
    assert home.sections == ["nas", granted.id]


async def test_somebody_who_does_not_confirm(home: Home) -> None:
    user = home.router.luci()
    await user.call("add", type="redirect", name="nas", values=redirect(8080))
    await user.apply(confirm=False)
    with pytest.raises(RouterBusyError) as caught:
        await home.open(forward())
    assert caught.value.left == ()
    assert home.sections == ["nas"]
    await home.router.pass_time(timedelta(seconds=91))
    assert home.sections == []
    await home.open(forward())


async def test_somebody_who_applies_between_our_steps(home: Home) -> None:
    """They begin after we looked, so that our own apply is refused once."""
    user = home.router.luci()
    await user.call("add", type="redirect", name="nas", values=redirect(8080))
    add = home.router.ubus.objects["uci"]["add"]

    async def interrupted(*args):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN202
        home.router.ubus.objects["uci"]["add"] = add
        reply = await add(*args)
        await user.apply(confirm=False)
        asyncio.get_running_loop().call_later(0.1, confirmed.set)
        return reply

    confirmed = asyncio.Event()
    home.router.ubus.objects["uci"]["add"] = interrupted
    opening = asyncio.create_task(home.open(forward()))
    await confirmed.wait()
    await home.router.uci.confirm(user._session, {})
    granted = await opening
    assert set(home.sections) == {"nas", granted.id}


async def test_somebody_edits_between_our_look_and_our_apply(home: Home) -> None:
    """What waits until they have confirmed must not be what we thought of before."""
    granted = await home.open(forward())
    user = home.router.luci()
    uci = home.router.ubus.objects["uci"]
    apply = uci["apply"]
    refused = asyncio.Event()

    async def theirs_first(*args):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN202
        uci["apply"] = apply
        await user.call("set", section=granted.id, values={"dest_ip": "192.168.1.99"})
        await user.apply(confirm=False)
        refused.set()
        return await apply(*args)

    uci["apply"] = theirs_first
    closing = asyncio.create_task(home.driver.close(granted))
    await refused.wait()
    await home.router.uci.confirm(user._session, {})
    await closing
    section = home.router.section(granted.id)
    assert section is not None, "it is another rule now, and theirs"
    assert section.options["dest_ip"] == "192.168.1.99"


async def test_somebody_is_faster_between_look_and_apply(home: Home) -> None:
    """Their section stands first and decides: ours would show as open what leads to theirs."""
    wanted = forward()
    uci = home.router.ubus.objects["uci"]
    apply = uci["apply"]

    async def theirs_first(*args):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN202
        uci["apply"] = apply
        await home.router.luci_edit(nas=redirect(wanted.external_ports.first))
        return await apply(*args)

    uci["apply"] = theirs_first
    with pytest.raises(PortConflictError) as caught:
        await home.driver.open(wanted, HOUR)
    assert caught.value.left == ()
    assert home.sections == ["nas"]


async def test_a_session_that_is_somebody_elses_is_not_used(
    session: aiohttp.ClientSession,
) -> None:
    """With root for both of us, a login while they apply is given their session."""
    async with home_with(session, rights=LUCI) as home:
        settings = settings_of(home.router) | {"username": "root", "password": ROOT_PASSWORD}
        driver = OpenWrtRouter(session, settings, patience=PATIENCE)
        user = home.router.luci("root")
        await user.call("add", type="redirect", name="nas", values=redirect(8080))
        await user.apply(confirm=False)
        await user.call("add", type="redirect", name="draft", values=redirect(8081))
        with pytest.raises(RouterBusyError):
            await driver.connect()
        await home.router.uci.confirm(user._session, {})
        await driver.connect()
        await driver.open(forward(), HOUR)
        assert home.sections == ["nas", "ha_pf_camera1_0"], "and not the draft"


async def test_a_section_that_was_removed_under_our_feet(home: Home) -> None:
    granted = await home.open(forward())
    await home.router.luci_edit(ha_pf_camera1_0=None)
    assert await home.shown() == {}
    await home.driver.close(granted)
    assert home.sections == []


async def test_a_section_that_was_edited_under_our_feet_is_left_alone(home: Home) -> None:
    granted = await home.open(forward())
    user = home.router.luci()
    await user.call("set", section=granted.id, values={"dest_ip": "192.168.1.99"})
    await user.apply()
    await home.driver.close(granted)
    assert home.sections == [granted.id]
    shown = (await home.shown())[granted.id]
    assert shown.internal_host == "192.168.1.99"
    assert str(home.driver.owner_of(shown)) == "camera1"


async def test_a_rule_of_the_users_that_does_the_same_is_not_closed_for_ours(home: Home) -> None:
    wanted = forward()
    granted = await home.open(wanted)
    same = redirect(wanted.external_ports.first, dest_ip="127.0.0.1")
    await home.router.luci_edit(ha_pf_camera1_0=None, mine=same)
    await home.driver.close(granted)
    assert home.sections == ["mine"]


async def anonymous(home: Home, *ports: int) -> list[str]:
    """Let somebody make redirects that have no names, as LuCI does."""
    user = home.router.luci()
    for port in ports:
        await user.call("add", type="redirect", values=redirect(port))
    await user.apply()
    return home.sections


async def test_a_rule_of_the_users_is_switched_and_keeps_all_else(home: Home) -> None:
    port = free_port()
    await home.router.luci_edit(
        nas=redirect(port, src_mac=["02:00:00:00:00:01"], reflection="1", enabled="0", extra="x")
    )
    row = (await home.shown())["nas"]
    assert not row.enabled
    switched = await home.driver.set_enabled(row, enabled=True)
    assert switched.enabled
    assert switched.id == "nas"
    section = home.router.section("nas")
    assert section is not None
    assert section.options == redirect(
        port, src_mac=["02:00:00:00:00:01"], reflection="1", enabled="1", extra="x"
    )
    home.router.calls.clear()
    assert (await home.driver.set_enabled(switched, enabled=True)).enabled
    assert home.router.calls["uci set"] == 0
    assert not (await home.driver.set_enabled(switched, enabled=False)).enabled
    assert home.router.section("nas")
    assert not home.router.rules


async def test_an_id_that_names_another_rule_now(home: Home) -> None:
    """Names of anonymous sections are numbers: deleting one renames those after it."""
    await anonymous(home, 8001, 8002, 8003)
    rows = {str(row.external_ports): row for row in (await home.shown()).values()}
    await home.router.luci_edit(**{rows["8001"].id: None})
    assert rows["8001"].id in home.sections, "which was the name of the first"
    # The second is known by what it does, and the first is gone.
    await home.driver.set_enabled(rows["8002"], enabled=False)
    with pytest.raises(RuleChangedError):
        await home.driver.set_enabled(rows["8001"], enabled=False)
    shown = {str(row.external_ports): row.enabled for row in (await home.shown()).values()}
    assert shown == {"8002": False, "8003": True}
    await home.driver.close(rows["8001"])
    await home.driver.close(rows["8003"])
    assert list(await home.shown()) == home.sections
    assert [str(row.external_ports) for row in (await home.shown()).values()] == ["8002"]


async def test_two_rules_alike_are_not_mixed_up(home: Home) -> None:
    first, second = await anonymous(home, 8001, 8001)
    row = (await home.shown())[second]
    await home.driver.set_enabled(row, enabled=False)
    assert (await home.shown())[first].enabled
    await home.router.luci_edit(**{first: None, second: None})
    with pytest.raises(RuleChangedError):
        await home.driver.set_enabled(replace(row, id="cfg991234"), enabled=True)


async def test_a_rule_whose_port_another_one_has_is_not_switched_on(home: Home) -> None:
    wanted = forward()
    port = wanted.external_ports.first
    await home.router.luci_edit(nas=redirect(port, enabled="0"))
    await home.open(wanted)
    row = (await home.shown())["nas"]
    with pytest.raises(PortConflictError):
        await home.driver.set_enabled(row, enabled=True)
    assert not (await home.shown())["nas"].enabled


async def test_a_rule_for_every_port_is_switched_off_and_never_on(home: Home) -> None:
    await home.router.luci_edit(wide=redirect(1, src_dport=None))
    row = (await home.shown())["wide"]
    assert row.enabled
    row = await home.driver.set_enabled(row, enabled=False)
    with pytest.raises(NotPermittedError) as caught:
        await home.driver.set_enabled(row, enabled=True)
    assert caught.value.reason is Refusal.ALL_PORTS_ONLY


@pytest.mark.parametrize("call", ["set", "apply"])
async def test_a_rule_that_was_edited_before_it_is_switched_on_is_off_again(
    home: Home, call: str
) -> None:
    """What we switched on then leads where nobody has asked for."""
    await home.router.luci_edit(nas=redirect(free_port(), enabled="0"))
    row = (await home.shown())["nas"]
    user = home.router.luci()
    uci = home.router.ubus.objects["uci"]
    do = uci[call]

    async def edited_first(*args):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN202
        uci[call] = do
        await user.call("set", section="nas", values={"dest_ip": "192.168.1.99"})
        await user.apply()
        return await do(*args)

    uci[call] = edited_first
    with pytest.raises(RuleChangedError):
        await home.driver.set_enabled(row, enabled=True)
    section = home.router.section("nas")
    assert section is not None
    assert (section.options["dest_ip"], section.options["enabled"]) == ("192.168.1.99", "0")
    assert not home.router.rules


async def test_a_pinhole_of_the_users_is_switched(home: Home) -> None:
    user = home.router.luci()
    values = {
        "name": "Web",
        "src": "wan",
        "dest": "lan",
        "proto": ["tcp"],
        "dest_ip": "2001:db8:1::10",
        "dest_port": "443",
        "target": "ACCEPT",
    }
    await user.call("add", type="rule", name="web6", values=values)
    await user.apply()
    row = (await home.shown())["web6"]
    assert row.is_pinhole
    await home.driver.set_enabled(row, enabled=False)
    opens = home.router.firewall.opens
    assert not opens("2001:db8:1::10", "tcp", 443, "2001:db8::1")
    await home.driver.set_enabled(row, enabled=True)
    assert opens("2001:db8:1::10", "tcp", 443, "2001:db8::1")
