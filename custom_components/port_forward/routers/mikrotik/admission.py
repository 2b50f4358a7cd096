"""The address list that lets sources in for a while: the dead man's switch of our rules.

An address with a timeout is kept in RAM and leaves the list by itself at its
end and at a reboot. A rule that asks for a list without addresses matches
nothing, so what nobody renews is closed. The scheduler would be the other way,
but device-mode `home`, the factory setting since 7.17, switches it off.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network

from ..errors import NotMappedError
from ..leases import counts
from ..model import Leases
from ..rule_texts import network_of
from .rest import ID, Rest, RestError, Row
from .words import LONGEST, duration, duration_of, is_on

LISTS: Mapping[int, str] = {4: "ip/firewall/address-list", 6: "ipv6/firewall/address-list"}
"""The menus by the IP version."""

MARK = "home-assistant-port-forward"
"""The comment of all our addresses, by which they are listed in one request."""

ANY_SOURCE = "any_source"
REFRESH = "refresh"
LEASES = "leases"
"""Keys of `learned`: `whole` or `halves`; `patch` or `replace`; those of `Leases`."""

_ANY: Mapping[int, Mapping[str, Sequence[str]]] = {
    4: {"whole": ("0.0.0.0/0",), "halves": ("0.0.0.0/1", "128.0.0.0/1")},
    6: {"whole": ("::/0",), "halves": ("::/1", "8000::/1")},
}
# Between the request and the look at what became of it.
_TOLERANCE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Admission:
    """The address list of one forward in one family."""

    rest: Rest
    name: str
    version: int
    learned: MutableMapping[str, str]

    async def grant(
        self, source: IPv4Network | IPv6Network | None, lease: timedelta, *, port: str
    ) -> timedelta | None:
        """Let `source` in, None for any, for `lease` from now; zero for no end.

        Return what remains as the router tells, None for no end. Raises
        NotMappedError for `port` when the list is not what was asked for.
        """
        if source is not None and source.prefixlen:
            forms: Sequence[Sequence[str]] = ((str(source),),)
        else:
            known = self.learned.get(ANY_SOURCE)
            by_name = _ANY[self.version]
            forms = [by_name[name] for name in sorted(by_name, key=lambda name: name != known)]
        for addresses in forms:
            wanted = [network for text in addresses if (network := network_of(text))]
            try:
                await self._fill(wanted, lease)
            except RestError:
                if addresses is forms[-1]:
                    raise
                continue
            rows = await self._rows()
            if {network_of(row.get("address", "")) for row in rows} == set(wanted):
                self._note_form(addresses)
                return self._remaining(rows, lease)
        raise NotMappedError(port=port)

    async def clear(self) -> None:
        """Let nobody in."""
        for row in await self._rows():
            await self.rest.remove(self._path, row[ID])

    @property
    def _path(self) -> str:
        return LISTS[self.version]

    async def _rows(self) -> Sequence[Row]:
        return [row for row in await self.rest.rows(self._path, {"list": self.name}) if ID in row]

    async def _fill(self, wanted: Sequence[IPv4Network | IPv6Network], lease: timedelta) -> None:
        """Make the list hold `wanted` and nothing else; what is there too much goes first."""
        held: list[IPv4Network | IPv6Network | None] = []
        for row in await self._rows():
            network = network_of(row.get("address", ""))
            is_good = network in wanted and not is_on(row.get("disabled"))
            if is_good and await self._refresh(row, lease):
                held.append(network)
            else:
                await self.rest.remove(self._path, row[ID])
        for network in wanted:
            if network not in held:
                await self._add(network, lease)

    async def _add(self, network: IPv4Network | IPv6Network, lease: timedelta) -> None:
        timeout = {"timeout": duration(lease)} if lease else {}
        values = {"list": self.name, "address": str(network), "comment": MARK, **timeout}
        await self.rest.add(self._path, values)

    async def _refresh(self, row: Row, lease: timedelta) -> bool:
        """Renew an address that is there; tell if that was not possible.

        No one has seen whether the timeout of a dynamic address can be changed
        by REST: it is tried once, and remembered. Where not, it is taken away
        and added anew; for the moment between, nobody new gets in.
        """
        is_timed = "timeout" in row
        if not is_timed and not lease:
            return True
        if is_timed and lease and self.learned.get(REFRESH) != "replace":
            if await self._patch(row, lease):
                self.learned[REFRESH] = "patch"
                return True
            self.learned[REFRESH] = "replace"
        return False

    async def _patch(self, row: Row, lease: timedelta) -> bool:
        try:
            await self.rest.set(self._path, row[ID], {"timeout": duration(lease)})
        except RestError:
            return False
        now = await self.rest.row(self._path, row[ID])
        remaining = duration_of(now.get("timeout", "")) if now else None
        asked = min(lease, LONGEST)
        return remaining is not None and asked - _TOLERANCE <= remaining <= asked

    def _note_form(self, addresses: Sequence[str]) -> None:
        for name, form in _ANY[self.version].items():
            if form == addresses:
                self.learned[ANY_SOURCE] = name

    def _remaining(self, rows: Sequence[Row], lease: timedelta) -> timedelta | None:
        remaining = shortest(rows)
        if remaining is not None and not counts(remaining, lease, _TOLERANCE):
            remaining = None
        if lease:
            self.learned[LEASES] = Leases.KEPT if remaining is not None else Leases.IGNORED
        return remaining


def shortest(rows: Sequence[Row]) -> timedelta | None:
    """Return when the first of the addresses leaves the list, None when none does."""
    ends = [end for row in rows if (end := duration_of(row.get("timeout", ""))) is not None]
    return min(ends, default=None)
