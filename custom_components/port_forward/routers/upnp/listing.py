"""Reading the whole table of port mappings: in bulk where that is safe, else row by row."""

import asyncio
from collections.abc import Iterator, MutableMapping

from ..errors import ProtocolError
from ..model import Listing, PortMapping, Protocol
from .soap import UpnpFault
from .wan import WanConnection

BULK = "bulk"
LISTING = "listing"
"""Keys of `learned`; the values are `no`, and those of `Listing`."""

CUT = "cut"
"""Key of `learned`, there while the router has more rows than were read."""

FULL_TABLE = 32
"""Rows in the smallest table known (Linksys, Q08): with fewer there should be room."""

_BULK_GUARD = 100
_LAST_INDEX = 1023
_LONGEST_WALK = 30.0
"""Seconds. A device of the home may have filled the table, and the next look is due in 60."""
_END_CODES = (713, 714, 402)


async def read_table(
    wan: WanConnection, learned: MutableMapping[str, str]
) -> tuple[PortMapping, ...]:
    """Return every row that the router shows.

    The bulk list of IGD:2 is one request for each protocol in place of one for
    each row, but kills miniupnpd 2.3.1 when more than 128 rows match, whatever
    number is asked for (Q23). So row 100 is asked for first, and only a router
    that has none is asked in bulk. One that refuses (401 or 606: miniupnp#462,
    #665, Q24) or garbles its answer is remembered and never asked so again.
    """
    if wan.service.version > 1 and BULK not in learned and not await _has_row(wan, _BULK_GUARD):
        try:
            rows = await wan.bulk(Protocol.TCP) + await wan.bulk(Protocol.UDP)
        except ProtocolError:
            learned[BULK] = "no"
        else:
            learned.pop(CUT, None)
            return rows
    return await _walk(wan, learned)


async def _has_row(wan: WanConnection, index: int) -> bool:
    """Tell whether there may be such a row; only a clear no is one."""
    try:
        await wan.entry(index)
    except UpnpFault as fault:
        return fault.code not in _END_CODES
    except ProtocolError:
        return True
    return True


async def _walk(wan: WanConnection, learned: MutableMapping[str, str]) -> tuple[PortMapping, ...]:
    """Read row by row to the end.

    The end is 713, 714 (DD-WRT), 402 (TP-Link R460), or whatever else goes
    wrong twice in a row, such as a body that is no XML (Actiontec MI424, Q20):
    once may be one bad row, which must not hide the others. Lists without an
    end begin to repeat themselves (Q21), or are cut where no table reaches
    that was not filled on purpose, or when it takes too long. Then `CUT` says so.
    """
    began = asyncio.get_running_loop().time()
    rows: list[PortMapping] = []
    identities: set[str] = set()
    failed_before = False
    if learned.get(LISTING) == Listing.NONE:
        del learned[LISTING]
    learned[CUT] = "yes"
    for index, is_again in _indices(wan):
        if asyncio.get_running_loop().time() - began > _LONGEST_WALK:
            return tuple(rows)
        deleted = wan.deleted
        try:
            row = await wan.entry(index)
        except ProtocolError as error:
            if wan.deleted != deleted:
                continue  # The list became shorter before it was asked for that.
            if _is_end(error) or failed_before:
                _note_refusal(error, index, learned)
                break
            failed_before = True
            continue
        failed_before = False
        if row is None or (is_again and _identity(row) in identities):
            continue
        if _identity(row) in identities:
            break
        identities.add(_identity(row))
        rows.append(row)
    else:
        return tuple(rows)
    learned.pop(CUT, None)
    return tuple(rows)


def _is_end(error: ProtocolError) -> bool:
    return isinstance(error, UpnpFault) and error.code in _END_CODES


def _note_refusal(error: ProtocolError, index: int, learned: MutableMapping[str, str]) -> None:
    """Note a router that lists nothing: no end of the list, but a refusal from the start."""
    if index == 1 and isinstance(error, UpnpFault) and not _is_end(error):
        learned[LISTING] = Listing.NONE


def _identity(row: PortMapping) -> str:
    return f"{row.key} {row.allowed_source} {row.target}"


def _indices(wan: WanConnection) -> Iterator[tuple[int, bool]]:
    """Iterate over the indices to read, and whether one was read before.

    What we close meanwhile leaves the list, and all rows behind it move up:
    before or after the request that was under way, so that one is asked for again.
    """
    index, highest, deleted = 0, -1, wan.deleted
    while index <= _LAST_INDEX:
        yield index, index <= highest
        highest = max(highest, index)
        moved, deleted = wan.deleted - deleted, wan.deleted
        index = max(index - moved, 0) if moved else index + 1
