"""The pinholes of the router's IPv6 firewall, and their leases.

They let nothing through: the one IPv6 address of loopback, ::1, is everybody's,
so that no firewall could stand before it. The namespace lab has real ones.
"""

import asyncio
import math
from dataclasses import dataclass, replace
from typing import Literal

from .mapping import SourceFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipv6:
    """How a router does IPv6."""

    host: str = "::1"
    """Where it answers, besides its `lan_host`; HTTP and PCP on the same ports."""
    firewall_enabled: bool = True
    """One that is off lets everything in (WANIPv6FirewallControl:1 §2.3.1)."""
    pinholes_allowed: bool = True
    """Whether anything may be let in on request (§2.3.2)."""
    table_size: int = 64
    """The most pinholes that there may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinhole:
    """What one port of one host may hear from the internet."""

    unique_id: int = 0
    """Its name in UPnP; 0 until it is in the table."""
    protocol: str
    """"TCP" or "UDP"."""
    internal_host: str
    internal_port: int
    remote_host: str = ""
    """The allowed source, an IPv6 address; "" for any."""
    remote_port: int = 0
    """The port that it comes from; 0 for any."""
    lease: int
    """Seconds, as granted."""
    expires: float | None = None
    """On the event loop's clock; None for one that outlives its lease (Q50_AGAIN)."""
    packets: int = 0
    """How many it has let through; a test may say so."""
    filters: tuple[SourceFilter, ...] = ()
    """Of these sources any may pass; () is every source. PCP only."""
    made_by: Literal["UPnP", "PCP"] = "UPnP"
    nonce: bytes = b""
    """Of the PCP client."""
    renewed: bool = False
    """By PCP."""

    @property
    def way(self) -> tuple[str, str, int, str, int]:
        """What makes two pinholes the same (§2.5.3)."""
        return (
            self.protocol,
            self.internal_host,
            self.internal_port,
            self.remote_host,
            self.remote_port,
        )


class PinholeTable:
    """The pinholes there are."""

    def __init__(self) -> None:
        """Begin with none."""
        self._rows: dict[int, Pinhole] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._last_id = 0

    @property
    def rows(self) -> tuple[Pinhole, ...]:
        """The table, oldest first."""
        return tuple(self._rows.values())

    def find(self, unique_id: int) -> Pinhole | None:
        """Find a pinhole by its name."""
        return self._rows.get(unique_id)

    def add(self, pinhole: Pinhole) -> Pinhole:
        """Add a pinhole under a new name, its lease counted from now."""
        self._last_id += 1
        return self.put(replace(pinhole, unique_id=self._last_id))

    def put(self, pinhole: Pinhole) -> Pinhole:
        """Replace the pinhole of that name, its lease counted from now."""
        loop = asyncio.get_running_loop()
        self._cancel_timer(pinhole.unique_id)
        self._timers[pinhole.unique_id] = loop.call_later(
            pinhole.lease, self.remove, pinhole.unique_id
        )
        kept = replace(pinhole, expires=loop.time() + pinhole.lease)
        self._rows[pinhole.unique_id] = kept
        return kept

    def keep(self, unique_id: int) -> None:
        """Let a pinhole outlive its lease."""
        self._cancel_timer(unique_id)
        self._rows[unique_id] = replace(self._rows[unique_id], expires=None)

    def count(self, unique_id: int, packets: int) -> None:
        """Say how many packets a pinhole has let through. Raises KeyError without it."""
        self._rows[unique_id] = replace(self._rows[unique_id], packets=packets)

    def remove(self, unique_id: int) -> None:
        """Remove a pinhole. Raises KeyError without it."""
        del self._rows[unique_id]
        self._cancel_timer(unique_id)

    def clear(self) -> None:
        """Forget all, and begin to count anew, so that an old name may come to mean another."""
        for unique_id in list(self._rows):
            self.remove(unique_id)
        self._last_id = 0

    def _cancel_timer(self, unique_id: int) -> None:
        if (timer := self._timers.pop(unique_id, None)) is not None:
            timer.cancel()


def remaining(pinhole: Pinhole) -> float:
    """Return the seconds of lease that a pinhole has left."""
    if pinhole.expires is None:
        return math.inf
    return pinhole.expires - asyncio.get_running_loop().time()
