"""Which lease to ask for, and what a router made of it."""

from collections.abc import Collection, Mapping, MutableMapping
from datetime import timedelta

from ..model import Leases, PortMapping

LEASES = "leases"
NO_TIMED_LEASE = "no_timed_lease"
NO_PERMANENT_LEASE = "no_permanent_lease"
"""Keys of `learned`; the values are those of `Leases`, and `yes`."""

PERMANENT = 0
WEEK = 604800  # seconds; the longest lease that WANIPConnection:2 section 2.3.16 knows

_TELLS_NOTHING = 10
"""Seconds. miniupnpd counts whole ones, so that a lease of one may read as 0 at once: no end."""

_INVALID_ARGS = 402
_ONLY_PERMANENT = 725


def ladder(lease: timedelta, learned: Mapping[str, str]) -> tuple[int, ...]:
    """Return the leases to ask for in turn, in whole seconds, each once.

    First the one that is wanted, the only step most routers ever see. Then a
    permanent one, for the routers that know no other (725: MikroTik, Zyxel,
    Nighthawk, Q01; 402: ARRIS NVG578LX, Q02). Last a week, for those that
    refuse that too (net-tools#52, Q03). A lease longer than wanted is asked
    for in no other case, and even then Home Assistant closes in time: the
    router's lease is the net below that. Steps that this router refused
    before are left out, so that the next opening needs one request again.
    """
    seconds = int(lease.total_seconds())
    wanted = (seconds,) if seconds != PERMANENT and NO_TIMED_LEASE not in learned else ()
    permanent = (PERMANENT,) if NO_PERMANENT_LEASE not in learned else ()
    return tuple(dict.fromkeys((*wanted, *permanent, WEEK)))


def may_be_the_lease(code: int, asked: int, learned: Mapping[str, str]) -> bool:
    """Tell whether another lease may be accepted where this one was refused with `code`.

    A router that is known to keep leases has another reason to answer one with
    402, and must not be asked for a permanent mapping then.
    """
    if asked == PERMANENT:
        return code == _INVALID_ARGS
    return code == _ONLY_PERMANENT or (code == _INVALID_ARGS and learned.get(LEASES) != Leases.KEPT)


def remember(
    learned: MutableMapping[str, str], refused: Collection[int], asked: int, granted: PortMapping
) -> None:
    """Note what the router did with the lease `asked`, after refusing those in `refused`."""
    if any(lease != PERMANENT for lease in refused):
        learned[NO_TIMED_LEASE] = "yes"
    if PERMANENT in refused:
        learned[NO_PERMANENT_LEASE] = "yes"
    if granted.lease is not None:
        # What it reports is what counts, be it clamped to a week (miniupnpd, Q04).
        learned[LEASES] = Leases.KEPT
    elif asked > _TELLS_NOTHING:
        learned[LEASES] = Leases.IGNORED
    elif NO_TIMED_LEASE in learned:
        learned[LEASES] = Leases.PERMANENT_ONLY
