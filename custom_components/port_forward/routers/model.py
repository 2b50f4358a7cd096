"""Frozen values that every driver takes and gives.

The words are the field's own: a *forward* is what the user wants to be able
to open, a *port mapping* is one rule that the router holds now.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Self, override

PORT_MIN = 1
PORT_MAX = 65535

_ANY_SOURCE = ("", "*", "0.0.0.0", "0.0.0.0/0", "::", "::/0")  # noqa: S104  # spellings; nothing is bound


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


EVERY_PORT = PortRange(first=PORT_MIN, last=PORT_MAX)

_OWNER = re.compile(r"(?:([A-Za-z0-9]+)-)?([A-Za-z0-9]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """The forward that a rule was made for, and the Home Assistant that has this forward.

    Both are ASCII letters and digits. `home` is "" in what an earlier version
    has made: it named the forward alone.
    """

    forward_id: str
    home: str = ""

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """Read what `str` gives; None for anything else."""
        found = _OWNER.fullmatch(text)
        return cls(forward_id=found[2], home=found[1] or "") if found else None

    def has_made(self, owner: Owner | None) -> bool:
        """Return whether a rule of this `owner` was made for the same forward of the same home.

        A rule that names no home counts as ours by its forward alone.
        """
        return (
            owner is not None
            and owner.forward_id == self.forward_id
            and owner.home in ("", self.home)
        )

    @override
    def __str__(self) -> str:
        """Return `home-forward`, or the forward alone, which `parse` reads back."""
        return f"{self.home}-{self.forward_id}" if self.home else self.forward_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Forward:
    """What the user wants to be able to open, with its host resolved.

    `id` names the forward for good, and `home` the Home Assistant that has it
    (ASCII letters and digits): drivers put both into the tag by which a rule is
    known as ours, see `Owner`. `internal_host` and
    `internal_host6` are where it leads over IPv4 and IPv6, None where it does
    not. The two ranges are of equal length and are mapped port by port in
    order; over IPv6 nothing is translated, so that they are equal there.
    `allowed_source` None means any source; a source is of the one family that
    the forward has. With `any_external_port` the router may choose another
    external port than the one that is asked for.

    `adopted` is the rule of the user's that the forward switches on and off,
    None for one that makes and deletes rules of its own. An adopted rule is as
    the user made it: it says by itself where it leads, and need not be one
    that we could make.
    """

    id: str
    name: str
    internal_host: IPv4Address | None
    internal_host6: IPv6Address | None = None
    protocols: tuple[Protocol, ...]
    external_ports: PortRange
    internal_ports: PortRange
    allowed_source: IPv4Network | IPv6Network | None = None
    any_external_port: bool = False
    adopted: PortMapping | None = None
    home: str = ""

    @property
    def hosts(self) -> tuple[IPv4Address | None, IPv6Address | None]:
        """Where it leads over IPv4 and over IPv6."""
        return self.internal_host, self.internal_host6

    def __post_init__(self) -> None:
        """Refuse a forward that could not be mapped one port to one port, or not limited."""
        if self.adopted is not None:
            return
        if not self.protocols or len(set(self.protocols)) != len(self.protocols):
            msg = "a forward needs each of its protocols once"
            raise ValueError(msg)
        if len(self.external_ports) != len(self.internal_ports):
            msg = "external and internal ports differ in number"
            raise ValueError(msg)
        if self.internal_host is None and self.internal_host6 is None:
            msg = "a forward leads nowhere"
            raise ValueError(msg)
        if self.internal_host6 is not None and self.external_ports != self.internal_ports:
            msg = "IPv6 translates no ports"
            raise ValueError(msg)
        if not self._source_fits():
            msg = "a source of another family would leave this one open to all"
            raise ValueError(msg)

    @property
    def owner(self) -> Owner:
        """What a rule that is made for it is tagged with."""
        return Owner(forward_id=self.id, home=self.home)

    def _source_fits(self) -> bool:
        if self.allowed_source is None:
            return True
        is_ipv4 = isinstance(self.allowed_source, IPv4Network)
        return (self.internal_host6 if is_ipv4 else self.internal_host) is None


@dataclass(frozen=True, kw_only=True, slots=True)
class PortMapping:
    """One rule as the router holds it.

    `internal_host` and `allowed_source` stay text, because routers show names,
    `*` and worse there, and a row must not get lost for it; `allowed_source`
    is "" for any in all that we ask for, see also `key`. `internal_ports` is
    None where the router shows none that make sense. `lease` is what remains
    of it as the router tells, None for a permanent mapping or a router that
    does not say. `id` is what its driver needs beside the key to renew or
    remove it (the nonce of PCP, the id of a pinhole or of a rule) and nobody
    else looks at. `hits` is how many packets or connections it has let in,
    None where the router does not count.
    """

    protocols: tuple[Protocol, ...]
    external_ports: PortRange
    internal_host: str
    internal_ports: PortRange | None
    allowed_source: str = ""
    enabled: bool = True
    description: str = ""
    lease: timedelta | None = None
    id: str = ""
    hits: int | None = None

    @property
    def is_pinhole(self) -> bool:
        """Tell whether it lets packets through to an IPv6 address instead of translating them."""
        return ":" in self.internal_host

    @property
    def key(self) -> str:
        """What makes it this rule and no other: the packets that it applies to.

        Those of a pinhole are sent to the internal host itself. All spellings
        of "any source" are one. A router that takes them for two rules
        (miniupnpd, Q18) may so show two rows of one key.
        """
        protocols = "+".join(sorted(self.protocols))
        source = "" if self.allowed_source in _ANY_SOURCE else self.allowed_source
        key = f"{protocols}/{self.external_ports}/{source}"
        return f"{key}/{self.internal_host}" if self.is_pinhole else key

    @property
    def target(self) -> str:
        """Where it leads, for people and for comparing."""
        host = f"[{self.internal_host}]" if self.is_pinhole else self.internal_host
        return f"{host}:{self.internal_ports or '?'}"

    def same_rule(self, other: PortMapping) -> bool:
        """Tell whether both are the same rule with the same target."""
        return self.key == other.key and self.target == other.target


class Listing(StrEnum):
    """How much of its port mappings a router shows."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


class Leases(StrEnum):
    """What a router does with a lease; UNKNOWN until the first opening tells.

    UNPROVEN is of one that would have to be seen closing by itself first.
    """

    UNKNOWN = "unknown"
    UNPROVEN = "unproven"
    KEPT = "kept"
    IGNORED = "ignored"
    PERMANENT_ONLY = "permanent_only"


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a driver can do on this very router: said, never guessed.

    None means that only trying will tell. `chooses_external_port` says that
    the router may grant another external port where the forward allows it,
    `disabled_rules` that its rules can be switched off without being deleted:
    only these can be adopted; `connection_table` that `Router.connections`
    tells.
    """

    listing: Listing
    leases: Leases
    allowed_source: bool | None
    other_hosts: bool | None
    port_ranges: bool
    both_protocols: bool
    ipv6: bool | None = False
    chooses_external_port: bool = False
    hit_counters: bool | None = False
    disabled_rules: bool = False
    connection_table: bool | None = False

    @property
    def closes_by_itself(self) -> bool:
        """Tell whether the router closes a mapping when Home Assistant is gone."""
        return self.leases is Leases.KEPT

    @property
    def never_closes(self) -> bool:
        """Tell whether it is known that the router does not: then it is for us alone."""
        return self.leases in (Leases.IGNORED, Leases.PERMANENT_ONLY)

    @property
    def may_never_close(self) -> bool:
        """Tell whether that is to be expected as long as nobody has seen anything else."""
        return self.never_closes or self.leases is Leases.UNPROVEN


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """One connection over IPv4 that the router lets through at one moment.

    `source` began it, and asked for `destination`. `target` is who answers:
    another than `destination` where a port mapping leads it on. `answered`
    tells whether anything has come back yet. Of UDP it is what the router
    remembers of packets to and fro.
    """

    protocol: Protocol
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int
    target: IPv4Address
    target_port: int
    answered: bool


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

    `external_address` is None when the router has none or says nonsense;
    `external_address6` is the address of this machine on the IPv6 internet.
    `uptime` is that of the WAN connection; `boot_id` is another one whenever
    the router is known to have begun anew. Both tell a restart, see
    `restarted_since`. Unknown parts are None.
    """

    taken_at: datetime
    external_address: IPv4Address | None
    connected: bool | None
    uptime: timedelta | None
    mappings: tuple[PortMapping, ...]
    external_address6: IPv6Address | None = None
    boot_id: str | None = None

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
        if self.boot_id and earlier.boot_id and self.boot_id != earlier.boot_id:
            return True
        if self.uptime is None or earlier.uptime is None or self.uptime == earlier.uptime:
            return False
        expected = earlier.uptime + (self.taken_at - earlier.taken_at)
        return self.uptime < earlier.uptime or self.uptime < expected - timedelta(minutes=2)
