"""Frozen values that every driver takes and gives.

The words are the field's own: a *forward* is what the user wants to be able
to open, a *port mapping* is one rule that the router holds now.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Self, override

PORT_MIN = 1
PORT_MAX = 65535

_ANY_SOURCE = ("", "*", "0.0.0.0", "0.0.0.0/0")  # noqa: S104  # spellings; nothing is bound


class Protocol(StrEnum):
    """A transport protocol that can be forwarded."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, kw_only=True, slots=True)
class PortRange:
    """Ports from `first` to `last`, both included; one port has both equal.

    Raises ValueError for a port outside 1-65535 or a reversed range: port 0
    means "every port" to some routers, so it must not exist as a value.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        """Refuse what no router must ever be sent."""
        if not PORT_MIN <= self.first <= self.last <= PORT_MAX:
            msg = f"not a range of ports: {self.first}-{self.last}"
            raise ValueError(msg)

    @classmethod
    def single(cls, port: int) -> Self:
        """Return the range that holds just one port."""
        return cls(first=port, last=port)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `8080` or `8000-8010`; raises ValueError for anything else."""
        first, dash, last = (part.strip() for part in text.partition("-"))
        if not all(part.isascii() and part.isdigit() for part in (first, last or first)):
            msg = f"not a port or a range of ports: {text}"
            raise ValueError(msg)
        if dash and not last:
            msg = f"a range without its end: {text}"
            raise ValueError(msg)
        return cls(first=int(first), last=int(last or first))

    def __len__(self) -> int:
        """Return how many ports the range holds."""
        return self.last - self.first + 1

    def __iter__(self) -> Iterator[int]:
        """Iterate over the ports, lowest first."""
        return iter(range(self.first, self.last + 1))

    def overlaps(self, other: PortRange) -> bool:
        """Tell whether a port is in both ranges."""
        return self.first <= other.last and other.first <= self.last

    @override
    def __str__(self) -> str:
        """Return `8080` or `8000-8010`, which `parse` reads back."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Forward:
    """What the user wants to be able to open, with its host resolved.

    `id` names the forward for good (ASCII letters and digits): drivers put it
    into the tag by which a rule is known as ours. The two ranges are of equal
    length and are mapped port by port in order. `allowed_source` None means
    any source.
    """

    id: str
    name: str
    internal_host: IPv4Address
    protocols: tuple[Protocol, ...]
    external_ports: PortRange
    internal_ports: PortRange
    allowed_source: IPv4Network | None = None

    def __post_init__(self) -> None:
        """Refuse a forward that could not be mapped one port to one port."""
        if not self.protocols or len(set(self.protocols)) != len(self.protocols):
            msg = "a forward needs each of its protocols once"
            raise ValueError(msg)
        if len(self.external_ports) != len(self.internal_ports):
            msg = "external and internal ports differ in number"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True, slots=True)
class PortMapping:
    """One rule as the router holds it.

    `internal_host` and `allowed_source` stay text, because routers show names,
    `*` and worse there, and a row must not get lost for it; `allowed_source`
    is "" for any in all that we ask for, see also `key`. `internal_ports` is
    None where the router shows none that make sense. `lease` is what remains
    of it as the router tells, None for a permanent mapping or a router that
    does not say.
    """

    protocols: tuple[Protocol, ...]
    external_ports: PortRange
    internal_host: str
    internal_ports: PortRange | None
    allowed_source: str = ""
    enabled: bool = True
    description: str = ""
    lease: timedelta | None = None

    @property
    def key(self) -> str:
        """What makes it this rule and no other: the packets that it applies to.

        All spellings of "any source" are one. A router that takes them for two
        rules (miniupnpd, Q18) may so show two rows of one key.
        """
        protocols = "+".join(sorted(self.protocols))
        source = "" if self.allowed_source in _ANY_SOURCE else self.allowed_source
        return f"{protocols}/{self.external_ports}/{source}"

    @property
    def target(self) -> str:
        """Where it leads, for people and for comparing."""
        return f"{self.internal_host}:{self.internal_ports or '?'}"

    def same_rule(self, other: PortMapping) -> bool:
        """Tell whether both are the same rule with the same target."""
        return self.key == other.key and self.target == other.target


class Listing(StrEnum):
    """How much of its port mappings a router shows."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


class Leases(StrEnum):
    """What a router does with a lease; UNKNOWN until the first opening tells."""

    UNKNOWN = "unknown"
    KEPT = "kept"
    IGNORED = "ignored"
    PERMANENT_ONLY = "permanent_only"


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a driver can do on this very router: said, never guessed.

    None means that only trying will tell.
    """

    listing: Listing
    leases: Leases
    allowed_source: bool | None
    other_hosts: bool | None
    port_ranges: bool
    both_protocols: bool

    @property
    def closes_by_itself(self) -> bool:
        """Tell whether the router closes a mapping when Home Assistant is gone."""
        return self.leases is Leases.KEPT


@dataclass(frozen=True, kw_only=True, slots=True)
class RouterInfo:
    """Who the router is. `unique_id` outlives reboots and address changes."""

    unique_id: str
    name: str
    manufacturer: str | None = None
    model: str | None = None
    version: str | None = None
    serial_number: str | None = None
    configuration_url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What the router holds at one moment.

    `external_address` is None when the router has none or says nonsense.
    `uptime` is that of the WAN connection and tells a restart, see
    `restarted_since`. Unknown parts are None.
    """

    taken_at: datetime
    external_address: IPv4Address | None
    connected: bool | None
    uptime: timedelta | None
    mappings: tuple[PortMapping, ...]

    def find(self, wanted: PortMapping) -> PortMapping | None:
        """Return the row with the key of `wanted`, whoever owns it, or None.

        Where two rows have it, the one that leads where `wanted` does.
        """
        rows = [row for row in self.mappings if row.key == wanted.key]
        return next((row for row in rows if row.target == wanted.target), rows[0] if rows else None)

    def restarted_since(self, earlier: Snapshot) -> bool:
        """Tell whether the router, or its WAN connection, began anew in between.

        Uptime is compared with the clock and not just with the last value: a
        router that restarted long before the next look may already be up for
        longer than it was then. Two minutes cover clocks that drift and
        routers that count in coarse steps. An uptime that stands still is not
        counted by the router and tells nothing.
        """
        if self.uptime is None or earlier.uptime is None or self.uptime == earlier.uptime:
            return False
        expected = earlier.uptime + (self.taken_at - earlier.taken_at)
        return self.uptime < earlier.uptime or self.uptime < expected - timedelta(minutes=2)
