"""What a snapshot shows, what closing touches, ids that name other rules, and adopted rules."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    NotClosedError,
    NotMappedError,
    NotPermittedError,
    RuleChangedError,
)
from custom_components.port_forward.routers.model import (
    Listing,
    PortMapping,
    PortRange,
    Protocol,
)
from custom_components.port_forward.routers.rule_texts import rule_id_of
from lab.mikrotik import Fault, Habit
from lab.virtual_router import free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from ..forwards import forward
from .home import BOTH, CAMERA, HOUR, NAT, home_with, theirs


async def test_what_is_known_of_the_router(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        assert home.driver.capabilities.ipv6 is None
        shown = await home.driver.snapshot()
        assert shown.external_address == IPv4Address("203.0.113.7")
        assert shown.connected
        assert shown.uptime is not None
        assert shown.mappings == ()
        can = home.driver.capabilities
        assert (can.listing, can.ipv6, can.hit_counters) == (Listing.FULL, True, True)
        assert can.allowed_source
        assert can.other_hosts
        assert can.port_ranges
        assert not can.both_protocols
        home.router.menu("ip/route").items.clear()  # type: ignore[union-attr]
        assert (await home.driver.snapshot()).connected is False


async def test_behind_another_router_the_cloud_tells_the_address(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, external_address="10.0.0.2") as home:
        assert (await home.driver.snapshot()).external_address == IPv4Address("10.0.0.2")
        home.router.fault(Fault.SERVER_ERROR, "GET ip/cloud")
        assert (await home.driver.snapshot()).external_address == IPv4Address("10.0.0.2")
        home.router.cloud_address = "203.0.113.99"
        assert (await home.driver.snapshot()).external_address == IPv4Address("203.0.113.99")


async def test_rules_of_the_users_are_shown_as_they_are(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        rules = [
            {"dst_port": "80,8000-8010", "protocol": "tcp", "to_ports": "8080", "comment": "web"},
            {"dst_address": "203.0.113.7", "comment": "everything"},
            {
                "dst_port": "53",
                "protocol": "udp",
                "src_address": "192.0.2.0/24",
                "disabled": "true",
            },
            {"dst_port": "54", "protocol": "udp", "src_address": "192.0.2.1-192.0.2.9"},
            {"dst_port": "55", "protocol": "udp", "src_address_list": "friends"},
            {"dst_port": "56", "protocol": "udp", "in_interface_list": "LAN"},
            {"protocol": "gre"},
        ]
        ids = [
            await home.router.add(
                NAT, chain="dstnat", action="dst-nat", to_addresses=CAMERA, **rule
            )
            for rule in rules
        ]
        await home.router.add(NAT, chain="dstnat", action="redirect", protocol="tcp", dst_port="1")

        def row(ports: str, inside: str, *protocols: Protocol, **more: object) -> PortMapping:
            return replace(
                PortMapping(
                    protocols=protocols,
                    external_ports=PortRange.parse(ports),
                    internal_host=CAMERA,
                    internal_ports=PortRange.parse(inside),
                    hits=0,
                ),
                **more,  # type: ignore[arg-type]
            )

        udp = Protocol.UDP
        assert (await home.driver.snapshot()).mappings == (
            row("80", "8080", Protocol.TCP, description="web", id=ids[0]),
            row("8000-8010", "8080", Protocol.TCP, description="web", id=ids[0]),
            row("1-65535", "1-65535", *BOTH, description="everything", id=ids[1]),
            row("53", "53", udp, allowed_source="192.0.2.0/24", enabled=False, id=ids[2]),
            row("54", "54", udp, allowed_source="192.0.2.1-192.0.2.9", id=ids[3]),
            row("55", "55", udp, allowed_source="friends", id=ids[4]),
        )


async def test_one_bad_row_does_not_hide_the_others(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        for number, bad in enumerate(({}, {"dst-port": "?"}, {"to-ports": "x"}, {"packets": "-"})):
            row = {"chain": "dstnat", "action": "dst-nat", "protocol": "tcp", ".id": f"*F{number}"}
            home.router.nat.items.append(row | bad)
        shown = await home.driver.snapshot()
        assert len(shown.mappings) == 4
        assert [row.internal_ports is None for row in shown.mappings] == [False, False, True, False]


async def test_closing_again_is_success(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        for _ in range(2):
            await home.driver.close(granted)
        assert not home.rules()


async def test_a_rule_that_was_removed_at_the_router(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        first, second = await home.driver.open(forward(protocols=BOTH), HOUR)
        await home.router.remove(NAT, rule_id_of(first))
        assert [row.key for row in (await home.driver.snapshot()).mappings] == [second.key]
        for mapping in (first, second):
            await home.driver.close(mapping)
        assert not home.rules()
        assert not home.admitted()


async def test_a_rule_that_stays_is_no_success(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        home.router.habits.add(Habit.DELETE_IGNORED)
        with pytest.raises(NotClosedError) as error:
            await home.driver.close(granted)
        assert error.value.placeholders == {"port": str(granted.external_ports)}


async def test_after_a_crash_the_plan_finds_what_was_made(session: aiohttp.ClientSession) -> None:
    """The ledger holds the plan only, which knows no ids of rules, and no descriptions."""
    async with home_with(session) as home:
        wanted = forward(protocols=BOTH)
        await home.driver.open(wanted, HOUR)
        again = home.another_driver()
        for mapping in again.plan(wanted):
            await again.close(replace(mapping, description=""))
        assert not home.rules()
        assert not home.admitted()


async def test_an_id_that_names_another_rule_by_now(session: aiohttp.ClientSession) -> None:
    """As after a reset and an import: ids are given anew."""
    async with home_with(session) as home:
        wanted = forward()
        (granted,) = await home.driver.open(wanted, HOUR)
        await home.router.remove(NAT, rule_id_of(granted))
        other = await home.router.add(NAT, **theirs(forward(free_port())))
        home.router.nat.find(other)[".id"] = rule_id_of(granted)
        before = home.rules()
        await home.driver.close(granted)
        assert home.rules() == before
        (again,) = await home.driver.open(wanted, HOUR, ours=[granted])
        assert rule_id_of(again) != rule_id_of(granted)
        await home.driver.close(granted)
        assert home.rules() == before


async def test_a_foreign_rule_with_our_target_is_switched_off_on_demand_only(
    session: aiohttp.ClientSession, inside: Inside
) -> None:
    async with home_with(session) as home:
        wanted = forward(internal=inside.port)
        port = wanted.external_ports.first
        mine = theirs(wanted, to_addresses="127.0.0.1", to_ports=str(inside.port), log="true")
        rule_id = await home.router.add(NAT, **mine)
        (planned,) = home.driver.plan(wanted)
        shown = await home.mapping(planned)
        assert shown
        assert shown.same_rule(planned)
        # A ledger that knows another id does not mean this rule.
        await home.driver.close(replace(planned, id="*FFF"))
        assert await talk(port, b"hello") == b"HELLO"
        # The user switches it off.
        await home.driver.close(planned)
        with pytest.raises(ConnectionError):
            await talk(port, b"hello")
        (kept,) = home.rules()
        assert kept[".id"] == rule_id
        assert (kept["disabled"], kept["log"], kept["comment"]) == ("true", "true", "theirs")
        shown = await home.mapping(planned)
        assert shown
        assert not shown.enabled


async def test_a_hairpin_twin_is_left_alone(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(host=CAMERA)
        await home.router.add(NAT, **theirs(wanted, in_interface_list="LAN"))
        before = home.rules()
        (granted,) = await home.driver.open(wanted, HOUR)
        await home.driver.close(granted)
        await home.driver.close(home.driver.plan(wanted)[0])
        assert home.rules() == before


async def test_a_foreign_rule_for_more_than_the_port_is_not_switched_off(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward(80, host=CAMERA)
        await home.router.add(NAT, **theirs(wanted, dst_port="80,443"))
        before = home.rules()
        with pytest.raises(NotPermittedError, match="other ports"):
            await home.driver.close(home.driver.plan(wanted)[0])
        assert home.rules() == before


async def test_adopted_rules_are_switched_and_kept(
    session: aiohttp.ClientSession, inside: Inside
) -> None:
    async with home_with(session) as home:
        wanted = forward(internal=inside.port)
        port = wanted.external_ports.first
        mine = theirs(wanted, to_addresses="127.0.0.1", to_ports=str(inside.port), log="true")
        await home.router.add(NAT, **mine)
        before = home.rules()
        (mapping,) = (await home.driver.snapshot()).mappings
        off = await home.driver.set_enabled(mapping, enabled=False)
        assert not off.enabled
        with pytest.raises(ConnectionError):
            await talk(port, b"hello")
        on = await home.driver.set_enabled(off, enabled=True)
        assert on.enabled
        assert await talk(port, b"hello") == b"HELLO"
        (after,) = home.rules()
        assert after == {**before[0], "disabled": "false", "packets": "1", "bytes": "60"}
        assert home.writes() == [f"PATCH {NAT}"] * 2


async def test_an_adopted_rule_that_is_another_one_by_now(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        rule_id = await home.router.add(NAT, **theirs(forward()))
        (mapping,) = (await home.driver.snapshot()).mappings
        for change in ({"to_addresses": "192.168.88.99"}, {"dst_port": "9"}, {"protocol": "udp"}):
            await home.router.change(NAT, rule_id, **change)
            before = home.rules()
            with pytest.raises(RuleChangedError):
                await home.driver.set_enabled(mapping, enabled=False)
            assert home.rules() == before
        for gone in (mapping, replace(mapping, id="*FFF"), replace(mapping, id="")):
            if gone is mapping:
                await home.router.remove(NAT, rule_id)
            with pytest.raises(RuleChangedError) as error:
                await home.driver.set_enabled(gone, enabled=True)
            assert error.value.placeholders == {"port": str(mapping.external_ports)}
        assert not home.writes()


async def test_names_do_not_pass_for_tags(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(name="Käse [ha-pf:other]; $x")
        (granted,) = await home.driver.open(wanted, HOUR)
        assert granted.description == "HA: Kase ha-pf other x [ha-pf:camera1]"
        assert str(home.driver.owner_of(granted)) == "camera1"
        assert home.driver.owner_of(replace(granted, description="Xbox", id="7")) is None


async def test_switching_what_is_switched_already_writes_nothing(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        await home.router.add(NAT, **theirs(forward()))
        (mapping,) = (await home.driver.snapshot()).mappings
        assert await home.driver.set_enabled(mapping, enabled=True) == mapping
        off = await home.driver.set_enabled(mapping, enabled=False)
        assert await home.driver.set_enabled(mapping, enabled=False) == off
        assert home.writes() == [f"PATCH {NAT}"]


@pytest.mark.parametrize("more", [{"dst_port": "80,443"}, {"dst_port": "", "protocol": ""}])
async def test_an_adopted_rule_is_switched_on_only_if_it_opens_nothing_besides(
    session: aiohttp.ClientSession, more: dict[str, str]
) -> None:
    async with home_with(session) as home:
        rule = {key: value for key, value in theirs(forward(80), **more).items() if value}
        await home.router.add(NAT, **rule)
        mapping, *_ = (await home.driver.snapshot()).mappings
        assert not (await home.driver.set_enabled(mapping, enabled=False)).enabled
        before = home.rules()
        with pytest.raises(RuleChangedError):
            await home.driver.set_enabled(mapping, enabled=True)
        assert home.rules() == before


async def test_a_rule_that_is_not_switched_is_no_success(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Habit.SWITCH_IGNORED) as home:
        await home.router.add(NAT, **theirs(forward(80)))
        await home.router.add(NAT, **theirs(forward(81)), disabled="true")
        on, off = (await home.driver.snapshot()).mappings
        with pytest.raises(NotClosedError):
            await home.driver.set_enabled(on, enabled=False)
        with pytest.raises(NotMappedError):
            await home.driver.set_enabled(off, enabled=True)
        with pytest.raises(NotClosedError):
            await home.driver.close(on)


async def test_a_rule_that_changes_while_it_is_switched(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        rule_id = await home.router.add(NAT, **theirs(forward(80)))
        (mapping,) = (await home.driver.snapshot()).mappings

        async def change() -> None:
            while not home.writes():  # noqa: ASYNC110  the router has no event for it
                await asyncio.sleep(0)
            await home.router.change(NAT, rule_id, to_addresses="192.168.88.99")

        changing = asyncio.ensure_future(change())
        with pytest.raises(RuleChangedError):
            await home.driver.set_enabled(mapping, enabled=False)
        await changing


async def test_a_rule_that_was_edited_before_it_is_switched_on_is_off_again(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What we switched on then leads where nobody has asked for."""
    async with home_with(session) as home:
        rule_id = await home.router.add(NAT, **theirs(forward(80)), disabled="true")
        (mapping,) = (await home.driver.snapshot()).mappings
        switch = home.router.nat.set

        def edited_first(item_id: str, values: Mapping[str, str]) -> dict[str, str]:
            monkeypatch.undo()
            switch(rule_id, {"to-addresses": "192.168.88.99"})
            return switch(item_id, values)

        monkeypatch.setattr(home.router.nat, "set", edited_first)
        with pytest.raises(RuleChangedError):
            await home.driver.set_enabled(mapping, enabled=True)
        (rule,) = home.rules()
        assert (rule["to-addresses"], rule["disabled"]) == ("192.168.88.99", "true")


async def test_a_dynamic_rule_cannot_be_closed(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(80)
        await home.router.add(NAT, **theirs(wanted, to_addresses="127.0.0.1"))
        home.router.fault(Fault.SERVER_ERROR, f"PATCH {NAT}")
        with pytest.raises(NotPermittedError) as error:
            await home.driver.close(home.driver.plan(wanted)[0])
        assert error.value.placeholders["detail"] == "std failure: timeout (13)"
