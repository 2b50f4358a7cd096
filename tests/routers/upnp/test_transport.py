"""What can go wrong on the way to the router, for reads and for writes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from custom_components.port_forward.routers.errors import (
    ProtocolError,
    RouterError,
    RouterTimeoutError,
    RouterUnreachableError,
    UnsupportedError,
)
from custom_components.port_forward.routers.transport import MAX_BODY, Transport
from custom_components.port_forward.routers.upnp import UpnpRouter, describe, survey
from lab.virtual_router import Fault, VirtualRouter, free_port

from ..forwards import forward
from .home import HOUR, TIMEOUT, home_with, row_of, until_asked

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FAULTS: dict[Fault, type[RouterError]] = {
    Fault.SLOW: RouterTimeoutError,
    Fault.DROP_AFTER_ACCEPT: RouterUnreachableError,
    Fault.DROP_BEFORE: RouterUnreachableError,
    Fault.GARBAGE: ProtocolError,
    Fault.NOT_HTTP: ProtocolError,
    Fault.HALF_BODY: RouterUnreachableError,
    Fault.HUGE_BODY: ProtocolError,
    Fault.REDIRECT_ELSEWHERE: ProtocolError,
    Fault.ENTITY_BOMB: ProtocolError,
    Fault.HTML: ProtocolError,
}


@pytest.mark.parametrize(("fault", "error"), FAULTS.items(), ids=str)
async def test_faults_of_the_description(
    session: aiohttp.ClientSession, fault: Fault, error: type[RouterError]
) -> None:
    async with home_with(session, timeout=_patience(fault)) as home:
        home.router.fault(fault, times=None)
        with pytest.raises(error) as raised:
            await home.driver.connect()
        assert raised.value.placeholders["host"] == "127.0.0.1"
        home.router.clear_faults()
        await home.driver.connect()


@pytest.mark.parametrize(
    ("fault", "error"), [*FAULTS.items(), (Fault.HTTP_500_EMPTY, ProtocolError)], ids=str
)
async def test_faults_of_a_read(
    session: aiohttp.ClientSession, fault: Fault, error: type[RouterError]
) -> None:
    async with home_with(session, timeout=_patience(fault)) as home:
        await home.driver.connect()
        home.router.fault(fault, action="GetStatusInfo", times=None)
        with pytest.raises(error):
            await home.driver.snapshot()
        home.router.clear_faults()
        assert (await home.driver.snapshot()).connected


@pytest.mark.parametrize("fault", [*FAULTS, Fault.HTTP_500_EMPTY])
async def test_faults_of_an_add_leave_nothing_or_all(
    session: aiohttp.ClientSession, fault: Fault
) -> None:
    """A lost answer may mean a mapping: it is verified or taken back."""
    async with home_with(session, timeout=_patience(fault)) as home:
        wanted = forward()
        home.router.fault(fault, action="AddPortMapping", delay=2 * TIMEOUT)
        error = await _failure(home.driver.open(wanted, HOUR))
        assert home.rows() == (set() if error else {row_of(wanted)})
        assert error is None or error.left == ()
        assert home.router.requests["AddPortMapping"] <= 2


async def test_an_add_that_cannot_be_taken_back_is_told(session: aiohttp.ClientSession) -> None:
    async with home_with(session, timeout=TIMEOUT) as home:
        wanted = forward()
        await home.driver.connect()
        home.router.fault(Fault.SLOW, action="AddPortMapping", delay=2 * TIMEOUT)
        opening = asyncio.ensure_future(home.driver.open(wanted, HOUR))
        await until_asked(home.router, "AddPortMapping")
        # The look before the add was quick, that of the roll-back is not.
        home.router.fault(Fault.SLOW, action="GetSpecificPortMappingEntry", delay=2 * TIMEOUT)
        with pytest.raises(RouterTimeoutError) as error:
            await opening
        assert error.value.left == home.driver.plan(wanted)
        assert home.rows() == {row_of(wanted)}
        await home.driver.close(error.value.left[0])
        assert not home.rows()


async def test_an_add_that_may_still_be_carried_out_is_told(
    session: aiohttp.ClientSession,
) -> None:
    """The router acts after we gave up and looked: absent then is not absent for good."""
    async with home_with(session, timeout=TIMEOUT) as home:
        wanted = forward()
        home.router.fault(Fault.SLOW_TO_ACT, action="AddPortMapping", delay=2 * TIMEOUT)
        with pytest.raises(RouterTimeoutError) as error:
            await home.driver.open(wanted, HOUR)
        assert error.value.left == home.driver.plan(wanted)
        assert not home.rows()


@pytest.mark.parametrize("fault", [*FAULTS, Fault.HTTP_500_EMPTY])
async def test_faults_of_a_delete_never_claim_that_it_is_closed(
    session: aiohttp.ClientSession, fault: Fault
) -> None:
    async with home_with(session, timeout=_patience(fault)) as home:
        (granted,) = await home.driver.open(forward(), HOUR)
        home.router.fault(fault, action="DeletePortMapping", delay=2 * TIMEOUT)
        if await _failure(home.driver.close(granted)):
            await home.driver.close(granted)
        assert not home.rows()


async def test_redirect_is_not_followed(session: aiohttp.ClientSession) -> None:
    async with VirtualRouter() as trap, home_with(session) as home:
        home.router.fault(
            Fault.REDIRECT_ELSEWHERE,
            action="AddPortMapping",
            location=trap.description_url,
            status=302,
        )
        with pytest.raises(ProtocolError, match="redirect 302"):
            await home.driver.open(forward(), HOUR)
        assert not trap.requests


async def test_nobody_there(session: aiohttp.ClientSession) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    for attempt in (describe(session, url), survey(session, url)):
        with pytest.raises(RouterUnreachableError) as error:
            await attempt
        assert error.value.placeholders == {"host": "127.0.0.1"}
    with pytest.raises(RouterUnreachableError):
        await UpnpRouter(session, url).snapshot()


@pytest.mark.parametrize("url", ["", "http://", "ftp://127.0.0.1/", "http://[::", "nonsense"])
async def test_no_address(session: aiohttp.ClientSession, url: str) -> None:
    with pytest.raises(UnsupportedError):
        await describe(session, url)


async def test_host_that_cannot_be_encoded(session: aiohttp.ClientSession) -> None:
    with pytest.raises(ProtocolError, match="no URL"):
        await describe(session, "http://\udcff.example/")


async def test_description_that_is_not_found(session: aiohttp.ClientSession) -> None:
    async with VirtualRouter() as router:
        with pytest.raises(UnsupportedError, match="HTTP 404"):
            await describe(session, f"http://127.0.0.1:{router.port}/nothing.xml")


async def test_body_of_just_the_cap_is_read_and_not_one_byte_more(
    session: aiohttp.ClientSession,
) -> None:
    size = MAX_BODY

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * size)

    async with _served(answer) as url:
        transport = Transport(session)
        assert len((await transport.request("GET", url))[1]) == MAX_BODY
        size += 1
        with pytest.raises(ProtocolError, match="too long"):
            await transport.request("GET", url)


async def test_compressed_nonsense_is_an_error_of_ours(session: aiohttp.ClientSession) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=b"nonsense", headers={"Content-Encoding": "gzip"})

    async with _served(answer) as url:
        with pytest.raises(RouterError):
            await Transport(session).request("GET", url)


async def test_header_without_an_end_is_an_error_of_ours(session: aiohttp.ClientSession) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(headers={"X": "x" * 100_000})

    async with _served(answer) as url:
        with pytest.raises(ProtocolError):
            await Transport(session).request("GET", url)


async def test_time_waiting_for_the_turn_does_not_count(session: aiohttp.ClientSession) -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(TIMEOUT / 5)
        return web.Response()

    async with _served(answer) as url:
        transport = Transport(session, timeout=TIMEOUT)
        answers = await asyncio.gather(*(transport.request("GET", url) for _ in range(6)))
        assert [status for status, _ in answers] == [200] * 6


async def test_after_a_drop_connections_are_not_kept(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await home.driver.snapshot()
        assert home.router.connections == 1
        home.router.fault(Fault.DROP_BEFORE, action="GetStatusInfo")
        await home.driver.snapshot()
        assert home.router.connections > 3


async def test_the_session_stays_open(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await home.driver.snapshot()
    assert not session.closed


@asynccontextmanager
async def _served(answer: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("/"))


def _patience(fault: Fault) -> float:
    """Wait in vain for what does not come, but not for what is just slow under load."""
    return TIMEOUT if fault is Fault.SLOW else 10


async def _failure(attempt: Awaitable[object]) -> RouterError | None:
    try:
        await attempt
    except RouterError as error:
        return error
    return None
