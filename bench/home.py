"""The house: virtual routers in this process, and a Home Assistant that has them since long ago."""

import json
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any, Self

import aiohttp

from custom_components.port_forward.routers.upnp import describe, survey
from lab.hass_config import prepare
from lab.home_assistant import RealHomeAssistant
from lab.virtual_router import VirtualMapping, VirtualRouter, free_port

DOMAIN = "port_forward"

# Home Assistant's own format, `config_entries.STORAGE_VERSION` and `STORAGE_VERSION_MINOR`.
ENTRIES_VERSION = (1, 5)

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC).isoformat()

# Every so many forwards one has both protocols, one is open until closed, one wants a port that is
# another's, and one has a stranger's mapping beside it on the other protocol.
BOTH, UNTIL_CLOSED, TAKEN, NEIGHBOUR = 4, 5, 10, 3

type Key = tuple[str, int, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Forward:
    """One forward, and where it is found everywhere."""

    id: str
    name: str
    router: int
    port: int
    protocols: tuple[str, ...]
    close_after: float
    """Seconds that the switch opens it for, inf for until closed."""
    taken: bool
    """Whether its port is another's, so that it can never be opened."""
    internal_host: str = "127.0.0.5"
    internal_port: int = 8080

    @property
    def switch(self) -> str:
        """The entity id."""
        return f"switch.{self.name}"

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of its rows on the router."""
        return tuple((protocol, self.port, "") for protocol in self.protocols)

    @property
    def subentry(self) -> dict[str, Any]:
        """What Home Assistant stores of it."""
        closing: dict[str, Any] = (
            {"until_closed": True}
            if self.close_after == inf
            else {"close_after": {"seconds": int(self.close_after)}}
        )
        return {
            "data": {
                "internal_host": self.internal_host,
                "protocol": "both" if len(self.protocols) > 1 else self.protocols[0].lower(),
                "internal_ports": str(self.internal_port),
                "external_ports": str(self.port),
                **closing,
            },
            "subentry_id": self.id,
            "subentry_type": "forward",
            "title": self.name,
            "unique_id": None,
        }

    @classmethod
    def stored(cls, subentry: Mapping[str, Any], router: int, *, taken: bool) -> Self:
        """Return the forward that Home Assistant has stored as this."""
        data = subentry["data"]
        protocol = data["protocol"].upper()
        return cls(
            id=subentry["subentry_id"],
            name=subentry["title"],
            router=router,
            port=int(data["external_ports"]),
            protocols=("TCP", "UDP") if protocol == "BOTH" else (protocol,),
            close_after=inf
            if data.get("until_closed")
            else timedelta(**data["close_after"]).total_seconds(),
            taken=taken,
            internal_host=data["internal_host"],
            internal_port=int(data["internal_ports"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """Everything that a trial works on."""

    ha: RealHomeAssistant
    config: Path
    routers: Sequence[VirtualRouter]
    forwards: Sequence[Forward]
    foreign: Sequence[tuple[VirtualMapping, ...]]
    """What others have mapped, router by router."""

    def rows(self, forward: Forward) -> list[VirtualMapping]:
        """Return what the router holds of a forward."""
        return self.rows_of(forward.router, forward.keys)

    def rows_of(self, router: int, keys: Iterable[Key]) -> list[VirtualMapping]:
        """Return what a router holds of ours on these keys."""
        wan = self.routers[router].wans[0]
        return [row for key in keys if (row := wan.find(key)) and not self._is_foreign(row)]

    def own_rows(self) -> dict[int, set[Key]]:
        """Return the keys of all rows that are not others', by router."""
        return {
            index: {row.key for row in router.mappings if not self._is_foreign(row)}
            for index, router in enumerate(self.routers)
        }

    def foreign_now(self) -> list[tuple[VirtualMapping, ...]]:
        """Return what others have mapped, as it is now."""
        return [
            tuple(row for row in router.mappings if self._is_foreign(row))
            for router in self.routers
        ]

    def ledger(self) -> dict[str, dict[str, Any]]:
        """Return the openings that are on Home Assistant's disk, by forward."""
        openings: dict[str, dict[str, Any]] = {}
        for index in range(len(self.routers)):
            path = self.config / ".storage" / f"{DOMAIN}.{entry_id(index)}"
            if path.exists():
                stored = json.loads(path.read_text())
                openings |= {opening["forward"]["id"]: opening for opening in stored["openings"]}
        return openings

    @staticmethod
    def _is_foreign(row: VirtualMapping) -> bool:
        return row.internal_host == "127.0.0.9"


@asynccontextmanager
async def furnished(  # noqa: PLR0913  all that can be chosen of a house
    environment: Path,
    config: Path,
    *,
    forwards: int,
    routers: Sequence[VirtualRouter],
    lease: int,
    close_after: int,
    refresh_interval: int = 10,
    strangers: bool = True,
) -> AsyncIterator[Home]:
    """Give a house whose Home Assistant has not been started yet.

    `lease` is in seconds and may be shorter than the form allows: a user would
    not wait for it, but this does.
    """
    ports: set[int] = set()
    while len(ports) < forwards:
        ports.add(free_port(routers[0].wans[0].host))
    plan = [
        _forward(index, port, len(routers), close_after, strangers=strangers)
        for index, port in enumerate(ports)
    ]
    async with AsyncExitStack() as stack:
        for router in routers:
            await stack.enter_async_context(router)
        if strangers:
            await _let_others_map(routers, plan)
        ha = RealHomeAssistant(environment, config)
        await prepare(environment, config, ha.port)
        options = {"refresh_interval": refresh_interval, "lease": lease}
        store_entries(
            config,
            [
                await stored_entry(
                    index, router.description_url, options, [f for f in plan if f.router == index]
                )
                for index, router in enumerate(routers)
            ],
        )
        home = Home(ha=ha, config=config, routers=routers, forwards=plan, foreign=())
        stack.push_async_callback(ha.kill)
        yield Home(
            ha=ha,
            config=config,
            routers=routers,
            forwards=plan,
            foreign=tuple(home.foreign_now()),
        )


def own_address() -> str:
    """Return an address of this process alone, where no other program takes the ports."""
    return f"127.2.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"


def _forward(index: int, port: int, routers: int, close_after: int, *, strangers: bool) -> Forward:
    number = index // routers
    return Forward(
        id=f"forward{index:04}",
        name=f"forward{index:04}",
        router=index % routers,
        port=port,
        protocols=("TCP", "UDP") if strangers and number % BOTH == 1 else ("TCP",),
        close_after=inf if number % UNTIL_CLOSED == 0 else close_after,
        taken=strangers and number % TAKEN == TAKEN - 1,
    )


async def _let_others_map(routers: Sequence[VirtualRouter], forwards: Sequence[Forward]) -> None:
    for index, forward in enumerate(forwards):
        if forward.taken or (index % NEIGHBOUR == 0 and len(forward.protocols) == 1):
            await routers[forward.router].add_foreign(
                protocol="TCP" if forward.taken else "UDP",
                external_port=forward.port,
                internal_host="127.0.0.9",
                internal_port=8080,
                description="Xbox",
            )


def store_entries(config: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Let Home Assistant have these config entries, and no others, when it starts."""
    version, minor_version = ENTRIES_VERSION
    (config / ".storage" / "core.config_entries").write_text(
        json.dumps(
            {
                "version": version,
                "minor_version": minor_version,
                "key": "core.config_entries",
                "data": {"entries": entries},
            }
        )
    )


async def stored_entry(
    index: int, url: str, options: dict[str, int], forwards: Sequence[Forward]
) -> dict[str, Any]:
    """Return what Home Assistant stores of a router, as its flow would have made it."""
    async with aiohttp.ClientSession() as session:
        [found] = await survey(session, url)
        info = (await describe(session, url)).info
    return {
        "created_at": LONG_AGO,
        "data": {"driver": "upnp", "url": url, "wan": found.wan.id},
        "disabled_by": None,
        "discovery_keys": {},
        "domain": DOMAIN,
        "entry_id": entry_id(index),
        "minor_version": 1,
        "modified_at": LONG_AGO,
        "options": options,
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "user",
        "subentries": [forward.subentry for forward in forwards],
        "title": f"Router {index}",
        "unique_id": info.unique_id,
        "version": 1,
    }


def entry_id(index: int) -> str:
    """Return the id of the config entry of a router."""
    return f"router{index}"
