"""All that the router holds at one moment, as rows and as mappings."""

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace

from ..model import PortMapping
from ..tag import owner_in
from .admission import LISTS, MARK, shortest
from .rest import Rest, RestError, Row
from .rules import FILTER6, NAT, list_of, read_filter6, read_nat
from .wan import Wan
from .words import is_on

IPV6 = "ipv6"
"""Key of `learned`: `yes`, or `no` where the router has no IPv6 menus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rules of both families and the addresses in our lists."""

    wan: Wan
    nat: Sequence[Row]
    filter6: Sequence[Row]
    admitted: Sequence[Row]
    admitted6: Sequence[Row]

    def mappings(self) -> Iterator[PortMapping]:
        """Iterate over the mappings that lead in from the internet, in the order of the rules.

        Those with our tag are shown wherever they listen: the WAN may be
        another one since they were made, and they have to be closed.
        """
        for rows, read, admitted in (
            (self.nat, read_nat, self.admitted),
            (self.filter6, read_filter6, self.admitted6),
        ):
            for row in rows:
                if self.wan.hears(row) or owner_in(row.get("comment", "")):
                    for mapping in read(row):
                        yield _timed(row, mapping, admitted)


async def read_table(rest: Rest, wan: Wan, learned: MutableMapping[str, str]) -> Table:
    """Read all of it."""
    nat = await rest.rows(NAT)
    admitted = await rest.rows(LISTS[4], {"comment": MARK})
    filter6 = await read_filter6_rows(rest, learned)
    return Table(
        wan=wan,
        nat=nat,
        filter6=filter6,
        admitted=admitted,
        admitted6=await rest.rows(LISTS[6], {"comment": MARK}) if filter6 else (),
    )


async def read_filter6_rows(rest: Rest, learned: MutableMapping[str, str]) -> Sequence[Row]:
    """Read the IPv6 firewall; a router without one has no rules there."""
    try:
        rows = await rest.rows(FILTER6)
    except RestError as error:
        if not error.is_unknown_menu:
            raise
        learned[IPV6] = "no"
        return ()
    learned[IPV6] = "yes"
    return rows


def _timed(row: Row, mapping: PortMapping, admitted: Sequence[Row]) -> PortMapping:
    """Return a mapping of ours with what its list says: nobody in it is nobody let in."""
    owner = owner_in(mapping.description)
    name = row.get("src-address-list")
    if owner is None or name != list_of(owner):
        return mapping
    entries = [
        entry
        for entry in admitted
        if entry.get("list") == name and not is_on(entry.get("disabled"))
    ]
    return replace(mapping, enabled=mapping.enabled and bool(entries), lease=shortest(entries))
