"""What happens in each of the days: the same at the same time, so that all can be compared."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from random import Random

from homeassistant.config_entries import ConfigEntryState

from lab.virtual_router import VirtualRouter, free_port

from ..home import Forward, own_address
from .figures import Day, Meter
from .house import House, only_loopback, stored_router

# How much of a day an opening lasts at the most.
_LONGEST_OPENING = 0.03

# The days on which Home Assistant is restarted: with the first, all others have had one, too.
_RESTARTS = (0, 3, 7)

# A console that maps a port by itself now and then.
_CONSOLE = "127.0.0.9"

# Open until closed, all the time but for lockdown.
_ALWAYS = "always"

_LOCKDOWN = "switch.virtual_router_lockdown"

# When lockdown is turned on and off again, in days, and that switch is opened again.
_LOCKED, _UNLOCKED, _REOPENED = 0.65, 0.66, 0.67

# All that was opened is over or closed by then.
_EVENING = 0.95

type Deed = Callable[[House], Awaitable[None]]
"""One thing that is done in the house."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Month:
    """How long it lasts, and how it is divided: a `day` may be any number of seconds."""

    days: int = 30
    day: float = 86400
    commands: int = 110
    """A day: so many that the journal is full on the evening of the first."""
    seed: int = 1


async def live(month: Month, tell: Callable[[Day], None]) -> list[Day]:
    """Live through a month; tell the figures of each day, and return them all.

    Raises RuntimeError when something else is open at the end of a day than should be.
    """
    meter = Meter()
    loop = asyncio.get_running_loop()
    host = own_address()
    forwards = _forwards(host)
    always = next(forward for forward in forwards if forward.name == _ALWAYS)
    with only_loopback(), meter.counting():
        async with _house(host, forwards) as house:
            deeds = _deeds(month, forwards, free_port(host))
            await house.call("port_forward.open", always.switch)
            for number in range(month.days):
                begin = loop.time()
                for at, deed in deeds:
                    await asyncio.sleep(begin + at * month.day - loop.time())
                    if deed is not _restart_home_assistant or number in _RESTARTS:
                        await deed(house)
                await asyncio.sleep(begin + month.day - loop.time())
                _check(house, [always])
                tell(meter.measure(house))
    return meter.days


def _forwards(host: str) -> Sequence[Forward]:
    """Return one that is always open, and some that are opened for a while."""
    ports: set[int] = set()
    names = (_ALWAYS, *(f"forward{index}" for index in range(5)))
    while len(ports) < len(names):
        ports.add(free_port(host))
    return [
        Forward(
            id=name,
            name=name,
            router=0,
            port=port,
            protocols=("TCP", "UDP") if index % 2 else ("TCP",),
            close_after=inf if name == _ALWAYS else 600,
            taken=False,
        )
        for index, (name, port) in enumerate(zip(names, ports, strict=True))
    ]


@asynccontextmanager
async def _house(host: str, forwards: Sequence[Forward]) -> AsyncIterator[House]:
    with tempfile.TemporaryDirectory(prefix="port-forward-month-") as config:
        async with VirtualRouter(wan_host=host) as router:
            # A restart shows by an uptime that falls.
            router.age(86400)
            house = House(Path(config), router, await stored_router(router, forwards))
            try:
                await house.start()
                yield house
            finally:
                await house.stop()


def _deeds(month: Month, forwards: Sequence[Forward], console: int) -> Sequence[tuple[float, Deed]]:
    """Return what is done in a day, and after how much of it."""
    rng = Random(month.seed)  # noqa: S311  chance that can be repeated
    others = [forward for forward in forwards if forward.name != _ALWAYS]
    always = f"switch.{_ALWAYS}"
    deeds: list[tuple[float, Deed]] = [
        (0.15, partial(_map, port=console)),
        (0.25, partial(_unmap, port=console)),
        (0.35, _reconnect),
        (0.45, _restart_router),
        (0.55, _reload),
        (_LOCKED, partial(_call, "switch.turn_on", _LOCKDOWN)),
        (_UNLOCKED, partial(_call, "switch.turn_off", _LOCKDOWN)),
        (_REOPENED, partial(_call, "port_forward.open", always)),
        (0.02, _restart_home_assistant),
    ]
    for at in (rng.uniform(0, _EVENING) for _ in range(month.commands)):
        if _LOCKED <= at <= _UNLOCKED:
            continue
        forward = rng.choice(others)
        seconds = round(rng.uniform(0.1, 1) * _LONGEST_OPENING * month.day)
        command: Deed = rng.choice(
            [
                # Of what is open, this extends it.
                partial(_call, "port_forward.open", forward.switch, duration={"seconds": seconds}),
                partial(_call, "port_forward.open", forward.switch, duration={"seconds": seconds}),
                partial(_call, "port_forward.close", forward.switch),
            ]
        )
        deeds.append((at, command))
    deeds += [(_EVENING, partial(_call, "port_forward.close", other.switch)) for other in others]
    return sorted(deeds, key=lambda deed: deed[0])


async def _call(action: str, entity_id: str, house: House, **data: object) -> None:
    await house.call(action, entity_id, **data)


async def _map(house: House, port: int) -> None:
    await house.router.add_foreign(
        protocol="UDP",
        external_port=port,
        internal_host=_CONSOLE,
        internal_port=port,
        description="Xbox",
    )


async def _unmap(house: House, port: int) -> None:
    await house.router.remove("UDP", port)


async def _reconnect(house: House) -> None:
    before = house.router.wans[0].external_address
    after = "203.0.113.8" if before == "203.0.113.7" else "203.0.113.7"
    await house.router.reconnect_wan(new_address=after)


async def _restart_router(house: House) -> None:
    await house.router.restart(change_port=False)


async def _reload(house: House) -> None:
    await house.hass.config_entries.async_reload(house.entry.entry_id)
    await house.hass.async_block_till_done()


async def _restart_home_assistant(house: House) -> None:
    await house.stop()
    await house.start()


def _check(house: House, are_open: Sequence[Forward]) -> None:
    wanted = {key for forward in are_open for key in forward.keys}
    found = {row.key for row in house.router.mappings}
    if found != wanted or house.entry.state is not ConfigEntryState.LOADED:
        raise RuntimeError(f"{house.entry.state}, open: {found}, should be open: {wanted}")
