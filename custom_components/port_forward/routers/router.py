"""The contract that every driver keeps."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta

from .errors import RuleChangedError, UnsupportedError
from .model import (
    Capabilities,
    Connection,
    Forward,
    Owner,
    PortMapping,
    RouterInfo,
    Snapshot,
)


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
    async def snapshot(self, ours: Collection[PortMapping] = ()) -> Snapshot:
        """Return what the router holds now. One bad row never hides the others.

        `ours` are the mappings that the ledger holds. Those that the router
        leaves out of its list are asked for one by one.
        """

    @abstractmethod
    def plan(self, forward: Forward) -> tuple[PortMapping, ...]:
        """Return the mappings that opening `forward` will ask for.

        No request is made: the ledger has to hold them before the first one.
        Raises NotPermittedError and InvalidForwardError for what no router of
        this kind could map.
        """

    @abstractmethod
    def owner_of(self, mapping: PortMapping) -> Owner | None:
        """Return for which forward of which Home Assistant a row was made, None for any other.

        Anybody can write such a tag, so it decides only about what the ledger
        does not know. The one of another Home Assistant is never ours.
        """

    @abstractmethod
    async def open(
        self,
        forward: Forward,
        lease: timedelta,
        *,
        planned: Sequence[PortMapping] = (),
        ours: Collection[PortMapping] = (),
    ) -> tuple[PortMapping, ...]:
        """Open `forward` for `lease` and return its mappings as read back.

        `planned` is what `plan` returned and the ledger holds by now: where a
        mapping is known by an id that we choose (the nonce of PCP), that id
        has to be asked for, or nobody could close the mapping after a crash.
        Empty for a new plan. `ours` are mappings that the ledger knows as our
        own: they are renewed. Any other mapping in the way is a
        `PortConflictError`. All mappings of the forward stand afterwards, or
        none that this call made.
        """

    @abstractmethod
    async def close(self, mapping: PortMapping) -> None:
        """Remove `mapping` and make sure that it is gone.

        An absent mapping is success. One with the same key that leads to
        another target is not ours any more: it is left alone, which is success
        too.
        """

    async def set_enabled(
        self,
        mapping: PortMapping,
        *,
        enabled: bool,  # noqa: ARG002  for the drivers of routers that can
    ) -> PortMapping:
        """Switch a rule of the user's on or off, keep all else of it, and return it as read back.

        It is the one that `mapping.id` names, and only as long as it leads
        where `mapping` does: RuleChangedError if it is another one by now, or
        none. It is switched on only if it opens nothing besides. What is
        switched already is success. A router without
        `Capabilities.disabled_rules` has no such rule.
        """
        raise RuleChangedError(port=str(mapping.external_ports))

    async def connections(self) -> tuple[Connection, ...]:
        """Return the connections of this moment, without those that are over.

        With one request, and no more of them than an answer holds: a router
        that is very busy may show only a part. Raises UnsupportedError where
        there is no `Capabilities.connection_table`, and MissingRightsError.
        """
        raise UnsupportedError(host=type(self).__name__, detail="no connection table")

    def watch(
        self,
        on_news: Callable[[], None],  # noqa: ARG002  for the drivers of routers that speak up
    ) -> AbstractAsyncContextManager[None]:
        """Listen to the router as long as this is entered.

        `on_news` is called in the event loop when the router says by itself
        that something has changed, so that nobody has to wait for the next
        look. A router that says nothing is looked at as often as any other.
        """
        return nullcontext()
