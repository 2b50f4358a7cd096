"""The values that the virtual router is made of and shows."""

from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Literal, Self, override

type Key = tuple[str, int, str]
"""Protocol, external port, remote host: what makes a mapping that mapping (IGD §2.4.16)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFilter:
    """One of the sources that a PCP client allows (RFC 6887 §13.3)."""

    network: IPv4Network | IPv6Network
    port: int = 0
    """The port that it comes from; 0 for any."""

    def lets(self, source: str, port: int) -> bool:
        """Whether what comes from there may pass."""
        return ip_address(source) in self.network and self.port in (0, port)

    @override
    def __str__(self) -> str:
        """Say it in short."""
        return f"{self.network} port {self.port}" if self.port else str(self.network)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualMapping:
    """A row of the port mapping table."""

    protocol: str
    """"TCP" or "UDP"."""
    external_port: int
    internal_host: str
    internal_port: int
    remote_host: str = ""
    """The allowed source, an IPv4 address; "" for any."""
    enabled: bool = True
    description: str = ""
    lease: int = 0
    """Seconds as granted (as asked where the router ignores it); 0 is permanent."""
    expires: float | None = None
    """On the event loop's clock (`loop.time()`, monotonic); None for never."""
    filters: tuple[SourceFilter, ...] = ()
    """Of these sources any may pass; () is every source. PCP only."""
    made_by: Literal["UPnP", "PCP", "NAT-PMP"] = "UPnP"
    nonce: bytes = b""
    """Of the PCP client."""

    @property
    def key(self) -> Key:
        """What makes this mapping this mapping."""
        return (self.protocol, self.external_port, self.remote_host)

    def at(self, external_port: int) -> Self:
        """Return the same mapping of another external port."""
        return replace(self, external_port=external_port)

    def lets(self, source: str, port: int) -> bool:
        """Whether its filters let a packet pass that comes from there."""
        return not self.filters or any(allowed.lets(source, port) for allowed in self.filters)

    @override
    def __str__(self) -> str:
        """Say it in one line, for the demo."""
        return (
            f"{self.protocol} {self.external_port} → {self.internal_host}:{self.internal_port}"
            f" from {self.remote_host or ', '.join(map(str, self.filters)) or 'anywhere'}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wan:
    """A WAN connection that a router is made with."""

    kind: Literal["ip", "ppp"] = "ip"
    """WANIPConnection or WANPPPConnection."""
    external_address: str = "203.0.113.7"
    status: str = "Connected"
    """ConnectionStatus of the standard; a WAN that is not Connected relays nothing."""
    host: str | None = None
    """The address that mappings listen on; None for the router's `wan_host`."""
