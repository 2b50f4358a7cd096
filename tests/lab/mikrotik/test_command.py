"""`python -m lab.mikrotik` starts, says where it is, and ends when asked."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parents[3]


async def test_it_runs_until_asked_to_stop() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lab.mikrotik", "--tls", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        async with asyncio.timeout(30):
            shown = json.loads(await process.stdout.readline())
        fingerprint = aiohttp.Fingerprint(bytes.fromhex(shown["fingerprint"]))
        auth = aiohttp.encode_basic_auth(shown["username"], shown["password"])
        async with (
            aiohttp.ClientSession() as session,
            session.get(
                f"{shown['url']}/rest/system/identity",
                ssl=fingerprint,
                headers={"Authorization": auth},
            ) as response,
        ):
            assert await response.json() == {"name": "MikroTik"}
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
