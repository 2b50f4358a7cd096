"""What real servers of PCP do, by the numbers of the list of quirks."""

from datetime import timedelta
from ipaddress import IPv4Address

import pytest

from custom_components.port_forward.routers.errors import (
    NotPermittedError,
    PortConflictError,
    Refusal,
)
from custom_components.port_forward.routers.pcp import PcpRouter

from .home import HOUR, forward
from .server import CAMERA, HOST, FakeServer


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (timedelta(seconds=30), timedelta(seconds=120)),
        (HOUR, HOUR),
        (timedelta(days=30), timedelta(days=1)),
    ],
)
async def test_q46_the_granted_lease_rules(
    server: FakeServer, driver: PcpRouter, asked: timedelta, granted: timedelta
) -> None:
    server.shortest, server.longest = 120, 86400
    [mapping] = await driver.open(forward(), asked)
    assert mapping.lease == granted


async def test_q47_no_third_parties(server: FakeServer, driver: PcpRouter) -> None:
    server.third_party = False
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward(internal_host=CAMERA), HOUR)
    assert error.value.reason is Refusal.OWN_HOST_ONLY
    assert error.value.left == ()
    assert driver.capabilities.other_hosts is False
    assert server.mapped() == set()
    await driver.open(forward(internal_host=HOST), HOUR)
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}

    # Once the user has allowed it.
    server.third_party = True
    await driver.open(forward(8081, internal_host=CAMERA), HOUR)
    assert driver.capabilities.other_hosts is True


async def test_q48_the_nonce_is_kept(server: FakeServer, driver: PcpRouter) -> None:
    held = await driver.open(forward(), HOUR)
    restarted = PcpRouter(server.url, timeout=5, learned=driver.learned)
    with pytest.raises(PortConflictError):
        await restarted.open(forward(), HOUR)  # with a nonce of its own
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}

    held = await restarted.open(forward(), HOUR, planned=held, ours=held)
    await PcpRouter(server.url, timeout=5).close(held[0])
    assert server.mapped() == set()


@pytest.mark.parametrize("speaks_pcp", [True, False])
async def test_q49_a_new_address_without_a_new_epoch(
    server: FakeServer, driver: PcpRouter, *, speaks_pcp: bool
) -> None:
    server.speaks_pcp = speaks_pcp
    held = await driver.open(forward(), HOUR)
    before = await driver.snapshot(held)
    assert len(before.mappings) == 1

    server.address = "203.0.113.99"
    after = await driver.snapshot(held)
    assert after.external_address == IPv4Address("203.0.113.99")
    assert after.mappings == ()
    assert after.restarted_since(before)

    held = await driver.open(forward(), HOUR, planned=held, ours=held)
    later = await driver.snapshot(held)
    assert len(later.mappings) == 1
    assert not later.restarted_since(after)


async def test_q49_told_by_a_renewal_alone(server: FakeServer, driver: PcpRouter) -> None:
    """The server speaks no NAT-PMP, which would tell the address."""
    server.speaks_natpmp = False
    first = await driver.open(forward(8080), HOUR)
    second = await driver.open(forward(8081), HOUR)
    server.address = "203.0.113.99"
    news: list[str] = []
    async with driver.watch(lambda: news.append("news")):
        second = await driver.open(forward(8081), HOUR, planned=second, ours=second)
    assert news == ["news"]
    shown = (await driver.snapshot([*first, *second])).mappings
    assert [row.key for row in shown] == [second[0].key]
