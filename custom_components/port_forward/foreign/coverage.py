"""Which mappings show what others have opened: compared port by port.

One protocol shows a range as one row, and another as a row for each port.
"""

from collections.abc import Iterable

from ..routers.model import PortMapping

type _Lead = tuple[str, str, int]
"""A protocol, an internal host, and by how much its ports are moved."""


class Coverage:
    """The external ports that some mappings open, by where they lead."""

    def __init__(self, mappings: Iterable[PortMapping]) -> None:
        """Take the mappings; those whose ports are not moved one by one open nothing here."""
        self._spans: dict[_Lead, list[tuple[int, int]]] = {}
        for mapping in mappings:
            for lead in _leads(mapping):
                ports = mapping.external_ports
                self._spans.setdefault(lead, []).append((ports.first, ports.last))
        for spans in self._spans.values():
            spans.sort()

    def covers(self, row: PortMapping) -> bool:
        """Return whether each port of each protocol of `row` is opened to where that leads."""
        leads = _leads(row)
        return bool(leads) and all(self._spans_all(lead, row) for lead in leads)

    def _spans_all(self, lead: _Lead, row: PortMapping) -> bool:
        port = row.external_ports.first
        for first, last in self._spans.get(lead, ()):
            if first <= port <= last:
                port = last + 1
        return port > row.external_ports.last


def _leads(mapping: PortMapping) -> list[_Lead]:
    external, internal = mapping.external_ports, mapping.internal_ports
    if internal is None or len(internal) != len(external):
        return []
    host, offset = mapping.internal_host.lower(), internal.first - external.first
    return [(protocol, host, offset) for protocol in mapping.protocols]
