"""Opening and closing: what stands on the controller, who gets in, and whom it leaves alone."""

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    InvalidForwardError,
    NotMappedError,
    NotPermittedError,
    PortConflictError,
    Refusal,
    RouterError,
)
from custom_components.port_forward.routers.model import Leases, Listing, PortRange
from custom_components.port_forward.routers.rule_texts import rule_id_of
from lab.unifi import Fault, Habit
from lab.unifi.api import FORWARDS
from lab.virtual_router import free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from ..forwards import forward
from .home import BOTH, CAMERA, HOUR, SOURCE, home_with, theirs


async def test_one_document(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(32400, internal=8080, host=CAMERA, protocols=BOTH)
        (granted,) = await home.driver.open(wanted, HOUR)
        (document,) = home.controller.forwards
        assert document == {
            "_id": rule_id_of(granted),
            "site_id": home.controller.sites[0].id,
            "name": "HA: Camera [ha-pf:camera1]",
            "enabled": True,
            "pfwd_interface": "wan",
            "fwd": CAMERA,
            "fwd_port": "8080",
            "dst_port": "32400",
            "proto": "tcp_udp",
            "src": "any",
            "src_limiting_enabled": False,
            "destination_ip": "any",
            "destination_ips": [],
            "log": False,
        }
        assert granted.lease is None
        assert str(home.driver.owner_of(granted)) == "camera1"
        (planned,) = home.driver.plan(wanted)
        assert planned.same_rule(granted)
        assert not rule_id_of(planned)


async def test_what_a_controller_can(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        can = home.driver.capabilities
        assert (can.listing, can.leases) == (Listing.FULL, Leases.PERMANENT_ONLY)
        assert not can.closes_by_itself
        assert can.allowed_source
        assert can.other_hosts
        assert can.port_ranges
        assert can.both_protocols
        assert can.hit_counters
        assert can.ipv6 is False


async def test_who_gets_in_and_until_when(session: aiohttp.ClientSession, inside: Inside) -> None:
    async with home_with(session) as home:
        wanted = forward(internal=inside.port)
        port = wanted.external_ports.first
        (granted,) = await home.driver.open(wanted, HOUR)
        await home.controller.provisioned()
        assert await talk(port, b"hello") == b"HELLO"
        shown = await home.mapping(granted)
        assert shown
        assert shown.hits == 1
        await home.driver.close(granted)
        assert not home.controller.forwards
        await home.controller.provisioned()
        with pytest.raises(ConnectionError):
            await talk(port, b"hello")


@pytest.mark.parametrize("source", [f"{SOURCE}/32", "127.0.0.2/31"])
async def test_only_the_allowed_source_gets_in(
    session: aiohttp.ClientSession, inside: Inside, source: str
) -> None:
    async with home_with(session) as home:
        wanted = forward(internal=inside.port, source=source)
        port = wanted.external_ports.first
        (granted,) = await home.driver.open(wanted, HOUR)
        assert granted.allowed_source == source.removesuffix("/32")
        await home.controller.provisioned()
        assert await talk(port, b"hello", source=SOURCE) == b"HELLO"
        with pytest.raises(ConnectionError):
            await talk(port, b"hello")


async def test_a_source_that_is_not_limited_lets_nobody_in(
    session: aiohttp.ClientSession,
) -> None:
    """It is created switched off, so that it was never open to all."""
    async with home_with(session, Habit.LIMIT_DROPPED) as home:
        home.controller.may_provision.clear()
        wanted = forward(source="192.0.2.1/32")
        with pytest.raises(NotMappedError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.left == ()
        assert not home.controller.forwards
        sent = [body for _, body in home.controller.api.log if isinstance(body, dict) and body]
        assert [body["enabled"] for body in sent] == [False]


async def test_ranges_keep_their_ports(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        ports = PortRange(first=20000, last=20010)
        (granted,) = await home.driver.open(forward(ports), HOUR)
        assert granted.internal_ports == ports
        moved = forward(ports, internal=PortRange(first=30000, last=30010))
        with pytest.raises(NotPermittedError) as error:
            home.driver.plan(moved)
        assert error.value.reason is Refusal.SAME_PORT_ONLY


async def test_ipv6_is_refused(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        for wanted in (forward(host6="2001:db8::5"), forward(host=None, host6="2001:db8::5")):
            with pytest.raises(NotPermittedError) as error:
                await home.driver.open(wanted, HOUR)
            assert error.value.reason is Refusal.NO_IPV6
            assert error.value.placeholders["host"] == "2001:db8::5"
        assert not home.writes()


async def test_a_renewal_writes_nothing(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward()
        granted = await home.driver.open(wanted, HOUR)
        home.controller.api.log.clear()
        assert await home.driver.open(wanted, HOUR, ours=granted) == granted
        assert not home.writes()


async def test_a_forward_that_was_edited_keeps_its_id_and_what_others_wrote(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, Habit.PUT_EMPTY) as home:
        granted = await home.driver.open(forward(), HOUR)
        await home.controller.change(rule_id_of(granted[0]), note={"kept": True}, log=True)
        wanted = forward(free_port(), source="192.0.2.1/32")
        (again,) = await home.driver.open(wanted, HOUR, ours=granted)
        (document,) = home.controller.forwards
        assert rule_id_of(again) == rule_id_of(granted[0])
        assert document["note"] == {"kept": True}
        assert document["log"] is True
        assert document["dst_port"] == str(wanted.external_ports)
        assert document["src_limiting_enabled"] is True


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"src_limiting_enabled": False},
        {"src": "any"},
        {"src": "192.0.2.0/24"},
        {"src_limiting_type": "firewall_group"},
        {"pfwd_interface": "all"},
    ],
)
async def test_our_document_is_mended_when_somebody_changed_it(
    session: aiohttp.ClientSession, change: dict[str, object]
) -> None:
    async with home_with(session) as home:
        wanted = forward(source="192.0.2.1/32")
        granted = await home.driver.open(wanted, HOUR)
        before = home.controller.forwards
        await home.controller.change(rule_id_of(granted[0]), **change)
        (again,) = await home.driver.open(wanted, HOUR, ours=granted)
        assert home.controller.forwards == before
        assert rule_id_of(again) == rule_id_of(granted[0])


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"proto": "tcp_udp"},
        {"dst_port": "1-65535", "fwd_port": "1-65535"},
        {"pfwd_interface": "both"},
        {"pfwd_interface": "all"},
        {"fwd": "127.0.0.1"},
        {"src": "192.0.2.1", "src_limiting_enabled": True, "src_limiting_type": "ip"},
        {"src_limiting_enabled": True, "src_limiting_type": "firewall_group"},
    ],
)
@pytest.mark.parametrize("habits", [(), (Habit.NO_OVERLAP_CHECK,)])
async def test_a_forward_of_the_users_is_in_the_way(
    session: aiohttp.ClientSession, more: dict[str, object], habits: tuple[Habit, ...]
) -> None:
    async with home_with(session, *habits) as home:
        wanted = forward()
        await home.controller.add(**theirs(wanted, **more))
        before = home.controller.forwards
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(wanted, HOUR)
        assert "theirs" in error.value.placeholders["holder"]
        assert home.controller.forwards == before
        assert not home.writes()


@pytest.mark.parametrize(
    "more",
    [
        {"enabled": False},
        {"src": "198.51.100.1", "src_limiting_enabled": True, "src_limiting_type": "ip"},
    ],
)
async def test_what_only_the_controller_takes_for_an_overlap(
    session: aiohttp.ClientSession, more: dict[str, object]
) -> None:
    async with home_with(session) as home:
        wanted = forward(source="192.0.2.1/32")
        await home.controller.add(**theirs(wanted, **more))
        before = home.controller.forwards
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(wanted, HOUR)
        assert "theirs" in error.value.placeholders["holder"]
        assert home.controller.forwards == before
        home.controller.habits.add(Habit.NO_OVERLAP_CHECK)
        await home.driver.open(wanted, HOUR)


@pytest.mark.parametrize("more", [{"proto": "udp"}, {"dst_port": "9"}, {"pfwd_interface": "wan2"}])
async def test_a_forward_of_the_users_that_is_not_in_the_way(
    session: aiohttp.ClientSession, more: dict[str, object]
) -> None:
    async with home_with(session, wans=2) as home:
        wanted = forward()
        await home.controller.add(**theirs(wanted, **more))
        before = home.controller.forwards
        await home.driver.open(wanted, HOUR)
        assert home.controller.forwards[:-1] == before


async def test_another_wan(session: aiohttp.ClientSession) -> None:
    async with home_with(session, wans=2, wan="wan2") as home:
        wanted = forward()
        await home.controller.add(**theirs(wanted))
        (granted,) = await home.driver.open(wanted, HOUR)
        assert home.controller.forwards[-1]["pfwd_interface"] == "wan2"
        shown = await home.driver.snapshot()
        assert [rule_id_of(row) for row in shown.mappings] == [rule_id_of(granted)]
        assert shown.external_address is None
        assert shown.connected is None
        await home.driver.close(granted)
        assert len(home.controller.forwards) == 1


async def test_a_value_that_the_controller_refuses(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wrong = home.another_driver(wan="lte")
        with pytest.raises(InvalidForwardError) as error:
            await wrong.open(forward(80), HOUR)
        assert error.value.placeholders == {
            "port": "80",
            "host": "127.0.0.1",
            "detail": "api.err.InvalidPayload",
        }


async def test_our_tag_on_a_forward_that_leads_elsewhere_is_theirs(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward()
        (granted,) = await home.driver.open(wanted, HOUR)
        await home.controller.change(rule_id_of(granted), fwd=CAMERA)
        before = home.controller.forwards
        with pytest.raises(PortConflictError):
            await home.driver.open(wanted, HOUR, ours=[granted])
        await home.driver.close(granted)
        assert home.controller.forwards == before


async def test_our_document_is_closed_though_somebody_changed_whom_it_lets_in(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(source="192.0.2.1/32"), HOUR)
        await home.controller.change(rule_id_of(granted), src_limiting_enabled=False)
        assert not await home.mapping(granted), "it is another one now"
        await home.driver.close(granted)
        assert not home.controller.forwards


async def test_an_overlap_that_shows_only_when_it_is_switched_on(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, Habit.OVERLAP_WHEN_ON) as home:
        wanted = forward(source="192.0.2.1/32")
        limit = {"src": "198.51.100.1", "src_limiting_enabled": True, "src_limiting_type": "ip"}
        await home.controller.add(**theirs(wanted, **limit))
        before = home.controller.forwards
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(wanted, HOUR)
        assert "theirs" in error.value.placeholders["holder"]
        assert error.value.left == ()
        assert home.controller.forwards == before


async def test_our_document_goes_when_it_cannot_be_mended(session: aiohttp.ClientSession) -> None:
    """Better closed than open to all."""
    async with home_with(session) as home:
        wanted = forward(source="192.0.2.1/32")
        granted = await home.driver.open(wanted, HOUR)
        await home.controller.change(rule_id_of(granted[0]), src_limiting_enabled=False)
        home.controller.habits.add(Habit.LIMIT_DROPPED)
        with pytest.raises(NotMappedError):
            await home.driver.open(wanted, HOUR, ours=granted)
        assert not home.controller.forwards


async def test_our_document_that_can_neither_be_mended_nor_deleted_is_left_to_the_ledger(
    session: aiohttp.ClientSession,
) -> None:
    """It is open to all."""
    async with home_with(session) as home:
        wanted = forward(source="192.0.2.1/32")
        granted = await home.driver.open(wanted, HOUR)
        await home.controller.change(rule_id_of(granted[0]), src_limiting_enabled=False)
        home.controller.habits.add(Habit.LIMIT_DROPPED)
        home.controller.fault(Fault.SERVER_ERROR, f"DELETE {FORWARDS}")
        with pytest.raises(RouterError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.left == home.driver.plan(wanted)
        await home.driver.close(*error.value.left)
        assert not home.controller.forwards


async def test_of_two_of_ours_one_stays(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Habit.NO_OVERLAP_CHECK) as home:
        wanted = forward()
        granted = await home.driver.open(wanted, HOUR)
        twin = {k: v for k, v in home.controller.forwards[0].items() if k != "_id"}
        await home.controller.add(**twin)
        assert await home.driver.open(wanted, HOUR, ours=granted) == granted
        assert len(home.controller.forwards) == 1
