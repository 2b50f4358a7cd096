"""Closes open forwards that nobody uses, where the router counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from homeassistant.core import callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util

from ..const import CONF_CLOSE_WHEN_IDLE, LONGEST_OPENING, SUBENTRY_TYPE_FORWARD
from ..forwards import FieldError, parse_duration
from ..openings import Opening, Phase, Reason
from ..routers.errors import RouterError, RouterUnreachableError
from ..routers.model import Capabilities, Connection, Forward

if TYPE_CHECKING:
    from ..coordinator import PortForwardCoordinator

# A forward is looked at about once a minute: less would close what is in use.
_SHORTEST: Final = timedelta(minutes=1)


def idle_time_of(data: Mapping[str, Any]) -> timedelta | None:
    """Return after how long without use a forward is closed, None for never; raises FieldError."""
    if CONF_CLOSE_WHEN_IDLE not in data:
        return None
    time = parse_duration(data[CONF_CLOSE_WHEN_IDLE])
    if time is None or not timedelta(0) <= time <= LONGEST_OPENING:
        raise _out_of_range()
    return time or None


def check_idle(data: Mapping[str, Any], capabilities: Capabilities) -> None:
    """Raise FieldError for an idle time that is too short, or that nobody could keep."""
    time = idle_time_of(data)
    if time is None:
        return
    if time < _SHORTEST:
        raise _out_of_range()
    if capabilities.hit_counters is False:
        raise FieldError(CONF_CLOSE_WHEN_IDLE, "no_hit_counters")


def _out_of_range() -> FieldError:
    return FieldError(
        CONF_CLOSE_WHEN_IDLE, "idle_time_out_of_range", days=str(LONGEST_OPENING.days)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Count:
    """What the router has counted for an opening, and since when it has not risen.

    `opened_at` is that of the opening.
    """

    hits: int
    since: datetime
    opened_at: datetime


class IdleWatch:
    """Looks at what the router counts for the forwards that are to be closed when idle.

    In memory only: after a restart of Home Assistant the time begins anew.
    """

    def __init__(self, coordinator: PortForwardCoordinator) -> None:
        """Start without having seen anything."""
        self._coordinator = coordinator
        self._began = dt_util.utcnow()
        self._counts: dict[str, _Count] = {}
        # When those were last asked for that are open: not always was anything changed by that.
        self._asked: dict[str, datetime] = {}

    @callback
    def note_asked(self, forward_id: str) -> None:
        """Begin anew: to ask for what is open is a use of it.

        What a cause prolongs by itself is none, or it would never be closed for this.
        """
        self._counts.pop(forward_id, None)
        self._asked[forward_id] = dt_util.utcnow()

    async def async_look(self) -> None:
        """Close what has been idle for long enough at this look."""
        now = dt_util.utcnow()
        openings = self._coordinator.keeper.openings
        idle: list[Opening] = []
        entry = self._coordinator.config_entry
        for subentry in entry.get_subentries_of_type(SUBENTRY_TYPE_FORWARD):
            time, opening = idle_time_of(subentry.data), openings.get(subentry.subentry_id)
            if time is None or opening is None or opening.phase is not Phase.OPEN:
                self._counts.pop(subentry.subentry_id, None)
                self._asked.pop(subentry.subentry_id, None)
            elif self._has_been_idle(opening, time, now):
                idle.append(opening)
        if not idle:
            return
        used = await self._used(idle)
        for opening in idle:
            known = self._counts.get(opening.forward.id)
            if known is None:
                continue  # Somebody has asked for it meanwhile.
            if used is None or opening.forward.id in used:
                self._counts[opening.forward.id] = replace(known, since=now)
            else:
                await self._close(opening.forward)

    def _has_been_idle(self, opening: Opening, time: timedelta, now: datetime) -> bool:
        """Note what the router shows of an opening, and tell whether its time is over."""
        forward_id = opening.forward.id
        rows = self._coordinator.keeper.view.find(opening.mappings)
        counted = [row.hits for row in rows if row.hits is not None]
        if len(counted) < len(opening.mappings):
            # What is not counted may be in use.
            self._counts.pop(forward_id, None)
            return False
        hits, known = sum(counted), self._counts.get(forward_id)
        if known is None or known.opened_at != opening.opened_at:
            asked = self._asked.get(forward_id, self._began)
            since = max(opening.asked_at, self._began, asked)
        # Less than before: the router has begun anew, as OpenWrt's firewall does whenever
        # its rules are loaded. All that it shows then came since.
        elif hits > known.hits or (hits < known.hits and hits > 0):
            since = now
        else:
            since = known.since
        self._counts[forward_id] = _Count(hits=hits, since=since, opened_at=opening.opened_at)
        return now - since >= time

    async def _used(self, openings: Iterable[Opening]) -> set[str] | None:
        """Return the forwards through which somebody is connected now; None if it is not known.

        Counters count new connections. One that lasts for hours is use, too.
        """
        router = self._coordinator.router
        if router.capabilities.connection_table is False:
            return set()
        try:
            connections = await router.connections()
        except RouterUnreachableError:
            return None
        except RouterError:
            return set()  # It shows none: its counters are all that there is.
        return {
            opening.forward.id
            for opening in openings
            if any(goes_through(opening, connection) for connection in connections)
        }

    async def _close(self, forward: Forward) -> None:
        try:
            await self._coordinator.keeper.close(forward.id, forward, reason=Reason.IDLE)
        except RouterError, HomeAssistantError:
            return  # The keeper has told it, and tries again.
        finally:
            self._counts.pop(forward.id, None)


def goes_through(opening: Opening, connection: Connection) -> bool:
    """Tell whether a connection stands that the mappings of an opening have let in."""
    return (
        connection.answered
        and connection.target != connection.destination
        and any(
            connection.protocol in mapping.protocols
            and connection.destination_port in mapping.external_ports
            and str(connection.target) == mapping.internal_host
            for mapping in opening.mappings
        )
    )
