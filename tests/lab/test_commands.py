"""The command lines, as programs use them."""

import asyncio
import json
import signal
import sys
from types import SimpleNamespace

import aiohttp

from lab.virtual_router import free_port
from tests.lab.control_point import ControlPoint
from tests.lab.pcp_client import pcp_client


async def start(*arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    """Run a module of the lab, and give back its first line too."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    async with asyncio.timeout(60):
        return process, (await process.stdout.readline()).decode()


async def end(process: asyncio.subprocess.Process, number: signal.Signals) -> str:
    """Send a signal and give back the rest of what was printed; nothing may be wrong."""
    process.send_signal(number)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert err == b""
    assert process.returncode == 0
    return out.decode()


async def test_router_command() -> None:
    port, external = free_port(), free_port()
    options = f"--port {port} --igd 1 --udn uuid:00000000-0000-4000-8000-000000000001"
    options += " --name Door --external-address 198.51.100.9 --quirk Q31 --quirk Q45"
    process, line = await start("lab.virtual_router", *options.split())
    assert json.loads(line) == {
        "description_url": f"http://127.0.0.1:{port}/rootDesc.xml",
        "udn": "uuid:00000000-0000-4000-8000-000000000001",
    }
    async with aiohttp.ClientSession() as session:
        router = SimpleNamespace(lan_host="127.0.0.1", port=port)
        igd = ControlPoint(router, session, igd=1)  # type: ignore[arg-type]
        assert "<friendlyName>Door</friendlyName>" in (await igd.get()).text
        assert (await igd.call("GetStatusInfo"))["NewConnectionStatus"] == "Up"
        assert (await igd.delete(external)).status == 200
        await igd.add(external, PortMappingDescription="Cam")
    rest = await end(process, signal.SIGTERM)
    row = f"TCP {external} → 127.0.0.1:8080 from anywhere (Cam)"
    assert rest.splitlines() == [f"opened {row}", f"closed {row}"]


async def test_router_command_without_upnp() -> None:
    options = "--no-upnp --pcp-port 0 --pcp-speaks natpmp --vpn-provider"
    process, line = await start("lab.virtual_router", *options.split())
    found = json.loads(line)
    assert found.keys() == {"pcp_port"}
    router = SimpleNamespace(lan_host="127.0.0.1", pcp_port=found["pcp_port"])
    async with pcp_client(router) as client:  # type: ignore[arg-type]
        reply = await client.ask(bytes.fromhex("0001 0000 1f90 0000 00000e10"))
    assert reply[:4] == bytes.fromhex("0081 0000")
    assert reply[12:] == bytes.fromhex("0000003c")
    rest = await end(process, signal.SIGTERM)
    assert rest.startswith(f"opened UDP {int.from_bytes(reply[10:12])} → 127.0.0.1:8080 from any")


async def test_router_command_with_ipv6() -> None:
    process, line = await start("lab.virtual_router", "--ipv6")
    url = json.loads(line)["description_url6"]
    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        assert "WANIPv6FirewallControl:1" in await reply.text()
    assert await end(process, signal.SIGTERM) == ""


async def test_camera_command() -> None:
    port = free_port()
    process, line = await start("lab.camera", "--port", str(port))
    assert line == f"http://127.0.0.1:{port}/\n"
    assert await end(process, signal.SIGINT) == ""
