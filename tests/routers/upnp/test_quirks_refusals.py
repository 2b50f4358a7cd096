"""Quirks Q10 to Q19: what routers refuse, and what we make of it."""

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    NotPermittedError,
    PortConflictError,
    Refusal,
)
from custom_components.port_forward.routers.model import PortRange
from lab.virtual_router import Quirk, Wan, free_port

from ..forwards import forward
from .home import CALLER, CAMERA, HOUR, SOURCE, add_foreign, free_range, home_with, row_of


@pytest.mark.parametrize("igd", [1, 2])
async def test_q10_conflict_names_the_holder(session: aiohttp.ClientSession, igd: int) -> None:
    async with home_with(session, igd=igd) as home:
        wanted = forward()
        await add_foreign(home.router, wanted, description="Game console")
        before = home.rows()
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.placeholders == {
            "port": str(wanted.external_ports),
            "protocol": "TCP",
            "holder": f"{CAMERA}:{wanted.internal_ports} (Game console)",
        }
        assert home.rows() == before
        assert home.router.requests["AddPortMapping"] == 0


@pytest.mark.parametrize("igd", [1, 2])
async def test_q10_conflict_that_only_the_add_shows(
    session: aiohttp.ClientSession, igd: int
) -> None:
    """Another client holds the port for one source only: the list names it."""
    async with home_with(session, Quirk.Q10, igd=igd) as home:
        wanted = forward()
        await add_foreign(home.router, wanted, remote_host=SOURCE)
        before = home.rows()
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.placeholders["holder"] == f"{CAMERA}:{wanted.internal_ports}"
        assert home.rows() == before


async def test_q10_port_that_the_router_needs_itself(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        with pytest.raises(PortConflictError) as error:
            await home.driver.open(forward(home.router.port), HOUR)
        assert error.value.placeholders["holder"] == "?"


@pytest.mark.parametrize(
    ("quirk", "igd"), [(Quirk.Q11, 1), (Quirk.Q11, 2), (Quirk.Q11_CONFLICT, 2)]
)
async def test_q11_secure_mode(session: aiohttp.ClientSession, quirk: Quirk, igd: int) -> None:
    async with home_with(session, quirk, igd=igd) as home:
        wanted = forward(host=CAMERA)
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.reason is Refusal.SECURE_MODE
        assert error.value.translation_key == "not_permitted_secure_mode"
        assert error.value.placeholders["host"] == CAMERA
        assert home.driver.capabilities.other_hosts is False
        assert not home.rows()
        # Its own host it may still map to, and that does not change the finding.
        await home.driver.open(forward(), HOUR)
        assert home.driver.capabilities.other_hosts is False


async def test_q11_conflict_in_secure_mode_is_still_a_conflict(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, Quirk.Q11, igd=1) as home:
        wanted = forward(host=CAMERA)
        await add_foreign(home.router, wanted, internal_host=SOURCE, remote_host="198.51.100.9")
        with pytest.raises(PortConflictError):
            await home.driver.open(wanted, HOUR)


async def test_other_hosts_are_known_to_work_once_one_did(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await home.driver.open(forward(), HOUR)
        assert home.driver.capabilities.other_hosts is None
        await home.driver.open(forward(host=CAMERA, forward_id="other"), HOUR)
        assert home.driver.capabilities.other_hosts is True
        assert home.another_driver(learned=home.driver.learned).capabilities.other_hosts is True


@pytest.mark.parametrize("host", [CALLER, CAMERA])
async def test_q12_low_port(session: aiohttp.ClientSession, host: str) -> None:
    async with home_with(session, Quirk.Q12) as home:
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(80, host=host), HOUR)
        assert error.value.reason is Refusal.LOW_PORT
        assert error.value.placeholders["port"] == "80"
        assert home.driver.capabilities.other_hosts is None


async def test_q13_own_host_only(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q13, igd=1) as home:
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(host=CAMERA), HOUR)
        assert error.value.reason is Refusal.SECURE_MODE
        await home.driver.open(forward(), HOUR)


async def test_q13_permission_not_ticked(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q13_UNTICKED, igd=1) as home:
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(), HOUR)
        assert error.value.reason is Refusal.REFUSED
        assert error.value.placeholders["detail"] == "AddPortMapping: 606 Action not authorized"
        assert home.driver.capabilities.other_hosts is None


@pytest.mark.parametrize("quirk", [Quirk.Q14, Quirk.Q14_PRIVATE, Quirk.Q14_CGNAT])
async def test_q14_double_nat_is_found_before_the_add(
    session: aiohttp.ClientSession, quirk: Quirk
) -> None:
    async with home_with(session, quirk) as home:
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(), HOUR)
        assert error.value.reason is Refusal.DOUBLE_NAT
        assert home.router.requests["AddPortMapping"] == 0


async def test_q14_double_nat_where_the_router_maps_all_the_same(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, wans=(Wan(external_address="192.168.0.2"),)) as home:
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(), HOUR)
        assert error.value.reason is Refusal.DOUBLE_NAT
        assert not home.rows()


async def test_q15_same_ports_required(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q15) as home:
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(internal=8080), HOUR)
        assert error.value.reason is Refusal.SAME_PORT_ONLY
        await home.driver.open(forward(), HOUR)


async def test_q16_any_source_required(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q16) as home:
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(source=SOURCE), HOUR)
        assert error.value.reason is Refusal.ANY_SOURCE_ONLY
        assert not home.rows()
        assert home.driver.capabilities.allowed_source is False


async def test_q17_all_ports_required(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q17) as home:
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(), HOUR)
        assert error.value.reason is Refusal.ALL_PORTS_ONLY
        assert not home.rows()


@pytest.mark.parametrize("quirk", [Quirk.Q18, Quirk.Q18_NFT])
async def test_q18_any_source_is_the_empty_string(
    session: aiohttp.ClientSession, quirk: Quirk
) -> None:
    """Asked for as "", renewed as "", closed as "": one mapping in all."""
    async with home_with(session, quirk) as home:
        wanted = forward()
        granted = await home.driver.open(wanted, HOUR)
        await home.driver.open(wanted, HOUR, ours=granted)
        assert home.rows() == {row_of(wanted)}
        await home.driver.close(granted[0])
        assert not home.rows()


async def test_q18_a_row_of_0_0_0_0_is_shown_as_it_is_and_counts_as_any(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, Quirk.Q18) as home:
        wanted = forward()
        (planned,) = home.driver.plan(wanted)
        await add_foreign(home.router, wanted, internal_host=CALLER, remote_host="0.0.0.0")  # noqa: S104
        await add_foreign(home.router, wanted, internal_host=CAMERA)
        snapshot = await home.driver.snapshot()
        assert {row.allowed_source for row in snapshot.mappings} == {"0.0.0.0", ""}  # noqa: S104
        found = snapshot.find(planned)
        assert found
        assert found.target == planned.target
        # It is another rule to the router: closing ours does not touch it.
        await home.driver.close(planned)
        assert len(home.rows()) == 2
        # Closing exactly that one does.
        await home.driver.close(found)
        assert {row[3] for row in home.rows()} == {CAMERA}


@pytest.mark.parametrize("igd", [1, 2])
@pytest.mark.parametrize("quirk", [Quirk.Q19, Quirk.Q19_STRICT])
async def test_q19_ignored_source_is_closed_and_refused(
    session: aiohttp.ClientSession, quirk: Quirk, igd: int
) -> None:
    async with home_with(session, quirk, igd=igd) as home:
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(free_range(2), source=SOURCE), HOUR)
        assert error.value.reason is Refusal.SOURCE_IGNORED
        assert error.value.left == ()
        assert not home.rows()
        assert home.router.requests["AddPortMapping"] == 1
        assert home.driver.capabilities.allowed_source is False
        # Not even for a moment is it tried again, also after a restart.
        again = home.another_driver(learned=home.driver.learned)
        with pytest.raises(NotPermittedError) as error:
            await again.open(forward(source=SOURCE), HOUR)
        assert error.value.reason is Refusal.SOURCE_IGNORED
        assert home.router.requests["AddPortMapping"] == 1


@pytest.mark.parametrize("igd", [1, 2])
async def test_allowed_source_that_the_router_enforces(
    session: aiohttp.ClientSession, igd: int
) -> None:
    async with home_with(session, igd=igd) as home:
        wanted = forward(source=SOURCE)
        granted = await home.driver.open(wanted, HOUR)
        assert home.rows() == {row_of(wanted)}
        assert granted[0].allowed_source == SOURCE
        assert home.driver.capabilities.allowed_source is True
        assert (await home.driver.snapshot()).find(granted[0])
        await home.driver.open(wanted, HOUR, ours=granted)
        await home.driver.close(granted[0])
        assert not home.rows()


async def test_a_source_that_is_a_network_is_never_widened(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward(source="198.51.100.0/24")
        with pytest.raises(NotPermittedError) as error:
            home.driver.plan(wanted)
        assert error.value.reason is Refusal.ONE_SOURCE_ONLY
        with pytest.raises(NotPermittedError):
            await home.driver.open(wanted, HOUR)
        assert not home.router.requests
        (everybody,) = home.driver.plan(forward(source="0.0.0.0/0"))
        assert everybody.allowed_source == ""


async def test_a_wider_mapping_of_somebody_else_is_a_conflict(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward(source=SOURCE)
        await add_foreign(home.router, wanted, internal_host=CALLER)
        before = home.rows()
        with pytest.raises(PortConflictError):
            await home.driver.open(wanted, HOUR)
        assert home.rows() == before


@pytest.mark.parametrize("known", [True, False])
async def test_our_own_wider_mapping_is_closed_when_the_source_gets_limited(
    session: aiohttp.ClientSession, *, known: bool
) -> None:
    async with home_with(session) as home:
        port = free_port()
        wide = await home.driver.open(forward(port), HOUR)
        narrow = forward(port, source=SOURCE)
        await home.driver.open(narrow, HOUR, ours=wide if known else ())
        assert home.rows() == {row_of(narrow)}


async def test_unknown_refusal_tells_what_the_router_said(session: aiohttp.ClientSession) -> None:
    async with home_with(session, table_size=0, igd=1) as home:
        with pytest.raises(NotPermittedError) as error:
            await home.driver.open(forward(PortRange.single(free_port())), HOUR)
        assert error.value.reason is Refusal.REFUSED
        assert "501" in error.value.placeholders["detail"]
