"""What goes wrong, on demand, and the router behind TLS."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta, timezone

import aiohttp
import pytest

from lab.certificate import self_signed
from lab.openwrt import Clock, Device, Fault, OpenWrt
from tests.routers.upnp.home import TIMEOUT

from .browser import Client


async def test_faults_strike_the_call_they_are_for(wrt: OpenWrt, client: Client) -> None:
    wrt.fault(Fault.HTML, "uci changes", skip=1)
    assert await client.uci("changes") == [0, {"changes": []}]
    with pytest.raises(aiohttp.ContentTypeError):
        await client.uci("changes")
    assert await client.uci("changes") == [0, {"changes": []}]
    wrt.fault(Fault.FAIL, "uci changes", status=9)
    assert await client.uci("changes") == [9]
    wrt.fault(Fault.EXPIRE, "uci changes")
    assert await client.uci("changes") == -32002
    await client.login()
    wrt.fault(Fault.HTTP_500)
    status, _ = await client.post('{"jsonrpc":"2.0","id":1,"method":"call","params":["0","a","b"]}')
    assert status == 500
    wrt.fault(Fault.SLOW, delay=60)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(TIMEOUT):
            await client.uci("changes")
    wrt.fault(Fault.TRUNCATED, times=None)
    with pytest.raises(json.JSONDecodeError):
        await client.uci("changes")
    wrt.clear_faults()
    assert await client.uci("changes") == [0, {"changes": []}]


@pytest.mark.parametrize(("fault", "done"), [(Fault.DROP_BEFORE, False), (Fault.DROP_AFTER, True)])
async def test_dropped_connections(
    wrt: OpenWrt, client: Client, fault: Fault, *, done: bool
) -> None:
    wrt.fault(fault, "uci add")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.uci("add", type="redirect", name="a", values={})
    reply = await client.uci("changes")
    assert isinstance(reply, list)
    assert bool(reply[1]["changes"]) is done


async def test_an_ignored_confirm(wrt: OpenWrt, client: Client) -> None:
    wrt.fault(Fault.IGNORE, "uci confirm")
    await client.uci("add", type="redirect", name="a", values={"src": "wan"})
    await client.call("uci", "apply", rollback=True, timeout=6)
    assert await client.call("uci", "confirm") == [0]
    await wrt.pass_time(timedelta(seconds=7))
    assert wrt.section("a") is None


async def test_a_router_without_what_is_needed(client: Client) -> None:
    client.router.uninstall("uci", "apply", "confirm")
    assert await client.call("uci", "apply", rollback=True) == [3]
    client.router.uninstall("uci")
    assert await client.uci("changes") == -32000
    async with OpenWrt(has_ubus=False) as bare:
        assert (await Client(http=client.http, router=bare).post("{}"))[0] == 404


async def test_what_the_router_says_about_itself(wrt: OpenWrt, client: Client) -> None:
    wrt.device.external_address = None
    wrt.clock.zone = timezone(timedelta(hours=5, minutes=45))
    wrt.clock.wrong_by = timedelta(minutes=-10)
    reply = await client.call("network.interface", "dump")
    assert isinstance(reply, list)
    wan = next(row for row in reply[1]["interface"] if row["interface"] == "wan")
    assert (wan["up"], wan["ipv4-address"], wan["route"]) == (False, [], [])
    reply = await client.call("system", "info")
    assert isinstance(reply, list)
    off = reply[1]["localtime"] - datetime.now(UTC).timestamp()
    assert off == pytest.approx((5 * 60 + 45 - 10) * 60, abs=2)


async def test_tls(client: Client) -> None:
    certificate = self_signed("OpenWrt")
    async with OpenWrt(certificate=certificate) as wrt:
        assert wrt.url.startswith("https://")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await Client(http=client.http, router=wrt).login()
        fingerprint = aiohttp.Fingerprint(bytes.fromhex(certificate.fingerprint))
        async with client.http.post(f"{wrt.url}/ubus", data=b"{}", ssl=fingerprint) as response:
            assert response.status == 200


async def test_a_clock_can_be_set(wrt: OpenWrt) -> None:
    clock = Clock()
    moment = datetime(2026, 10, 25, 0, 59, tzinfo=UTC)
    clock.set_to(moment)
    clock.pass_time(timedelta(minutes=2))
    assert timedelta(0) <= clock.now() - moment - timedelta(minutes=2) < timedelta(seconds=5)
    assert Device().external_address


async def test_the_command() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lab.openwrt",
        "--rights",
        "plain",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    ready = json.loads(await process.stdout.readline())
    async with aiohttp.ClientSession() as http, http.get(ready["url"]) as response:
        assert response.status == 404
    process.terminate()
    assert await process.wait() == 0
