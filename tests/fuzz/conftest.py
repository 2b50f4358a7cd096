"""What the fuzz tests share: loopback as the network, and the account of what they did."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import cast

import aiohttp
import pytest
import pytest_socket

from . import effort

_SPENT = "fuzz"


@pytest.fixture(autouse=True)
def _loopback_is_the_network(socket_enabled: None) -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.0/8"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _account(request: pytest.FixtureRequest) -> Iterator[None]:
    """Note what the inputs of this test took, where the end of the run can show it."""
    effort.spent = effort.Spent()
    started = time.perf_counter()
    yield
    spent = effort.spent
    if spent.inputs:
        row = [spent.inputs, time.perf_counter() - started, spent.peak]
        request.node.user_properties.append((_SPENT, row))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what each target took: inputs, seconds, and the most memory for one of them."""
    rows: list[tuple[str, int, float, int]] = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "teardown":
                spent = cast("dict[str, list[float]]", dict(report.user_properties)).get(_SPENT)
                if spent:
                    inputs, seconds, peak = spent
                    target = report.nodeid.rpartition("/")[2]
                    rows.append((target, int(inputs), seconds, int(peak)))
    if not rows:
        return
    terminalreporter.section("fuzz")
    terminalreporter.line(f"{'inputs':>9} {'seconds':>9} {'peak KiB':>9}  target")
    for target, inputs, seconds, peak in sorted(rows):
        terminalreporter.line(f"{inputs:9} {seconds:9.1f} {peak / 1024:9.0f}  {target}")
    total = sum(row[1] for row in rows)
    terminalreporter.line(f"{total:9} {sum(row[2] for row in rows):9.1f} {'':9}  in all")
