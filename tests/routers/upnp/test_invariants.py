"""What must hold whatever the router does: never wider, never another's, all or none."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    PortConflictError,
    RouterError,
    RouterUnreachableError,
)
from custom_components.port_forward.routers.model import PortRange, Protocol
from lab.virtual_router import Fault, Quirk

from ..forwards import forward, lasts
from .home import (
    CALLER,
    CAMERA,
    HOUR,
    SOURCE,
    Home,
    add_foreign,
    free_range,
    home_with,
    keys,
    moved,
    row_of,
)

BOTH = (Protocol.TCP, Protocol.UDP)


@pytest.mark.parametrize("igd", [1, 2])
async def test_pair_and_range_all_stand(session: aiohttp.ClientSession, igd: int) -> None:
    async with home_with(session, igd=igd) as home:
        ports = free_range(3)
        inside = PortRange(first=80, last=82)
        wanted = forward(ports, internal=inside, host=CAMERA, protocols=BOTH)
        granted = await home.driver.open(wanted, HOUR)
        assert home.rows() == {
            (protocol.value, external, "", CAMERA, internal)
            for protocol in BOTH
            for external, internal in zip(ports, inside, strict=True)
        }
        assert len(granted) == 6
        assert all(lasts(mapping, HOUR) for mapping in granted)
        for mapping in granted:
            await home.driver.close(mapping)
        assert not home.rows()


async def test_one_mapping_costs_four_requests_and_its_end_three(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        await home.driver.connect()
        assert home.router.requests == {"GET /rootDesc.xml": 1}
        wanted = forward()
        assert await home.requests_of_opening(wanted) == {
            "GetExternalIPAddress": 1,
            "GetSpecificPortMappingEntry": 2,
            "AddPortMapping": 1,
        }
        home.router.requests.clear()
        await home.driver.close(home.driver.plan(wanted)[0])
        assert home.router.requests == {"GetSpecificPortMappingEntry": 2, "DeletePortMapping": 1}


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_a_range_with_a_port_of_somebody_else_opens_nothing(
    session: aiohttp.ClientSession, position: int
) -> None:
    async with home_with(session) as home:
        ports = free_range(3)
        await add_foreign(home.router, forward(ports.first + position))
        before = home.rows()
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(forward(ports), HOUR)
        assert error.value.placeholders["port"] == str(ports.first + position)
        assert home.rows() == before
        assert home.router.requests["AddPortMapping"] == 0


@pytest.mark.parametrize("succeeding", range(4))
async def test_a_refusal_in_the_middle_takes_all_back(
    session: aiohttp.ClientSession, succeeding: int
) -> None:
    async with home_with(session, igd=1, table_size=succeeding) as home:
        with pytest.raises(RouterError) as error:
            await home.driver.open(forward(free_range(2), protocols=BOTH), HOUR)
        assert error.value.left == ()
        assert not home.rows()
        assert home.router.requests["AddPortMapping"] == succeeding + 1


async def test_a_failed_renewal_leaves_what_stood(session: aiohttp.ClientSession) -> None:
    async with home_with(session, igd=1) as home:
        wanted = forward(free_range(2))
        granted = await home.driver.open(wanted, HOUR)
        await home.router.remove("TCP", wanted.external_ports.last)
        before = home.rows()
        home.router.quirks.add(Quirk.Q07)
        with pytest.raises(RouterError) as error:
            await home.driver.open(wanted, HOUR, ours=granted)
        assert home.rows() == before
        assert error.value.left == ()


async def test_roll_back_stops_at_a_router_that_went_away(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(free_range(3))
        await home.driver.connect()

        async def power_cut() -> None:
            while len(home.rows()) < 2:  # noqa: ASYNC110  no event for it
                await asyncio.sleep(0)
            home.router.fault(Fault.DROP_BEFORE, times=None)

        cut = asyncio.ensure_future(power_cut())
        with pytest.raises(RouterUnreachableError) as error:
            await home.driver.open(wanted, HOUR)
        await cut
        plan = home.driver.plan(wanted)
        assert set(error.value.left) >= set(plan[:2])
        # All that stands is told, and can be closed once the router is back.
        assert {mapping.external_ports.first for mapping in error.value.left} >= {
            row[1] for row in home.rows()
        }
        home.router.clear_faults()
        for mapping in error.value.left:
            await home.driver.close(mapping)
        assert not home.rows()


async def test_an_identical_mapping_of_another_program_is_not_ours(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward()
        await add_foreign(home.router, wanted, internal_host=CALLER, description="Other program")
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(wanted, HOUR)
        assert "Other program" in error.value.placeholders["holder"]
        assert home.router.mappings[0].description == "Other program"


async def test_an_identical_mapping_is_ours_if_the_ledger_says_so(
    session: aiohttp.ClientSession,
) -> None:
    """A router that drops descriptions keeps nothing to know ours by but the ledger."""
    async with home_with(session) as home:
        wanted = forward()
        await add_foreign(home.router, wanted, internal_host=CALLER)
        await home.driver.open(wanted, HOUR, ours=home.driver.plan(wanted))
        assert home.rows() == {row_of(wanted)}


async def test_our_tag_makes_it_ours_after_the_ledger_was_lost(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward()
        await home.driver.open(wanted, HOUR)
        await home.another_driver().open(wanted, HOUR)
        assert home.rows() == {row_of(wanted)}


@pytest.mark.parametrize(
    "description", ["Camera [ha-pf:other]", "Camera [ha-pf:camera1]", "camera1"]
)
async def test_another_target_is_never_ours_by_its_tag_alone(
    session: aiohttp.ClientSession, description: str
) -> None:
    async with home_with(session) as home:
        wanted = forward()
        await add_foreign(home.router, wanted, description=description)
        before = home.rows()
        with pytest.raises(PortConflictError):
            await home.driver.open(wanted, HOUR)
        assert home.rows() == before


async def test_ours_with_another_target_is_replaced(session: aiohttp.ClientSession) -> None:
    """The host of a forward got another address while it was open."""
    async with home_with(session, Quirk.Q10) as home:
        old = forward(host=CAMERA)
        granted = await home.driver.open(old, HOUR)
        new = replace(old, internal_host=forward().internal_host)
        await home.driver.open(new, HOUR, ours=granted)
        assert home.rows() == {row_of(new)}


async def test_close_leaves_what_leads_elsewhere(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward()
        await add_foreign(home.router, wanted)
        before = home.rows()
        (planned,) = home.driver.plan(wanted)
        await home.driver.close(planned)
        assert home.rows() == before
        assert home.router.requests["DeletePortMapping"] == 0
        await home.driver.close(moved(planned, CAMERA))
        assert not home.rows()


async def test_close_touches_only_its_own_source_and_protocol(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward(protocols=BOTH)
        granted = await home.driver.open(wanted, HOUR)
        await add_foreign(home.router, wanted, internal_host=CALLER, remote_host=SOURCE)
        await home.driver.close(granted[0])
        port = wanted.external_ports.first
        assert home.rows() == {
            ("udp", port, "", CALLER, port),
            ("tcp", port, SOURCE, CALLER, port),
        }


async def test_nothing_is_asked_for_wider_than_the_forward(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        wanted = forward(free_range(2), source=SOURCE)
        granted = await home.driver.open(wanted, HOUR)
        assert {row[2] for row in home.rows()} == {SOURCE}
        assert keys(granted) == keys(home.driver.plan(wanted))


async def test_learned_is_text_and_a_copy(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await _use(home)
        learned = home.driver.learned
        assert {type(item) for pair in learned.items() for item in pair} == {str}
        identity = {"wan", "wans", "udn", "host", "manufacturer", "model", "serial"}
        assert set(learned) == {*identity, "leases", "other_hosts"}


async def _use(home: Home) -> None:
    (granted,) = await home.driver.open(forward(host=CAMERA), HOUR)
    await home.driver.snapshot()
    await home.driver.close(granted)
