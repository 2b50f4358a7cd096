"""Forwards relay for whom they should, a moment after they were changed."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from lab.unifi import UnifiController
from lab.unifi.api import FORWARDS
from lab.virtual_router import free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from .client import Client

ROOT = Path(__file__).parents[3]


async def test_a_forward_relays_once_it_is_provisioned(
    client: Client, unifi: UnifiController, inside: Inside
) -> None:
    port = free_port()
    unifi.may_provision.clear()
    created = await client.create(port, fwd_port=str(inside.port))
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"too early")
    unifi.may_provision.set()
    await unifi.provisioned()
    assert await talk(port, b"hello") == b"HELLO"
    _, answer = await client.ask("GET", "stat/portforward")
    (row,) = answer["data"]
    assert (row["_id"], row["rx_packets"]) == (created["_id"], 1)
    path = f"{FORWARDS}/{created['_id']}"
    unifi.may_provision.clear()
    await client.ask("PUT", path, {**created, "enabled": False})
    assert await talk(port, b"still") == b"STILL"
    unifi.may_provision.set()
    await unifi.provisioned()
    with pytest.raises(ConnectionError):
        await talk(port, b"hello")


@pytest.mark.parametrize(
    ("limit", "gets_in"),
    [
        ({"src": "127.0.0.1"}, True),
        ({"src": "192.0.2.1"}, True),
        ({"src": "192.0.2.1", "src_limiting_enabled": True, "src_limiting_type": "ip"}, False),
        ({"src": "127.0.0.0/8", "src_limiting_enabled": True, "src_limiting_type": "ip"}, True),
        ({"src": "!127.0.0.1", "src_limiting_enabled": True, "src_limiting_type": "ip"}, False),
        ({"src_limiting_enabled": True, "src_limiting_type": "firewall_group"}, False),
        ({"pfwd_interface": "wan2"}, False),
    ],
)
async def test_who_gets_in(
    client: Client,
    unifi: UnifiController,
    inside: Inside,
    limit: dict[str, object],
    *,
    gets_in: bool,
) -> None:
    port = free_port()
    await client.create(port, fwd_port=str(inside.port), **limit)
    await unifi.provisioned()
    if gets_in:
        assert await talk(port, b"hello") == b"HELLO"
    else:
        with pytest.raises(ConnectionError):
            await talk(port, b"hello")
        assert inside.heard == []


async def test_connections_outlive_the_forward(
    client: Client, unifi: UnifiController, inside: Inside
) -> None:
    port = free_port()
    created = await client.create(port, fwd_port=str(inside.port))
    await unifi.provisioned()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"HELLO"
    await client.ask("DELETE", f"{FORWARDS}/{created['_id']}")
    await unifi.provisioned()
    writer.write(b"again")
    assert await reader.readexactly(5) == b"AGAIN"
    with pytest.raises(ConnectionError):
        await talk(port, b"hello")
    writer.close()


async def test_the_command_runs_until_asked_to_stop() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lab.unifi", "--tls", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        async with asyncio.timeout(60):
            shown = json.loads(await process.stdout.readline())
        fingerprint = aiohttp.Fingerprint(bytes.fromhex(shown["fingerprint"]))
        async with (
            aiohttp.ClientSession() as session,
            session.get(
                f"{shown['url']}/proxy/network/api/self/sites",
                ssl=fingerprint,
                headers={"X-API-KEY": shown["api_key"]},
            ) as response,
        ):
            assert response.status == 200
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
