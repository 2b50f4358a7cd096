"""What is noted of a driver at work."""

from datetime import UTC, datetime

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    NotPermittedError,
    RouterUnreachableError,
    TableFullError,
    UnsupportedError,
)
from custom_components.port_forward.routers.observed import (
    Observations,
    ObservedRouter,
    Timing,
)
from custom_components.port_forward.routers.patience import Patience
from custom_components.port_forward.routers.router import Router
from lab.virtual_router import Fault, Quirk
from tests.routers.forwards import forward
from tests.routers.upnp.home import HOUR, Home, fill, home_with


def observed(home: Home) -> tuple[ObservedRouter, Observations]:
    observations = Observations()
    return ObservedRouter(home.driver, observations, Patience()), observations


def test_passes_on_all_that_there_is() -> None:
    """What is new in the contract must not end in what the base class does for lack of better."""
    contract = {name for name in vars(Router) if not name.startswith("_")}
    assert contract <= vars(ObservedRouter).keys()


async def test_counts_and_measures(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        router, observations = observed(home)
        info = await router.connect()
        assert info == await home.driver.connect()
        wanted = forward()
        [granted] = await router.open(wanted, HOUR, planned=router.plan(wanted))
        assert (await router.snapshot([granted])).find(granted)
        await router.close(granted)
        assert not (await router.snapshot()).mappings
        assert router.owner_of(granted) == wanted.owner
        assert router.learned == home.driver.learned
        assert router.capabilities == home.driver.capabilities
    calls = {name: timing.calls for name, timing in observations.timings.items()}
    assert calls == {"connect": 1, "open": 1, "snapshot": 2, "close": 1}
    for timing in observations.timings.values():
        assert 0 < timing.share(0.5) <= timing.share(0.95) <= timing.longest < 60
    assert not observations.troubles
    assert observations.newest is None


async def test_counts_what_the_router_refuses_with_its_code(session: aiohttp.ClientSession) -> None:
    before = datetime.now(UTC)
    async with home_with(session, Quirk.Q12) as home:
        router, observations = observed(home)
        await router.connect()
        for _ in range(3):
            with pytest.raises(NotPermittedError):
                await router.open(forward(1023), HOUR)
        home.router.fault(Fault.DROP_BEFORE, times=None)
        with pytest.raises(RouterUnreachableError):
            await router.snapshot()
    [refused, dropped] = observations.troubles.items()
    (operation, key, said), trouble = refused
    assert (operation, key) == ("open", "not_permitted_low_port")
    assert said.startswith("AddPortMapping: 606")
    assert trouble.times == 3
    assert before <= trouble.first <= trouble.last <= datetime.now(UTC)
    assert dropped[0] == ("snapshot", "unreachable", "")
    assert observations.newest
    assert isinstance(observations.newest[1], RouterUnreachableError)
    assert observations.timings["open"].calls == 3


async def test_tells_what_the_error_behind_an_error_said(session: aiohttp.ClientSession) -> None:
    """A full table needs no more words for the user, and only what it was made of has the code."""
    async with home_with(session, Quirk.Q09) as home:
        router, observations = observed(home)
        await router.connect()
        await fill(home.router, 32)
        with pytest.raises(TableFullError) as raised:
            await router.open(forward(), HOUR)
    assert "detail" not in raised.value.placeholders
    [(_, key, said)] = observations.troubles
    assert key == "table_full"
    assert said.startswith("AddPortMapping: 728")


def test_is_bounded() -> None:
    observations = Observations()
    for number in range(1000):
        with pytest.raises(UnsupportedError), observations.of("connect"):
            raise UnsupportedError(host="192.0.2.1", detail=f"{number} " + 5000 * "x")
    assert len(observations.troubles) <= 51
    assert max(len(said) for *_, said in observations.troubles) <= 300
    assert sum(trouble.times for trouble in observations.troubles.values()) == 1000
    timing = observations.timings["connect"]
    assert (timing.calls, len(timing.newest)) == (1000, 100)


def test_shares_of_no_call_and_of_many() -> None:
    timing = Timing()
    assert timing.share(0.5) == 0
    for number in range(100):
        timing.add(float(number))
    assert (timing.share(0.5), timing.share(0.95), timing.longest) == (50, 95, 99)


def test_a_broken_off_call_is_no_trouble_of_the_router() -> None:
    observations = Observations()
    with pytest.raises(KeyboardInterrupt), observations.of("close"):
        raise KeyboardInterrupt
    assert not observations.troubles
    assert observations.timings["close"].calls == 1
