"""The standard's actions, arguments and error codes, as the router speaks them."""

import asyncio
import html
import xml.etree.ElementTree as ET

import pytest

from lab.virtual_router import VirtualRouter, Wan, free_port
from tests.lab.control_point import IP1, PPP1, ControlPoint, mapping


async def test_add_read_delete(router: VirtualRouter, igd: ControlPoint) -> None:
    port = free_port()
    assert (await igd.add(port)).status == 200

    row = await igd.specific(port)
    assert row["NewInternalClient"] == "127.0.0.1"
    assert row["NewInternalPort"] == "8080"
    assert row["NewEnabled"] == "1"
    assert row["NewPortMappingDescription"] == "Door"
    assert row["NewLeaseDuration"] == "3600"

    (held,) = router.mappings
    assert held.key == ("TCP", port, "")
    assert held.lease == 3600
    assert held.expires == pytest.approx(asyncio.get_running_loop().time() + 3600, abs=1)

    assert (await igd.delete(port)).status == 200
    assert router.mappings == ()
    assert (await igd.specific(port)).code == 714
    assert (await igd.delete(port)).code == 714
    assert router.requests == {
        "AddPortMapping": 1,
        "GetSpecificPortMappingEntry": 2,
        "DeletePortMapping": 2,
    }


async def test_list_by_index(router: VirtualRouter, igd: ControlPoint) -> None:
    assert (await igd.generic(0)).code == 713
    tcp, udp = free_port(), free_port()
    await igd.add(tcp, RemoteHost="192.0.2.9")
    await igd.add(udp, Protocol="UDP", Enabled=0, PortMappingDescription="<Täst> & more")
    row = await igd.generic(1)
    assert row["NewExternalPort"] == str(udp)
    assert row["NewProtocol"] == "UDP"
    assert row["NewEnabled"] == "0"
    assert row["NewPortMappingDescription"] == "<Täst> & more"
    assert (await igd.generic(0))["NewRemoteHost"] == "192.0.2.9"
    assert (await igd.generic(2)).code == 713
    assert (await igd.call("GetGenericPortMappingEntry", {"NewPortMappingIndex": "x"})).code == 402


async def test_bulk_list_holds_an_escaped_document(
    router: VirtualRouter, igd: ControlPoint
) -> None:
    assert (await igd.bulk()).code == 730
    low, high = sorted((free_port(), free_port()))
    await igd.add(low, PortMappingDescription="a < b")
    await igd.add(high)
    await router.add_foreign(
        protocol="TCP", external_port=free_port(), internal_host="127.0.0.9", internal_port=1
    )

    reply = await igd.bulk()
    assert "&lt;p:PortMappingEntry&gt;" in reply.text
    space = "{urn:schemas-upnp-org:gw:WANIPConnection}"
    rows = ET.fromstring(reply["NewPortListing"]).findall(f"{space}PortMappingEntry")  # noqa: S314  our own router's
    assert [row.findtext(f"{space}NewExternalPort") for row in rows[:2]] == [str(low), str(high)]
    assert rows[0].findtext(f"{space}NewDescription") == "a < b"
    assert rows[0].findtext(f"{space}NewLeaseTime") == "3600"
    assert len(rows) == 3

    own = await igd.bulk(Manage=0)
    assert own["NewPortListing"].count("<p:PortMappingEntry>") == 2
    assert (await igd.bulk(NumberOfPorts=1))["NewPortListing"].count("<p:PortMappingEntry>") == 1
    assert (await igd.bulk(StartPort=low, EndPort=low))["NewPortListing"].count("Entry>") == 2
    assert (await igd.bulk("UDP")).code == 730
    assert (await igd.bulk(StartPort=2, EndPort=1)).code == 733
    assert (await igd.bulk(StartPort=70000)).code == 402


async def test_update_by_the_same_client_and_conflict_with_another(
    router: VirtualRouter, igd: ControlPoint
) -> None:
    port = free_port()
    await igd.add(port)
    assert (await igd.add(port, InternalPort=9, LeaseDuration=60)).status == 200
    (row,) = router.mappings
    assert (row.internal_port, row.lease) == (9, 60)
    assert (await igd.add(port, InternalClient="127.0.0.9")).code == 718
    # The remote host is part of the key: another client may have the port from another source.
    other = await igd.add(port, InternalClient="127.0.0.9", RemoteHost="192.0.2.9")
    assert other.status == 200
    assert len(router.mappings) == 2


async def test_add_any_takes_the_next_free_port(igd: ControlPoint, router: VirtualRouter) -> None:
    port = free_port()
    await router.add_foreign(
        protocol="TCP", external_port=port, internal_host="127.0.0.9", internal_port=1
    )
    reply = await igd.call("AddAnyPortMapping", mapping(port))
    assert int(reply["NewReservedPort"]) > port
    again = await igd.call("AddAnyPortMapping", mapping(int(reply["NewReservedPort"])))
    assert again["NewReservedPort"] == reply["NewReservedPort"]
    assert len(router.mappings) == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ExternalPort": 0}, 716),
        ({"ExternalPort": 65536}, 402),
        ({"ExternalPort": -1}, 402),
        ({"ExternalPort": ""}, 402),
        ({"ExternalPort": "9" * 5000}, 402),
        ({"InternalPort": 0}, 732),
        ({"InternalPort": "http"}, 402),
        ({"InternalClient": ""}, 402),
        ({"InternalClient": "camera.lan"}, 402),
        ({"RemoteHost": "192.0.2.0/24"}, 402),
        ({"Protocol": "SCTP"}, 402),
        ({"Enabled": "maybe"}, 402),
        ({"LeaseDuration": "1 h"}, 402),
        ({"LeaseDuration": 2**32}, 402),
    ],
)
async def test_arguments_are_checked(
    router: VirtualRouter, igd: ControlPoint, changes: dict[str, str | int], code: int
) -> None:
    given = mapping(free_port(), **changes)
    assert (await igd.call("AddPortMapping", given)).code == code
    assert router.mappings == ()


async def test_missing_argument_and_unknown_action(igd: ControlPoint) -> None:
    incomplete = mapping(free_port())
    del incomplete["NewLeaseDuration"]
    assert (await igd.call("AddPortMapping", incomplete)).code == 402
    assert (await igd.call("DoTheLaundry")).code == 401
    assert (await igd.call("GetStatusInfo", header='"urn:other#GetStatusInfo"')).code == 401


async def test_bodies_that_are_no_call(router: VirtualRouter, igd: ControlPoint) -> None:
    for body in (b"", b"<not closed", b"<root/>"):
        async with igd.session.post(igd.url(igd.path), data=body) as response:
            assert response.status == 400
    assert router.requests == {"POST /ctl/0/IPConn": 3}


@pytest.mark.parametrize(("igd_version", "granted"), [(1, 0), (2, 604800)])
async def test_second_generation_has_no_permanent_mappings(igd_version: int, granted: int) -> None:
    async with (
        VirtualRouter(igd=igd_version) as router,
        ControlPoint.of(router, igd=igd_version) as igd,
    ):
        port = free_port()
        await igd.add(port, LeaseDuration=0)
        assert int((await igd.specific(port))["NewLeaseDuration"]) == granted
        await igd.add(port, LeaseDuration=604801)
        assert int((await igd.specific(port))["NewLeaseDuration"]) == (granted or 604801)


async def test_first_generation_lacks_the_new_actions() -> None:
    async with VirtualRouter(igd=1) as router, ControlPoint.of(router, igd=1) as igd:
        assert (await igd.bulk()).code == 401
        assert (await igd.call("AddAnyPortMapping", mapping(free_port()))).code == 401
        description = (await igd.get()).text
        assert IP1 in description
        assert ":2</" not in description
        assert f"<URLBase>http://127.0.0.1:{router.port}</URLBase>" in description
        scpd = (await igd.get("/scpd/0/IPConn.xml")).text
        assert "<name>AddPortMapping</name>" in scpd
        assert "AddAnyPortMapping" not in scpd
        assert (await igd.add(free_port(), InternalPort=0)).code == 402


async def test_second_generation_serves_the_first(igd: ControlPoint) -> None:
    igd.service = IP1
    reply = await igd.call("GetExternalIPAddress")
    assert reply["NewExternalIPAddress"] == "203.0.113.7"
    assert IP1 in reply.text


async def test_status_and_uptime(router: VirtualRouter, igd: ControlPoint) -> None:
    status = await igd.call("GetStatusInfo")
    assert status["NewConnectionStatus"] == "Connected"
    assert status["NewLastConnectionError"] == "ERROR_NONE"
    assert int(status["NewUptime"]) < 5


async def test_ppp_connection() -> None:
    async with (
        VirtualRouter(wans=[Wan(kind="ppp", external_address="198.51.100.1")]) as router,
        ControlPoint.of(router) as igd,
    ):
        igd.path, igd.service = "/ctl/0/PPPConn", PPP1
        assert PPP1 in (await igd.get()).text
        assert (await igd.call("GetExternalIPAddress"))["NewExternalIPAddress"] == "198.51.100.1"
        port = free_port()
        await igd.add(port, LeaseDuration=0)
        assert (await igd.specific(port))["NewLeaseDuration"] == "0"


async def test_other_services(router: VirtualRouter, igd: ControlPoint) -> None:
    igd.service, igd.path = "urn:schemas-upnp-org:service:Layer3Forwarding:1", "/ctl/L3F"
    default = (await igd.call("GetDefaultConnectionService"))["NewDefaultConnectionService"]
    assert default.endswith(":WANConnectionDevice:2,urn:upnp-org:serviceId:WANIPConn1")
    igd.service = "urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1"
    igd.path = "/ctl/0/CommonIFC"
    assert (await igd.call("GetCommonLinkProperties"))["NewPhysicalLinkStatus"] == "Up"


async def test_every_document_parses(router: VirtualRouter, igd: ControlPoint) -> None:
    description = (await igd.get()).text
    root = ET.fromstring(description)  # noqa: S314  our own router's
    space = "{urn:schemas-upnp-org:device-1-0}"
    assert root.findtext(f"{space}device/{space}UDN") == router.udn
    scpds = [url.text or "" for url in root.iter(f"{space}SCPDURL")]
    assert len(scpds) == 3
    for scpd in scpds:
        ET.fromstring((await igd.get(scpd)).text)  # noqa: S314  our own router's
    assert (await igd.get("/nothing")).status == 404


async def test_page_shows_what_is_open(router: VirtualRouter, igd: ControlPoint) -> None:
    assert "No port is open." in (await igd.get("/")).text
    port = free_port()
    await igd.add(port, PortMappingDescription="<b>")
    page = (await igd.get("/")).text
    assert str(port) in page
    assert html.escape("<b>") in page


async def test_secure_mode_protects_other_hosts() -> None:
    async with (
        VirtualRouter(secure_mode=True) as router,
        ControlPoint.of(router) as igd,
        ControlPoint.of(router, host="127.0.0.2") as other,
    ):
        port = free_port()
        assert (await igd.add(port, InternalClient="127.0.0.2")).code == 606
        assert (await igd.add(port)).status == 200
        assert (await other.delete(port)).code == 606
        assert (await igd.delete(port)).status == 200


async def test_own_port_is_not_to_be_had(router: VirtualRouter, igd: ControlPoint) -> None:
    assert (await igd.add(router.port)).code == 729


async def test_full_table() -> None:
    async with VirtualRouter(table_size=1) as router, ControlPoint.of(router) as igd:
        port = free_port()
        await igd.add(port)
        assert (await igd.add(free_port())).code == 728
        assert (await igd.add(port, InternalPort=81)).status == 200
