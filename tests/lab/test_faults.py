"""What each fault does on the wire, how often, and whether the action was done."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from lab.virtual_router import Fault, VirtualRouter, free_port
from tests.lab.control_point import ControlPoint, Reply


async def struck_add(
    router: VirtualRouter, igd: ControlPoint, fault: Fault, **options: str | float
) -> Reply:
    router.fault(fault, action="AddPortMapping", **options)  # type: ignore[arg-type]
    return await igd.add(free_port())


@pytest.mark.parametrize(
    ("fault", "rows", "error"),
    [
        (Fault.DROP_AFTER_ACCEPT, 1, aiohttp.ServerDisconnectedError),
        (Fault.DROP_BEFORE, 0, aiohttp.ServerDisconnectedError),
        (Fault.HALF_BODY, 1, aiohttp.ClientPayloadError),
        (Fault.NOT_HTTP, 1, aiohttp.ClientResponseError),
    ],
)
async def test_broken_connections(
    router: VirtualRouter, igd: ControlPoint, fault: Fault, rows: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await struck_add(router, igd, fault)
    assert len(router.mappings) == rows
    assert router.requests["AddPortMapping"] == 1
    assert (await igd.add(free_port())).status == 200


@pytest.mark.parametrize(
    ("fault", "rows", "status", "content"),
    [
        (Fault.GARBAGE, 1, 200, b"this is not XML"),
        (Fault.REDIRECT_ELSEWHERE, 0, 307, b""),
        (Fault.ENTITY_BOMB, 0, 200, b"<!ENTITY l10"),
        (Fault.HTML, 0, 200, b"<title>Router login</title>"),
        (Fault.HTTP_500_EMPTY, 0, 500, b""),
    ],
)
async def test_wrong_replies(
    router: VirtualRouter, igd: ControlPoint, fault: Fault, rows: int, status: int, content: bytes
) -> None:
    reply = await struck_add(router, igd, fault)
    assert reply.status == status
    assert content in reply.raw
    assert len(router.mappings) == rows
    assert (await igd.add(free_port())).status == 200


async def test_redirect_to_a_place_of_choice(router: VirtualRouter, igd: ControlPoint) -> None:
    router.fault(Fault.REDIRECT_ELSEWHERE, location="http://127.0.0.77:1/x", status=302)
    reply = await igd.get()
    assert (reply.status, reply.headers["Location"]) == (302, "http://127.0.0.77:1/x")


@pytest.fixture
def mapped() -> asyncio.Event:
    """Set when `telling` has mapped a port."""
    return asyncio.Event()


@pytest.fixture
async def telling(mapped: asyncio.Event) -> AsyncIterator[ControlPoint]:
    """A control point of a router that tells when it has mapped a port."""
    async with (
        VirtualRouter(on_change=lambda *_: mapped.set()) as router,
        ControlPoint.of(router) as igd,
    ):
        yield igd


async def test_slow(telling: ControlPoint, mapped: asyncio.Event) -> None:
    start = time.monotonic()
    add = asyncio.create_task(struck_add(telling.router, telling, Fault.SLOW, delay=0.2))
    await mapped.wait()
    assert not add.done()
    assert (await add).status == 200
    assert time.monotonic() - start >= 0.2


async def test_slow_to_act_acts_when_nobody_waits_any_more(
    telling: ControlPoint, mapped: asyncio.Event
) -> None:
    asking = asyncio.create_task(struck_add(telling.router, telling, Fault.SLOW_TO_ACT, delay=0.3))
    while not telling.router.requests["AddPortMapping"]:  # noqa: ASYNC110  it tells nobody
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not mapped.is_set()
    async with asyncio.timeout(60):
        await mapped.wait()


async def test_stop_while_a_fault_is_under_way(
    telling: ControlPoint, mapped: asyncio.Event
) -> None:
    """Every task ends; the test would fail on one that lingers."""
    slow = asyncio.create_task(struck_add(telling.router, telling, Fault.SLOW, delay=60))
    await mapped.wait()
    await telling.router.stop()
    with pytest.raises(aiohttp.ClientError):
        await slow


async def test_huge_body_is_made_as_it_is_read(router: VirtualRouter, igd: ControlPoint) -> None:
    router.fault(Fault.HUGE_BODY, times=2)
    async with igd.session.get(router.description_url) as response:
        assert len(await response.content.readexactly(1_000_000)) == 1_000_000
    size = 0
    async with igd.session.get(router.description_url) as response:
        async for chunk in response.content.iter_any():
            size += len(chunk)
    assert size > 64 * 2**20


async def test_faults_count_down_and_choose(router: VirtualRouter, igd: ControlPoint) -> None:
    router.fault(Fault.HTTP_500_EMPTY, action="GetStatusInfo", times=2)
    router.fault(Fault.HTML, action="GET /rootDesc.xml")
    assert (await igd.call("GetExternalIPAddress")).status == 200
    assert (await igd.get()).headers["Content-Type"] == "text/html"
    assert (await igd.get()).headers["Content-Type"].startswith("text/xml")
    statuses = [(await igd.call("GetStatusInfo")).status for _ in range(3)]
    assert statuses == [500, 500, 200]


async def test_faults_until_cleared(router: VirtualRouter, igd: ControlPoint) -> None:
    router.fault(Fault.HTTP_500_EMPTY, times=None)
    assert [(await igd.get()).status for _ in range(4)] == [500] * 4
    router.clear_faults()
    assert (await igd.get()).status == 200
