"""Pinholes: accepted before the rule that drops the rest, and behind all others."""

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    NotPermittedError,
    PortConflictError,
    Refusal,
)
from custom_components.port_forward.routers.rule_texts import rule_id_of
from lab.mikrotik import Habit

from ..forwards import forward, lasts
from .home import BOTH, CAMERA6, FILTER6, HOUR, LIST6, NAT, Home, home_with

STRANGER = "2001:db8:ffff::1"
FRIEND = "2001:db8:aaaa::1"


def passes(home: Home, source: str = STRANGER, port: int = 443, protocol: str = "tcp") -> bool:
    return home.router.lets_through(protocol, source, CAMERA6, port)


async def test_a_pinhole_comes_and_goes(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(443, host=None, host6=CAMERA6, protocols=BOTH)
        stock = home.router.items(FILTER6)
        assert not passes(home)
        tcp, udp = await home.driver.open(wanted, HOUR)
        assert passes(home)
        assert passes(home, protocol="udp")
        assert not passes(home, port=444)
        rows = home.router.items(FILTER6)
        assert [row[".id"] for row in rows[-3:-1]] == [rule_id_of(tcp), rule_id_of(udp)], (
            "before the last one"
        )
        assert rows[-1]["comment"] == stock[-1]["comment"]
        assert home.admitted(LIST6) == [("ha-pf-camera1", "::/0", HOUR)]
        assert tcp.is_pinhole
        assert lasts(tcp, HOUR)
        shown = await home.driver.snapshot()
        assert [row.key for row in shown.mappings] == [tcp.key, udp.key]
        assert shown.mappings[0].hits == 1
        await home.router.advance(3600)
        assert not passes(home)
        for mapping in (tcp, udp):
            await home.driver.close(mapping)
        assert [row[".id"] for row in home.router.items(FILTER6)] == [r[".id"] for r in stock]
        assert not home.rules()


async def test_only_the_allowed_source(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        source = "2001:db8:aaaa::/48"
        wanted = forward(443, host=None, host6=CAMERA6, source=source)
        (granted,) = await home.driver.open(wanted, HOUR)
        assert granted.allowed_source == source
        assert passes(home, FRIEND)
        assert not passes(home)
        await home.driver.close(granted)
        assert not passes(home, FRIEND)
        assert not home.admitted(LIST6)


async def test_both_families_are_opened_together(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(host6=CAMERA6)
        granted = await home.driver.open(wanted, HOUR)
        assert [mapping.is_pinhole for mapping in granted] == [False, True]
        home.router.rest.log.clear()
        again = await home.driver.open(wanted, 2 * HOUR, ours=granted)
        assert len(again) == 2
        assert all(lasts(mapping, 2 * HOUR) for mapping in again)
        assert len(home.writes()) == 2
        for mapping in granted:
            await home.driver.close(mapping)
        assert not home.rules(NAT)
        assert not home.rules(FILTER6)


async def test_a_pinhole_that_would_have_no_effect(session: aiohttp.ClientSession) -> None:
    """The user's own drop of this port stays in front, and decides."""
    async with home_with(session) as home:
        first = home.router.items(FILTER6)[0][".id"]
        await home.router.add(
            FILTER6,
            chain="forward",
            action="drop",
            protocol="tcp",
            dst_port="443",
            comment="never",
            place_before=first,
        )
        wanted = forward(443, host6=CAMERA6)
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.placeholders["holder"] == "drop (never)"
        assert not home.rules(NAT)
        assert not home.writes()


async def test_the_same_pinhole_of_the_users_is_in_the_way(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        last = home.router.items(FILTER6)[-1][".id"]
        await home.router.add(
            FILTER6,
            chain="forward",
            action="accept",
            protocol="tcp",
            dst_port="400-500",
            dst_address=CAMERA6,
            place_before=last,
        )
        with pytest.raises(PortConflictError):
            await home.driver.open(forward(443, host=None, host6=CAMERA6), HOUR)
        # Another host may have the same port.
        await home.driver.open(forward(443, host=None, host6="2001:db8:1::21"), HOUR)


async def test_a_pinhole_that_slipped_behind_the_drop_is_made_anew(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward(443, host=None, host6=CAMERA6)
        (granted,) = await home.driver.open(wanted, HOUR)
        home.router.filter6.move(rule_id_of(granted), None)
        assert not passes(home)
        (again,) = await home.driver.open(wanted, HOUR, ours=[granted])
        assert passes(home)
        assert len(home.rules(FILTER6)) == 1
        assert rule_id_of(again) != rule_id_of(granted)


async def test_a_firewall_without_a_last_drop(session: aiohttp.ClientSession) -> None:
    async with home_with(session, wan_list=False) as home:
        (granted,) = await home.driver.open(forward(443, host=None, host6=CAMERA6), HOUR)
        assert home.router.items(FILTER6)[-1][".id"] == rule_id_of(granted)


async def test_ipv6_is_switched_off(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Habit.NO_IPV6) as home:
        wanted = forward(host6=CAMERA6)
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.reason is Refusal.NO_IPV6
        assert not home.rules()
        assert home.driver.capabilities.ipv6 is False
        with pytest.raises(NotPermittedError):
            home.driver.plan(wanted)
        for mapping in home.another_driver().plan(wanted):
            await home.driver.close(mapping)


async def test_ipv6_is_switched_off_while_a_pinhole_is_open(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        granted = await home.driver.open(forward(host6=CAMERA6), HOUR)
        home.router.habits.add(Habit.NO_IPV6)
        assert [row.key for row in (await home.driver.snapshot()).mappings] == [granted[0].key]
        for mapping in granted:
            await home.driver.close(mapping)
        assert not home.rules()


async def test_any_source_is_learned_apart_from_ipv4(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Habit.WHOLE_MANGLED) as home:
        await home.driver.check_rights()
        await home.driver.open(forward(443, host=None, host6=CAMERA6), HOUR)
        assert {row[1] for row in home.admitted(LIST6)} == {"::/1", "8000::/1"}
        assert passes(home)
