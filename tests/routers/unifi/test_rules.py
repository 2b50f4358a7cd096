"""What a snapshot shows, what closing touches, ids that name others, and adopted forwards."""

import asyncio
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
from custom_components.port_forward.routers.model import PortMapping, PortRange, Protocol
from custom_components.port_forward.routers.rule_texts import rule_id_of
from lab.unifi import Fault, Habit
from lab.unifi.api import FORWARDS
from lab.virtual_router import free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from ..forwards import forward
from .home import BOTH, CAMERA, HOUR, home_with, theirs


async def test_what_is_known_of_the_wan(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        shown = await home.driver.snapshot()
        assert shown.external_address == IPv4Address("203.0.113.7")
        assert shown.connected is True
        assert shown.mappings == ()
        home.controller.is_online = False
        shown = await home.driver.snapshot()
        assert shown.external_address is None
        assert shown.connected is False


async def test_a_restart_is_no_reason_for_a_forward_that_is_gone(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        await home.controller.advance(1000)
        before = await home.driver.snapshot()
        await home.controller.reboot()
        assert not (await home.driver.snapshot()).restarted_since(before)


async def test_forwards_of_the_users_are_shown_as_they_are(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, wans=2) as home:
        forwards: list[dict[str, object]] = [
            {"dst_port": "80,443", "fwd_port": "8080,8443", "name": "web"},
            {"dst_port": "7000-7010", "fwd_port": "7000", "proto": "udp"},
            {"dst_port": "53", "fwd_port": "53", "enabled": False},
            {"dst_port": "54", "fwd_port": "54", "src": "192.0.2.1"},
            {
                "dst_port": "55",
                "fwd_port": "55",
                "src": "192.0.2.0/24",
                "src_limiting_enabled": True,
                "src_limiting_type": "ip",
            },
            {
                "dst_port": "56",
                "fwd_port": "56",
                "src_limiting_enabled": True,
                "src_limiting_type": "firewall_group",
                "src_firewall_group_id": "5f",
            },
            {"dst_port": "57", "fwd_port": "57", "pfwd_interface": "wan2"},
            {"dst_port": "58", "fwd_port": "58", "pfwd_interface": "both"},
        ]
        ids = [
            await home.controller.add(**{"name": "x", "fwd": CAMERA, **values})
            for values in forwards
        ]

        def row(ports: str, inside: str, number: int, **more: object) -> PortMapping:
            mapping = PortMapping(
                protocols=(Protocol.TCP,),
                external_ports=PortRange.parse(ports),
                internal_host=CAMERA,
                internal_ports=PortRange.parse(inside),
                description="x",
                id=ids[number],
                hits=0,
            )
            return replace(mapping, **more)  # type: ignore[arg-type]

        assert (await home.driver.snapshot()).mappings == (
            row("80", "8080", 0, description="web"),
            row("443", "8443", 0, description="web"),
            row("7000-7010", "7000", 1, protocols=(Protocol.UDP,)),
            row("53", "53", 2, enabled=False),
            # Without its switch the source is a note only: it is open to all.
            row("54", "54", 3),
            row("55", "55", 4, allowed_source="192.0.2.0/24"),
            row("56", "56", 5, allowed_source="group 5f"),
            row("58", "58", 7),
        )


async def test_one_bad_document_does_not_hide_the_others(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        documents = home.controller.sites[0].forwards
        documents += [
            {},
            {"_id": 5},
            {"_id": "a", "proto": "sctp"},
            {"_id": "b", "proto": "tcp", "fwd": None},
            {"_id": "c", "proto": "tcp", "fwd": CAMERA, "dst_port": "?", "fwd_port": "?"},
        ]
        good: dict[str, object] = {
            "_id": "d",
            "proto": "tcp",
            "fwd": CAMERA,
            "dst_port": "80",
            "src": "192.0.2.9",
        }
        documents.append(good)
        all_ports, web = (await home.driver.snapshot()).mappings
        assert str(all_ports.external_ports) == "1-65535"
        assert all_ports.internal_ports is None
        assert (web.target, web.allowed_source) == (f"{CAMERA}:80", "192.0.2.9")
        documents.clear()


async def test_closing_again_is_success(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        for _ in range(2):
            await home.driver.close(granted)
        assert not home.controller.forwards


async def test_a_forward_that_was_removed_at_the_controller(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        await home.controller.remove(rule_id_of(granted))
        assert (await home.driver.snapshot()).mappings == ()
        await home.driver.close(granted)


async def test_a_forward_that_stays_is_no_success(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        home.controller.habits.add(Habit.DELETE_IGNORED)
        with pytest.raises(NotClosedError) as error:
            await home.driver.close(granted)
        assert error.value.placeholders == {"port": str(granted.external_ports)}


async def test_after_a_crash_the_plan_finds_what_was_made(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(protocols=BOTH)
        await home.driver.open(wanted, HOUR)
        again = home.another_driver()
        (planned,) = again.plan(wanted)
        await again.close(replace(planned, description=""))
        assert not home.controller.forwards


async def test_a_crash_before_it_was_switched_on(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward()
        (granted,) = await home.driver.open(wanted, HOUR)
        await home.controller.change(rule_id_of(granted), enabled=False)
        (planned,) = home.driver.plan(wanted)
        (again,) = await home.another_driver().open(wanted, HOUR)
        assert rule_id_of(again) == rule_id_of(granted)
        await home.controller.change(rule_id_of(granted), enabled=False)
        await home.driver.close(planned)
        assert not home.controller.forwards


async def test_an_id_that_names_another_forward_by_now(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward()
        (granted,) = await home.driver.open(wanted, HOUR)
        await home.controller.remove(rule_id_of(granted))
        other = await home.controller.add(**theirs(forward(free_port())))
        await home.controller.change(other, _id=rule_id_of(granted))
        before = home.controller.forwards
        await home.driver.close(granted)
        assert home.controller.forwards == before
        (again,) = await home.driver.open(wanted, HOUR, ours=[granted])
        assert rule_id_of(again) != rule_id_of(granted)
        await home.driver.close(granted)
        assert home.controller.forwards == before


async def test_a_foreign_forward_with_our_target_is_switched_off_on_demand_only(
    session: aiohttp.ClientSession, inside: Inside
) -> None:
    async with home_with(session) as home:
        wanted = forward(internal=inside.port)
        port = wanted.external_ports.first
        await home.controller.add(**theirs(wanted, fwd="127.0.0.1"))
        before = home.controller.forwards
        (planned,) = home.driver.plan(wanted)
        await home.driver.close(replace(planned, id="f" * 24))
        assert await talk(port, b"hello") == b"HELLO"
        await home.driver.close(planned)
        assert home.controller.forwards == [{**before[0], "enabled": False}]
        await home.controller.provisioned()
        with pytest.raises(ConnectionError):
            await talk(port, b"hello")


async def test_a_foreign_forward_for_more_than_the_port_is_not_switched_off(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward(80, host=CAMERA)
        await home.controller.add(**theirs(wanted, dst_port="80,443", fwd_port="80,443"))
        before = home.controller.forwards
        with pytest.raises(NotPermittedError, match="other ports"):
            await home.driver.close(home.driver.plan(wanted)[0])
        assert home.controller.forwards == before


async def test_adopted_forwards_are_switched_and_kept(
    session: aiohttp.ClientSession, inside: Inside
) -> None:
    async with home_with(session, Habit.PUT_EMPTY) as home:
        wanted = forward(internal=inside.port)
        port = wanted.external_ports.first
        await home.controller.add(**theirs(wanted, fwd="127.0.0.1"))
        before = home.controller.forwards
        (mapping,) = (await home.driver.snapshot()).mappings
        off = await home.driver.set_enabled(mapping, enabled=False)
        assert not off.enabled
        await home.controller.provisioned()
        with pytest.raises(ConnectionError):
            await talk(port, b"hello")
        on = await home.driver.set_enabled(off, enabled=True)
        assert on.enabled
        assert home.controller.forwards == before, "with the fields that we know nothing of"
        await home.controller.provisioned()
        assert await talk(port, b"hello") == b"HELLO"
        assert home.writes() == ["PUT", "PUT"]


async def test_an_adopted_forward_that_is_another_one_by_now(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        forward_id = await home.controller.add(**theirs(forward()))
        (mapping,) = (await home.driver.snapshot()).mappings
        for change in ({"fwd": "192.168.1.99"}, {"dst_port": "9"}, {"proto": "udp"}):
            await home.controller.change(forward_id, **change)
            before = home.controller.forwards
            with pytest.raises(RuleChangedError):
                await home.driver.set_enabled(mapping, enabled=False)
            assert home.controller.forwards == before
        await home.controller.remove(forward_id)
        for gone in (mapping, replace(mapping, id="")):
            with pytest.raises(RuleChangedError) as error:
                await home.driver.set_enabled(gone, enabled=True)
            assert error.value.placeholders == {"port": str(mapping.external_ports)}
        assert not home.writes()


async def test_names_do_not_pass_for_tags(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(name="Käse [ha-pf:other]; $x" + "y" * 200)
        (granted,) = await home.driver.open(wanted, HOUR)
        assert str(home.driver.owner_of(granted)) == "camera1"
        assert home.driver.owner_of(replace(granted, description="Xbox", id="7")) is None


async def test_switching_what_is_switched_already_writes_nothing(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        await home.controller.add(**theirs(forward()))
        (mapping,) = (await home.driver.snapshot()).mappings
        assert (await home.driver.set_enabled(mapping, enabled=True)).enabled
        for _ in range(2):
            assert not (await home.driver.set_enabled(mapping, enabled=False)).enabled
        assert home.writes() == ["PUT"]


async def test_an_adopted_forward_is_switched_on_only_if_it_opens_nothing_besides(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        await home.controller.add(**theirs(forward(80), dst_port="80,443", fwd_port="80,443"))
        mapping, _ = (await home.driver.snapshot()).mappings
        assert not (await home.driver.set_enabled(mapping, enabled=False)).enabled
        before = home.controller.forwards
        with pytest.raises(RuleChangedError):
            await home.driver.set_enabled(mapping, enabled=True)
        assert home.controller.forwards == before


async def test_a_forward_that_is_not_switched_is_no_success(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, Habit.PUT_IGNORED) as home:
        await home.controller.add(**theirs(forward(80)))
        await home.controller.add(**theirs(forward(81)), enabled=False)
        on, off = (await home.driver.snapshot()).mappings
        with pytest.raises(NotClosedError):
            await home.driver.set_enabled(on, enabled=False)
        with pytest.raises(NotMappedError):
            await home.driver.set_enabled(off, enabled=True)
        with pytest.raises(NotClosedError):
            await home.driver.close(on)


async def test_a_forward_that_changes_while_it_is_switched(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        forward_id = await home.controller.add(**theirs(forward(80)))
        (mapping,) = (await home.driver.snapshot()).mappings

        async def change() -> None:
            while not home.writes():  # noqa: ASYNC110  no event for it
                await asyncio.sleep(0)
            await home.controller.change(forward_id, fwd="192.168.1.99")

        changing = asyncio.ensure_future(change())
        with pytest.raises(RuleChangedError):
            await home.driver.set_enabled(mapping, enabled=False)
        await changing


async def test_a_forward_that_may_not_be_switched_off(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(80, host=CAMERA)
        await home.controller.add(**theirs(wanted))
        home.controller.fault(Fault.ERROR_INSIDE, f"PUT {FORWARDS}")
        with pytest.raises(NotPermittedError) as error:
            await home.driver.close(home.driver.plan(wanted)[0])
        assert error.value.placeholders["detail"] == "api.err.ServerBusy"


async def test_without_counters_and_health_the_forwards_are_shown(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        for fault in (Fault.HTML, Fault.ERROR_INSIDE, Fault.SERVER_ERROR):
            home.controller.fault(fault, "GET stat/portforward")
            home.controller.fault(fault, "GET stat/health")
            shown = await home.driver.snapshot()
            assert shown.mappings == (granted,)
            assert shown.connected is None
