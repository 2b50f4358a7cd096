"""What the router holds, as far as it can be known without a list."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest

from custom_components.port_forward.routers.errors import (
    PortConflictError,
    RouterTimeoutError,
    UnsupportedError,
)
from custom_components.port_forward.routers.model import PortMapping
from custom_components.port_forward.routers.pcp import PcpRouter

from .home import BOTH, HOUR, forward
from .server import ADDRESS_MISMATCH, CAMERA, HOST, NETWORK_FAILURE, FakeServer


class Clock:
    """A wall clock that a test sets; the server's epoch goes with it."""

    def __init__(self, server: FakeServer) -> None:
        self.now = datetime.now(UTC)
        self._server = server

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self._server.epoch += seconds


@pytest.fixture
def clock(server: FakeServer) -> Clock:
    return Clock(server)


@pytest.fixture
def start(server: FakeServer, clock: Clock) -> Callable[..., PcpRouter]:
    def start(before: PcpRouter | None = None) -> PcpRouter:
        """A driver, after a restart of ours with what the one before has learned."""
        learned = before.learned if before else None
        return PcpRouter(server.url, timeout=5, clock=clock, learned=learned)

    return start


async def shown(driver: PcpRouter, *ours: PortMapping) -> list[str]:
    return [mapping.key for mapping in (await driver.snapshot(ours)).mappings]


async def test_nothing_is_listed(server: FakeServer, start: Callable[..., PcpRouter]) -> None:
    driver = start()
    await driver.open(forward(), HOUR)
    snapshot = await driver.snapshot()
    assert snapshot.mappings == ()
    assert snapshot.uptime is None


async def test_what_was_only_planned_is_not_there(start: Callable[..., PcpRouter]) -> None:
    driver = start()
    assert await shown(driver, *driver.plan(forward())) == []


async def test_what_was_granted_is_there_until_its_lease_ends(
    start: Callable[..., PcpRouter], clock: Clock
) -> None:
    driver = start()
    [mapping] = await driver.open(forward(), timedelta(seconds=600))
    [row] = (await driver.snapshot([mapping])).mappings
    assert row.same_rule(mapping)
    assert row.id == mapping.id
    clock.pass_by(400)
    [row] = (await driver.snapshot([mapping])).mappings
    assert row.lease
    assert timedelta(seconds=198) <= row.lease <= timedelta(seconds=200)
    clock.pass_by(200)
    assert await shown(driver, mapping) == []


async def test_what_was_closed_is_not_there(start: Callable[..., PcpRouter]) -> None:
    driver = start()
    [mapping] = await driver.open(forward(), HOUR)
    await driver.close(mapping)
    assert await shown(driver, mapping) == []
    [again] = await driver.open(forward(), HOUR, ours=[mapping])
    assert await shown(driver, again) == [mapping.key]


async def test_known_after_a_restart_of_ours(start: Callable[..., PcpRouter], clock: Clock) -> None:
    first = start()
    [mapping] = await first.open(forward(), HOUR)
    before = await first.snapshot([mapping])

    clock.pass_by(900)
    later = start(first)
    after = await later.snapshot([mapping])
    assert [row.key for row in after.mappings] == [mapping.key]
    assert not after.restarted_since(before)
    assert after.external_address == IPv4Address("203.0.113.7")


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_lost_epoch_loses_all(
    server: FakeServer, start: Callable[..., PcpRouter], clock: Clock, *, restarted: bool
) -> None:
    """And they are made again with the same nonces."""
    driver = start()
    wanted = forward(protocols=BOTH)
    held = await driver.open(wanted, HOUR)
    before = await driver.snapshot(held)
    assert len(before.mappings) == 2

    clock.pass_by(60)
    server.epoch = 7
    server.rows.clear()
    if restarted:
        driver = start(driver)
    after = await driver.snapshot(held)
    assert after.mappings == ()
    assert after.restarted_since(before)
    server.requests.clear()

    again = await driver.open(wanted, HOUR, planned=held, ours=held)
    nonces = [mapping.id.split()[0] for mapping in again]
    assert nonces == [mapping.id.split()[0] for mapping in held]
    assert [row.nonce.hex() for row in server.rows.values()] == nonces
    later = await driver.snapshot(again)
    assert len(later.mappings) == 2
    assert not later.restarted_since(after)


async def test_a_jump_in_any_reply_is_news_and_loses_the_others(
    server: FakeServer, start: Callable[..., PcpRouter], clock: Clock
) -> None:
    driver = start()
    first = await driver.open(forward(8080), HOUR)
    second = await driver.open(forward(8081), HOUR)
    news: list[str] = []
    async with driver.watch(lambda: news.append("news")):
        clock.pass_by(60)
        server.epoch = 7
        second = await driver.open(forward(8081), HOUR, planned=second, ours=second)
        assert news == ["news"]
        assert await shown(driver, *first, *second) == [second[0].key]
        assert news == ["news"], "what a snapshot shows is no news"
    server.epoch = 0
    await driver.open(forward(8081), HOUR, ours=second)
    assert news == ["news"], "nobody watches"


async def test_an_epoch_back_and_forth_is_logged_once(
    server: FakeServer, start: Callable[..., PcpRouter], caplog: pytest.LogCaptureFixture
) -> None:
    driver = start()
    held = await driver.open(forward(), HOUR)
    boots = set()
    for epoch in (100_000, 5) * 5:
        server.epoch = epoch
        boots.add((await driver.snapshot(held)).boot_id)
    assert len(boots) == 3
    told = [record for record in caplog.records if "back and forth" in record.message]
    assert len(told) == 1
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}


async def test_a_renewal_that_is_refused_for_another_client(
    server: FakeServer, start: Callable[..., PcpRouter]
) -> None:
    driver = start()
    held = await driver.open(forward(), HOUR)
    [row] = server.rows.values()
    row.nonce = b"another's..."
    with pytest.raises(PortConflictError):
        await driver.open(forward(), HOUR, planned=held, ours=held)
    assert await shown(driver, *held) == []
    assert len(server.mapped()) == 1


async def test_no_connection_to_the_internet(
    server: FakeServer, start: Callable[..., PcpRouter]
) -> None:
    driver = start()
    await driver.snapshot()
    server.error = NETWORK_FAILURE
    server.address = "0.0.0.0"  # noqa: S104  nothing is bound
    snapshot = await driver.snapshot()
    assert snapshot.external_address is None
    assert snapshot.connected is False


async def test_without_natpmp_the_address_is_that_of_the_last_mapping(
    server: FakeServer, start: Callable[..., PcpRouter]
) -> None:
    server.speaks_natpmp = False
    driver = start()
    assert (await driver.snapshot()).external_address is None
    held = await driver.open(forward(), HOUR)
    server.requests.clear()
    assert (await driver.snapshot(held)).external_address == IPv4Address("203.0.113.7")
    assert len(server.requests) == 1, "it is not asked again what it does not tell"


async def test_a_server_without_announcements_tells_its_epoch_all_the_same(
    server: FakeServer, start: Callable[..., PcpRouter], clock: Clock
) -> None:
    driver = start()

    def unsupported(data: bytes) -> list[bytes] | None:
        return [server.refuse(data, 4)] if data[:2] == b"\x02\x00" else None

    server.intercept = unsupported
    held = await driver.open(forward(), HOUR)
    assert len(await shown(driver, *held)) == 1
    server.epoch = 3
    assert await shown(driver, *held) == []


async def test_a_gateway_that_is_gone_or_another(server: FakeServer) -> None:
    driver = PcpRouter(server.url, timeout=1)
    held = await driver.open(forward(internal_host=CAMERA), HOUR)
    server.error = ADDRESS_MISMATCH
    with pytest.raises(UnsupportedError):
        await driver.snapshot(held)
    server.error = None
    server.intercept = lambda _: []
    with pytest.raises(RouterTimeoutError):
        await driver.snapshot(held)
    server.intercept = lambda _: None
    assert await shown(driver, *held) == [held[0].key]
