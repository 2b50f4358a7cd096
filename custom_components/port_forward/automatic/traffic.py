"""Which devices make the traffic that opens forwards, as far as the router shows connections."""

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from ..const import DOMAIN, LOGGER
from ..devices.hosts import HostError, async_resolve_host
from ..issues import Need, async_tell
from ..pieces import in_pieces
from ..routers.errors import MissingRightsError, RouterError, UnsupportedError
from ..routers.model import Connection
from .causes import Traffic
from .failing import Failing

if TYPE_CHECKING:
    from ..coordinator import PortForwardCoordinator


class HomeTraffic:
    """Asks one router for its connections, and tells the user if it hides them."""

    def __init__(self, coordinator: PortForwardCoordinator) -> None:
        """Ask nothing yet."""
        self._coordinator = coordinator
        self._hass = coordinator.hass
        self._entry = coordinator.config_entry
        self._failing = Failing()

    async def async_sources(
        self, kinds: Iterable[Traffic]
    ) -> dict[Traffic, list[IPv4Address]] | None:
        """Return the devices in the home that make each kind of traffic, each of them once.

        None if the router does not tell its connections now.
        """
        connections = await self._async_connections()
        if connections is None:
            return None
        found: dict[Traffic, dict[IPv4Address, None]] = {kind: {} for kind in kinds}
        in_the_home: dict[IPv4Address, bool] = {}
        router_outside = self._coordinator.data.external_address
        async for connection in in_pieces(connections):
            if connection.destination == router_outside:
                # It comes back into the home, perhaps through the port that it would keep open.
                continue
            source = connection.source
            for kind, devices in found.items():
                if not kind.fits(connection):
                    continue
                if source not in in_the_home:
                    in_the_home[source] = await self._async_is_device(source)
                if in_the_home[source]:
                    devices[source] = None
        return {kind: list(devices) for kind, devices in found.items()}

    async def _async_connections(self) -> tuple[Connection, ...] | None:
        """Return the connections of the router, None if it does not tell them now."""
        now = self._hass.loop.time()
        if now < self._failing.before:
            return None
        try:
            connections = await self._coordinator.router.connections()
        except RouterError as error:
            if not self._failing.times:
                LOGGER.warning("%s does not show its connections: %s", self._entry.title, error)
            if isinstance(error, MissingRightsError | UnsupportedError):
                self._report_hidden()
            self._failing.note(now)
            return None
        if self._failing.times:
            LOGGER.info("%s shows its connections again", self._entry.title)
        self._failing.clear()
        async_withdraw_hidden(self._hass, self._entry.entry_id)
        return connections

    async def _async_is_device(self, address: IPv4Address) -> bool:
        """Tell whether a forward may lead there: to a machine in the home, not the router."""
        router = self._coordinator.router_address
        try:
            await async_resolve_host(self._hass, str(address), router)
        except HostError:
            return False
        return address != router

    def _report_hidden(self) -> None:
        need = Need(key="connections_hidden", placeholders={"router": self._entry.title})
        async_tell(self._hass, _issue_id(self._entry.entry_id), need)


@callback
def async_withdraw_hidden(hass: HomeAssistant, entry_id: str) -> None:
    """Stop telling the user that a router hides its connections."""
    ir.async_delete_issue(hass, DOMAIN, _issue_id(entry_id))


def _issue_id(entry_id: str) -> str:
    return f"connections_hidden_{entry_id}"
