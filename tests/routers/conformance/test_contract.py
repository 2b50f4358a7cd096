"""The contract of `Router`, point by point."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv6Address

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    MissingRightsError,
    NotPermittedError,
    PortConflictError,
    Refusal,
    RouterError,
    RouterUnreachableError,
    UnsupportedError,
)
from custom_components.port_forward.routers.model import (
    Forward,
    Leases,
    Listing,
    PortMapping,
    PortRange,
    Protocol,
    Snapshot,
)

from .subject import BOTH, HOUR, Subject, rows_of
from .subjects import SUBJECTS


@pytest.fixture(params=SUBJECTS)
async def subject(
    request: pytest.FixtureRequest, session: aiohttp.ClientSession
) -> AsyncIterator[Subject]:
    async with SUBJECTS[request.param](session) as started:
        yield started


def as_the_ledger_has_them(*mappings: PortMapping) -> tuple[PortMapping, ...]:
    """Return the mappings as they are after a restart: what the ledger keeps of them."""
    return tuple(replace(mapping, description="", lease=None, hits=None) for mapping in mappings)


async def ours_on(subject: Subject, *mappings: PortMapping) -> Snapshot:
    return await subject.driver.snapshot(as_the_ledger_has_them(*mappings))


async def test_it_is_the_same_router_each_time(subject: Subject) -> None:
    info = await subject.driver.connect()
    assert info.unique_id
    assert info.name
    assert await subject.driver.connect() == info
    assert (await subject.another_driver().connect()).unique_id == info.unique_id


async def test_nothing_is_open_at_first(subject: Subject) -> None:
    snapshot = await subject.driver.snapshot()
    assert not snapshot.mappings
    assert snapshot.connected is not False


async def test_open_is_exactly_what_was_asked_for(subject: Subject) -> None:
    inside = subject.free_port()
    wanted = subject.forward(internal=inside)
    outside = wanted.external_ports.first
    async with subject.answering(inside):
        assert not await subject.is_reached(outside)
        opened = await subject.driver.open(wanted, HOUR)
        assert await subject.rows() == rows_of(wanted)
        assert await subject.is_reached(outside)
        snapshot = await ours_on(subject, *opened)
        assert all(snapshot.find(mapping) for mapping in opened)
        assert len(snapshot.mappings) == len(opened)

        for mapping in opened:
            await subject.driver.close(mapping)
        assert not await subject.rows()
        assert not await subject.is_reached(outside)
        assert not (await ours_on(subject, *opened)).mappings


async def test_plan_is_what_is_granted(subject: Subject) -> None:
    wanted = subject.forward(protocols=BOTH)
    planned = subject.driver.plan(wanted)
    opened = await subject.driver.open(wanted, HOUR, planned=planned)
    assert {(row.key, row.target) for row in opened} == {(row.key, row.target) for row in planned}


async def test_lease(subject: Subject) -> None:
    opened = await subject.driver.open(subject.forward(), timedelta(minutes=20))
    keeps = subject.driver.capabilities.leases is Leases.KEPT
    for mapping in opened:
        assert (mapping.lease is not None) == keeps
        assert not mapping.lease or mapping.lease <= timedelta(minutes=20)


async def test_renewing_makes_nothing_new(subject: Subject) -> None:
    wanted = subject.forward(protocols=BOTH)
    held = opened = await subject.driver.open(wanted, timedelta(minutes=10))
    for driver in (subject.driver, subject.another_driver()):
        held = await driver.open(wanted, HOUR, ours=as_the_ledger_has_them(*held))
        assert await subject.rows() == rows_of(wanted)
        assert {row.key for row in held} == {row.key for row in opened}
    for mapping in held:
        await subject.driver.close(mapping)
    assert not await subject.rows()


async def test_closing_twice_is_no_error(subject: Subject) -> None:
    [opened] = await subject.driver.open(subject.forward(), HOUR)
    await subject.driver.close(opened)
    await subject.driver.close(opened)
    await subject.another_driver().close(*as_the_ledger_has_them(opened))


async def test_what_was_open_before_a_restart_of_ours_can_be_closed(subject: Subject) -> None:
    opened = await subject.driver.open(subject.forward(protocols=BOTH), HOUR)
    driver = subject.another_driver()
    for mapping in as_the_ledger_has_them(*opened):
        await driver.close(mapping)
    assert not await subject.rows()


async def test_what_was_only_planned_before_a_crash_can_be_closed(subject: Subject) -> None:
    """The ledger holds the plan by then, and not yet what was granted."""
    wanted = subject.forward(protocols=BOTH)
    planned = subject.driver.plan(wanted)
    await subject.driver.open(wanted, HOUR, planned=planned)
    driver = subject.another_driver()
    for mapping in as_the_ledger_has_them(*planned):
        await driver.close(mapping)
    assert not await subject.rows()


async def test_anothers_port_is_left_alone(subject: Subject) -> None:
    wanted = subject.forward()
    await subject.add_foreign(wanted.external_ports.first)
    before = await subject.rows()
    with pytest.raises(PortConflictError) as error:
        await subject.driver.open(wanted, HOUR)
    assert error.value.placeholders["port"] == str(wanted.external_ports)
    assert not error.value.left
    assert await subject.rows() == before


async def test_anothers_mapping_is_not_closed(subject: Subject) -> None:
    """Ours is gone, and somebody else has the port now."""
    wanted = subject.forward()
    [opened] = await subject.driver.open(wanted, HOUR)
    await subject.another_driver().close(*as_the_ledger_has_them(opened))
    await subject.add_foreign(wanted.external_ports.first)
    before = await subject.rows()
    with suppress(RouterError):
        await subject.driver.close(opened)
    assert await subject.rows() == before


async def test_all_or_nothing(subject: Subject) -> None:
    wanted = subject.forward(protocols=BOTH)
    await subject.add_foreign(wanted.external_ports.first, "udp")
    before = await subject.rows()
    with pytest.raises(PortConflictError):
        await subject.driver.open(wanted, HOUR)
    assert await subject.rows() == before


async def test_range(subject: Subject) -> None:
    first = subject.free_range(3)
    wanted = subject.forward(PortRange(first=first, last=first + 2))
    opened = await subject.driver.open(wanted, HOUR)
    assert await subject.rows() == rows_of(wanted)
    assert len(opened) == (1 if subject.driver.capabilities.port_ranges else 3)
    for mapping in opened:
        await subject.driver.close(mapping)
    assert not await subject.rows()


async def test_an_allowed_source_is_enforced_or_refused(subject: Subject) -> None:
    wanted = subject.forward(source=f"{subject.friend}/32")
    port = wanted.external_ports.first
    async with subject.answering(port):
        try:
            opened = await subject.driver.open(wanted, HOUR)
        except NotPermittedError:
            assert subject.driver.capabilities.allowed_source is False
            assert not await subject.rows()
            return
        assert subject.driver.capabilities.allowed_source
        assert await subject.is_reached(port)
        assert not await subject.is_reached(port, subject.stranger)
        renewed = await subject.driver.open(wanted, HOUR, ours=as_the_ledger_has_them(*opened))
        assert await subject.is_reached(port)
        assert not await subject.is_reached(port, subject.stranger)
        for mapping in renewed:
            await subject.driver.close(mapping)
        assert not await subject.is_reached(port)


async def test_an_allowed_network_is_enforced_or_refused(subject: Subject) -> None:
    wanted = subject.forward(source=subject.network)
    port = wanted.external_ports.first
    async with subject.answering(port):
        try:
            opened = await subject.driver.open(wanted, HOUR)
        except NotPermittedError as error:
            # Some can limit a port to one address alone.
            one = error.reason is Refusal.ONE_SOURCE_ONLY
            assert one or subject.driver.capabilities.allowed_source is False
            assert not await subject.rows()
            return
        assert await subject.is_reached(port)
        assert not await subject.is_reached(port, subject.far)
        [row] = (await ours_on(subject, *opened)).mappings
        assert row.same_rule(opened[0])
        await subject.driver.close(row)
        assert not await subject.is_reached(port)


async def test_another_host_is_mapped_or_refused(subject: Subject) -> None:
    host = "192.168.77.9" if subject.target.startswith("192") else "127.0.0.8"
    wanted = subject.forward(host=host)
    try:
        await subject.driver.open(wanted, HOUR)
    except NotPermittedError:
        assert subject.driver.capabilities.other_hosts is False
        assert not await subject.rows()
    else:
        assert subject.driver.capabilities.other_hosts is True
        assert await subject.rows() == rows_of(wanted)


async def test_a_router_that_chooses_shows_what_it_chose(subject: Subject) -> None:
    wanted = subject.forward(any_external_port=True)
    asked = wanted.external_ports.first
    await subject.add_foreign(asked)
    if not subject.driver.capabilities.chooses_external_port:
        with pytest.raises(PortConflictError):
            await subject.driver.open(wanted, HOUR)
        return
    [opened] = await subject.driver.open(wanted, HOUR)
    [port] = opened.external_ports
    assert port != asked
    assert ("tcp", port, subject.target, asked) in await subject.rows()
    [renewed] = await subject.driver.open(wanted, HOUR, ours=as_the_ledger_has_them(opened))
    assert renewed.external_ports == opened.external_ports
    await subject.driver.close(renewed)
    assert ("tcp", port, subject.target, asked) not in await subject.rows()


async def test_ipv6_is_opened_or_refused(subject: Subject) -> None:
    """Here no machine has the address: whoever maps to others would have to refuse ours, too."""
    port = PortRange.single(subject.free_port())
    wanted = Forward(
        id="camera1",
        name="Camera",
        internal_host=None,
        internal_host6=IPv6Address("2001:db8::5"),
        protocols=(Protocol.TCP,),
        external_ports=port,
        internal_ports=port,
    )
    try:
        [opened] = await subject.driver.open(wanted, HOUR)
    except NotPermittedError:
        return
    assert opened.is_pinhole
    assert (await ours_on(subject, opened)).find(opened)
    await subject.driver.close(opened)
    assert not (await ours_on(subject, opened)).find(opened)


async def test_a_restart_is_noticed_where_it_loses_something(subject: Subject) -> None:
    await subject.until_a_restart_shows()
    opened = await subject.driver.open(subject.forward(), HOUR)
    before = await ours_on(subject, *opened)
    assert not (await ours_on(subject, *opened)).restarted_since(before)
    await subject.restart()
    after = await ours_on(subject, *opened)
    if subject.forgets:
        assert not after.mappings
        assert after.restarted_since(before)
        again = await subject.driver.open(subject.forward(), HOUR)
        assert (await ours_on(subject, *again)).mappings
    else:
        assert all(after.find(mapping) for mapping in opened)


async def test_a_silent_router_is_unreachable(subject: Subject) -> None:
    wanted = subject.forward()
    opened = await subject.driver.open(wanted, HOUR)
    await subject.switch_off()
    async with asyncio.timeout(100):
        for call in (
            subject.driver.snapshot(opened),
            subject.driver.open(wanted, HOUR, ours=opened),
            subject.driver.close(opened[0]),
            subject.another_driver().connect(),
        ):
            with pytest.raises(RouterUnreachableError):
                await call


async def test_foreign_rows_are_listed_as_far_as_is_said(subject: Subject) -> None:
    [opened] = await subject.driver.open(subject.forward(), HOUR)
    await subject.add_foreign(foreign := subject.free_port())
    rows = (await ours_on(subject, opened)).mappings
    listed = [row for row in rows if row.external_ports == PortRange.single(foreign)]
    if subject.driver.capabilities.listing is Listing.NONE:
        assert not listed
        assert subject.driver.owner_of(opened) is None
        return
    assert [subject.driver.owner_of(row) for row in listed] == [None]
    assert [str(subject.driver.owner_of(row)) for row in rows if row.same_rule(opened)] == [
        "camera1"
    ]


async def test_another_home_assistant_has_rows_of_its_own(subject: Subject) -> None:
    """With the same forward even, where its configuration was copied from ours."""
    await subject.driver.connect()
    if subject.driver.capabilities.listing is Listing.NONE:
        return  # Rows have neither tags nor owners.
    theirs = replace(subject.forward(), home="home2")
    ours = replace(theirs, home="home1")
    opened = await subject.driver.open(theirs, HOUR)
    [row] = (await subject.driver.snapshot()).mappings
    assert subject.driver.owner_of(row) == theirs.owner
    with pytest.raises(PortConflictError):
        await subject.driver.open(ours, HOUR)
    assert await subject.rows() == rows_of(theirs)
    await subject.driver.close(*opened)
    assert not await subject.rows()


async def test_a_row_of_an_earlier_version_is_ours(subject: Subject) -> None:
    """Its tag names the forward alone."""
    earlier = subject.forward()
    ours = replace(earlier, home="home1")
    opened = await subject.driver.open(earlier, HOUR)
    if subject.driver.capabilities.listing is Listing.NONE:
        return  # Rows have neither tags nor owners.
    [row] = (await subject.driver.snapshot()).mappings
    assert subject.driver.owner_of(row) == earlier.owner
    again = await subject.driver.open(ours, HOUR)
    assert await subject.rows() == rows_of(ours)
    assert all(row.same_rule(other) for row, other in zip(opened, again, strict=True))
    await subject.driver.close(*again)
    assert not await subject.rows()


async def test_several_at_once(subject: Subject) -> None:
    forwards = [subject.forward(forward_id=f"camera{number}") for number in range(4)]
    opened = await asyncio.gather(*(subject.driver.open(each, HOUR) for each in forwards))
    assert await subject.rows() == {row for each in forwards for row in rows_of(each)}
    await asyncio.gather(*(subject.driver.close(each) for rows in opened for each in rows))
    assert not await subject.rows()


async def test_connections_are_shown_or_refused(subject: Subject) -> None:
    await subject.driver.connect()
    if not subject.driver.capabilities.connection_table:
        with pytest.raises((UnsupportedError, MissingRightsError)):
            await subject.driver.connections()
        return
    assert await subject.driver.connections() == ()
    inside = subject.free_port()
    wanted = subject.forward(internal=inside)
    outside = wanted.external_ports.first
    opened = await subject.driver.open(wanted, HOUR)
    loop = asyncio.get_running_loop()
    with subject.server(inside) as server, subject.client() as client:
        for sock in (server, client):
            sock.setblocking(False)  # noqa: FBT003  the name of it in the library
        server.listen()
        client.bind((subject.friend, 0))
        async with asyncio.timeout(60):
            await loop.sock_connect(client, subject.outside(outside))
            answering, _ = await loop.sock_accept(server)
        with answering:
            [shown] = await subject.driver.connections()
            assert (str(shown.source), shown.source_port) == client.getsockname()
            assert (str(shown.target), shown.target_port) == (subject.target, inside)
            assert (shown.protocol, shown.destination_port) == (Protocol.TCP, outside)
            assert shown.answered
    await subject.driver.close(*opened)


async def test_what_was_learned_can_be_handed_on(subject: Subject) -> None:
    await subject.driver.open(subject.forward(), HOUR)
    learned = subject.driver.learned
    assert all(isinstance(part, str) for pair in learned.items() for part in pair)
