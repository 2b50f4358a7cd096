"""What each quirk Q01 to Q28 does on the wire: how mappings are added and listed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from lab.virtual_router import Quirk, VirtualRouter, free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import ControlPoint, talk


@asynccontextmanager
async def igd_with(
    *quirks: Quirk, igd: int = 2, table_size: int | None = None
) -> AsyncIterator[ControlPoint]:
    async with (
        VirtualRouter(igd=igd, quirks=quirks, table_size=table_size) as router,
        ControlPoint.of(router, igd=igd) as control_point,
    ):
        yield control_point


async def add_foreign(
    igd: ControlPoint, port: int, *, internal_host: str = "127.0.0.9", description: str = ""
) -> None:
    await igd.router.add_foreign(
        protocol="TCP",
        external_port=port,
        internal_host=internal_host,
        internal_port=80,
        description=description,
    )


@pytest.mark.parametrize(
    ("quirk", "refused", "code", "accepted"),
    [
        (Quirk.Q01, {"LeaseDuration": 3600}, 725, {"LeaseDuration": 0}),
        (Quirk.Q02, {"LeaseDuration": 3600}, 402, {"LeaseDuration": 0}),
        (Quirk.Q03, {"LeaseDuration": 0}, 402, {"LeaseDuration": 604800}),
        (Quirk.Q11, {"InternalClient": "127.0.0.2"}, 606, {}),
        (Quirk.Q11_CONFLICT, {"InternalClient": "127.0.0.2"}, 718, {}),
        (Quirk.Q12, {"InternalPort": 1023}, 606, {"InternalPort": 1024}),
        (Quirk.Q13, {"InternalClient": "127.0.0.2"}, 606, {}),
        (Quirk.Q13_UNTICKED, {}, 606, None),
        (Quirk.Q14, {}, 501, None),
        (Quirk.Q14_PRIVATE, {}, 501, None),
        (Quirk.Q14_CGNAT, {}, 501, None),
        (Quirk.Q15, {"InternalPort": 1}, 724, {"InternalPort": "same"}),
        (Quirk.Q16, {"RemoteHost": "192.0.2.9"}, 726, {}),
        (Quirk.Q17, {}, 727, None),
        (Quirk.Q42, {"PortMappingDescription": ""}, 402, {}),
        (Quirk.Q42, {"PortMappingDescription": "x" * 257}, 501, {}),
    ],
)
async def test_adds_that_are_refused(
    quirk: Quirk,
    refused: dict[str, str | int],
    code: int,
    accepted: dict[str, str | int] | None,
) -> None:
    async with igd_with(quirk) as igd:
        port = free_port()
        assert (await igd.add(port, **refused)).code == code
        assert igd.router.mappings == ()
        if accepted is not None:
            values = {name: port if value == "same" else value for name, value in accepted.items()}
            assert (await igd.add(port, **values)).status == 200
            assert len(igd.router.mappings) == 1


async def test_q01_permanent_mappings_are_permanent() -> None:
    async with igd_with(Quirk.Q01) as igd:
        port = free_port()
        await igd.add(port, LeaseDuration=0)
        assert (await igd.specific(port))["NewLeaseDuration"] == "0"
        assert igd.router.mappings[0].expires is None


async def test_q04_first_generation_clamps() -> None:
    async with igd_with(Quirk.Q04, igd=1) as igd:
        port = free_port()
        await igd.add(port, LeaseDuration=0)
        assert (await igd.specific(port))["NewLeaseDuration"] == "604800"


async def test_q05_lease_ignored() -> None:
    async with igd_with(Quirk.Q05) as igd:
        port = free_port()
        await igd.add(port, LeaseDuration=1)
        assert (await igd.specific(port))["NewLeaseDuration"] == "0"
        (row,) = igd.router.mappings
        assert row.expires is None
        assert row.lease == 1


async def test_q05_a_second_is_shown_whatever_was_asked() -> None:
    async with igd_with(Quirk.Q05_ONE) as igd:
        port = free_port()
        await igd.add(port, LeaseDuration=3600)
        assert (await igd.specific(port))["NewLeaseDuration"] == "1"


async def test_q06_expired_mapping_stays_and_relays(inside: Inside) -> None:
    async with igd_with(Quirk.Q06) as igd:
        port = free_port()
        await igd.add(port, InternalPort=inside.port, LeaseDuration=1)
        await asyncio.sleep(1.05)
        assert (await igd.specific(port))["NewLeaseDuration"] == "0"
        assert await talk(port, b"hello") == b"HELLO"
        await igd.delete(port)
        with pytest.raises(ConnectionRefusedError):
            await talk(port, b"hello")


async def test_q07_success_but_nothing_mapped(inside: Inside) -> None:
    async with igd_with(Quirk.Q07) as igd:
        port = free_port()
        assert (await igd.add(port, InternalPort=inside.port)).status == 200
        assert (await igd.specific(port)).code == 714
        with pytest.raises(ConnectionRefusedError):
            await talk(port, b"hello")


async def fill(igd: ControlPoint, rows: int) -> None:
    for n in range(rows):
        await add_foreign(igd, 50000 + n, internal_host="none.lan")


async def test_q08_silently_full_at_32() -> None:
    async with igd_with(Quirk.Q08) as igd:
        await fill(igd, 31)
        last, beyond = free_port(), free_port()
        await igd.add(last)
        assert (await igd.add(beyond)).status == 200
        assert (await igd.specific(last)).status == 200
        assert (await igd.specific(beyond)).code == 714


@pytest.mark.parametrize(("quirk", "code"), [(Quirk.Q09, 728), (Quirk.Q09_402, 402)])
async def test_q09_full(quirk: Quirk, code: int) -> None:
    async with igd_with(quirk) as igd:
        await fill(igd, 32)
        assert (await igd.add(free_port())).code == code
    async with igd_with(quirk, table_size=2, igd=1) as igd:
        await fill(igd, 2)
        assert (await igd.add(free_port())).code == code


async def test_q10_a_port_has_one_holder_whatever_the_source() -> None:
    async with igd_with(Quirk.Q10) as igd:
        port = free_port()
        await add_foreign(igd, port)
        assert (await igd.add(port, RemoteHost="192.0.2.9")).code == 718
        assert (await igd.add(port)).code == 718


async def test_q11_first_generation_says_conflict() -> None:
    async with igd_with(Quirk.Q11, igd=1) as igd:
        port = free_port()
        assert (await igd.add(port, InternalClient="127.0.0.2")).code == 718
        await add_foreign(igd, port)
        assert (await igd.delete(port)).code == 714
        assert len(igd.router.mappings) == 1


async def test_q12_low_external_port() -> None:
    async with igd_with(Quirk.Q12) as igd:
        assert (await igd.add(443)).code == 606


@pytest.mark.parametrize(
    ("quirk", "address"),
    [(Quirk.Q14, ""), (Quirk.Q14_PRIVATE, "10.0.0.2"), (Quirk.Q14_CGNAT, "100.64.0.2")],
)
async def test_q14_external_address(quirk: Quirk, address: str) -> None:
    async with igd_with(quirk) as igd:
        assert (await igd.call("GetExternalIPAddress"))["NewExternalIPAddress"] == address


@pytest.mark.parametrize(("quirks", "rows"), [((), 1), ((Quirk.Q18,), 2)])
async def test_q18_two_wildcards(quirks: tuple[Quirk, ...], rows: int) -> None:
    async with igd_with(*quirks) as igd:
        port = free_port()
        assert (await igd.add(port)).status == 200
        assert (await igd.add(port, RemoteHost="0.0.0.0")).status == 200  # noqa: S104  a wildcard
        assert len(igd.router.mappings) == rows
        assert (await igd.add(port, RemoteHost="0.0.0.0")).status == 200  # noqa: S104  a wildcard


async def test_q18_nft_renewal_conflicts(inside: Inside) -> None:
    async with igd_with(Quirk.Q18_NFT) as igd:
        port = free_port()
        wildcard = "0.0.0.0"  # noqa: S104  nothing is bound
        assert (await igd.add(port, RemoteHost=wildcard, InternalPort=inside.port)).status == 200
        assert (await igd.add(port, RemoteHost=wildcard)).code == 718
        assert await talk(port, b"hello") == b"HELLO"


@pytest.mark.parametrize(("quirk", "code"), [(Quirk.Q19, None), (Quirk.Q19_STRICT, 714)])
async def test_q19_remote_host_ignored(quirk: Quirk, code: int | None, inside: Inside) -> None:
    async with igd_with(quirk) as igd:
        port = free_port()
        await igd.add(port, RemoteHost="127.0.0.2", InternalPort=inside.port)
        assert (await igd.generic(0))["NewRemoteHost"] == ""
        assert (await igd.specific(port, remote_host="127.0.0.2")).code == code
        assert await talk(port, b"hello", source="127.0.0.3") == b"HELLO"
        assert (await igd.delete(port, remote_host="127.0.0.2")).code == code
        assert (await igd.specific(port)).code == (714 if code is None else None)


@pytest.mark.parametrize(
    ("quirk", "code"), [(Quirk.Q20, 714), (Quirk.Q20_714, 714), (Quirk.Q20_402, 402)]
)
async def test_q20_end_of_list(quirk: Quirk, code: int) -> None:
    async with igd_with(quirk) as igd:
        assert (await igd.generic(0)).code == code


async def test_q20_unparsable_end() -> None:
    async with igd_with(Quirk.Q20_GARBAGE) as igd:
        await igd.add(free_port())
        assert (await igd.generic(0)).status == 200
        end = await igd.generic(1)
        assert end.status == 200
        assert end.code is None
        assert b"<s:Envelope" not in end.raw


async def test_q21_never_ends() -> None:
    async with igd_with(Quirk.Q21) as igd:
        await igd.add(free_port())
        last = free_port()
        await igd.add(last)
        assert (await igd.generic(60000))["NewExternalPort"] == str(last)


async def test_q22_placeholders() -> None:
    async with igd_with(Quirk.Q22) as igd:
        port = free_port()
        await igd.add(port)
        assert await igd.indexed_ports() == [0, port, 0]
        assert (await igd.generic(0))["NewInternalClient"] == ""
        assert (await igd.bulk())["NewPortListing"].count("<p:PortMappingEntry>") == 3


async def test_q23_bulk_list_kills() -> None:
    async with igd_with(Quirk.Q23) as igd:
        await fill(igd, 128)
        assert (await igd.bulk()).status == 200
        port = free_port()
        await igd.add(port)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await igd.bulk()
        assert not igd.router.running
        with pytest.raises(aiohttp.ClientConnectorError):
            await igd.generic(0)
        with pytest.raises(ConnectionRefusedError):
            await talk(port, b"hello")
        await igd.router.restart()
        assert igd.router.running
        assert (await igd.generic(0)).code == 713


async def test_q24_bulk_refused() -> None:
    async with igd_with(Quirk.Q24) as igd:
        await igd.add(free_port())
        assert (await igd.bulk()).code == 401
        igd.router.quirks.discard(Quirk.Q24)
        igd.router.quirks.add(Quirk.Q24_606)
        assert (await igd.bulk()).code == 606
        assert (await igd.bulk(Manage=0)).status == 200


async def test_q25_only_own_rows() -> None:
    async with igd_with(Quirk.Q25) as igd:
        own, foreign = free_port(), free_port()
        await add_foreign(igd, foreign)
        await igd.add(own)
        assert await igd.indexed_ports() == [own]
        assert (await igd.bulk())["NewPortListing"].count("<p:PortMappingEntry>") == 1
        assert (await igd.specific(foreign)).status == 200


async def test_q26_raw_ampersand_and_latin_1() -> None:
    async with igd_with(Quirk.Q26) as igd:
        await add_foreign(igd, free_port(), description="Tür & Tor")
        row = await igd.generic(0)
        assert "utf-8" in row.headers["Content-Type"]
        assert b"T\xfcr & Tor" in row.raw
        listing = await igd.bulk()
        assert b"T\xfcr &amp; Tor" in listing.raw


async def test_q27_named_client() -> None:
    async with igd_with(Quirk.Q27) as igd:
        row = await igd.generic(0)
        assert (row["NewInternalClient"], row["NewRemoteHost"]) == ("xbox.lan", "*")


async def test_q28_scpd_misnames_the_argument() -> None:
    path = "/scpd/0/IPConn.xml"
    async with igd_with() as igd:
        assert "<name>NewReservedPort</name><direction>out" in (await igd.get(path)).text
        igd.router.quirks.add(Quirk.Q28)
        assert "<name>NewReservedPort</name>" not in (await igd.get(path)).text


async def test_q42_description_cut() -> None:
    async with igd_with(Quirk.Q42) as igd:
        port = free_port()
        await igd.add(port, PortMappingDescription="x" * 64)
        assert (await igd.specific(port))["NewPortMappingDescription"] == "x" * 63


async def test_q45_deleting_what_never_was() -> None:
    async with igd_with(Quirk.Q45) as igd:
        assert (await igd.delete(free_port())).status == 200
