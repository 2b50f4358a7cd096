"""How a router speaks PCP and NAT-PMP."""

from dataclasses import dataclass
from typing import Literal

ANNOUNCE_GROUP = ("224.0.0.1", 5350)
"""Where clients listen for announcements: RFC 6886 §3.2.1, RFC 6887 §19.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pcp:
    """What the router speaks, and what it allows."""

    speaks: Literal["both", "pcp", "natpmp", "nothing"] = "both"
    """A router that speaks nothing takes the packets and is silent, as a firewall is."""
    third_party: bool = False
    """Whether a client may map ports of other hosts (RFC 6887 §13.1)."""
    provider: bool = False
    """As a VPN provider: any port for 60 s, whatever was asked (ProtonVPN)."""
    announce_to: tuple[str, int] | None = None
    """Where restarts and new addresses are announced, such as ANNOUNCE_GROUP; None for nowhere.

    Not to the group by itself: tests that run at once would hear each other's.
    """

    @property
    def speaks_pcp(self) -> bool:
        """Whether it understands version 2."""
        return self.speaks in ("both", "pcp") and not self.provider

    @property
    def speaks_natpmp(self) -> bool:
        """Whether it understands version 0."""
        return self.speaks in ("both", "natpmp")
