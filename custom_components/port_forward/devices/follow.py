"""Forwards that follow a device: they lead to it wherever it is, and to nobody else.

As soon as the device has another address, what is open moves there. As soon
as another device has the address to which it is open, it closes.
"""

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

from homeassistant.const import CONF_DEVICE
from homeassistant.core import Event, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr

from ..const import DOMAIN, LOGGER, SUBENTRY_TYPE_FORWARD
from ..openings import Phase, Reason
from ..routers.errors import RouterError
from .hosts import HostError
from .lan import async_get_lan

if TYPE_CHECKING:
    from ..coordinator import PortForwardCoordinator

# A tracker that goes to and fro must not drive the router: more moves than
# this within so many seconds, and the forward closes until somebody opens it.
_MOST_MOVES: Final = 3
_STEADY_AFTER: Final = 300.0

_REASONS: Final = {
    "device_gone": Reason.DEVICE_GONE,
    "host_outside": Reason.DEVICE_GONE,
    "address_taken": Reason.ADDRESS_TAKEN,
    "address_conflict": Reason.ADDRESS_TAKEN,
}


class Follower:
    """Keeps the open forwards of one router with their devices."""

    def __init__(self, coordinator: PortForwardCoordinator) -> None:
        """Take the coordinator of the router."""
        self._coordinator = coordinator
        self._hass = coordinator.hass
        self._moves: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_MOST_MOVES))
        self._again = False
        self._checking = False

    @property
    def devices(self) -> dict[str, str]:
        """The ids of the devices, by those of the forwards that follow them."""
        return {
            subentry.subentry_id: subentry.data[CONF_DEVICE]
            for subentry in self._coordinator.config_entry.get_subentries_of_type(
                SUBENTRY_TYPE_FORWARD
            )
            if CONF_DEVICE in subentry.data
        }

    @callback
    def async_listen(self) -> None:
        """Check what is open whenever a device is somewhere else, until the entry is unloaded."""

        @callback
        def on_registry(event: Event[dr.EventDeviceRegistryUpdatedData]) -> None:
            if event.data["device_id"] in self.devices.values():
                self.check()

        entry = self._coordinator.config_entry
        entry.async_on_unload(async_get_lan(self._hass).async_listen(self.check))
        entry.async_on_unload(
            self._hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, on_registry)
        )
        # What was said while the platforms were set up.
        self.check()

    def why_not(self, forward_id: str, error: HostError) -> Reason | None:
        """Return why an open forward whose host does not resolve must not stay open.

        None if nothing is known against it: at the start its tracker may not
        have said anything yet, and nobody else is known to be at its address.
        """
        subentry = self._coordinator.config_entry.subentries.get(forward_id)
        device_id = subentry.data.get(CONF_DEVICE) if subentry else None
        opening = self._coordinator.keeper.openings.get(forward_id)
        if device_id is None or opening is None:
            return None
        if reason := _REASONS.get(error.key):
            return reason
        lan, host = async_get_lan(self._hass), opening.forward.internal_host
        macs = lan.macs_of(device_id)
        others = lan.holders(host) - macs if macs and host else None
        return Reason.ADDRESS_TAKEN if others else None

    @callback
    def check(self) -> None:
        """Move or close at once what leads to where its device is not."""
        self._again = True
        if self._checking or not self.devices:
            return
        self._checking = True
        self._coordinator.config_entry.async_create_background_task(
            self._hass,
            self._check_all(),
            f"{DOMAIN} follow devices",
            # When all has been said that is said at once: see `lan.py` about repeaters.
            eager_start=False,
        )

    async def _check_all(self) -> None:
        try:
            while self._again:
                self._again = False
                for forward_id in self.devices:
                    await self._check(forward_id)
        finally:
            self._checking = False

    async def _check(self, forward_id: str) -> None:
        keeper = self._coordinator.keeper
        opening = keeper.openings.get(forward_id)
        if opening is None or opening.phase is Phase.CLOSING:
            return
        try:
            forward = await self._coordinator.async_forward(forward_id)
        except HostError as error:
            if reason := self.why_not(forward_id, error):
                await self._close(forward_id, reason)
            return
        if forward.internal_host == opening.forward.internal_host:
            return
        self._coordinator.forwards[forward_id] = forward
        if self._is_unsteady(forward_id):
            await self._close(forward_id, Reason.ADDRESS_UNSTEADY)
            return
        try:
            await keeper.move(forward)
        except (RouterError, HomeAssistantError) as error:
            LOGGER.debug("Not moved yet: %s", error)

    async def _close(self, forward_id: str, reason: Reason) -> None:
        """Close a forward; what fails has been told, and is tried again until it is confirmed."""
        try:
            await self._coordinator.keeper.close(forward_id, None, reason=reason)
        except (RouterError, HomeAssistantError) as error:
            LOGGER.debug("Not closed yet: %s", error)

    def _is_unsteady(self, forward_id: str) -> bool:
        """Count a move, and tell whether it is one too many."""
        now = self._hass.loop.time()
        moves = self._moves[forward_id]
        if len(moves) == _MOST_MOVES and now - moves[0] < _STEADY_AFTER:
            del self._moves[forward_id]
            return True
        moves.append(now)
        return False
