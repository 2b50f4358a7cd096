"""The contract that every driver keeps."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import timedelta

from .model import Capabilities, Forward, PortMapping, RouterInfo, Snapshot


class Router(ABC):
    """One router, spoken to by one driver.

    A driver is given what it needs to reach the router (an aiohttp session or
    a UDP transport) and never closes it. It sends one request at a time, gives
    each call one timeout, and raises nothing but `errors.RouterError`.
    """

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this router can do as far as it is known by now."""

    @property
    @abstractmethod
    def learned(self) -> Mapping[str, str]:
        """What was found out about the router and is worth knowing at the next start.

        The maker of the driver persists it and hands it in again.
        """

    @abstractmethod
    async def connect(self) -> RouterInfo:
        """Find out who the router is. Called again after it was lost."""

    @abstractmethod
    async def snapshot(self) -> Snapshot:
        """Return what the router holds now. One bad row never hides the others."""

    @abstractmethod
    def plan(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return the mappings that opening `forward` will ask for.

        No request is made: the ledger has to hold them before the first one.
        Raises NotPermittedError and InvalidForwardError for what no router of
        this kind could map.
        """

    @abstractmethod
    def owner_of(self, mapping: PortMapping) -> str | None:
        """Return the id of the forward that a row was made for by us, None for any other.

        Anybody can write such a tag, so it decides only where the ledger is
        lost.
        """

    @abstractmethod
    async def open(
        self, forward: Forward, lease: timedelta, *, ours: Collection[PortMapping] = ()
    ) -> tuple[PortMapping, ...]:
        """Open `forward` for `lease` and return its mappings as read back.

        `ours` are mappings that the ledger knows as our own: they are renewed.
        Any other mapping in the way is a `PortConflictError`. All mappings of
        the forward stand afterwards, or none that this call made.
        """

    @abstractmethod
    async def close(self, mapping: PortMapping) -> None:
        """Remove `mapping` and make sure that it is gone.

        An absent mapping is success. One with the same key that leads to
        another target is not ours any more: it is left alone, which is success
        too.
        """
