"""Opening and closing by PCP: what is asked for, what is granted, what is refused."""

import struct
from collections.abc import Callable
from datetime import timedelta

import pytest

from custom_components.port_forward.routers.errors import (
    NotClosedError,
    NotMappedError,
    NotPermittedError,
    PortConflictError,
    PortNotGivenError,
    Refusal,
    RouterError,
    RouterTimeoutError,
    TableFullError,
    UnsupportedError,
)
from custom_components.port_forward.routers.model import Leases, Listing
from custom_components.port_forward.routers.pcp import PcpRouter
from custom_components.port_forward.routers.pcp.grant import Grant

from .home import BOTH, HOUR, forward
from .server import (
    CAMERA,
    FILTER,
    HOST,
    NETWORK_FAILURE,
    PREFER_FAILURE,
    THIRD_PARTY,
    FakeServer,
    header,
    options,
    packed,
)
from .test_client import answer_maps, maps

SOURCE = "198.51.100.0/24"
NOWHERE = "0.0.0.0"  # noqa: S104  nothing is bound


def asked_options(request: bytes) -> dict[int, list[bytes]]:
    return options(request[60:])


async def test_capabilities(server: FakeServer, driver: PcpRouter) -> None:
    await driver.connect()
    capabilities = driver.capabilities
    assert capabilities.listing is Listing.NONE
    assert capabilities.leases is Leases.KEPT
    assert capabilities.chooses_external_port
    assert capabilities.allowed_source is None
    assert capabilities.other_hosts is None
    assert capabilities.ipv6 is False, "no IPv6 address of the router is known"
    assert not capabilities.port_ranges
    assert not capabilities.both_protocols


async def test_plan(driver: PcpRouter) -> None:
    wanted = forward(8443, internal=443, internal_host=CAMERA, protocols=BOTH, source=SOURCE)
    tcp, udp = driver.plan(wanted)
    assert tcp.key == f"tcp/8443/{SOURCE}"
    assert tcp.target == f"{CAMERA}:443"
    assert udp.key == f"udp/8443/{SOURCE}"
    ids = {mapping.id for mapping in (tcp, udp, *driver.plan(wanted))}
    assert len(ids) == 4
    assert all(len(bytes.fromhex(one)) == 12 for one in ids)
    assert driver.owner_of(tcp) is None


async def test_open_and_close(server: FakeServer, driver: PcpRouter) -> None:
    wanted = forward(8443, internal=443, protocols=BOTH)
    planned = driver.plan(wanted)
    granted = await driver.open(wanted, HOUR, planned=planned)
    assert server.mapped() == {("tcp", 8443, HOST, 443), ("udp", 8443, HOST, 443)}
    assert [mapping.key for mapping in granted] == [mapping.key for mapping in planned]
    assert {mapping.lease for mapping in granted} == {HOUR}
    assert {row.nonce.hex() for row in server.rows.values()} == {one.id for one in planned}
    for request in maps(server):
        assert asked_options(request) == {PREFER_FAILURE: [b""]}

    for mapping in granted:
        await driver.close(mapping)
    assert server.mapped() == set()
    assert [request[42:60] for request in maps(server)[2:]] == [bytes(2) + packed(NOWHERE)] * 2
    for mapping in granted:
        await driver.close(mapping)  # absent is success


async def test_opened_again_with_the_same_nonce(server: FakeServer, driver: PcpRouter) -> None:
    wanted = forward()
    held = await driver.open(wanted, HOUR, planned=driver.plan(wanted))
    [renewed] = await driver.open(wanted, 2 * HOUR, planned=held, ours=held)
    assert renewed.lease == 2 * HOUR
    assert len({request[24:36] for request in maps(server)}) == 1


async def test_another_host(server: FakeServer, driver: PcpRouter) -> None:
    [mapping] = await driver.open(forward(internal_host=CAMERA), HOUR)
    assert server.mapped() == {("tcp", 8080, CAMERA, 8080)}
    assert asked_options(maps(server)[0])[THIRD_PARTY] == [packed(CAMERA)]
    assert driver.capabilities.other_hosts is True
    await driver.close(mapping)
    assert server.mapped() == set()


async def test_a_server_that_passes_over_another_host(
    server: FakeServer, driver: PcpRouter
) -> None:
    """It would have opened the port to us; it must not stay so."""
    server.echoes_options = False
    for _ in range(2):
        with pytest.raises(NotPermittedError) as error:
            await driver.open(forward(internal_host=CAMERA), HOUR)
        assert error.value.reason is Refusal.OWN_HOST_ONLY
        assert error.value.left == ()
        assert server.mapped() == set()
    asked = [request for request in maps(server) if any(request[4:8])]
    assert len(asked) == 1, "it was not tried twice"


async def test_what_such_a_server_opened_to_us_and_keeps_is_told(
    server: FakeServer, driver: PcpRouter
) -> None:
    server.echoes_options = False

    def keep_ours(data: bytes) -> list[bytes] | None:
        """Say that the other host has nothing, and leave ours alone."""
        if data[:2] != b"\x02\x01" or any(data[4:8]):
            return None
        if THIRD_PARTY in asked_options(data):
            return [header(1, 0, epoch=server.epoch) + data[24:]]
        return [server.refuse(data, NETWORK_FAILURE)]

    server.intercept = keep_ours
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward(internal_host=CAMERA), HOUR)
    assert [mapping.internal_host for mapping in error.value.left] == [CAMERA]
    with pytest.raises(NotPermittedError):
        await driver.close(error.value.left[0])
    server.intercept = lambda _: None
    await driver.close(error.value.left[0])
    assert server.mapped() == set()


async def test_allowed_source(server: FakeServer, driver: PcpRouter) -> None:
    wanted = forward(internal_host=CAMERA, source=SOURCE)
    [mapping] = await driver.open(wanted, HOUR)
    assert mapping.allowed_source == SOURCE
    [row] = server.rows.values()
    assert row.filters == [bytes((0, 96 + 24, 0, 0)) + packed("198.51.100.0")]
    assert driver.capabilities.allowed_source is True

    held = [mapping]
    server.requests.clear()
    await driver.open(wanted, HOUR, planned=held, ours=held)
    [request] = maps(server)
    assert FILTER in asked_options(request), "a server that lost its state would let everybody in"

    [mapping] = await driver.open(forward(81, source="198.51.100.9/32"), HOUR)
    assert mapping.allowed_source == "198.51.100.9"


async def test_any_source_is_no_filter(server: FakeServer, driver: PcpRouter) -> None:
    [mapping] = await driver.open(forward(source="0.0.0.0/0"), HOUR)
    assert mapping.allowed_source == ""
    assert FILTER not in asked_options(maps(server)[0])


@pytest.mark.parametrize(
    ("knows", "reason"), [("", Refusal.ANY_SOURCE_ONLY), ("ignores", Refusal.SOURCE_IGNORED)]
)
async def test_a_server_without_filters_opens_nothing(
    server: FakeServer, driver: PcpRouter, knows: str, reason: Refusal
) -> None:
    """One that ignores them says that it heeds them, as miniupnpd does."""
    server.knows_filter = knows
    for _ in range(2):
        with pytest.raises(NotPermittedError) as error:
            await driver.open(forward(source=SOURCE), HOUR)
        assert error.value.reason is reason
        assert error.value.left == ()
    assert all(not any(request[4:8]) for request in maps(server)), "nothing was ever mapped"
    assert len(maps(server)) == 1, "known at the second try"
    assert driver.capabilities.allowed_source is False


@pytest.mark.parametrize("looked_at", [True, False])
@pytest.mark.parametrize("renewal", [True, False])
async def test_another_server_without_filters_takes_its_place(
    server: FakeServer, driver: PcpRouter, *, looked_at: bool, renewal: bool
) -> None:
    """What the one before could do says nothing of it, even if its first word is a yes."""
    wanted = forward(source=SOURCE)
    held = await driver.open(wanted, HOUR)
    server.rows.clear()
    server.epoch, server.knows_filter = 3, "ignores"
    if looked_at:
        await driver.snapshot(held)
    ours = held if renewal else ()
    for _ in range(2):
        with pytest.raises(NotPermittedError) as error:
            await driver.open(wanted, HOUR, ours=ours)
        assert error.value.reason is Refusal.SOURCE_IGNORED
        assert error.value.left == ()
        assert not server.rows
    assert driver.capabilities.allowed_source is False


async def test_a_renewal_that_is_not_limited_any_more_is_taken_back(
    server: FakeServer, driver: PcpRouter
) -> None:
    wanted = forward(source=SOURCE)
    held = await driver.open(wanted, HOUR)
    server.echoes_options = False
    with pytest.raises(NotPermittedError):
        await driver.open(wanted, HOUR, ours=held)
    assert not server.rows


async def test_the_same_server_after_a_restart_is_asked_again(
    server: FakeServer, driver: PcpRouter
) -> None:
    wanted = forward(source=SOURCE)
    held = await driver.open(wanted, HOUR)
    server.rows.clear()
    server.epoch = 3
    await driver.open(wanted, HOUR, ours=held)
    assert [len(row.filters) for row in server.rows.values()] == [1]


async def test_a_server_that_counts_the_filter_of_each_renewal(
    server: FakeServer, driver: PcpRouter
) -> None:
    """RFC 6887 section 13.3: an empty prefix removes those before."""
    wanted = forward(source=SOURCE)
    held = await driver.open(wanted, HOUR)
    server.requests.clear()

    def full(data: bytes) -> list[bytes] | None:
        if len(asked_options(data).get(FILTER, [])) == 1:
            return [server.refuse(data, 13)]
        return None

    server.intercept = full
    await driver.open(wanted, HOUR, ours=held)
    first, second = asked_options(maps(server)[1])[FILTER]
    assert first == bytes(20)
    assert second[1] == 96 + 24


async def test_a_server_without_prefer_failure(server: FakeServer, driver: PcpRouter) -> None:
    server.knows_prefer_failure = False
    await driver.open(forward(), HOUR)
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}
    server.requests.clear()
    await driver.open(forward(8081), HOUR)
    assert len(maps(server)) == 1

    server.taken = {8082}
    with pytest.raises(PortNotGivenError) as error:
        await driver.open(forward(8082), HOUR)
    assert error.value.placeholders["offered"] == "8083"
    assert error.value.left == ()
    assert {row[1] for row in server.mapped()} == {8080, 8081}


async def test_port_taken(server: FakeServer, driver: PcpRouter) -> None:
    server.taken = {8080}
    with pytest.raises(PortConflictError) as error:
        await driver.open(forward(), HOUR)
    assert error.value.placeholders == {"port": "8080", "protocol": "TCP", "holder": "?"}
    assert server.mapped() == set()


async def test_any_port_will_do(server: FakeServer, driver: PcpRouter) -> None:
    """The second protocol gets that of the first, and a renewal keeps it."""
    server.ports = iter([40001])
    wanted = forward(any_external_port=True, protocols=BOTH)
    granted = await driver.open(wanted, HOUR)
    assert {row[1] for row in server.mapped()} == {40001}
    assert {mapping.external_ports.first for mapping in granted} == {40001}
    server.rows.clear()  # the server has lost them and gives what is wished for
    server.requests.clear()
    again = await driver.open(wanted, HOUR, planned=granted, ours=granted)
    assert {mapping.external_ports.first for mapping in again} == {40001}
    for request in maps(server):
        assert PREFER_FAILURE not in asked_options(request)
        assert struct.unpack("!H", request[42:44]) == (40001,)


@pytest.mark.parametrize(
    "address", ["192.168.1.2", "10.0.0.1", "100.64.3.4", "172.16.9.9", "169.254.1.1"]
)
async def test_double_nat_takes_the_mapping_back(
    server: FakeServer, driver: PcpRouter, address: str
) -> None:
    server.address = address
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward(protocols=BOTH), HOUR)
    assert error.value.reason is Refusal.DOUBLE_NAT
    assert error.value.left == ()
    assert server.mapped() == set()


async def test_unknown_external_address(server: FakeServer, driver: PcpRouter) -> None:
    server.address = NOWHERE
    await driver.open(forward(), HOUR)
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (2, PortConflictError),
        (3, Refusal.REFUSED),
        (7, Refusal.DOUBLE_NAT),
        (8, TableFullError),
        (9, Refusal.REFUSED),
        (10, TableFullError),
        (11, PortConflictError),
        (12, UnsupportedError),
        (13, Refusal.ANY_SOURCE_ONLY),
        (99, Refusal.REFUSED),
    ],
)
async def test_result_codes(
    server: FakeServer, driver: PcpRouter, result: int, expected: Refusal | type[RouterError]
) -> None:
    await driver.connect()
    server.error = result
    with pytest.raises(RouterError) as error:
        await driver.open(forward(), HOUR)
    if isinstance(expected, Refusal):
        assert isinstance(error.value, NotPermittedError)
        assert error.value.reason is expected
    else:
        assert type(error.value) is expected
    assert error.value.left == ()


async def test_low_port(server: FakeServer, driver: PcpRouter) -> None:
    await driver.connect()
    server.error = 11
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward(443), HOUR)
    assert error.value.reason is Refusal.LOW_PORT


type Damage = Callable[[bytes], bytes]


def lifetime_0(answer: bytes) -> bytes:
    return answer[:4] + bytes(4) + answer[8:]


def port_0(answer: bytes) -> bytes:
    return answer[:42] + bytes(2) + answer[44:]


@pytest.mark.parametrize("damage", [lifetime_0, port_0])
async def test_a_yes_that_maps_nothing(
    server: FakeServer, driver: PcpRouter, damage: Damage
) -> None:
    await driver.connect()
    server.intercept = answer_maps(server, lambda answer: [damage(answer)])
    with pytest.raises(NotMappedError) as error:
        await driver.open(forward(), HOUR)
    assert error.value.left == ()
    assert server.mapped() == set()


async def test_an_endless_lifetime_is_renewed_all_the_same(
    server: FakeServer, driver: PcpRouter
) -> None:
    server.shortest = 2**32 - 1
    [mapping] = await driver.open(forward(), HOUR)
    assert mapping.lease == timedelta(days=1)


async def test_no_end_is_no_deletion(server: FakeServer, driver: PcpRouter) -> None:
    """A lifetime of 0 would be that."""
    [mapping] = await driver.open(forward(), timedelta(0))
    assert mapping.lease == timedelta(hours=2)
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}


async def test_all_or_nothing(server: FakeServer, driver: PcpRouter) -> None:
    await driver.connect()

    def no_udp(data: bytes) -> list[bytes] | None:
        return [server.refuse(data, 8)] if data[:2] == b"\x02\x01" and data[36] == 17 else None

    server.intercept = no_udp
    with pytest.raises(TableFullError) as error:
        await driver.open(forward(protocols=BOTH), HOUR)
    assert error.value.left == ()
    assert server.mapped() == set()


async def test_a_renewal_that_fails_takes_nothing_down(
    server: FakeServer, driver: PcpRouter
) -> None:
    wanted = forward(protocols=BOTH)
    held = await driver.open(wanted, HOUR)

    def no_udp(data: bytes) -> list[bytes] | None:
        return [server.refuse(data, 8)] if data[:2] == b"\x02\x01" and data[36] == 17 else None

    server.intercept = no_udp
    with pytest.raises(TableFullError) as error:
        await driver.open(wanted, HOUR, planned=held, ours=held)
    assert error.value.left == ()
    assert len(server.mapped()) == 2


async def test_no_answer_may_have_been_done_and_is_told(server: FakeServer) -> None:
    driver = PcpRouter(server.url, timeout=1)
    await driver.connect()
    wanted = forward(protocols=BOTH)
    planned = driver.plan(wanted)

    def act_in_silence(data: bytes) -> list[bytes] | None:
        if data[:2] != b"\x02\x01":
            return None
        if any(data[4:8]):
            server.answer(data, HOST)
        return []

    server.intercept = act_in_silence
    with pytest.raises(RouterTimeoutError) as error:
        await driver.open(wanted, HOUR, planned=planned)
    assert error.value.left == planned[:1]
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}

    server.intercept = lambda _: None
    await driver.close(error.value.left[0])
    assert server.mapped() == set()


async def test_what_was_refused_or_never_asked_is_not_left(server: FakeServer) -> None:
    driver = PcpRouter(server.url, timeout=0.2)
    server.intercept = lambda _: []
    with pytest.raises(RouterTimeoutError) as error:
        await driver.open(forward(), HOUR)
    assert error.value.left == ()


async def test_a_mapping_that_cannot_be_closed(server: FakeServer, driver: PcpRouter) -> None:
    [mapping] = await driver.open(forward(), HOUR)
    server.intercept = answer_maps(
        server, lambda answer: [answer[:4] + (60).to_bytes(4) + answer[8:]]
    )
    with pytest.raises(NotClosedError):
        await driver.close(mapping)
    server.intercept = lambda _: None
    server.error = 2
    with pytest.raises(NotPermittedError) as error:
        await driver.close(mapping)
    assert error.value.placeholders["detail"] == "NOT_AUTHORIZED"


async def test_a_mapping_that_was_only_planned_and_is_anothers(
    server: FakeServer, driver: PcpRouter
) -> None:
    """Home Assistant died while it asked; another client has had the port all along."""
    await driver.open(forward(), HOUR)
    [planned] = driver.plan(forward())
    await driver.close(planned)
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}


async def test_a_server_that_answers_no_resources_for_what_is_gone(
    server: FakeServer, driver: PcpRouter
) -> None:
    """miniupnpd does."""
    [mapping] = await driver.open(forward(), HOUR)
    server.error = 8
    await driver.close(mapping)


async def test_ipv6_without_a_way_to_ask(server: FakeServer, driver: PcpRouter) -> None:
    wanted = forward(internal_host=None, internal_host6="2001:db8::5")
    with pytest.raises(NotPermittedError) as error:
        await driver.open(wanted, HOUR)
    assert error.value.reason is Refusal.NO_IPV6
    both = forward(internal_host6="2001:db8::5")
    with pytest.raises(NotPermittedError) as error:
        await driver.open(both, HOUR)
    assert error.value.left == ()
    assert server.mapped() == set()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "0b",
        "00" * 12 + " 2 boot",
        "00" * 12 + " 2 boot later -",
        "00" * 12 + " 2 boot 1e99 -",
        "00" * 12 + " 2 boot 5 nowhere",
        "00" * 12 + " 1 boot 5 -",
    ],
)
def test_what_is_no_grant(text: str) -> None:
    assert Grant.parse(text) is None
