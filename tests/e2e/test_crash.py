"""Home Assistant is killed: again and again in the middle of its work, and for good."""

import asyncio
from pathlib import Path

from bench.crash.trial import Trial
from bench.home import furnished, own_address
from lab.virtual_router import VirtualRouter
from tests.e2e.waiting import until

# Five with each version of Home Assistant; `python -m bench.crash` has a hundred.
KILLS = 5


async def test_killed_at_random_instants_of_a_storm(environment: Path, tmp_path: Path) -> None:
    said: list[str] = []
    trial = Trial(forwards=50, seed=7, longest=10, lease=15, say=said.append)
    result = await trial.run(environment, tmp_path, KILLS)
    assert not result.violations, "\n".join(said)
    # It was not for want of anything to go wrong.
    assert result.kills == KILLS
    assert result.openings > KILLS
    assert result.changes.total() > KILLS
    assert result.rows_opened > KILLS
    # A fast machine has little under way at a time, and a slow one makes few calls.
    assert result.lost
    assert result.closed_by_lease
    assert result.closed_by_home_assistant


async def test_killed_and_never_started_again(environment: Path, tmp_path: Path) -> None:
    lease = 5
    host = own_address()
    router = VirtualRouter(wan_host=host)
    async with furnished(
        environment,
        tmp_path,
        forwards=6,
        routers=[router],
        lease=lease,
        close_after=60,
        strangers=False,
    ) as home:
        await home.ha.start()
        for forward in home.forwards:
            await home.ha.call("switch", "turn_on", entity_id=forward.switch)
        # Neither those with a minute to go nor those without an end: only their leases are renewed.
        asked = router.requests["AddPortMapping"]
        await until(lambda: router.requests["AddPortMapping"] >= asked + len(home.forwards))
        assert all([await answers(host, forward.port) for forward in home.forwards])

        await home.ha.kill()
        requests = router.requests.total()
        await until(lambda: not router.mappings, within=lease + 10)
        assert not any([await answers(host, forward.port) for forward in home.forwards])
        assert router.requests.total() == requests


async def answers(host: str, port: int) -> bool:
    """Tell whether a client on the internet gets a connection."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True
