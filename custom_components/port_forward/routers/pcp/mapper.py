"""What both protocols do for one mapping: ask for it, and give it back."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..errors import Refusal
from ..model import PortMapping
from .packets import Address

LONGEST_LEASE = 86400
"""Seconds; no longer one is believed in (RFC 6887 section 15)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """What the server says that it has mapped.

    `lease` is in seconds, and 0 like `external_port` where it mapped nothing
    after all. `external_address` is None where it is not told. `unheeded` is
    the limit of the mapping that the server has ignored.
    """

    external_port: int
    lease: int
    external_address: Address | None
    unheeded: Refusal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A mapping that the server did not remove; `detail` is what it said.

    `unknown`: by that the server knows no such mapping of ours.
    """

    detail: str
    unknown: bool


type Ask = Callable[[], Awaitable[Granted]]


class Mapper(ABC):
    """Speaks one of the protocols for a mapping of one protocol and port."""

    @abstractmethod
    async def prepare(self, wanted: PortMapping, lease: int, *, any_external_port: bool) -> Ask:
        """Make sure that `wanted` can be had for `lease` seconds, without mapping anything.

        What is returned asks for it. It raises RouterError when the server
        refuses; after a RouterUnreachableError that is no NotSentError it may
        have been mapped all the same. Another port than wanted may be granted
        in any case.
        """

    @abstractmethod
    async def confirm(self, granted: PortMapping) -> None:
        """Make sure that the one who granted it heeds what limits it; raises RouterError.

        It may be another router than the one that `prepare` asked.
        """

    @abstractmethod
    async def release(self, mapping: PortMapping) -> Kept | None:
        """Remove `mapping`; None when it is gone, or never was. Raises RouterError."""


def internal_port(mapping: PortMapping) -> int:
    """Return the internal port of a mapping that we planned, which has one."""
    if mapping.internal_ports is None:
        raise AssertionError
    return mapping.internal_ports.first


def longest(lease: int) -> int:
    """Return the lease to believe in."""
    return min(lease, LONGEST_LEASE)
