"""Whether a port is taken: fw4 accepts any number of redirects for it, and the first decides."""

from collections.abc import Iterable

from ..model import PortMapping
from ..refusals import conflict, named
from ..rule_texts import network_of
from .clock import RouterClock
from .sections import Section, is_forward, read_mapping


def check_free(
    wanted: PortMapping, zone: str, sections: Iterable[Section], clock: RouterClock
) -> None:
    """Raise PortConflictError when one of these redirects is for some of the same packets.

    Rules that let IPv6 through are never in each other's way.
    """
    if wanted.is_pinhole:
        return
    for section in sections:
        if not is_forward(section) or section.text("src") != zone:
            continue
        row = read_mapping(section, clock)
        if row is not None and row.enabled and _same_packets(wanted, row):
            raise conflict(wanted, named(row.target, row.description))


def _same_packets(wanted: PortMapping, row: PortMapping) -> bool:
    return (
        row.external_ports.overlaps(wanted.external_ports)
        and bool(set(row.protocols) & set(wanted.protocols))
        and _share_sources(wanted.allowed_source, row.allowed_source)
    )


def _share_sources(ours: str, theirs: str) -> bool:
    """Tell whether a packet may come from both; what is no network may be anything."""
    first, second = network_of(ours), network_of(theirs)
    if first is None or second is None:
        return True
    return first.version == second.version and first.overlaps(second)
