"""The IPv6 firewall: WANIPv6FirewallControl:1 as the document has it, and Q50."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv6Network

import aiohttp
import pytest

from lab.virtual_router import Ipv6, Pcp, Quirk, SourceFilter, VirtualRouter
from tests.lab.control_point import ControlPoint, Reply
from tests.lab.pcp_client import NO_FILTER, PREFER_FAILURE, allowing, pcp_client, third_party

CAMERA = "2a11:2233:77::3"
PINHOLE = {
    "RemoteHost": "",
    "RemotePort": "0",
    "InternalClient": "::1",
    "InternalPort": "8080",
    "Protocol": "6",
    "LeaseTime": "600",
}


class Firewall:
    """A control point of the firewall, by IPv6 or by IPv4."""

    def __init__(self, igd: ControlPoint, *, by_ipv6: bool = True) -> None:
        self.igd = igd
        self.router = igd.router
        igd.service = "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"
        igd.path = "/ctl/0/IP6FCtl"
        igd.host = "[::1]" if by_ipv6 else "127.0.0.1"

    @classmethod
    @asynccontextmanager
    async def of(cls, router: VirtualRouter, host: str = "::1") -> AsyncIterator[Firewall]:
        async with ControlPoint.of(router, host=host) as igd:
            yield cls(igd, by_ipv6=":" in host)

    async def add(self, **changes: str | int) -> Reply:
        given = {name: str(value) for name, value in changes.items()}
        return await self.igd.call("AddPinhole", PINHOLE | given)

    async def named(self, action: str, unique_id: int | str, **values: int) -> Reply:
        arguments = {"UniqueID": str(unique_id)} | {n: str(v) for n, v in values.items()}
        return await self.igd.call(action, arguments)


@pytest.fixture
async def router() -> AsyncIterator[VirtualRouter]:
    async with VirtualRouter(ipv6=Ipv6(table_size=3), pcp=Pcp(third_party=True)) as router:
        yield router


@pytest.fixture
async def firewall(router: VirtualRouter) -> AsyncIterator[Firewall]:
    async with Firewall.of(router) as firewall:
        yield firewall


async def test_same_device_by_ipv6(router: VirtualRouter, firewall: Firewall) -> None:
    assert router.description_url6 == f"http://[::1]:{router.port}/rootDesc.xml"
    by_ipv6 = await firewall.igd.get()
    firewall.igd.host = "127.0.0.1"
    async with aiohttp.ClientSession() as session, session.get(router.description_url) as by_ipv4:
        assert by_ipv6.raw == await by_ipv4.read()
    assert f"<UDN>{router.udn}</UDN>" in by_ipv6.text
    [service] = re.findall(
        "<service>(?:(?!</service>).)*IPv6FirewallControl.*?</service>", by_ipv6.text
    )
    assert "<serviceId>urn:upnp-org:serviceId:WANIPv6Firewall1</serviceId>" in service
    assert "<controlURL>/ctl/0/IP6FCtl</controlURL>" in service
    # Beside the connection, in the same device.
    assert re.search("IPConn1</serviceId>(?:(?!<device>).)*IPv6Firewall1", by_ipv6.text)
    async with ControlPoint.of(router) as igd:
        scpd = await igd.get("/scpd/0/IP6FCtl.xml")
    assert "<name>AddPinhole</name>" in scpd.text
    assert "<name>InternalClient</name>" in scpd.text


async def test_no_firewall_without_ipv6() -> None:
    async with VirtualRouter() as router, ControlPoint.of(router) as igd:
        assert router.description_url6 is None
        assert "IPv6" not in (await igd.get()).text
        igd.path = "/ctl/0/IP6FCtl"
        assert (await igd.call("GetFirewallStatus")).status == 404


async def test_life_of_a_pinhole(router: VirtualRouter, firewall: Firewall) -> None:
    status = await firewall.igd.call("GetFirewallStatus")
    assert (status["FirewallEnabled"], status["InboundPinholeAllowed"]) == ("1", "1")
    unique_id = (await firewall.add(RemoteHost=CAMERA, RemotePort=5555, Protocol=17))["UniqueID"]
    (pinhole,) = router.pinholes
    assert pinhole.way == ("UDP", "::1", 8080, CAMERA, 5555)
    assert str(pinhole.unique_id) == unique_id
    assert (await firewall.named("GetPinholePackets", unique_id))["PinholePackets"] == "0"
    assert (await firewall.named("CheckPinholeWorking", unique_id)).code == 709
    router.count_packets(pinhole.unique_id, 7)
    assert (await firewall.named("GetPinholePackets", unique_id))["PinholePackets"] == "7"
    assert (await firewall.named("CheckPinholeWorking", unique_id))["IsWorking"] == "1"
    assert (await firewall.named("DeletePinhole", unique_id)).status == 200
    assert router.pinholes == ()
    for action in ("DeletePinhole", "GetPinholePackets", "CheckPinholeWorking"):
        assert (await firewall.named(action, unique_id)).code == 704
    assert (await firewall.named("UpdatePinhole", unique_id, NewLeaseTime=60)).code == 704
    assert router.requests["DeletePinhole"] == 2


async def test_same_pinhole_keeps_its_name_and_is_renewed(
    router: VirtualRouter, firewall: Firewall
) -> None:
    first = (await firewall.add(LeaseTime=60))["UniqueID"]
    assert (await firewall.add(InternalClient="0:0:0:0:0:0:0:1", LeaseTime=900))[
        "UniqueID"
    ] == first
    assert [pinhole.lease for pinhole in router.pinholes] == [900]
    assert (await firewall.add(RemotePort=1))["UniqueID"] != first
    await firewall.named("UpdatePinhole", first, NewLeaseTime=86400)
    assert [pinhole.lease for pinhole in router.pinholes] == [86400, 600]


@pytest.mark.parametrize("quirk", [None, Quirk.Q50_AGAIN])
async def test_leases_end(router: VirtualRouter, firewall: Firewall, quirk: Quirk | None) -> None:
    if quirk:
        router.quirks.add(quirk)
    await firewall.add(LeaseTime=1)
    updated = (await firewall.add(InternalPort=8081))["UniqueID"]
    await firewall.named("UpdatePinhole", updated, NewLeaseTime=1)
    for lease in (600, 1):
        await firewall.add(InternalPort=8082, LeaseTime=lease)
    await asyncio.sleep(1.05)
    assert [pinhole.internal_port for pinhole in router.pinholes] == ([8082] if quirk else [])


async def test_lost_at_restart_and_named_anew(router: VirtualRouter, firewall: Firewall) -> None:
    first = (await firewall.add())["UniqueID"]
    await router.restart(change_port=False)
    assert router.pinholes == ()
    assert (await firewall.add(InternalPort=9999))["UniqueID"] == first


async def test_removed_by_others(router: VirtualRouter, firewall: Firewall) -> None:
    unique_id = int((await firewall.add())["UniqueID"])
    router.remove_pinhole(unique_id)
    assert (await firewall.named("GetPinholePackets", unique_id)).code == 704
    with pytest.raises(KeyError):
        router.remove_pinhole(unique_id)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"Protocol": 65535}, 707),
        ({"Protocol": 132}, 705),
        ({"Protocol": "TCP"}, 402),
        ({"InternalPort": 0}, 706),
        ({"InternalPort": 65536}, 402),
        ({"InternalClient": ""}, 708),
        ({"InternalClient": "192.0.2.1"}, 402),
        ({"RemoteHost": "192.0.2.1"}, 402),
        ({"LeaseTime": 0}, 402),
        ({"LeaseTime": 86401}, 402),
    ],
)
async def test_what_is_refused(
    router: VirtualRouter, firewall: Firewall, wrong: dict[str, str | int], code: int
) -> None:
    assert (await firewall.add(**wrong)).code == code
    assert router.pinholes == ()


async def test_full(router: VirtualRouter, firewall: Firewall) -> None:
    for port in (1, 2, 3):
        await firewall.add(InternalPort=port)
    assert (await firewall.add(InternalPort=4)).code == 701
    assert (await firewall.add(InternalPort=3)).status == 200
    async with pcp_client(router, "::1") as client:
        assert (await client.map(5)).result == 8


@pytest.mark.parametrize(
    ("ipv6", "code", "status"),
    [
        (Ipv6(firewall_enabled=False), 702, ("0", "1")),
        (Ipv6(pinholes_allowed=False), 703, ("1", "0")),
    ],
)
async def test_nothing_to_be_had(ipv6: Ipv6, code: int, status: tuple[str, str]) -> None:
    async with VirtualRouter(ipv6=ipv6) as router, Firewall.of(router) as firewall:
        told = await firewall.igd.call("GetFirewallStatus")
        assert (told["FirewallEnabled"], told["InboundPinholeAllowed"]) == status
        assert (await firewall.add()).code == code
        assert (await firewall.named("DeletePinhole", 1)).code == code
        assert (await firewall.igd.call("GetOutboundPinholeTimeout", PINHOLE)).code == code


async def test_outbound_timeout(firewall: Firewall) -> None:
    reply = await firewall.igd.call("GetOutboundPinholeTimeout", PINHOLE)
    assert reply["OutboundPinholeTimeout"] == "180"


async def test_q50_only_the_host_itself(router: VirtualRouter, firewall: Firewall) -> None:
    async with Firewall.of(router, "127.0.0.1") as by_ipv4:
        assert (await by_ipv4.add(InternalClient=CAMERA)).status == 200
        router.quirks.add(Quirk.Q50)
        made = (await firewall.add())["UniqueID"]
        assert (await firewall.add(InternalClient=CAMERA)).code == 606
        assert (await firewall.add(InternalPort=1023)).code == 606
        assert (await by_ipv4.add()).code == 606
        assert (await by_ipv4.named("DeletePinhole", made)).code == 606
        assert (await by_ipv4.named("UpdatePinhole", made, NewLeaseTime=1)).code == 606
        assert (await by_ipv4.named("GetPinholePackets", made)).code == 606
        assert (await firewall.named("DeletePinhole", made)).status == 200


async def test_q50_gone_is_402(router: VirtualRouter, firewall: Firewall) -> None:
    router.quirks.add(Quirk.Q50_402)
    assert (await firewall.named("DeletePinhole", 1)).code == 402


async def test_by_pcp(router: VirtualRouter) -> None:
    async with pcp_client(router, "::1") as client:
        mapped = await client.map(8080, external_port=9090, lifetime=60)
        assert (mapped.result, mapped.port, mapped.address, mapped.lifetime) == (0, 8080, "::1", 60)
        (pinhole,) = router.pinholes
        assert pinhole.way == ("TCP", "::1", 8080, "", 0)
        assert (await client.map(8080, nonce=b"another one!")).result == 2
        assert (await client.map(8080, lifetime=900)).lifetime == 900
        only = allowing("2a11:2233::", 32)
        assert (await client.map(8080, options=only)).options == only
        held = SourceFilter(network=IPv6Network("2a11:2233::/32"))
        assert [pinhole.filters for pinhole in router.pinholes] == [(held,)]
        await client.map(8080, options=NO_FILTER)
        assert [pinhole.filters for pinhole in router.pinholes] == [()]
        assert (await client.map(8080, lifetime=0, nonce=b"another one!")).result == 2
        assert (await client.map(8080, lifetime=0)).result == 0
        assert len(router.pinholes) == 0
        assert (await client.map(8080, lifetime=0)).result == 0
        assert router.mappings == ()


async def test_by_pcp_for_another(router: VirtualRouter) -> None:
    async with pcp_client(router, "::1") as client:
        mapped = await client.map(8080, options=third_party(CAMERA))
        assert (mapped.result, mapped.address) == (0, CAMERA)
        assert [pinhole.internal_host for pinhole in router.pinholes] == [CAMERA]
        router.quirks.add(Quirk.Q47)
        assert (await client.map(8081, options=third_party(CAMERA))).result == 5


async def test_by_pcp_refused(router: VirtualRouter) -> None:
    async with pcp_client(router, "::1") as client:
        assert (await client.map(8080, external_port=9090, options=PREFER_FAILURE)).result == 11
        assert (await client.map(8080, external_port=8080, options=PREFER_FAILURE)).result == 0
        assert (await client.map(8080, protocol=132)).result == 9
        assert (await client.map(0)).result == 9
        router.quirks |= {Quirk.Q46, Quirk.Q19_PCP}
        ignored = await client.map(8080, lifetime=1, options=allowing(CAMERA, 128))
        assert (ignored.result, ignored.lifetime) == (0, 120)
        assert [pinhole.filters for pinhole in router.pinholes] == [()]
        # Not by IPv6: there is no NAT to be asked.
        client.send(bytes(2))
        assert (await client.map(8081)).result == 0
    async with (
        VirtualRouter(pcp=Pcp(), ipv6=Ipv6(pinholes_allowed=False)) as other,
        pcp_client(other, "::1") as client,
    ):
        assert (await client.map(8080)).result == 2


async def test_q50_by_pcp_renewed_and_for_ever(router: VirtualRouter) -> None:
    router.quirks.add(Quirk.Q50_PCP)
    async with pcp_client(router, "::1") as client:
        await client.map(8080)
        assert (await client.map(8080, lifetime=0)).result == 0
        await client.map(8080)
        await client.map(8080)
        assert (await client.map(8080, lifetime=0)).result == 2
    assert len(router.pinholes) == 1
