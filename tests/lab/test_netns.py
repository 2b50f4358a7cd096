"""The namespace lab: it is by itself, leaves nothing, and keeps out of the machine."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from lab.camera import Camera
from lab.hass_config import REPOSITORY
from lab.netns import HomeNetwork, RealRouter, UnavailableError, names
from lab.netns.network import CAMERA, HOME_ASSISTANT, WAN_ADDRESS
from lab.netns.process import run
from lab.netns.relay import relay
from lab.netns.requirements import check
from lab.netns.witness import kernel_rows, upnpc, upnpc_rows
from lab.virtual_router import free_port
from tests.home_network import home_network, let_through

ANOTHER = """\
import asyncio
from lab.netns import HomeNetwork, RealRouter

async def main():
    async with HomeNetwork() as network, RealRouter(network):
        print(network.router.name, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
async def network(socket_enabled: None) -> AsyncIterator[HomeNetwork]:
    let_through()
    async with home_network() as network:
        yield network


async def fetch_time(host: str, port: int, connector: aiohttp.TCPConnector | None = None) -> str:
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"http://{host}:{port}/time") as response,
    ):
        return await response.text()


async def test_two_at_once(network: HomeNetwork) -> None:
    async with home_network() as other, RealRouter(network) as router, RealRouter(other) as second:
        await upnpc(router, "-a", CAMERA, "80", "8080", "TCP", "0")
        assert await upnpc_rows(router) == [("TCP", 8080, CAMERA, 80)]
        assert await upnpc_rows(second) == await kernel_rows(second) == []


async def test_what_a_killed_process_left_is_removed(network: HomeNetwork) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ANOTHER), cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    name = (await process.stdout.readline()).decode().strip()
    process.kill()
    await process.wait()
    [left] = [found for found in names.find() if found.namespace.name == name]
    assert not left.owned
    [daemon] = (await run("ip", "netns", "pids", name)).split()
    assert (names.FILES / name).exists()

    await names.sweep()
    found = {found.namespace.name for found in names.find()}
    assert name not in found
    assert network.router.name in found
    assert not (names.FILES / name).exists()
    async with asyncio.timeout(60):
        while _runs(int(daemon)):  # noqa: ASYNC110  nobody tells us: it is not our child
            await asyncio.sleep(0.02)


def _runs(pid: int) -> bool:
    """Tell whether a process runs, and is not just waiting to be buried."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_the_machine_is_left_alone(network: HomeNetwork) -> None:
    async with RealRouter(network) as router:
        await upnpc(router, "-a", CAMERA, "80", "8080", "TCP", "0")
        assert "upnp_nat" not in await run("nft", "list", "ruleset")
        assert "to_camera" not in await run("ip", "-o", "link")
        assert "11.22.33" not in await run("ip", "route", "show", "table", "all")
        # All that is beyond the internet of the lab: nothing.
        routes = await network.internet.run("ip", "route")
        assert routes.splitlines()
        assert all(route.startswith("11.22.33.0/24") for route in routes.splitlines())


async def test_relay(network: HomeNetwork) -> None:
    port = free_port()
    with network.camera.entered():
        camera = await Camera(CAMERA, 8080).__aenter__()
    async with RealRouter(network) as router, relay(port, network.internet, WAN_ADDRESS, 8080):
        with pytest.raises(aiohttp.ClientError):
            await fetch_time("127.0.0.1", port)
        await upnpc(router, "-a", CAMERA, "8080", "8080", "TCP", "0")
        assert await fetch_time("127.0.0.1", port)
        assert await fetch_time(WAN_ADDRESS, 8080, network.internet.connector())
    await camera.__aexit__(None, None, None)
    with pytest.raises(aiohttp.ClientError):
        await fetch_time("127.0.0.1", port)


async def test_entered_thread_comes_back(network: HomeNetwork) -> None:
    link = Path("/proc/thread-self/ns/net")
    here = link.readlink()
    with network.home_assistant.entered():
        assert link.readlink() != here
        assert f" {HOME_ASSISTANT}/24 " in await run("ip", "address")
    assert link.readlink() == here


def test_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.netns.requirements._PATH", "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnavailableError, match=r"needs root, .*nft \(Debian package nftables\)"):
        check()
