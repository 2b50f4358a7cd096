"""Removing a mapping so that it is really gone."""

from collections.abc import Callable
from datetime import datetime, timedelta

from ..errors import NotClosedError, Refusal, RouterError, RouterUnreachableError
from ..model import PortMapping
from ..refusals import not_permitted
from .epoch import Epochs
from .grant import Grant
from .mapper import Mapper
from .pcp_mapper import PcpMapper


class Removal:
    """Removes the mappings of one router.

    It says that one is gone, or the lease is over. What it refuses to remove,
    because it knows no such mapping of ours, is gone too, unless by all we
    know it should be there.
    """

    def __init__(self, epochs: Epochs, clock: Callable[[], datetime]) -> None:
        """Take what tells whether a mapping should be there."""
        self._epochs = epochs
        self._clock = clock
        # By nonce, when a pinhole ends that the router would not remove.
        self._ending: dict[bytes, datetime] = {}

    async def remove(self, mapper: Mapper, mapping: PortMapping) -> None:
        """Remove `mapping`. Raises RouterError while it may stand."""
        grant, now = Grant.parse(mapping.id), self._clock()
        over = grant is not None and grant.until is not None and grant.until <= now
        try:
            kept = await mapper.release(mapping)
        except RouterUnreachableError:
            raise
        except RouterError:
            if over:
                return
            raise
        if kept is None or over:
            return
        stands = grant is not None and grant.stands(self._epochs.boot, now)
        if grant and stands and mapping.is_pinhole and isinstance(mapper, PcpMapper):
            await self._end_early(mapper, mapping, grant.nonce)
        elif stands or not kept.unknown:
            raise not_permitted(Refusal.REFUSED, mapping, kept.detail)

    async def _end_early(self, mapper: PcpMapper, mapping: PortMapping, nonce: bytes) -> None:
        """Let a pinhole end that the router will not remove.

        miniupnpd 2.3.1 forgets the nonce of a pinhole when it is renewed, and
        then refuses to remove it. It renews any, so the shortest lease it is.
        Raises NotClosedError until that is over.
        """
        if nonce not in self._ending:
            seconds = await mapper.shorten(mapping)
            self._ending[nonce] = self._clock() + timedelta(seconds=seconds)
        if self._clock() < self._ending[nonce]:
            raise NotClosedError(port=str(mapping.external_ports))
        del self._ending[nonce]
