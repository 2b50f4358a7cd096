"""Forwards that follow a device or a name: they lead to it wherever it is, and to nobody else.

As soon as the device has another address, what is open moves there. As soon
as another device has the address to which it is open, it closes. A name is
looked up at each look.
"""

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

from homeassistant.const import CONF_DEVICE
from homeassistant.core import Event, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr

from ..const import CONF_INTERNAL_HOST, DOMAIN, LOGGER, SUBENTRY_TYPE_FORWARD
from ..openings import Activity, Phase, Reason
from ..routers.errors import RouterError
from ..routers.model import Forward
from ..safety.target import TargetError
from .hosts import HostError, Hosts, is_name
from .lan import async_get_lan

if TYPE_CHECKING:
    from ..coordinator import PortForwardCoordinator

# A tracker or a name that goes to and fro must not drive the router: more moves
# than this within so many seconds, and the forward closes until it is opened again.
_MOST_MOVES: Final = 3
_STEADY_AFTER: Final = 300.0
# Names are looked up at each look only, which may be rarer than that.
_LOOKS_TO_BE_STEADY: Final = 5

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
        # When each has moved, and to where.
        self._moves: defaultdict[str, deque[tuple[float, Hosts]]] = defaultdict(
            lambda: deque(maxlen=_MOST_MOVES)
        )
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

    @property
    def following(self) -> set[str]:
        """The ids of the forwards that lead to wherever their device or their name does."""
        return {*self.devices, *self._by_name}

    @property
    def _by_name(self) -> set[str]:
        return {
            subentry.subentry_id
            for subentry in self._coordinator.config_entry.get_subentries_of_type(
                SUBENTRY_TYPE_FORWARD
            )
            if is_name(subentry.data.get(CONF_INTERNAL_HOST, ""))
        }

    @callback
    def async_listen(self) -> None:
        """Check what is open whenever a device is somewhere else, until the entry is unloaded."""

        @callback
        def on_registry(event: Event[dr.EventDeviceRegistryUpdatedData]) -> None:
            if event.data["device_id"] in self.devices.values():
                self.check()

        @callback
        def on_activity(_: Activity) -> None:
            self.check()

        entry = self._coordinator.config_entry
        entry.async_on_unload(async_get_lan(self._hass).async_listen(self.check))
        # It may have moved on while it was made again where it was.
        entry.async_on_unload(self._coordinator.async_listen(on_activity))
        entry.async_on_unload(
            self._hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, on_registry)
        )
        # What was said while the platforms were set up.
        self.check()

    def judge(self, forward_id: str, found: Forward | HostError) -> Reason | None:
        """Return why a forward must not be open, given where a look has found that it leads."""
        if isinstance(found, HostError):
            return self.why_not(forward_id, found)
        opening = self._coordinator.keeper.openings.get(forward_id)
        if (
            opening is None
            or opening.phase is Phase.CLOSING
            or opening.forward.hosts == found.hosts
        ):
            return None
        return Reason.ADDRESS_UNSTEADY if self._is_unsteady(found) else None

    def why_not(self, forward_id: str, error: HostError) -> Reason | None:
        """Return why an open forward whose host does not resolve must not stay open.

        None if nothing is known against it: at the start its tracker may not
        have said anything yet, and nobody else is known to be at its address.
        """
        if isinstance(error, TargetError):
            return Reason.TARGET_RISKY
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
        if self._is_unsteady(forward):
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

    def _is_unsteady(self, forward: Forward) -> bool:
        """Count a move, once for each look that finds it; return whether it is one too many."""
        if forward.id not in (by_name := self._by_name) and forward.id not in self.devices:
            return False
        now, steady_after = self._hass.loop.time(), _STEADY_AFTER
        if forward.id in by_name and (interval := self._coordinator.update_interval):
            steady_after = max(steady_after, _LOOKS_TO_BE_STEADY * interval.total_seconds())
        moves = self._moves[forward.id]
        if moves and moves[-1][1] == forward.hosts:
            return False
        if len(moves) == _MOST_MOVES and now - moves[0][0] < steady_after:
            del self._moves[forward.id]
            return True
        moves.append((now, forward.hosts))
        return False
