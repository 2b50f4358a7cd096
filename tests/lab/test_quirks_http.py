"""What each quirk Q29 to Q44 does on the wire: descriptions, HTTP and the WAN."""

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from lab.virtual_router import Quirk, VirtualRouter, free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import IP2, PPP1, talk
from tests.lab.test_quirks import igd_with


async def test_q29_two_wans_of_a_type() -> None:
    async with igd_with(Quirk.Q29) as igd:
        assert (await igd.get()).text.count(f"<serviceType>{IP2}<") == 2
        igd.path = "/ctl/1/IPConn"
        assert (await igd.call("GetExternalIPAddress"))["NewExternalIPAddress"] == "198.51.100.7"


async def test_q30_disconnected_ip_beside_ppp(inside: Inside) -> None:
    async with igd_with(Quirk.Q30) as igd:
        assert (await igd.call("GetStatusInfo"))["NewConnectionStatus"] == "Disconnected"
        await igd.add(port := free_port(), InternalPort=inside.port)
        with pytest.raises(ConnectionRefusedError):
            await talk(port, b"hello")
        igd.path, igd.service = "/ctl/1/PPPConn", PPP1
        assert (await igd.call("GetStatusInfo"))["NewConnectionStatus"] == "Connected"
        await igd.add(port, InternalPort=inside.port)
        assert await talk(port, b"hello") == b"HELLO"


async def test_q31_status_up() -> None:
    async with igd_with(Quirk.Q31) as igd:
        assert (await igd.call("GetStatusInfo"))["NewConnectionStatus"] == "Up"


async def test_q32_dslforum() -> None:
    async with igd_with(Quirk.Q32) as igd:
        igd.service = "urn:dslforum-org:service:WANIPConnection:1"
        assert f"<serviceType>{igd.service}<" in (await igd.get()).text
        reply = await igd.add(free_port())
        assert f'xmlns:u="{igd.service}"' in reply.text


async def test_q33_scpd_missing_or_malformed() -> None:
    path = "/scpd/0/IPConn.xml"
    async with igd_with(Quirk.Q33) as igd:
        assert (await igd.get(path)).status == 404
    async with igd_with(Quirk.Q33_MALFORMED) as igd:
        assert (await igd.get(path)).text.endswith("</ac")


async def test_q34_location_on_another_host() -> None:
    async with igd_with(Quirk.Q34) as igd:
        assert igd.router.description_url == f"http://127.0.0.77:{igd.router.port}/rootDesc.xml"
        async with igd.session.get(igd.router.description_url) as response:
            assert response.status == 200
        assert (await igd.get()).status == 200


def control_url(description: str) -> str:
    found = re.search(r"<controlURL>([^<]*IPConn)</controlURL>", description)
    assert found
    return found[1]


async def test_q35_control_url_on_another_port() -> None:
    async with igd_with(Quirk.Q35, igd=1) as igd:
        description = (await igd.get()).text
        url = control_url(description)
        port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/ctl/0/IPConn", url)[1])  # type: ignore[index]
        assert port != igd.router.port
        assert "URLBase" not in description
        async with igd.session.post(url) as response:
            assert response.status == 400  # there, and no call
        await igd.router.restart(change_port=False)
        with pytest.raises(aiohttp.ClientConnectorError):
            await igd.session.post(url)
        assert control_url((await igd.get()).text) != url


async def test_q35_url_base_on_another_port() -> None:
    async with igd_with(Quirk.Q35_URLBASE) as igd:
        description = (await igd.get()).text
        base = re.search("<URLBase>(.*)</URLBase>", description)
        assert base
        assert base[1] != f"http://127.0.0.1:{igd.router.port}"
        async with igd.session.post(base[1] + control_url(description)) as response:
            assert response.status == 400


async def test_q35_wrong_url_base() -> None:
    async with igd_with(Quirk.Q35_WRONG) as igd:
        description = (await igd.get()).text
        assert "<URLBase>http://127.0.0.1:9</URLBase>" in description
        assert control_url(description) == "/ctl/0/IPConn"


async def test_q35_control_url_elsewhere() -> None:
    async with igd_with(Quirk.Q35_ELSEWHERE) as igd:
        url = control_url((await igd.get()).text)
        assert url == f"http://127.0.0.77:{igd.router.port}/ctl/0/IPConn"


async def test_q36_restart_always_moves() -> None:
    async with igd_with(Quirk.Q36) as igd:
        old = igd.router.description_url
        await igd.router.restart(change_port=False)
        assert igd.router.description_url != old


async def test_q51_restart_renames() -> None:
    async with igd_with(Quirk.Q51) as igd:
        old = igd.router.udn
        assert old in await described(igd.router)
        await igd.router.restart(change_port=False)
        assert igd.router.udn != old
        assert igd.router.udn in await described(igd.router)


async def described(router: VirtualRouter) -> str:
    async with aiohttp.ClientSession() as session, session.get(router.description_url) as reply:
        return await reply.text()


async def raw_requests(router: VirtualRouter, count: int) -> bytes:
    """Send the same call on one connection and give back everything that comes."""
    body = (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<u:GetStatusInfo xmlns:u="{IP2}"/></s:Body></s:Envelope>'
    )
    request = (
        "POST /ctl/0/IPConn HTTP/1.1\r\nHost: router\r\n"
        f'SOAPAction: "{IP2}#GetStatusInfo"\r\nContent-Length: {len(body)}\r\n\r\n{body}'
    )
    return await talk(router.port, request.encode() * count)


async def test_q37_closes_unannounced() -> None:
    async with igd_with() as igd:
        assert (await raw_requests(igd.router, 2)).count(b"HTTP/1.1 200") == 2
        igd.router.quirks.add(Quirk.Q37)
        answer = await raw_requests(igd.router, 2)
        assert answer.count(b"HTTP/1.1 200") == 1
        assert b"onnection: close" not in answer
        assert igd.router.requests["GetStatusInfo"] == 3


@pytest.mark.parametrize(("quirk", "rows"), [(Quirk.Q37_REUSE, 0), (Quirk.Q37_DROP, 1)])
async def test_q37_drops_the_second_request(quirk: Quirk, rows: int) -> None:
    async with igd_with(quirk) as igd:
        assert (await igd.get()).status == 200
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await igd.add(free_port())
        assert len(igd.router.mappings) == rows
        assert (await igd.call("GetStatusInfo")).status == 200


async def test_q38_chunked_and_wrong_type() -> None:
    async with igd_with(Quirk.Q38) as igd:
        for reply in (await igd.get(), await igd.call("GetStatusInfo")):
            assert reply.headers["Transfer-Encoding"] == "chunked"
            assert reply.headers["Content-Type"] == "application/octet-stream"
            assert reply.status == 200
            assert reply.text.rstrip().endswith(">")


async def test_q39_odd_faults() -> None:
    async with igd_with(Quirk.Q39) as igd:
        fault = await igd.specific(1)
        assert (fault.status, fault.code) == (200, 714)
    async with igd_with(Quirk.Q39_ODD) as igd:
        fault = await igd.specific(1)
        assert (fault.status, fault.code) == (500, 714)
        assert 'xmlns="urn:schemas-upnp-org:control-1.0"' in fault.text
    async with igd_with(Quirk.Q39_BARE) as igd:
        fault = await igd.specific(1)
        assert (fault.status, fault.code) == (500, 714)
        assert "xmlns" not in fault.text
        status = await igd.call("GetStatusInfo")
        assert "xmlns" not in status.text
        assert status["NewConnectionStatus"] == "Connected"


async def test_q40_fails_in_parallel() -> None:
    async with igd_with(Quirk.Q40) as igd:
        replies = await asyncio.gather(*(igd.call("GetStatusInfo") for _ in range(3)))
        assert sorted(reply.status for reply in replies) == [200, 500, 500]
        assert (await igd.call("GetStatusInfo")).status == 200


async def test_q41_exact_spelling() -> None:
    async with igd_with() as igd:
        port = free_port()
        assert (await igd.add(port, Protocol="tcp")).status == 200
        unquoted = f"{IP2}#GetStatusInfo"
        assert (await igd.call("GetStatusInfo", header=unquoted)).status == 200
        igd.router.quirks.add(Quirk.Q41)
        assert (await igd.add(port, Protocol="tcp")).code == 402
        assert (await igd.call("GetStatusInfo", header=unquoted)).code == 401
        assert (await igd.call("GetStatusInfo", header=f'"{unquoted.lower()}"')).code == 401
        assert (await igd.call("GetStatusInfo", header=f'"{unquoted}"')).status == 200


@pytest.mark.parametrize(("quirks", "left"), [((), 1), ((Quirk.Q44,), 0)])
async def test_q44_wan_reconnect(quirks: tuple[Quirk, ...], left: int) -> None:
    async with igd_with(*quirks) as igd:
        await igd.add(free_port())
        igd.router.wans[0]._up_since -= 100
        await igd.router.reconnect_wan(new_address="203.0.113.99")
        assert len(igd.router.mappings) == left
        assert (await igd.call("GetExternalIPAddress"))["NewExternalIPAddress"] == "203.0.113.99"
        assert int((await igd.call("GetStatusInfo"))["NewUptime"]) < 5


def test_every_quirk_has_a_name_and_a_test() -> None:
    numbers = {quirk.value[:3] for quirk in Quirk}
    assert numbers == {f"Q{number:02}" for number in range(1, 52)}
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    untested = [quirk for quirk in Quirk if not re.search(rf"Quirk\.{quirk.name}\b", tests)]
    assert untested == []
