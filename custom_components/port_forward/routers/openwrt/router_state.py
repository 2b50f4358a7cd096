"""What the router says about itself now: its time, its network, its rules in force."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo

from ..errors import (
    MissingRightsError,
    NotClosedError,
    NotMappedError,
    ProtocolError,
    RouterError,
)
from ..model import PortMapping
from .clock import RouterClock, parse_date, read_clock, zone_of
from .network import Network, read_network
from .rendered import Rendered, find_rendered, list_rendered
from .sections import Section
from .ubus import Ubus

_PAUSE = 0.5  # seconds between two looks at the rules
_HOUR = timedelta(hours=1)


class RouterState:
    """Asks one router."""

    def __init__(self, ubus: Ubus, now: Callable[[], datetime], *, patience: float) -> None:
        """Take the bus; `patience` is how many seconds the firewall may take to load its rules."""
        self._ubus = ubus
        self._now = now
        self._patience = patience
        self._time_zone: tzinfo | None = None
        self.zone_name = ""
        """The zone of the internet as it was told or found before, see `Network.zone`."""

    @property
    def host(self) -> str:
        """The router, for messages."""
        return self._ubus.host

    async def clock(self) -> RouterClock:
        """Return what the router's clock shows."""
        data = await self._ubus.read("system", "info")
        localtime = data.get("localtime")
        if not isinstance(localtime, int):
            raise ProtocolError(host=self.host, detail="system info without a time")
        try:
            return read_clock(localtime, self._now(), self._time_zone)
        except ValueError, OverflowError, OSError:
            raise ProtocolError(host=self.host, detail="a time that is none") from None

    async def learn_zone(self) -> None:
        """Find out the router's time zone, where the rights allow."""
        self._time_zone = None
        if self._ubus.rights.time_zone:
            try:
                data = await self._ubus.read("uci", "get", config="system", type="system")
            except MissingRightsError:
                return  # Taken away since the last login, which is what `rights` are from.
            match data.get("values"):
                case dict(values):
                    for row in values.values():
                        match row:
                            case {"timezone": str(tz)}:
                                self._time_zone = zone_of(tz)

    async def network(self, sections: Sequence[Section]) -> Network:
        """Return interfaces and zones."""
        dump = await self._ubus.read("network.interface", "dump")
        return read_network(dump, sections, self.zone_name)

    async def rules(self) -> tuple[Rendered, ...] | None:
        """Return the rules in force, None where the rights do not allow it."""
        return await list_rendered(self._ubus) if self._ubus.rights.rules else None

    async def until_rendered(
        self, wanted: Sequence[tuple[PortMapping, Section]]
    ) -> list[int | None]:
        """Wait until the firewall has these sections, and return the hits of each.

        Raises NotMappedError for one that it has skipped. None of it, and no
        hits, where the rules may not be looked at.
        """
        late: list[PortMapping] = []

        def judge(rules: tuple[Rendered, ...]) -> list[int | None] | None:
            late[:] = [m for m, section in wanted if not _is_in_force(m, section, rules)]
            return None if late else [hits_of(m, section, rules) for m, section in wanted]

        return await self._watch(
            judge,
            [None] * len(wanted),
            lambda: NotMappedError(port=str(late[0].external_ports)),
        )

    async def until_gone(self, mapping: PortMapping, zone: str) -> None:
        """Wait until the firewall has nothing of a mapping any more, or raise NotClosedError."""

        def judge(rules: tuple[Rendered, ...]) -> list[Rendered] | None:
            name = mapping.description
            left = [r for r in find_rendered(mapping, zone, rules) if name in ("", r.name)]
            return None if left else []

        nothing: list[Rendered] = []
        await self._watch(judge, nothing, lambda: NotClosedError(port=str(mapping.external_ports)))

    async def _watch[T](
        self,
        judge: Callable[[tuple[Rendered, ...]], T | None],
        unknown: T,
        failure: Callable[[], RouterError],
    ) -> T:
        """Look at the rules until `judge` is content: procd loads them a moment after a change."""
        end = asyncio.get_running_loop().time() + self._patience
        while True:
            rules = await self.rules()
            if rules is None:
                return unknown
            if (verdict := judge(rules)) is not None:
                return verdict
            remaining = end - asyncio.get_running_loop().time()
            if remaining <= 0:
                raise failure()
            await asyncio.sleep(min(_PAUSE, remaining))


def hits_of(mapping: PortMapping, section: Section, rules: tuple[Rendered, ...]) -> int | None:
    """Return how many connections a section has let in since the rules were loaded."""
    found = find_rendered(mapping, section.text("src"), rules)
    return sum(rule.hits for rule in found) if found else None


def _is_in_force(mapping: PortMapping, section: Section, rules: tuple[Rendered, ...]) -> bool:
    """Tell whether each protocol of a section has its rule, with the right end.

    In a night when the clocks change, nft shows another hour than it was given.
    """
    found = find_rendered(mapping, section.text("src"), rules)
    stop_date = parse_date(section.text("stop_date"))
    in_time = {
        rule.protocol
        for rule in found
        if (rule.until is None) == (stop_date is None)
        and (rule.until is None or stop_date is None or abs(rule.until - stop_date) <= _HOUR)
    }
    return in_time == set(mapping.protocols)
