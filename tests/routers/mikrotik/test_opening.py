"""Opening and closing: what stands on the router, who gets in, and for how long."""

from collections.abc import Mapping
from datetime import timedelta

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    InvalidForwardError,
    NotMappedError,
    NotPermittedError,
    PortConflictError,
    ProtocolError,
    Refusal,
)
from custom_components.port_forward.routers.model import Leases, PortRange
from custom_components.port_forward.routers.rule_texts import rule_id_of
from lab.mikrotik import Fault, Habit
from lab.virtual_router import free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from ..forwards import forward, lasts
from .home import BOTH, CAMERA, HOUR, LIST, NAT, NO_END, SOURCE, home_with, theirs, without_ids


async def test_one_rule_and_one_address_with_a_timeout(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(32400, internal=8080, host="192.168.88.10")
        (granted,) = await home.driver.open(wanted, HOUR)
        (rule,) = home.rules()
        assert rule == {
            ".id": rule_id_of(granted),
            "action": "dst-nat",
            "bytes": "0",
            "chain": "dstnat",
            "comment": "HA: Camera [ha-pf:camera1]",
            "dst-address-type": "local",
            "dst-port": "32400",
            "dynamic": "false",
            "in-interface-list": "WAN",
            "invalid": "false",
            "packets": "0",
            "protocol": "tcp",
            "src-address-list": "ha-pf-camera1",
            "to-addresses": "192.168.88.10",
            "to-ports": "8080",
        }
        assert home.admitted() == [("ha-pf-camera1", "0.0.0.0/0", HOUR)]
        assert lasts(granted, HOUR)
        assert home.driver.capabilities.leases is Leases.KEPT
        assert without_ids([granted]) == without_ids(home.driver.plan(wanted))
        assert str(home.driver.owner_of(granted)) == "camera1"


async def test_who_gets_in_and_until_when(session: aiohttp.ClientSession, inside: Inside) -> None:
    async with home_with(session) as home:
        wanted = forward(internal=inside.port)
        port = wanted.external_ports.first
        (granted,) = await home.driver.open(wanted, HOUR)
        assert await talk(port, b"hello") == b"HELLO"
        shown = await home.mapping(granted)
        assert shown
        assert (shown.hits, shown.enabled) == (1, True)
        assert lasts(shown, HOUR)
        # Nobody renews it: Home Assistant is gone.
        await home.router.advance(3600)
        with pytest.raises(ConnectionError):
            await talk(port, b"hello")
        shown = await home.mapping(granted)
        assert shown
        assert not shown.enabled
        # It is back, and opens it again.
        (again,) = await home.driver.open(wanted, HOUR, ours=[granted])
        assert rule_id_of(again) == rule_id_of(granted)
        assert await talk(port, b"hello") == b"HELLO"
        await home.driver.close(again)
        with pytest.raises(ConnectionError):
            await talk(port, b"hello")
        assert not home.rules()
        assert not home.admitted()


async def test_only_the_allowed_source_gets_in(
    session: aiohttp.ClientSession, inside: Inside
) -> None:
    async with home_with(session) as home:
        wanted = forward(internal=inside.port, source=f"{SOURCE}/32")
        port = wanted.external_ports.first
        (granted,) = await home.driver.open(wanted, HOUR)
        assert granted.allowed_source == SOURCE
        assert home.admitted() == [("ha-pf-camera1", SOURCE, HOUR)]
        assert await talk(port, b"hello", source=SOURCE) == b"HELLO"
        with pytest.raises(ConnectionError):
            await talk(port, b"hello")
        # Whoever else is put into the list does not get in either.
        await home.router.add(LIST, list="ha-pf-camera1", address="127.0.0.1")
        with pytest.raises(ConnectionError):
            await talk(port, b"hello")


async def test_a_network_may_be_the_source(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(source="198.51.100.0/24")
        (granted,) = await home.driver.open(wanted, HOUR)
        assert granted.allowed_source == "198.51.100.0/24"
        assert home.rules()[0]["src-address"] == "198.51.100.0/24"
        assert await home.mapping(home.driver.plan(wanted)[0]) == granted


async def test_both_protocols_are_two_rules_and_open_at_once(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        granted = await home.driver.open(forward(protocols=BOTH), HOUR)
        assert [rule["protocol"] for rule in home.rules()] == ["tcp", "udp"]
        assert len({mapping.id for mapping in granted}) == 2
        assert home.writes() == [f"POST {NAT}/add"] * 2 + [f"POST {LIST}/add"]
        first, second = granted
        await home.driver.close(first)
        assert home.admitted(), "the other one still needs it"
        assert (await home.driver.snapshot()).mappings == (second,)
        await home.driver.close(second)
        assert not home.admitted()


async def test_a_range_keeps_its_ports(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wide = PortRange(first=20000, last=20010)
        (granted,) = await home.driver.open(forward(wide), HOUR)
        assert granted.internal_ports == wide
        assert "to-ports" not in home.rules()[0]
        assert (await home.driver.snapshot()).find(granted) == granted
        moved = PortRange(first=30000, last=30010)
        with pytest.raises(NotPermittedError) as error:
            home.driver.plan(forward(wide, internal=moved))
        assert error.value.reason is Refusal.SAME_PORT_ONLY


async def test_renewal_moves_the_end_and_writes_nothing_else(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward()
        granted = await home.driver.open(wanted, HOUR)
        await home.router.advance(1800)
        home.router.rest.log.clear()
        (again,) = await home.driver.open(wanted, 2 * HOUR, ours=granted)
        assert lasts(again, 2 * HOUR)
        assert home.writes() == [f"PATCH {LIST}"]
        (shorter,) = await home.driver.open(wanted, HOUR / 60, ours=granted)
        assert lasts(shorter, HOUR / 60)


@pytest.mark.parametrize("habit", [Habit.NO_PATCH, Habit.PATCH_IGNORED])
async def test_a_router_that_changes_no_timeout(
    session: aiohttp.ClientSession, habit: Habit
) -> None:
    async with home_with(session, habit) as home:
        wanted = forward()
        granted = await home.driver.open(wanted, HOUR)
        await home.router.advance(1800)
        for expected in (["PATCH", "DELETE", "POST"], ["DELETE", "POST"]):
            home.router.rest.log.clear()
            (again,) = await home.driver.open(wanted, HOUR, ours=granted)
            assert lasts(again, HOUR)
            assert [write.partition(" ")[0] for write in home.writes()] == expected
        assert home.another_driver(learned=home.driver.learned).learned["refresh"] == "replace"


@pytest.mark.parametrize("habit", [Habit.NO_WHOLE, Habit.WHOLE_MANGLED])
async def test_a_router_that_knows_everybody_by_halves_only(
    session: aiohttp.ClientSession, inside: Inside, habit: Habit
) -> None:
    async with home_with(session, habit) as home:
        wanted = forward(internal=inside.port)
        (granted,) = await home.driver.open(wanted, HOUR)
        assert {address for _, address, _ in home.admitted()} == {"0.0.0.0/1", "128.0.0.0/1"}
        assert granted.allowed_source == ""
        assert await talk(wanted.external_ports.first, b"hello") == b"HELLO"
        again = home.another_driver(learned=home.driver.learned)
        home.router.rest.log.clear()
        await again.open(forward(forward_id="other"), HOUR)
        assert home.writes() == [f"POST {NAT}/add", f"POST {LIST}/add", f"POST {LIST}/add"]


async def test_without_an_end_nothing_runs_out(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward()
        (granted,) = await home.driver.open(wanted, NO_END)
        assert granted.lease is None
        assert home.admitted() == [("ha-pf-camera1", "0.0.0.0/0", None)]
        (again,) = await home.driver.open(wanted, HOUR, ours=[granted])
        assert lasts(again, HOUR)
        (again,) = await home.driver.open(wanted, NO_END, ours=[granted])
        assert again.lease is None
        await home.router.reboot()
        assert await home.mapping(granted)


async def test_nobody_stays_let_in_though_ours_was_the_only_rule(
    session: aiohttp.ClientSession,
) -> None:
    """What is left in the list would open the next rule before it was read back, for ever."""
    async with home_with(session) as home:
        for row in home.router.items(NAT):
            await home.router.remove(NAT, row[".id"])
        (granted,) = await home.driver.open(forward(), NO_END)
        await home.driver.close(granted)
        assert not home.router.items(NAT)
        assert not home.router.items(LIST)


async def test_the_longest_lease(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), timedelta(days=300))
        assert lasts(granted, timedelta(seconds=21474836))


async def test_after_a_reboot_nothing_is_open(
    session: aiohttp.ClientSession, inside: Inside
) -> None:
    async with home_with(session) as home:
        await home.router.advance(1000)
        wanted = forward(internal=inside.port)
        (granted,) = await home.driver.open(wanted, HOUR)
        before = await home.driver.snapshot()
        await home.router.reboot()
        with pytest.raises(ConnectionError):
            await talk(wanted.external_ports.first, b"hello")
        after = await home.driver.snapshot()
        assert after.restarted_since(before)
        shown = after.find(granted)
        assert shown
        assert not shown.enabled


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"protocol": "", "dst_port": ""},
        {"in_interface": "ether1"},
        {"in_interface_list": "!LAN"},
        {"in_interface_list": "static"},
        {"dst_address": "203.0.113.7"},
        {"action": "accept", "to_addresses": ""},
        {"action": "redirect", "to_addresses": ""},
        {"src_address": "198.51.100.0/24"},
        {"src_address_list": "friends"},
        {"to_addresses": "127.0.0.1"},
    ],
)
async def test_a_rule_of_the_users_is_in_the_way(
    session: aiohttp.ClientSession, more: dict[str, str]
) -> None:
    async with home_with(session) as home:
        wanted = forward()
        rule = {key: value for key, value in (theirs(wanted) | more).items() if value}
        await home.router.add(NAT, **rule)
        before = home.rules()
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(wanted, HOUR)
        assert "theirs" in error.value.placeholders["holder"]
        assert home.rules() == before
        assert not home.writes()


@pytest.mark.parametrize(
    "more",
    [
        {"disabled": "true"},
        {"in_interface_list": "LAN"},
        {"in_interface": "bridge"},
        {"dst_address": "192.168.88.1"},
        {"dst_address_type": "!local"},
        {"protocol": "udp"},
        {"dst_port": "9"},
        {"action": "log"},
        {"chain": "unused"},
        {"src_address": "198.51.100.0/24"},
    ],
)
async def test_a_rule_of_the_users_that_is_not_in_the_way(
    session: aiohttp.ClientSession, more: dict[str, str]
) -> None:
    async with home_with(session) as home:
        wanted = forward(source="192.0.2.0/24")
        rule = theirs(wanted) | more
        await home.router.add(NAT, **rule)
        before = home.rules()
        await home.driver.open(wanted, HOUR)
        assert home.rules()[:-1] == before, "it goes behind all that there are"


async def test_a_chain_that_is_jumped_to_counts(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward()
        await home.router.add(NAT, **theirs(wanted, chain="mine"))
        await home.router.add(NAT, chain="dstnat", action="jump", jump_target="mine")
        with pytest.raises(PortConflictError):
            await home.driver.open(wanted, HOUR)


async def test_somebody_is_faster_between_look_and_add(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their rule stands first and decides: ours would show as open what leads to theirs."""
    async with home_with(session) as home:
        wanted = forward()
        add = home.router.nat.add

        def theirs_first(values: Mapping[str, str]) -> dict[str, str]:
            monkeypatch.undo()
            add({key.replace("_", "-"): value for key, value in theirs(wanted).items()})
            return add(values)

        monkeypatch.setattr(home.router.nat, "add", theirs_first)
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.left == ()
        assert [rule["comment"] for rule in home.rules()] == [theirs(wanted)["comment"]]


async def test_somebody_widens_our_rule_while_we_let_its_source_in(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read back before, as nobody was let in yet."""
    async with home_with(session) as home:
        wanted = forward(source="192.0.2.1/32")
        add = home.router.lists.add

        def widened_first(values: Mapping[str, str]) -> dict[str, str]:
            monkeypatch.undo()
            (rule,) = home.router.nat.items[-1:]
            home.router.nat.set(rule[".id"], {"src-address": ""})
            return add(values)

        monkeypatch.setattr(home.router.lists, "add", widened_first)
        with pytest.raises(NotMappedError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.left == ()
        assert not home.rules()
        assert not home.router.items(LIST)


async def test_both_protocols_or_none(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(protocols=BOTH)
        await home.router.add(NAT, **theirs(wanted, protocol="udp"))
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.placeholders["protocol"] == "UDP"
        assert not home.writes()


async def test_what_is_made_otherwise_than_asked_goes_again(
    session: aiohttp.ClientSession,
) -> None:
    """Without its list the rule would be open to all, for ever."""
    async with home_with(session, Habit.LIST_DROPPED) as home:
        wanted = forward(protocols=BOTH)
        with pytest.raises(NotMappedError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.placeholders == {"port": str(wanted.external_ports)}
        assert error.value.left == ()
        assert not home.rules()
        assert not home.admitted()


async def test_a_value_that_the_router_refuses(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wrong = home.another_driver(wan="nowhere")
        with pytest.raises(InvalidForwardError) as error:
            await wrong.open(forward(80), HOUR)
        assert error.value.placeholders == {
            "port": "80",
            "host": "127.0.0.1",
            "detail": "input does not match any value of in-interface",
        }
        assert not home.rules()


async def test_without_a_wan_list_the_interface_is_named(
    session: aiohttp.ClientSession, inside: Inside
) -> None:
    async with home_with(session, wan_list=False) as home:
        wanted = forward(internal=inside.port)
        (granted,) = await home.driver.open(wanted, HOUR)
        assert home.rules()[0]["in-interface"] == "ether1"
        assert await talk(wanted.external_ports.first, b"hello") == b"HELLO"
        assert (await home.driver.snapshot()).find(granted)


async def test_the_chosen_interface_is_named(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await home.another_driver(wan="lte1").open(forward(), HOUR)
        assert home.rules()[0]["in-interface"] == "lte1"
        assert "in-interface-list" not in home.rules()[0]


async def test_our_rule_is_made_anew_when_somebody_widened_it(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward()
        (granted,) = await home.driver.open(wanted, HOUR)
        for change in ({"src_address_list": ""}, {"in_interface_list": ""}, {"disabled": "true"}):
            (rule,) = home.rules()
            await home.router.change(NAT, rule[".id"], **change)
            (again,) = await home.driver.open(wanted, HOUR, ours=[granted])
            (rule,) = home.rules()
            assert rule["src-address-list"] == "ha-pf-camera1"
            assert rule["in-interface-list"] == "WAN"
            assert "disabled" not in rule
            assert rule_id_of(again) == rule[".id"]


async def test_a_forward_that_was_edited_leaves_nothing_behind(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        granted = await home.driver.open(forward(), HOUR)
        wanted = forward(free_port(), source="192.0.2.1/32")
        (again,) = await home.driver.open(wanted, HOUR, ours=granted)
        assert [rule[".id"] for rule in home.rules()] == [rule_id_of(again)]
        assert home.admitted() == [("ha-pf-camera1", "192.0.2.1", HOUR)]


async def test_our_tag_on_a_rule_that_leads_elsewhere_is_theirs(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward()
        (granted,) = await home.driver.open(wanted, HOUR)
        await home.router.change(NAT, rule_id_of(granted), **{"to-addresses": CAMERA})
        before = home.rules()
        with pytest.raises(PortConflictError):
            await home.driver.open(wanted, HOUR, ours=[granted])
        await home.driver.close(granted)
        assert home.rules() == before


async def test_our_rule_is_closed_though_somebody_changed_whom_it_lets_in(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(source="192.0.2.1/32"), HOUR)
        await home.router.change(NAT, rule_id_of(granted), src_address="")
        assert not await home.mapping(granted), "it is another one now"
        await home.driver.close(granted)
        assert not home.rules()


async def test_a_leftover_goes_when_the_opening_that_uses_it_fails(
    session: aiohttp.ClientSession,
) -> None:
    """A crash has left the rule; the ledger does not know it."""
    async with home_with(session) as home:
        wanted = forward()
        await home.driver.open(wanted, HOUR)
        await home.router.advance(3600)
        home.router.fault(Fault.SERVER_ERROR, f"POST {LIST}/add", times=None)
        with pytest.raises(ProtocolError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.left == ()
        assert not home.rules()
