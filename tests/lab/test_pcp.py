"""PCP as RFC 6887 has it: MAP, its options, ANNOUNCE, and what is refused."""

import asyncio
import struct
from collections.abc import AsyncIterator
from ipaddress import IPv4Network

import pytest

from lab.virtual_router import Pcp, Quirk, SourceFilter, VirtualRouter, free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import ControlPoint, talk
from tests.lab.pcp_client import (
    ANY,
    NO_FILTER,
    NONCE,
    PREFER_FAILURE,
    UDP,
    PcpClient,
    allowing,
    pcp_client,
    third_party,
    v4,
)
from tests.lab.test_nat import ask


@pytest.fixture
async def router() -> AsyncIterator[VirtualRouter]:
    """A router that lets clients map for others too."""
    async with VirtualRouter(upnp=False, pcp=Pcp(speaks="pcp", third_party=True)) as router:
        yield router


@pytest.fixture
async def client(router: VirtualRouter) -> AsyncIterator[PcpClient]:
    async with pcp_client(router) as client:
        yield client


async def test_map_relays_until_it_is_deleted(
    router: VirtualRouter, client: PcpClient, inside: Inside
) -> None:
    port = free_port()
    mapped = await client.map(inside.port, external_port=port, lifetime=600)
    assert (mapped.result, mapped.lifetime, mapped.port) == (0, 600, port)
    assert mapped.address == "203.0.113.7"
    assert await talk(port, b"hello") == b"HELLO"
    (row,) = router.mappings
    assert (row.protocol, row.internal_host, row.internal_port) == ("TCP", "127.0.0.1", inside.port)
    assert row.description == "PCP MAP 7477656c7665206279746573"
    assert router.requests == {"PCP MAP": 1}

    deleted = await client.map(inside.port, external_port=port, lifetime=0)
    assert (deleted.result, deleted.lifetime) == (0, 0)
    assert router.mappings == ()
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")
    assert (await client.map(inside.port, lifetime=0)).result == 0


async def test_udp_is_mapped_beside_tcp(
    router: VirtualRouter, client: PcpClient, inside: Inside
) -> None:
    port = free_port()
    assert (await client.map(inside.port, external_port=port)).port == port
    assert (await client.map(inside.port, external_port=port, protocol=UDP)).port == port
    assert await ask(port, b"hello") == b"HELLO"
    await client.map(inside.port, protocol=UDP, lifetime=0)
    (row,) = router.mappings
    assert row.protocol == "TCP"


async def test_without_a_wish_the_internal_port_or_the_next(
    router: VirtualRouter, client: PcpClient
) -> None:
    internal = free_port("127.0.0.1")
    first = await client.map(internal)
    async with pcp_client(router, "127.0.0.2") as other:
        second = await other.map(internal)
    assert first.port == internal
    assert second.port > internal


async def test_renewal_keeps_the_port_and_counts_anew(
    router: VirtualRouter, client: PcpClient
) -> None:
    port, other = free_port(), free_port()
    await client.map(8080, external_port=port, lifetime=60)
    renewed = await client.map(8080, external_port=other, lifetime=900)
    assert (renewed.result, renewed.port, renewed.lifetime) == (0, port, 900)
    (row,) = router.mappings
    assert router.wans[0].remaining(row) == 900


async def test_expires(router: VirtualRouter, client: PcpClient) -> None:
    await client.map(8080, external_port=free_port(), lifetime=1)
    (row,) = router.mappings
    assert router.wans[0].find(row.key)
    await asyncio.sleep(1.05)
    assert router.wans[0].find(row.key) is None


async def test_q48_another_nonce(router: VirtualRouter, client: PcpClient) -> None:
    router.quirks.add(Quirk.Q48)
    port = free_port()
    await client.map(8080, external_port=port)
    for lifetime in (3600, 0):
        refused = await client.map(
            8080, external_port=free_port(), nonce=b"another one!", lifetime=lifetime
        )
        assert refused.result == 2
        assert refused.lifetime == 1800
    (row,) = router.mappings
    assert row.external_port == port


async def test_all_of_ones_own_are_deleted_at_once(
    router: VirtualRouter, client: PcpClient
) -> None:
    await client.map(8080, external_port=free_port())
    await client.map(8081, external_port=free_port(), protocol=UDP)
    kept = await client.map(8082, external_port=free_port(), nonce=b"another one!")
    async with pcp_client(router, "127.0.0.2") as other:
        also_kept = await other.map(8080, external_port=free_port())
    deleted = await client.map(0, protocol=0, lifetime=0)
    assert deleted.result == 0
    assert [row.external_port for row in router.mappings] == [kept.port, also_kept.port]


async def test_q46_lifetimes_are_limited(router: VirtualRouter, client: PcpClient) -> None:
    port = free_port()
    assert (await client.map(8080, external_port=port, lifetime=1_000_000)).lifetime == 1_000_000
    router.quirks.add(Quirk.Q46)
    assert (await client.map(8080, external_port=port, lifetime=1)).lifetime == 120
    assert (await client.map(8080, external_port=port, lifetime=2**32 - 1)).lifetime == 86400


async def test_q46_a_second_is_granted(router: VirtualRouter, client: PcpClient) -> None:
    router.quirks.add(Quirk.Q46_ONE)
    assert (await client.map(8080, external_port=free_port(), lifetime=3600)).lifetime == 1


async def test_third_party(router: VirtualRouter, client: PcpClient) -> None:
    mapped = await client.map(
        8080, external_port=free_port(), options=third_party("127.0.0.9"), lifetime=60
    )
    assert mapped.result == 0
    assert mapped.options == third_party("127.0.0.9")
    # The mapping is the other host's: that of the client itself is another.
    await client.map(8080, lifetime=0)
    assert [row.internal_host for row in router.mappings] == ["127.0.0.9"]
    await client.map(8080, lifetime=0, options=third_party("127.0.0.9"))
    assert [row.internal_host for row in router.mappings] == []


async def test_q47_third_party_off(router: VirtualRouter, client: PcpClient) -> None:
    router.quirks.add(Quirk.Q47)
    refused = await client.map(8080, options=third_party("127.0.0.9"))
    assert refused.result == 5
    assert refused.options == third_party("127.0.0.9")
    assert router.mappings == ()


async def test_prefer_failure(router: VirtualRouter, client: PcpClient) -> None:
    port = free_port()
    async with pcp_client(router, "127.0.0.2") as other:
        await other.map(8080, external_port=port)
    assert (await client.map(8080, external_port=port, options=PREFER_FAILURE)).result == 11
    elsewhere = await client.map(
        8080, external_port=free_port(), external=v4("203.0.113.8"), options=PREFER_FAILURE
    )
    assert elsewhere.result == 11
    # No wish at all makes no sense with this option.
    assert (await client.map(8080, options=PREFER_FAILURE)).result == 6
    mine = free_port()
    granted = await client.map(
        8080, external_port=mine, external=v4("203.0.113.7"), options=PREFER_FAILURE
    )
    assert (granted.result, granted.port, granted.options) == (0, mine, PREFER_FAILURE)
    moved = await client.map(8080, external_port=free_port(), options=PREFER_FAILURE)
    assert moved.result == 11


async def test_filters_are_enforced(
    router: VirtualRouter, client: PcpClient, inside: Inside
) -> None:
    port, source_port = free_port(), free_port("127.0.0.3")
    options = allowing("127.0.0.2", 32) + allowing("127.0.0.3", 32, source_port)
    mapped = await client.map(inside.port, external_port=port, options=options)
    assert mapped.options == options
    assert await talk(port, b"hello", source="127.0.0.2") == b"HELLO"
    with pytest.raises(ConnectionResetError):
        await talk(port, b"hello", source="127.0.0.3")
    with pytest.raises(ConnectionResetError):
        await talk(port, b"hello")
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, local_addr=("127.0.0.3", source_port)
    )
    writer.write(b"here too")
    assert await reader.readexactly(8) == b"HERE TOO"

    # More are added to those there are, and all go when the first is of length 0.
    await client.map(inside.port, options=allowing("127.0.0.99", 30))
    assert await talk(port, b"hello", source="127.0.0.97") == b"HELLO"
    assert await talk(port, b"hello", source="127.0.0.2") == b"HELLO"
    await client.map(inside.port, options=NO_FILTER + allowing("127.0.0.0", 31))
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    assert await talk(port, b"hello") == b"HELLO"
    with pytest.raises(ConnectionResetError):
        await talk(port, b"hello", source="127.0.0.2")
    assert router.mappings[0].filters == (SourceFilter(network=IPv4Network("127.0.0.0/31")),)
    await client.map(inside.port, options=NO_FILTER)
    assert await talk(port, b"hello", source="127.0.0.2") == b"HELLO"


async def test_filters_hold_for_udp(client: PcpClient, inside: Inside) -> None:
    port = free_port()
    await client.map(
        inside.port, external_port=port, protocol=UDP, options=allowing("127.0.0.2", 32)
    )
    with pytest.raises(TimeoutError):
        await ask(port, b"hello", wait=0.05)
    assert await ask(port, b"hello", source="127.0.0.2") == b"HELLO"


async def test_too_many_filters(client: PcpClient) -> None:
    many = b"".join(allowing(f"127.0.1.{n}", 32) for n in range(17))
    assert (await client.map(8080, options=many)).result == 13


async def test_q19_filter_accepted_and_ignored(
    router: VirtualRouter, client: PcpClient, inside: Inside
) -> None:
    router.quirks.add(Quirk.Q19_PCP)
    port, only = free_port(), allowing("127.0.0.2", 32)
    mapped = await client.map(inside.port, external_port=port, options=only)
    assert (mapped.result, mapped.options) == (0, only)
    assert await talk(port, b"hello", source="127.0.0.3") == b"HELLO"


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ("7f00 0000", 5),  # unknown, must be understood
        ("0300 0004 00000000", 6),  # a FILTER that is too short
        ("0200 0004 00000000", 6),  # a PREFER_FAILURE that holds something
        ("0200 0000 0200 0000", 6),  # PREFER_FAILURE twice
        ("8000 0008 00000000", 6),  # longer than the packet
        ("0300 0014 00 e1 0000 00000000 00000000 0000ffff 7f000001", 6),  # prefix of 225 bits
        ("0300 0014 00 20 0000 00000000 00000000 0000ffff 7f000001", 6),  # less than IPv4 has
        ("0300 0014 00 40 0000 20010db8 00000000 00000000 00000000", 6),  # IPv6 for IPv4
        ("0100 0010 00000000 00000000 0000ffff 7f000001", 3),  # the client as a third party
        ("0100 0010 20010db8 00000000 00000000 00000001", 6),  # an IPv6 host behind an IPv4 NAT
    ],
)
async def test_options_that_are_refused(client: PcpClient, options: str, result: int) -> None:
    sent = bytes.fromhex(options)
    refused = await client.map(8080, external_port=4444, options=sent)
    assert (refused.result, refused.port, refused.options) == (result, 4444, sent)


async def test_optional_options_are_passed_over(client: PcpClient) -> None:
    mapped = await client.map(
        8080, external_port=free_port(), options=bytes.fromhex("8000 0003 01020300 ff00 0000")
    )
    assert (mapped.result, mapped.options) == (0, b"")


@pytest.mark.parametrize(
    ("protocol", "internal_port", "result"), [(0, 8080, 3), (0, 0, 9), (6, 0, 9), (132, 8080, 9)]
)
async def test_what_this_nat_cannot_map(
    client: PcpClient, protocol: int, internal_port: int, result: int
) -> None:
    assert (await client.map(internal_port, protocol=protocol)).result == result


@pytest.mark.parametrize(
    ("request_hex", "reply_hex"),
    [
        # Version, opcode, lifetime, then the client and what follows.
        ("0100 0000 0000000a 11", "0280 0001 00000708 {epoch} 00000000 00000000 00000000"),
        ("0000", "0280 0001 00000708 {epoch} 00000000 00000000 00000000"),
        ("0900 0000 0000000a", "0280 0001 00000708 {epoch} 00000000 00000000 00000000"),
        ("027f 0000 0000000a {client}", "02ff 0004 00000708 {epoch} 00000000 00000000 00000000"),
        (
            "0202 0000 0000000a {client} 01020304",
            "0282 0004 00000708 {epoch} 00000000 00000000 00000000 01020304",
        ),
        (
            "0201 0000 0000000a {client} 010203",
            "0281 0003 00000708 {epoch} 00000000 00000000 00000000 01020300",
        ),
        (
            "0201 0000 0000000a {client} 01020304",
            "0281 0003 00000708 {epoch} 00000000 00000000 00000000 01020304",
        ),
        ("0200 0000 00000000 {client}", "0280 0000 00000000 {epoch} 00000000 00000000 00000000"),
        (
            "0200 0000 00000000 {client} 01000000",
            "0280 0005 00000708 {epoch} 00000000 00000000 00000000 01000000",
        ),
        ("0200 0000 00000000 {other}", "0280 000c 00000708 {epoch} 00000000 00000000 00000000"),
    ],
)
async def test_other_packets(
    router: VirtualRouter, client: PcpClient, request_hex: str, reply_hex: str
) -> None:
    router.age(0x1234)
    who = {"client": v4("127.0.0.1").hex(), "other": v4("127.0.0.2").hex()}
    reply = await client.ask(bytes.fromhex(request_hex.format(**who)))
    assert reply.hex() == bytes.fromhex(reply_hex.format(epoch="00001234")).hex()


async def test_too_long_is_cut(client: PcpClient) -> None:
    reply = await client.ask(bytes.fromhex("0201 0000 0000000a") + v4("127.0.0.1") + bytes(1080))
    assert len(reply) == 1100
    assert reply[3] == 3


@pytest.mark.parametrize("request_hex", ["", "02", "0201 0000 0000000a 00", "0281" + 58 * "00"])
async def test_not_answered(client: PcpClient, request_hex: str) -> None:
    await client.silence(bytes.fromhex(request_hex))


async def test_address_mismatch(router: VirtualRouter, client: PcpClient) -> None:
    request = struct.pack("!BBHI", 2, 1, 0, 60) + v4("127.0.0.2") + NONCE
    reply = await client.ask(request + bytes([6, 0, 0, 0, 0, 80, 0, 80]) + ANY)
    assert reply[:4] == bytes.fromhex("0281 000c")
    assert router.mappings == ()


async def test_same_table_as_upnp(inside: Inside) -> None:
    async with (
        VirtualRouter(pcp=Pcp(third_party=True), table_size=2) as router,
        ControlPoint.of(router) as igd,
        pcp_client(router) as client,
    ):
        port = free_port()
        await igd.add(port, InternalPort=inside.port)
        mapped = await client.map(inside.port, external_port=port)
        assert mapped.port != port
        assert (await igd.specific(mapped.port))["NewPortMappingDescription"].startswith("PCP ")
        assert (await client.map(8081)).result == 8
        await igd.delete(mapped.port)
        assert [row.external_port for row in router.mappings] == [port]
        # What UPnP has mapped is not PCP's to delete.
        assert (await client.map(inside.port, lifetime=0)).result == 0
        assert [row.external_port for row in router.mappings] == [port]
        assert router.requests["PCP MAP"] == 3


async def test_no_mapping_behind_another_nat(router: VirtualRouter, client: PcpClient) -> None:
    router.quirks.add(Quirk.Q14)
    refused = await client.map(8080)
    assert (refused.result, refused.lifetime) == (7, 30)
    router.quirks.add(Quirk.Q14_PRIVATE)
    router.quirks.remove(Quirk.Q14)
    # As `test_netns_pcp.py` finds miniupnpd 2.3.1.
    refused = await client.map(8080)
    assert (refused.result, refused.lifetime) == (8, 30)


async def test_q12_low_ports(router: VirtualRouter, client: PcpClient) -> None:
    router.quirks.add(Quirk.Q12)
    assert (await client.map(80, external_port=free_port())).result == 2
    assert (await client.map(1024, external_port=free_port())).result == 0


async def test_q48_lax(router: VirtualRouter, client: PcpClient) -> None:
    """As `test_netns_pcp.py` finds miniupnpd 2.3.1."""
    router.quirks.add(Quirk.Q48_LAX)
    one, two, other = free_port(), free_port(), b"another one!"
    await client.map(8080, external_port=one)
    assert (await client.map(8080, external_port=one, nonce=other)).port == one
    assert (await client.map(8080, external_port=one, lifetime=0)).result == 2
    assert (await client.map(8080, external_port=two, nonce=other)).port == two
    assert [row.external_port for row in router.mappings] == [one, two]
    taken = await client.map(8081, external_port=one, options=PREFER_FAILURE)
    assert (taken.result, taken.port) != (0, one)
    assert taken.result == 0
    for left in ([two], []):
        assert (await client.map(8080, nonce=other, lifetime=0)).result == 0
        ports = [row.external_port for row in router.mappings if row.internal_port == 8080]
        assert ports == left
    assert (await client.map(8080, nonce=other, lifetime=0)).result == 8
