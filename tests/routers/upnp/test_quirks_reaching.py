"""Quirks Q29 to Q45: finding the right WAN of a router, and getting through to it."""

import asyncio
from datetime import timedelta
from urllib.parse import urlsplit

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    PortConflictError,
    RouterUnreachableError,
    UnsupportedError,
)
from custom_components.port_forward.routers.upnp import (
    UpnpRouter,
    describe,
    same_host,
    search,
    survey,
)
from lab.virtual_router import Fault, Quirk, VirtualRouter, Wan

from ..forwards import forward
from .home import (
    CALLER,
    CAMERA,
    HOUR,
    add_foreign,
    free_range,
    home_with,
    keys,
    row_of,
    until_asked,
)

SECOND = "127.0.0.2"
"""An address for a router that must not be 127.0.0.1."""


async def test_q29_two_wans_of_one_kind_are_both_offered(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q29) as home:
        url = home.router.description_url
        wans = (await describe(session, url)).wans
        assert len({wan.id for wan in wans}) == len({wan.control_url for wan in wans}) == 2
        assert len({wan.name for wan in wans}) == 2
        assert {wan.service_type for wan in wans} == {
            "urn:schemas-upnp-org:service:WANIPConnection:2"
        }
        second = UpnpRouter(session, url, wan=wans[1].id)
        wanted = forward()
        await second.open(wanted, HOUR)
        assert not home.rows(0)
        assert home.rows(1) == {row_of(wanted)}
        assert str((await second.snapshot()).external_address) == "198.51.100.7"


async def test_q30_the_connected_wan_is_the_best(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q30) as home:
        best, other = await survey(session, home.router.description_url)
        assert (best.connected, other.connected) == (True, False)
        assert "WANPPPConnection" in best.wan.service_type
        assert str(best.external_address) == "203.0.113.7"
        assert other.external_address is None
        wanted = forward()
        await home.driver.open(wanted, HOUR)
        assert home.rows(1) == {row_of(wanted)}


async def test_q30_a_wan_stays_picked_when_another_one_is_better(
    session: aiohttp.ClientSession,
) -> None:
    """Its mappings could not be closed by asking the other one."""
    async with home_with(session, Quirk.Q29) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        home.router.wans[0].status = "Disconnected"
        again = home.another_driver(learned=home.driver.learned)
        await again.connect()
        await again.close(granted)
        assert not home.rows(0)


async def test_q30_private_addresses_come_last(session: aiohttp.ClientSession) -> None:
    wans = (
        Wan(external_address=""),
        Wan(external_address="192.168.7.2"),
        Wan(external_address="203.0.113.9", status="Connecting"),
        Wan(external_address="203.0.113.8"),
    )
    async with home_with(session, wans=wans) as home:
        found = await survey(session, home.router.description_url)
        assert [str(one.external_address) for one in found] == [
            "203.0.113.8",
            "192.168.7.2",
            "None",
            "203.0.113.9",
        ]


async def test_a_wan_that_answers_nonsense_comes_last(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q29) as home:
        url = home.router.description_url
        first, second = (await describe(session, url)).wans
        home.router.fault(Fault.GARBAGE, action="GetStatusInfo")
        found = await survey(session, url)
        assert [one.wan for one in found] == [second, first]
        assert (found[1].connected, found[1].external_address) == (None, None)


async def test_q31_up_is_connected(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q31) as home:
        assert (await home.driver.snapshot()).connected is True
        assert (await survey(session, home.router.description_url))[0].connected is True
        home.router.wans[0].status = "Disconnected"
        assert (await home.driver.snapshot()).connected is False


async def test_q32_dslforum_services(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q32, wans=(Wan(kind="ppp"),)) as home:
        (wan,) = (await describe(session, home.router.description_url)).wans
        assert wan.service_type == "urn:dslforum-org:service:WANPPPConnection:1"
        (granted,) = await home.driver.open(forward(), HOUR)
        await home.driver.close(granted)
        assert not home.rows()


@pytest.mark.parametrize("quirk", [Quirk.Q33, Quirk.Q33_MALFORMED])
async def test_q33_scpds_are_not_needed(session: aiohttp.ClientSession, quirk: Quirk) -> None:
    async with home_with(session, quirk) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        await home.driver.snapshot()
        await home.driver.close(granted)
        assert [name for name in home.router.requests if "GET" in name] == ["GET /rootDesc.xml"]


async def test_q34_location_on_another_host(session: aiohttp.ClientSession) -> None:
    async with VirtualRouter(quirks={Quirk.Q34}, ssdp=True, ssdp_port=0) as router:
        assert router.ssdp_port
        assert not same_host(router.description_url, CALLER)
        assert await search(CALLER, port=router.ssdp_port, timeout=0.2) is None
        # Whoever takes it all the same (it is the gateway's) keeps to that host.
        (wan,) = (await describe(session, router.description_url)).wans
        assert urlsplit(wan.control_url).hostname == "127.0.0.77"


@pytest.mark.parametrize("quirk", [Quirk.Q35, Quirk.Q35_URLBASE])
async def test_q35_control_on_another_port(session: aiohttp.ClientSession, quirk: Quirk) -> None:
    async with home_with(session, quirk) as home:
        (wan,) = (await describe(session, home.router.description_url)).wans
        assert urlsplit(wan.control_url).port != home.router.port
        (granted,) = await home.driver.open(forward(), HOUR)
        await home.driver.close(granted)


async def test_q35_wrong_url_base_is_ignored(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q35_WRONG, lan_host=SECOND) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        await home.driver.close(granted)
        assert not home.rows()


async def test_q35_control_on_another_host_is_not_followed(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, Quirk.Q35_ELSEWHERE) as home:
        (wan,) = (await describe(session, home.router.description_url)).wans
        assert urlsplit(wan.control_url).netloc == f"{CALLER}:{home.router.port}"
        await home.driver.open(forward(), HOUR)


async def test_q36_control_port_moves_with_a_restart(session: aiohttp.ClientSession) -> None:
    """The description is where it was: the driver finds the rest by itself, for writes too."""
    async with home_with(session, Quirk.Q35) as home:
        await home.driver.connect()
        before = (await describe(session, home.router.description_url)).wans
        await home.router.restart(change_port=False)
        after = (await describe(session, home.router.description_url)).wans
        assert [wan.id for wan in before] == [wan.id for wan in after]
        assert before[0].control_url != after[0].control_url
        wanted = forward()
        await home.driver.open(wanted, HOUR)
        assert home.rows() == {row_of(wanted)}


async def test_q36_location_moves_with_a_restart(session: aiohttp.ClientSession) -> None:
    """Then only SSDP knows where to; a driver for the new place finds the same WAN."""
    async with home_with(session, Quirk.Q36) as home:
        info = await home.driver.connect()
        await home.router.restart()
        with pytest.raises(RouterUnreachableError):
            await home.driver.snapshot()
        with pytest.raises(RouterUnreachableError):
            await home.driver.connect()
        again = home.another_driver(learned=home.driver.learned)
        assert (await again.connect()).unique_id == info.unique_id
        assert again.learned["wan"] == home.driver.learned["wan"]


async def test_wan_that_is_gone_is_said(session: aiohttp.ClientSession) -> None:
    async with home_with(session, wan="uuid:none/WANIPConn9") as home:
        with pytest.raises(UnsupportedError, match="WAN connection is gone"):
            await home.driver.connect()


@pytest.mark.parametrize("quirk", [Quirk.Q37, Quirk.Q37_REUSE, Quirk.Q37_DROP])
@pytest.mark.parametrize("igd", [1, 2])
async def test_q37_connections_that_break(
    session: aiohttp.ClientSession, quirk: Quirk, igd: int
) -> None:
    async with home_with(session, quirk, igd=igd) as home:
        wanted = forward(free_range(2))
        granted = await home.driver.open(wanted, HOUR)
        assert keys((await home.driver.snapshot()).mappings) == keys(granted)
        assert await home.driver.open(wanted, HOUR, ours=granted)
        assert home.router.requests["AddPortMapping"] <= 4 + (quirk is Quirk.Q37_REUSE)
        for mapping in granted:
            await home.driver.close(mapping)
        assert not home.rows()


async def test_q37_add_that_was_done_before_the_drop_is_not_repeated(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session) as home:
        wanted = forward()
        home.router.fault(Fault.DROP_AFTER_ACCEPT, action="AddPortMapping")
        await home.driver.open(wanted, HOUR)
        assert home.rows() == {row_of(wanted)}
        assert home.router.requests["AddPortMapping"] == 1


async def test_q37_add_that_was_not_done_is_repeated_once(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        home.router.fault(Fault.DROP_BEFORE, action="AddPortMapping")
        await home.driver.open(forward(), HOUR)
        assert home.router.requests["AddPortMapping"] == 2
        home.router.fault(Fault.DROP_BEFORE, action="AddPortMapping", times=None)
        with pytest.raises(RouterUnreachableError) as error:
            await home.driver.open(forward(forward_id="other"), HOUR)
        assert home.router.requests["AddPortMapping"] == 4
        assert error.value.left == ()
        assert len(home.rows()) == 1


async def test_q37_add_is_not_repeated_over_somebody_who_came_first(
    session: aiohttp.ClientSession,
) -> None:
    """The add is lost, and before it is looked at another client takes the port."""
    async with home_with(session) as home:
        wanted = forward()
        home.router.fault(Fault.DROP_BEFORE, action="AddPortMapping")
        # The first look finds nothing; the second, after the drop, is slow, and meanwhile …
        home.router.fault(Fault.SLOW_TO_ACT, action="GetSpecificPortMappingEntry", delay=0.1)
        home.router.fault(Fault.SLOW_TO_ACT, action="GetSpecificPortMappingEntry", delay=0.1)
        opening = asyncio.ensure_future(home.driver.open(wanted, HOUR))
        await until_asked(home.router, "AddPortMapping")
        await add_foreign(home.router, wanted)
        before = home.rows()
        with pytest.raises(PortConflictError):
            await opening
        assert home.rows() == before
        assert home.router.requests["AddPortMapping"] == 1


@pytest.mark.parametrize(
    ("fault", "deletes"), [(Fault.DROP_AFTER_ACCEPT, 1), (Fault.DROP_BEFORE, 2)]
)
async def test_q37_delete_looks_before_it_repeats(
    session: aiohttp.ClientSession, fault: Fault, deletes: int
) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        home.router.fault(fault, action="DeletePortMapping")
        await home.driver.close(granted)
        assert not home.rows()
        assert home.router.requests["DeletePortMapping"] == deletes


async def test_q37_reads_get_one_fresh_try_and_no_more(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await home.driver.connect()
        home.router.fault(Fault.DROP_BEFORE, action="GetStatusInfo")
        assert (await home.driver.snapshot()).connected
        assert home.router.requests["GetStatusInfo"] == 2
        home.router.fault(Fault.DROP_BEFORE, action="GetStatusInfo", times=None)
        with pytest.raises(RouterUnreachableError):
            await home.driver.snapshot()
        assert home.router.requests["GetStatusInfo"] == 4


@pytest.mark.parametrize(
    "quirk", [Quirk.Q38, Quirk.Q39, Quirk.Q39_ODD, Quirk.Q39_BARE], ids=lambda quirk: quirk.value
)
async def test_q38_q39_odd_http_and_odd_faults(
    session: aiohttp.ClientSession, quirk: Quirk
) -> None:
    async with home_with(session, quirk) as home:
        wanted = forward()
        (granted,) = await home.driver.open(wanted, HOUR)
        assert keys((await home.driver.snapshot()).mappings) == {granted.key}
        await add_foreign(home.router, forward(forward_id="x"))
        await home.driver.close(granted)
        await home.driver.close(granted)
        assert len(home.rows()) == 1


async def test_q38_always_chunked_and_of_a_wrong_type(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q38) as home:
        assert (await home.driver.snapshot()).connected


async def test_q39_code_of_a_fault_is_read_in_any_dress(session: aiohttp.ClientSession) -> None:
    for quirk in (Quirk.Q39, Quirk.Q39_ODD, Quirk.Q39_BARE):
        async with home_with(session, quirk, Quirk.Q01) as home:
            (granted,) = await home.driver.open(forward(), HOUR)
            assert granted.lease is None


async def test_q40_one_request_at_a_time(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q40) as home:
        first, second, _ = await asyncio.gather(
            home.driver.open(forward(forward_id="first"), HOUR),
            home.driver.open(forward(forward_id="second"), HOUR),
            home.driver.snapshot(),
        )
        assert len(home.rows()) == 2
        await asyncio.gather(
            home.driver.snapshot(),
            *(home.driver.close(mapping) for mapping in (*first, *second)),
        )
        assert not home.rows()


async def test_q41_strict_protocol_and_soap_action(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q41) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        await home.driver.snapshot()
        await home.driver.close(granted)
        assert not home.rows()


@pytest.mark.parametrize("name", ["", "日本", "x" * 300, "Tür & Tor <1>", "a\nb"])
async def test_q42_description_is_ascii_of_1_to_63(
    session: aiohttp.ClientSession, name: str
) -> None:
    async with home_with(session, Quirk.Q42) as home:
        await home.driver.open(forward(name=name), HOUR)
        shown = home.router.mappings[0].description
        assert shown.isascii()
        assert shown.isprintable()
        assert 1 <= len(shown) <= 63
        assert shown.endswith("[ha-pf:camera1]")


@pytest.mark.parametrize("quirk", [None, Quirk.Q43, Quirk.Q43_UNICAST, Quirk.Q43_NO_ALL], ids=str)
async def test_q43_unicast_search_of_the_gateway(quirk: Quirk | None) -> None:
    quirks = {quirk} if quirk else set()
    async with VirtualRouter(quirks=quirks, ssdp=True, ssdp_port=0) as router:
        assert router.ssdp_port
        assert await search(CALLER, port=router.ssdp_port) == router.description_url


async def test_q43_multicast_only_is_left_to_home_assistant() -> None:
    async with VirtualRouter(quirks={Quirk.Q43_MULTICAST}, ssdp=True, ssdp_port=0) as router:
        assert router.ssdp_port
        assert await search(CALLER, port=router.ssdp_port, timeout=0.2) is None


async def test_q44_mappings_gone_with_the_wan_connection(session: aiohttp.ClientSession) -> None:
    async with home_with(session, Quirk.Q44) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        home.router.wans[0]._up_since -= 1000
        before = await home.driver.snapshot()
        assert before.find(granted)
        await home.router.reconnect_wan(new_address="203.0.113.9")
        after = await home.driver.snapshot()
        assert after.find(granted) is None
        assert after.restarted_since(before)
        assert not before.restarted_since(before)
        assert after.uptime == timedelta(0)
        assert str(after.external_address) == "203.0.113.9"


@pytest.mark.parametrize("quirks", [(), (Quirk.Q45,)])
@pytest.mark.parametrize("igd", [1, 2])
async def test_q45_closing_what_is_gone(
    session: aiohttp.ClientSession, quirks: tuple[Quirk, ...], igd: int
) -> None:
    async with home_with(session, *quirks, igd=igd) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        await home.router.remove("TCP", granted.external_ports.first)
        await home.driver.close(granted)
        await home.driver.close(granted)
        (never,) = home.driver.plan(forward(forward_id="never", host=CAMERA))
        await home.driver.close(never)


async def test_q45_gone_between_the_look_and_the_deletion(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        home.router.fault(Fault.SLOW_TO_ACT, action="DeletePortMapping", delay=0.1)
        closing = asyncio.ensure_future(home.driver.close(granted))
        await until_asked(home.router, "DeletePortMapping")
        await home.router.remove("TCP", granted.external_ports.first)
        await closing
