"""An opening: one period in which a forward is open."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from ..routers.model import Forward, PortMapping
from .activity import Reason


class Phase(StrEnum):
    """How far an opening has come, so that a restart knows what it may find.

    OPENING: the router may hold some of the mappings. OPEN: it held them all.
    LOST: the router lost them and they are to be made again. CLOSING: whatever
    it still holds has to go.
    """

    OPENING = "opening"
    OPEN = "open"
    LOST = "lost"
    CLOSING = "closing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """One period in which a forward is open.

    `forward` is as it was when opened, whatever the user has edited since, and
    lets in no more than `limit`, the source that this opening was asked for;
    None for that of the forward itself.
    `deadline` is when it has to be closed, None for until somebody closes it;
    `asked_at` is when that was last said. `lease_until` is when the router
    lets go of the mappings unless they are renewed; None when it does not.
    `opened_by` is the id of the user who opened it, `reason` why it is lost or
    being closed. All times are UTC.
    """

    forward: Forward
    mappings: tuple[PortMapping, ...]
    phase: Phase
    opened_at: datetime
    asked_at: datetime
    deadline: datetime | None = None
    opened_by: str | None = None
    lease_until: datetime | None = None
    reason: Reason | None = None
    limit: IPv4Network | IPv6Network | None = None

    @property
    def external_ports(self) -> str:
        """Where it can be reached from outside: `8080`, or `tcp 8080, udp 8081` where they differ.

        The router may have granted others than the forward asks for.
        """
        granted: dict[str, list[str]] = {}
        for mapping in self.mappings:
            for protocol in mapping.protocols:
                granted.setdefault(protocol, []).append(str(mapping.external_ports))
        asked = {str(self.forward.external_ports), *map(str, self.forward.external_ports)}
        if all(asked.issuperset(ports) for ports in granted.values()):
            return str(self.forward.external_ports)
        ports = {protocol: ", ".join(dict.fromkeys(rows)) for protocol, rows in granted.items()}
        if len(set(ports.values())) == 1:
            return next(iter(ports.values()))
        return ", ".join(f"{protocol} {rows}" for protocol, rows in ports.items())

    def within(self, phase: Phase, reason: Reason | None = None) -> Opening:
        """Return the same opening in another phase, for this reason or the one it has."""
        return replace(self, phase=phase, reason=reason or self.reason)

    def is_overdue(self, now: datetime) -> bool:
        """Tell whether it should be closed by now."""
        return self.deadline is not None and self.deadline <= now
