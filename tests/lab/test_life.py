"""Start, restart, stop, and the HTTP of a router in good health."""

import asyncio

import aiohttp
import pytest

from lab.virtual_router import VirtualRouter, Wan, free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import ControlPoint, talk


async def test_restart_forgets_and_moves(
    router: VirtualRouter, igd: ControlPoint, inside: Inside
) -> None:
    port, old_url, old_boot = free_port(), router.description_url, router.boot_id
    await igd.add(port, InternalPort=inside.port)
    router.wans[0]._up_since -= 100
    assert int((await igd.call("GetStatusInfo"))["NewUptime"]) >= 100

    await router.restart()

    assert router.mappings == ()
    assert router.boot_id > old_boot
    assert router.description_url != old_url
    with pytest.raises(aiohttp.ClientConnectorError):
        async with igd.session.get(old_url):
            pass
    assert int((await igd.call("GetStatusInfo"))["NewUptime"]) < 5
    assert (await igd.generic(0)).code == 713
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")


async def test_restart_that_keeps_mappings_and_port(
    router: VirtualRouter, igd: ControlPoint, inside: Inside
) -> None:
    port, url = free_port(), router.description_url
    await igd.add(port, InternalPort=inside.port)
    await router.restart(forget=False, change_port=False)
    assert router.description_url == url
    assert (await igd.specific(port)).status == 200
    assert await talk(port, b"hello") == b"HELLO"


async def test_away_and_back(inside: Inside) -> None:
    router = VirtualRouter()
    await router.start()
    async with ControlPoint.of(router) as igd:
        await igd.add(port := free_port(), InternalPort=inside.port)
        url, boot_id = router.description_url, router.boot_id
        await router.stop()
        assert not router.running
        with pytest.raises(ConnectionRefusedError):
            await talk(port, b"hello")
        with pytest.raises(aiohttp.ClientError):
            await igd.get()
        await router.start()
        assert router.description_url == url
        assert router.boot_id > boot_id
        assert (await igd.generic(0)).code == 713
    await router.stop()
    await router.stop()


async def test_stop_in_the_middle_of_everything(inside: Inside) -> None:
    """Every socket and task ends; the test would fail on one that lingers."""
    async with VirtualRouter() as router, ControlPoint.of(router) as igd:
        await igd.add(port := free_port(), InternalPort=inside.port)
        await igd.add(port, Protocol="UDP", InternalPort=inside.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        await reader.readexactly(5)
        _, idle = await asyncio.open_connection("127.0.0.1", router.port)
        _, half = await asyncio.open_connection("127.0.0.1", router.port)
        half.write(b"POST /ctl/0/IPConn HTTP/1.1\r\nContent-Le")
        await half.drain()
    for open_writer in (writer, idle, half):
        open_writer.close()


async def test_two_routers_side_by_side() -> None:
    async with (
        VirtualRouter() as one,
        VirtualRouter() as two,
        ControlPoint.of(one) as igd,
    ):
        await igd.add(free_port())
        assert len(one.mappings) == 1
        assert two.mappings == ()
        assert not two.requests
        assert one.udn != two.udn


async def test_two_wans() -> None:
    wans = (Wan(external_address="203.0.113.7"), Wan(kind="ppp", external_address="198.51.100.1"))
    async with VirtualRouter(wans=wans) as router, ControlPoint.of(router) as igd:
        igd.path, igd.service = (
            "/ctl/1/PPPConn",
            "urn:schemas-upnp-org:service:WANPPPConnection:1",
        )
        assert (await igd.call("GetExternalIPAddress"))["NewExternalIPAddress"] == "198.51.100.1"
        await igd.add(free_port())
        assert router.mappings == ()
        assert len(router.wans[1].mappings) == 1


async def test_connections_are_kept_alive_and_counted(
    router: VirtualRouter, igd: ControlPoint
) -> None:
    for _ in range(5):
        await igd.call("GetStatusInfo")
    assert router.connections == 1
    async with igd.session.get(router.description_url, headers={"Connection": "close"}) as reply:
        assert reply.headers["Connection"] == "close"
    await igd.get()
    assert router.connections == 2
    assert router.requests == {"GetStatusInfo": 5, "GET /rootDesc.xml": 2}
    await router.restart()
    await igd.get()
    assert router.connections == 3


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nSOAPAction: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 70000 + b"\r\n\r\n",
    ],
)
async def test_bad_http_is_refused(router: VirtualRouter, request_bytes: bytes) -> None:
    assert (await talk(router.port, request_bytes)).startswith(b"HTTP/1.1 400 ")


async def test_other_methods(router: VirtualRouter, igd: ControlPoint) -> None:
    async with igd.session.request("SUBSCRIBE", igd.url("/evt/0/IPConn")) as response:
        assert response.status == 501
    assert router.requests == {"SUBSCRIBE /evt/0/IPConn": 1}


async def test_http_port_taken_leaves_nothing_behind() -> None:
    async with VirtualRouter() as router:
        second = VirtualRouter(port=router.port)
        with pytest.raises(OSError, match="in use"):
            await second.start()
        assert not second.running


async def test_changes_are_told() -> None:
    told: list[tuple[str, int]] = []
    async with (
        VirtualRouter(on_change=lambda what, row: told.append((what, row.external_port))) as router,
        ControlPoint.of(router) as igd,
    ):
        one, two = free_port(), free_port()
        await igd.add(one)
        await igd.add(one)
        await igd.delete(one)
        await igd.add(two)
    assert told == [("opened", one), ("closed", one), ("opened", two), ("closed", two)]
