"""Quirks Q20 to Q28: what routers show of their table."""

import aiohttp
import pytest

from custom_components.port_forward.routers.model import Listing, PortMapping
from custom_components.port_forward.routers.upnp import listing
from lab.virtual_router import Fault, Quirk

from ..forwards import forward
from .home import CALLER, CAMERA, HOUR, Home, add_foreign, fill, home_with, keys, listing_of


async def _open_three(home: Home) -> list[PortMapping]:
    """Open three forwards, and let somebody else open one."""
    opened: list[PortMapping] = []
    for number in range(3):
        opened += await home.driver.open(forward(forward_id=f"f{number}"), HOUR)
    await add_foreign(home.router, forward())
    home.router.requests.clear()
    return opened


async def _lists_all(home: Home) -> bool:
    snapshot = await home.driver.snapshot()
    return {(row.protocols[0].upper(), row.external_ports.first) for row in snapshot.mappings} == {
        (row.protocol, row.external_port) for row in home.router.mappings
    }


@pytest.mark.parametrize(
    "quirk", [Quirk.Q20, Quirk.Q20_714, Quirk.Q20_402, Quirk.Q20_GARBAGE, Quirk.Q39]
)
async def test_q20_every_end_of_the_list(session: aiohttp.ClientSession, quirk: Quirk) -> None:
    async with home_with(session, quirk, igd=1) as home:
        await _open_three(home)
        assert await _lists_all(home)
        # An end that is said costs nothing; one that is not, one more look.
        beyond = 2 if quirk is Quirk.Q20_GARBAGE else 1
        assert home.router.requests["GetGenericPortMappingEntry"] == 4 + beyond
        assert listing_of(home.driver) is Listing.FULL


@pytest.mark.parametrize("quirk", [Quirk.Q20, Quirk.Q20_402])
async def test_q20_every_end_lets_the_bulk_list_be_used(
    session: aiohttp.ClientSession, quirk: Quirk
) -> None:
    async with home_with(session, quirk) as home:
        await _open_three(home)
        assert await _lists_all(home)
        assert home.router.requests["GetListOfPortMappings"] == 2
        assert home.router.requests["GetGenericPortMappingEntry"] == 1


async def test_q20_empty_table_whose_end_is_garbage(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q20_GARBAGE, igd=1) as home:
        assert (await home.driver.snapshot()).mappings == ()
        assert listing_of(home.driver) is Listing.FULL


@pytest.mark.parametrize("igd", [1, 2])
async def test_q21_list_that_never_ends(session: aiohttp.ClientSession, igd: int) -> None:
    async with home_with(session, Quirk.Q21, igd=igd) as home:
        await _open_three(home)
        assert await _lists_all(home)
        assert home.router.requests["GetGenericPortMappingEntry"] <= 6


async def test_q21_list_of_placeholders_without_end_is_cut(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_LAST_INDEX", 40)
    async with home_with(session, Quirk.Q21, Quirk.Q22, igd=1) as home:
        await _open_three(home)
        assert await _lists_all(home)
        assert home.router.requests["GetGenericPortMappingEntry"] == 41


@pytest.mark.parametrize("igd", [1, 2])
async def test_q22_placeholders_are_skipped(session: aiohttp.ClientSession, igd: int) -> None:
    async with home_with(session, Quirk.Q22, igd=igd) as home:
        await _open_three(home)
        assert await _lists_all(home)


async def test_q23_no_bulk_list_of_many_rows(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q23) as home:
        await fill(home.router, 150)
        snapshot = await home.driver.snapshot()
        assert home.router.running
        assert len(snapshot.mappings) == 150
        assert home.router.requests["GetListOfPortMappings"] == 0


async def test_q23_bulk_list_of_few_rows(session: aiohttp.ClientSession) -> None:
    """Three requests, whatever number of rows: that is what the bulk list is for."""
    async with home_with(session, Quirk.Q23) as home:
        await fill(home.router, 100)
        await home.driver.connect()
        home.router.requests.clear()
        snapshot = await home.driver.snapshot()
        assert len(snapshot.mappings) == 100
        assert home.router.requests == {
            "GetExternalIPAddress": 1,
            "GetStatusInfo": 1,
            "GetGenericPortMappingEntry": 1,
            "GetListOfPortMappings": 2,
        }


@pytest.mark.parametrize("quirk", [Quirk.Q24, Quirk.Q24_606])
async def test_q24_bulk_list_refused_falls_back_and_is_remembered(
    session: aiohttp.ClientSession, quirk: Quirk
) -> None:
    async with home_with(session, quirk) as home:
        await _open_three(home)
        assert await _lists_all(home)
        assert home.router.requests["GetListOfPortMappings"] == 1
        again = home.another_driver(learned=home.driver.learned)
        assert len((await again.snapshot()).mappings) == 4
        assert home.router.requests["GetListOfPortMappings"] == 1


async def test_bulk_list_that_cannot_be_read_falls_back(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await _open_three(home)
        home.router.fault(Fault.GARBAGE, action="GetListOfPortMappings")
        assert await _lists_all(home)
        assert home.router.requests["GetListOfPortMappings"] == 1


@pytest.mark.parametrize("igd", [1, 2])
async def test_q25_rows_of_others_are_not_listed(session: aiohttp.ClientSession, igd: int) -> None:
    """Ours for another host is not shown, and yet not taken for removed."""
    async with home_with(session, Quirk.Q25, igd=igd) as home:
        shown = await home.driver.open(forward(host=CALLER), HOUR)
        assert listing_of(home.driver) is Listing.FULL
        hidden = await home.driver.open(forward(host=CAMERA, forward_id="other"), HOUR)
        ours = (*shown, *hidden)
        snapshot = await home.driver.snapshot(ours)
        assert keys(snapshot.mappings) == keys(ours)
        assert listing_of(home.driver) is Listing.PARTIAL
        assert listing_of(home.another_driver(learned=home.driver.learned)) is Listing.PARTIAL
        # What is really gone is not made up.
        await home.router.remove("TCP", hidden[0].external_ports.first)
        assert keys((await home.driver.snapshot(ours)).mappings) == keys(shown)
        # Closed, it is not asked for any more.
        await home.driver.close(hidden[0])
        home.router.requests.clear()
        await home.driver.snapshot(shown)
        assert home.router.requests["GetSpecificPortMappingEntry"] == 0
        assert listing_of(home.driver) is Listing.FULL


async def test_q25_list_that_fails_does_not_make_ours_vanish(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, igd=1) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        home.router.fault(Fault.HTTP_500_EMPTY, action="GetGenericPortMappingEntry", times=2)
        snapshot = await home.driver.snapshot((granted,))
        assert snapshot.find(granted)
        assert listing_of(home.driver) is Listing.PARTIAL


@pytest.mark.parametrize("igd", [1, 2])
async def test_q26_raw_ampersand_and_latin_1(session: aiohttp.ClientSession, igd: int) -> None:
    async with home_with(session, Quirk.Q26, igd=igd) as home:
        wanted = forward()
        await add_foreign(home.router, wanted, description="Küche & Hof")
        await home.router.add_foreign(
            protocol="TCP",
            external_port=9,
            internal_host=CAMERA,
            internal_port=9,
            description="&copy; <script>",
            enabled=False,
        )
        snapshot = await home.driver.snapshot()
        assert {row.description for row in snapshot.mappings} == {"Küche & Hof", "&copy; <script>"}


async def test_q26_description_of_the_router_is_read_leniently(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, Quirk.Q26) as home:
        assert (await home.driver.connect()).name == "Virtual Router"


@pytest.mark.parametrize("igd", [1, 2])
async def test_q27_odd_rows_are_kept_as_text(session: aiohttp.ClientSession, igd: int) -> None:
    async with home_with(session, Quirk.Q27, igd=igd) as home:
        await _open_three(home)
        snapshot = await home.driver.snapshot()
        assert len(snapshot.mappings) == 5
        (odd,) = (row for row in snapshot.mappings if row.internal_host == "xbox.lan")
        assert odd.allowed_source == "*"
        assert odd.target == "xbox.lan:3074"
        assert odd.key == "tcp/3074/"


async def test_q28_misnamed_argument_in_the_scpd_is_never_read(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, Quirk.Q28) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        await home.driver.close(granted)
        documents = [name for name in home.router.requests if name.startswith("GET ")]
        assert documents == ["GET /rootDesc.xml"]
