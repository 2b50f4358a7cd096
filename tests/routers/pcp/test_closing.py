"""Closing what the router does not want to close, or has forgotten."""

from datetime import UTC, datetime, timedelta

import pytest

from custom_components.port_forward.routers.errors import (
    NotClosedError,
    NotPermittedError,
    RouterTimeoutError,
    RouterUnreachableError,
)
from custom_components.port_forward.routers.model import PortMapping
from custom_components.port_forward.routers.pcp import PcpRouter, from_settings
from custom_components.port_forward.routers.pcp.exchange import NotSentError

from .home import BOTH, HOUR, forward
from .server import HOST, FakeServer
from .test_client import answer_maps


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def driver(server: FakeServer, clock: Clock) -> PcpRouter:
    return PcpRouter(server.url, timeout=5, clock=clock)


@pytest.fixture
async def mapping(driver: PcpRouter) -> PortMapping:
    [mapping] = await driver.open(forward(), HOUR)
    return mapping


@pytest.mark.parametrize("result", [2, 5, 7, 99])
async def test_a_refusal_counts_until_the_lease_is_over(
    server: FakeServer, driver: PcpRouter, clock: Clock, mapping: PortMapping, result: int
) -> None:
    server.error = result
    with pytest.raises(NotPermittedError):
        await driver.close(mapping)
    clock.now += HOUR
    await driver.close(mapping)


async def test_a_router_that_says_it_is_still_there_until_the_lease_is_over(
    server: FakeServer, driver: PcpRouter, clock: Clock, mapping: PortMapping
) -> None:
    server.intercept = answer_maps(
        server, lambda answer: [answer[:4] + (60).to_bytes(4) + answer[8:]]
    )
    with pytest.raises(NotClosedError):
        await driver.close(mapping)
    clock.now += HOUR
    await driver.close(mapping)


async def test_silence_is_no_close_even_then(
    server: FakeServer, clock: Clock, mapping: PortMapping
) -> None:
    driver = PcpRouter(server.url, timeout=0.2, clock=clock)
    server.intercept = lambda _: []
    clock.now += HOUR
    with pytest.raises(RouterTimeoutError):
        await driver.close(mapping)


async def test_not_authorized_after_the_router_lost_its_state(
    server: FakeServer, driver: PcpRouter, mapping: PortMapping
) -> None:
    """Another client has the port now; ours is gone with all the others."""
    [row] = server.rows.values()
    row.nonce = b"another's..."
    server.epoch = 0
    await driver.close(mapping)
    assert len(server.mapped()) == 1


@pytest.mark.parametrize("result", [7, 99])
async def test_what_was_only_planned_may_be_there(
    server: FakeServer, driver: PcpRouter, result: int
) -> None:
    await driver.connect()
    [planned] = driver.plan(forward())
    server.error = result
    with pytest.raises(NotPermittedError):
        await driver.close(planned)


async def test_in_the_version_that_it_was_made_with(
    server: FakeServer, driver: PcpRouter, mapping: PortMapping
) -> None:
    """The router speaks both, and we came to speak the other one meanwhile."""
    later = PcpRouter(server.url, timeout=5, learned={"version": "0"})
    await later.close(mapping)
    assert server.mapped() == set()
    assert server.requests[-1][0] == 2


async def test_what_could_not_be_taken_back_is_told(server: FakeServer, driver: PcpRouter) -> None:
    await driver.connect()
    planned = driver.plan(forward(protocols=BOTH))

    def only_tcp_and_for_good(data: bytes) -> list[bytes] | None:
        if data[:2] != b"\x02\x01" or (data[36] == 6 and any(data[4:8])):
            return None
        return [server.refuse(data, 9)]

    server.intercept = only_tcp_and_for_good
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward(protocols=BOTH), HOUR, planned=planned)
    assert error.value.left == planned[:1]
    assert len(server.mapped()) == 1


async def test_what_nobody_took_was_not_done(server: FakeServer) -> None:
    driver = PcpRouter(server.url, learned={"version": "2"})
    assert server.transport
    server.transport.close()
    with pytest.raises(NotSentError) as error:
        await driver.open(forward(), timedelta(hours=1))
    assert isinstance(error.value, RouterUnreachableError)
    assert error.value.left == ()
    assert error.value.placeholders == {"host": HOST}


def test_from_settings(server: FakeServer) -> None:
    router = from_settings(None, {"host": server.url}, learned={"version": "0"})  # type: ignore[arg-type]
    assert router.learned["version"] == "0"
    assert router.capabilities.other_hosts is False
