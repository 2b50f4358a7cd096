"""The values that the virtual router is made of and shows."""

from dataclasses import dataclass
from typing import Literal, override

type Key = tuple[str, int, str]
"""Protocol, external port, remote host: what makes a mapping that mapping (IGD §2.4.16)."""


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

    @property
    def key(self) -> Key:
        """What makes this mapping this mapping."""
        return (self.protocol, self.external_port, self.remote_host)

    @override
    def __str__(self) -> str:
        """Say it in one line, for the demo."""
        return (
            f"{self.protocol} {self.external_port} → {self.internal_host}:{self.internal_port}"
            f" from {self.remote_host or 'anywhere'}"
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
