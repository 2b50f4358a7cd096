"""Opening and closing by NAT-PMP, and through the gateway of a VPN."""

import struct
from datetime import timedelta
from ipaddress import IPv4Address

import pytest

from custom_components.port_forward.routers.errors import (
    NotClosedError,
    NotMappedError,
    NotPermittedError,
    PortNotGivenError,
    Refusal,
    RouterError,
    RouterTimeoutError,
    TableFullError,
)
from custom_components.port_forward.routers.pcp import PcpRouter

from .home import BOTH, HOUR, forward
from .server import CAMERA, HOST, FakeServer

MINUTE = timedelta(seconds=60)


@pytest.fixture(autouse=True)
def _only_natpmp(server: FakeServer) -> None:
    server.speaks_pcp = False


def maps(server: FakeServer) -> list[bytes]:
    return [request for request in server.requests if request[:2] in (b"\0\1", b"\0\2")]


async def test_capabilities(server: FakeServer, driver: PcpRouter) -> None:
    await driver.connect()
    capabilities = driver.capabilities
    assert capabilities.allowed_source is False
    assert capabilities.other_hosts is False
    assert capabilities.ipv6 is False
    assert capabilities.chooses_external_port


async def test_open_and_close(server: FakeServer, driver: PcpRouter) -> None:
    granted = await driver.open(forward(8443, internal=443, protocols=BOTH), HOUR)
    assert server.mapped() == {("tcp", 8443, HOST, 443), ("udp", 8443, HOST, 443)}
    assert {mapping.lease for mapping in granted} == {HOUR}
    snapshot = await driver.snapshot(granted)
    assert [row.key for row in snapshot.mappings] == ["tcp/8443/", "udp/8443/"]
    assert snapshot.external_address == IPv4Address("203.0.113.7")
    assert snapshot.connected is True
    server.requests.clear()
    for _ in range(2):
        for mapping in granted:
            await driver.close(mapping)
    assert server.mapped() == set()
    assert {request[4:] for request in maps(server)} == {struct.pack("!HHI", 443, 0, 0)}


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"internal_host": CAMERA}, Refusal.OWN_HOST_ONLY),
        ({"source": "198.51.100.7/32"}, Refusal.ANY_SOURCE_ONLY),
        ({"internal_host": None, "internal_host6": "2001:db8::5"}, Refusal.NO_IPV6),
    ],
)
async def test_what_the_protocol_does_not_know(
    server: FakeServer, driver: PcpRouter, what: dict[str, str], reason: Refusal
) -> None:
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward(**what), HOUR)  # type: ignore[arg-type]
    assert error.value.reason is reason
    assert error.value.left == ()
    assert maps(server) == [], "it was not even asked"


async def test_another_port_than_asked_is_given_back(server: FakeServer, driver: PcpRouter) -> None:
    server.taken = {8080}
    with pytest.raises(PortNotGivenError) as error:
        await driver.open(forward(), HOUR)
    assert error.value.placeholders["offered"] == "8081"
    assert error.value.left == ()
    assert server.mapped() == set()


async def test_double_nat_is_found_before_anything_is_mapped(
    server: FakeServer, driver: PcpRouter
) -> None:
    server.address = "192.168.1.2"
    with pytest.raises(NotPermittedError) as error:
        await driver.open(forward(), HOUR)
    assert error.value.reason is Refusal.DOUBLE_NAT
    assert maps(server) == []


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (2, Refusal.REFUSED),
        (3, Refusal.DOUBLE_NAT),
        (4, TableFullError),
        (5, Refusal.REFUSED),
        (77, Refusal.REFUSED),
    ],
)
async def test_result_codes(
    server: FakeServer, driver: PcpRouter, result: int, expected: Refusal | type[RouterError]
) -> None:
    def refuse(data: bytes) -> list[bytes] | None:
        if data[:2] != b"\0\2":
            return None
        return [struct.pack("!BBHIHHI", 0, 0x82, result, 1000, 8080, 0, 0)]

    server.intercept = refuse
    with pytest.raises(RouterError) as error:
        await driver.open(forward(), HOUR)
    if isinstance(expected, Refusal):
        assert isinstance(error.value, NotPermittedError)
        assert error.value.reason is expected
    else:
        assert type(error.value) is expected
    assert error.value.left == ()


@pytest.mark.parametrize("granted", [(0, 60), (8080, 0)])
async def test_a_yes_that_maps_nothing(
    server: FakeServer, driver: PcpRouter, granted: tuple[int, int]
) -> None:
    def nothing(data: bytes) -> list[bytes] | None:
        if data[:2] != b"\0\2" or not any(data[8:12]):
            return None
        return [struct.pack("!BBHIHHI", 0, 0x82, 0, 1000, 8080, *granted)]

    server.intercept = nothing
    with pytest.raises(NotMappedError) as error:
        await driver.open(forward(), HOUR)
    assert error.value.left == ()


async def test_a_mapping_that_cannot_be_closed(server: FakeServer, driver: PcpRouter) -> None:
    [mapping] = await driver.open(forward(), HOUR)
    answer = struct.pack("!BBHIHHI", 0, 0x82, 0, 1000, 8080, 8080, 60)
    server.intercept = lambda data: [answer] if data[:2] == b"\0\2" else None
    with pytest.raises(NotClosedError):
        await driver.close(mapping)
    answer = struct.pack("!BBHI", 0, 0x82, 2, 1000)
    server.intercept = lambda data: [answer] if data[:2] == b"\0\2" else None
    with pytest.raises(NotPermittedError):
        await driver.close(mapping)


async def test_the_mapping_of_an_address_that_we_had_before(
    server: FakeServer, driver: PcpRouter
) -> None:
    """A deletion would hit the mapping that this machine has now."""
    [mapping] = await driver.open(forward(), HOUR)
    [other] = driver.plan(forward(internal_host=CAMERA))
    moved = other.__class__(
        protocols=mapping.protocols,
        external_ports=mapping.external_ports,
        internal_host=CAMERA,
        internal_ports=mapping.internal_ports,
        id=mapping.id,
    )
    with pytest.raises(NotPermittedError):
        await driver.close(moved)
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}


async def test_no_answer_may_have_been_done_and_is_told(server: FakeServer) -> None:
    driver = PcpRouter(server.url, timeout=1)
    await driver.connect()
    planned = driver.plan(forward())

    def act_in_silence(data: bytes) -> list[bytes] | None:
        if data[1] == 0:
            return None
        if any(data[8:12]):
            server.answer(data, HOST)
        return []

    server.intercept = act_in_silence
    with pytest.raises(RouterTimeoutError) as error:
        await driver.open(forward(), HOUR, planned=planned)
    assert error.value.left == planned
    server.intercept = lambda _: None
    await driver.close(planned[0])
    assert server.mapped() == set()


async def test_a_restart_of_the_router(server: FakeServer, driver: PcpRouter) -> None:
    held = await driver.open(forward(), HOUR)
    before = await driver.snapshot(held)
    server.epoch = 3
    server.rows.clear()
    after = await driver.snapshot(held)
    assert after.restarted_since(before)
    assert after.mappings == ()
    await driver.open(forward(), HOUR, planned=held, ours=held)
    assert server.mapped() == {("tcp", 8080, HOST, 8080)}


@pytest.mark.parametrize("echoes", [True, False])
async def test_vpn_provider(server: FakeServer, driver: PcpRouter, *, echoes: bool) -> None:
    """ProtonVPN: 60 s, a port of its choice, the same for both protocols; 0 for the inner port."""
    server.shortest = server.longest = 60
    server.ports = iter([45123])
    server.address = "0.0.0.0"  # noqa: S104  nothing is bound

    def provider(data: bytes) -> list[bytes] | None:
        [answer] = server.answer(data, HOST)
        return [answer if echoes or data[1] == 0 else answer[:8] + bytes(2) + answer[10:]]

    server.speaks_natpmp = True
    await driver.connect()
    server.intercept = provider
    wanted = forward(51413, protocols=BOTH, any_external_port=True)
    held = await driver.open(wanted, HOUR)
    assert {mapping.external_ports.first for mapping in held} == {45123}
    assert {mapping.lease for mapping in held} == {MINUTE}
    assert len((await driver.snapshot(held)).mappings) == 2

    # It gives another port at the next renewal.
    server.rows.clear()
    server.ports = iter([45999, 45999])
    moved = await driver.open(wanted, HOUR, planned=held, ours=held)
    assert {mapping.external_ports.first for mapping in moved} == {45999}
    shown = (await driver.snapshot(moved)).mappings
    assert {row.external_ports.first for row in shown} == {45999}
    for mapping in moved:
        await driver.close(mapping)
    assert server.mapped() == set()


async def test_vpn_provider_and_a_fixed_port(server: FakeServer, driver: PcpRouter) -> None:
    server.ports = iter([45123])
    with pytest.raises(PortNotGivenError) as error:
        await driver.open(forward(51413), HOUR)
    assert error.value.placeholders["offered"] == "45123"
    assert server.mapped() == set()
