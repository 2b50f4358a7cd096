"""Watches whether the internet can reach a router, and tells the user what to do if it cannot."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util

from ..const import CONF_CHECK_URL, DOMAIN, LOGGER
from ..issues import Need, async_tell
from ..routers.addresses import is_public
from ..routers.model import Forward, Snapshot
from .check_url import CheckUrlError, async_seen_address
from .reachability import PASSING, Reachability, reachability

if TYPE_CHECKING:
    from ..coordinator import PortForwardCoordinator

# How often the check URL is asked: while nothing changes, and at the most.
_USUALLY: Final = 3600.0
_AT_MOST: Final = 60.0

# The router tells a new address later than the internet sees it: UPnP is asked
# for it at every second look. Only then is another address a second router.
_LOOKS_TO_BELIEVE: Final = 2

# A connection that is being built up again is no news.
_LASTS: Final = timedelta(minutes=10)


@dataclass(kw_only=True, slots=True)
class _Seen:
    """What the internet saw while the router told of the external address `told`."""

    told: IPv4Address
    seen: IPv4Address | None
    looks: int = 0
    """How often the router has told the same since."""


class InternetWatch:
    """Judges each look at the router."""

    reachability = Reachability.UNKNOWN

    def __init__(self, coordinator: PortForwardCoordinator) -> None:
        """Take the router's coordinator; nobody is asked before its first look."""
        self._coordinator = coordinator
        self._url: str | None = coordinator.config_entry.options.get(CONF_CHECK_URL)
        self._seen: _Seen | None = None
        self._asked: tuple[IPv4Address, float] | None = None
        self._is_silent = False
        self._passing_since: datetime | None = None

    @property
    def seen_address(self) -> IPv4Address | None:
        """The address that the internet sees, None where that is not known."""
        return self._seen.seen if self._seen else None

    @callback
    def look(self, snapshot: Snapshot) -> None:
        """Judge what the router shows, and report it."""
        address = snapshot.external_address
        if self._seen:
            self._seen.looks += 1
            if self._seen.told != address:
                self._seen = None
        self._ask_if_due(address)
        seen = self.seen_address
        if self._seen and self._seen.looks < _LOOKS_TO_BELIEVE:
            seen = None
        self.reachability = reachability(snapshot, seen)
        self._report(address)

    def _ask_if_due(self, address: IPv4Address | None) -> None:
        if not self._url or address is None or not is_public(address):
            return
        now = self._coordinator.hass.loop.time()
        if self._asked:
            told, asked_at = self._asked
            if now - asked_at < (_USUALLY if told == address else _AT_MOST):
                return
        self._asked = address, now
        self._coordinator.config_entry.async_create_background_task(
            self._coordinator.hass,
            self._ask(self._url, address),
            f"{DOMAIN} check of {self._coordinator.config_entry.title}",
        )

    async def _ask(self, url: str, told: IPv4Address) -> None:
        seen = None
        try:
            seen = await async_seen_address(self._coordinator.hass, url)
        except CheckUrlError as error:
            if not self._is_silent:
                LOGGER.warning("%s: %s", self._coordinator.config_entry.title, error)
        else:
            if self._is_silent:
                LOGGER.info("%s: the check URL answers", self._coordinator.config_entry.title)
        self._is_silent = seen is None
        if self._seen is None or (self._seen.told, self._seen.seen) != (told, seen):
            self._seen = _Seen(told=told, seen=seen)

    def _report(self, address: IPv4Address | None) -> None:
        reason = self.reachability
        if reason not in PASSING:
            self._passing_since = None
        elif self._passing_since is None:
            self._passing_since = dt_util.utcnow()
        if not self._matters(reason):
            async_take_back(self._coordinator.hass, self._coordinator.config_entry.entry_id)
        elif self._passing_since is None or dt_util.utcnow() - self._passing_since >= _LASTS:
            need = Need(
                key=f"not_reachable_{reason}",
                placeholders={
                    "router": self._coordinator.config_entry.title,
                    "address": str(address),
                    "seen": str(self.seen_address),
                },
            )
            issue_id = _issue_of(self._coordinator.config_entry.entry_id)
            async_tell(self._coordinator.hass, issue_id, need)

    def _matters(self, reason: Reachability) -> bool:
        """Tell whether a forward of the user cannot be reached for this."""
        forwards = self._coordinator.forwards.values()
        if reason is Reachability.NOT_CONNECTED:
            return bool(forwards)
        return reason not in (Reachability.REACHABLE, Reachability.UNKNOWN) and any(
            map(_needs_ipv4, forwards)
        )


@callback
def async_take_back(hass: HomeAssistant, entry_id: str) -> None:
    """Take back the repair of a router that is fine again, or gone."""
    ir.async_delete_issue(hass, DOMAIN, _issue_of(entry_id))


def _issue_of(entry_id: str) -> str:
    return f"not_reachable_{entry_id}"


def _needs_ipv4(forward: Forward | None) -> bool:
    if forward is None:  # Its host does not resolve now.
        return True
    if forward.adopted:
        return not forward.adopted.is_pinhole
    return forward.internal_host is not None
