"""Discovery by real multicast, in a network that no other machine is in.

Home Assistant's SSDP leaves loopback addresses out, and the network of this
machine is none of our business. So `in_home_network.py`, which has the tests
proper, runs in a network namespace of its own: there the loopback adapter has
an address such as homes have, and nothing leads anywhere else.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from lab.home_assistant import REPOSITORY

TESTS = Path(__file__).with_name("in_home_network.py")

SET_UP = """\
ip link set lo up multicast on
ip address add 192.168.77.1/24 dev lo
ip route add default dev lo
exec "$@"
"""

# With process ids of its own, so that nothing in it outlives it.
UNSHARE = ("unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")
NAMESPACE = (*UNSHARE, "sh", "-ec", SET_UP, "sh")


async def test_in_home_network(environment: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare and ip: install util-linux and iproute2")
    code, output = await _run(*NAMESPACE, "true")
    if code:
        pytest.skip(f"may not make a network namespace: {output.strip()}")
    version = environment.name.removeprefix("ha-")
    # Without Home Assistant's test harness, which takes seconds to import and serves nothing here.
    unused = ("-p", "no:homeassistant", "-p", "no:cacheprovider")
    pytest_arguments = (TESTS, "-k", version, *unused)
    code, output = await _run(*NAMESPACE, sys.executable, "-m", "pytest", *pytest_arguments)
    assert code == 0, output
    assert "skipped" not in output


async def _run(*command: str | Path) -> tuple[int, str]:
    """Return the exit code and what was printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=REPOSITORY,
        # It is a pytest of its own, not a part of the one that runs this.
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")
