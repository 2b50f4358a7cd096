"""Which device has which address in the home's network, as far as Home Assistant is told.

Trackers of routers say it in their states, and the `dhcp` integration hears
devices ask for their addresses. Each may be late or wrong, so that it counts
who said something new last, and who still says so.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING, Final

from homeassistant.components.device_tracker.const import ATTR_IP, ATTR_MAC
from homeassistant.components.device_tracker.const import DOMAIN as DEVICE_TRACKER
from homeassistant.const import STATE_HOME, STATE_NOT_HOME
from homeassistant.core import (
    CALLBACK_TYPE,
    Event,
    EventStateChangedData,
    HomeAssistant,
    State,
    callback,
)
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.device_registry import CONNECTION_NETWORK_MAC, format_mac
from homeassistant.helpers.event import TrackStates, async_track_state_change_filtered
from homeassistant.helpers.singleton import singleton
from homeassistant.setup import async_when_setup

from ..const import DOMAIN

if TYPE_CHECKING:
    from homeassistant.components.dhcp.models import DHCPAddressData

_DHCP: Final = "dhcp"

# Anybody in the network may ask for addresses with as many MACs as they like.
_MOST_BY_DHCP: Final = 4096

# Some trackers show one of nothing but zeros while they know none.
_IS_MAC: Final = re.compile(r"(?!(00:){5}00|(ff:){5}ff)([0-9a-f]{2}:){5}[0-9a-f]{2}").fullmatch


@dataclass(frozen=True, kw_only=True, slots=True)
class _Claim:
    """That the device with this MAC is at this address.

    `turn` says which of two claims is the newer one, 0 for one that was old
    when it was first heard. `seen` tells whether its tracker sees the device
    now, None where none made it.
    """

    mac: str
    address: IPv4Address
    turn: int
    seen: bool | None


@singleton(f"{DOMAIN}_lan")
@callback
def async_get_lan(hass: HomeAssistant) -> Lan:
    """Return what is known of the home's network."""
    return Lan(hass)


@callback
def async_device_at(hass: HomeAssistant, address: str) -> str | None:
    """Return the name of the device at an address, None where Home Assistant knows none."""
    try:
        return async_get_lan(hass).name_at(IPv4Address(address))
    except AddressValueError:
        return None


class Lan:
    """Knows who is where in the home's network."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Listen from now on, and take in what has been said before."""
        self._hass = hass
        self._turn = 0
        # All claims by the MAC and by the address, each by who makes it: the
        # entity id of a tracker, or the MAC itself where `dhcp` has heard it.
        self._by_mac: dict[str, dict[str, _Claim]] = defaultdict(dict)
        self._by_address: dict[IPv4Address, dict[str, _Claim]] = defaultdict(dict)
        self._claims: dict[str, _Claim] = {}
        # Those of `dhcp`, the oldest first; True for a repeater.
        self._by_dhcp: dict[str, bool] = {}
        self._heard_now: dict[str, IPv4Address] = {}
        self._listeners: list[Callable[[], None]] = []
        for state in sorted(hass.states.async_all(DEVICE_TRACKER), key=_updated):
            self._hear_tracker(state.entity_id, state)
        async_track_state_change_filtered(
            hass,
            TrackStates(all_states=False, entities=set(), domains={DEVICE_TRACKER}),
            self._on_tracker,
        )
        # It may be set up later, or never; as a dependency in the manifest it
        # would be installed for everybody.
        async_when_setup(hass, _DHCP, self._async_listen_to_dhcp)

    @callback
    def async_listen(self, listener: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `listener` whenever somebody is somewhere else; returns what ends it."""
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    def find(self, macs: Collection[str]) -> IPv4Address | None:
        """Return where the device with these MACs was last said to be."""
        newest = [claim for mac in macs if (claim := self._newest(mac))]
        return max(newest, key=_age).address if newest else None

    def holders(self, address: IPv4Address) -> set[str]:
        """Return the MACs of who is at an address: more than one if they contradict each other.

        That is who said so last, and whoever is seen there. Who has left counts
        only where nobody else says to be there, and what was old at the start
        not at all.
        """
        recent = [claim for claim in self._all_at(address) if claim.turn]
        here = [claim for claim in recent if claim.seen is not False] or recent
        last = max((claim.turn for claim in here), default=0)
        return {claim.mac for claim in here if claim.seen or claim.turn == last}

    def name_at(self, address: IPv4Address) -> str | None:
        """Return the name of the device that is at an address."""
        for claim in sorted(self._all_at(address), key=_age, reverse=True):
            if name := self._name_of(claim.mac):
                return name
        return None

    def macs_of(self, device_id: str) -> set[str]:
        """Return the MACs of a device: those that it is registered with, or its trackers'."""
        device = dr.async_get(self._hass).async_get(device_id, include_child_devices=False)
        if device is None:
            return set()
        found = {mac for kind, mac in device.connections if kind == CONNECTION_NETWORK_MAC}
        if found:
            return found
        for entity in er.async_entries_for_device(er.async_get(self._hass), device.id):
            if entity.domain == DEVICE_TRACKER:
                state = self._hass.states.get(entity.entity_id)
                said = state.attributes.get(ATTR_MAC) if state else None
                # What most trackers go by; it is known before they are.
                found |= {mac for text in (said, entity.unique_id) if (mac := _mac(text))}
        return found

    def _newest(self, mac: str) -> _Claim | None:
        return max(self._by_mac.get(mac, {}).values(), key=_age, default=None)

    def _all_at(self, address: IPv4Address) -> list[_Claim]:
        """Return what is said of an address by and about those who are not elsewhere by now."""
        return [
            claim
            for claim in self._by_address.get(address, {}).values()
            if (newest := self._newest(claim.mac)) and newest.address == address
        ]

    def _name_of(self, mac: str) -> str | None:
        devices = dr.async_get(self._hass).async_get_devices(
            connections={(CONNECTION_NETWORK_MAC, mac)}
        )
        # One for each integration that knows it; a name that the user gave is the best.
        for device in sorted(devices, key=lambda device: device.name_by_user is None):
            if name := device.name_by_user or device.name:
                return name
        for who in self._by_mac.get(mac, ()):
            if state := self._hass.states.get(who):
                return state.name
        return None

    @callback
    def _on_tracker(self, event: Event[EventStateChangedData]) -> None:
        self._hear_tracker(event.data["entity_id"], event.data["new_state"])

    def _hear_tracker(self, entity_id: str, state: State | None) -> None:
        """Take in what a tracker says, as far as it is new.

        One that sees nobody makes no claim, and does not take back its last one.
        """
        # Any user may write others, by the action `device_tracker.see`.
        if entity_id not in er.async_get(self._hass).entities:
            return
        held = self._claims.get(entity_id)
        said = _said_by(state)
        if said and state and state.state == STATE_HOME:
            if held and held.seen and said == (held.mac, held.address):
                return
            self._put(entity_id, *said, turn=self._next_turn(), seen=True)
        elif held and held.seen:
            self._put(entity_id, held.mac, held.address, turn=held.turn, seen=False)
        elif said and not held:
            self._put(entity_id, *said, turn=0, seen=False)

    async def _async_listen_to_dhcp(self, _hass: HomeAssistant, _component: str) -> None:
        # Where it is not set up, what it needs may not be installed.
        from homeassistant.components.dhcp import helpers  # noqa: PLC0415

        for mac, data in helpers.async_get_address_data_internal(self._hass).items():
            # What trackers say is newer, as far as is known.
            if format_mac(mac) not in self._by_mac:
                self._on_dhcp({mac: data})
        helpers.async_register_dhcp_callback_internal(self._hass, self._on_dhcp)

    @callback
    def _on_dhcp(self, heard: dict[str, DHCPAddressData]) -> None:
        for text, data in heard.items():
            mac, address = _mac(text), _address(data["ip"])
            if mac is None or address is None:
                continue
            is_repeater = self._is_at_two(mac, address) or self._by_dhcp.pop(mac, False)
            self._by_dhcp.pop(mac, None)
            self._by_dhcp[mac] = is_repeater
            if len(self._by_dhcp) > _MOST_BY_DHCP:
                oldest = next(iter(self._by_dhcp))
                del self._by_dhcp[oldest]
                self._drop(oldest)
            if is_repeater:
                self._drop(mac)
                continue
            self._put(mac, mac, address, turn=self._next_turn(), seen=None)

    def _is_at_two(self, mac: str, address: IPv4Address) -> bool:
        """Tell whether one scan has found this MAC at two addresses.

        A repeater answers for all the devices behind it, so that it seems to
        be wherever they are. It says nothing about who is there. `dhcp` tells
        of a whole scan in one turn of the loop, and of packets one by one.
        """
        if not self._heard_now:
            self._hass.loop.call_soon(self._heard_now.clear)
        return self._heard_now.setdefault(mac, address) != address

    def _next_turn(self) -> int:
        self._turn += 1
        return self._turn

    def _put(
        self, who: str, mac: str, address: IPv4Address, *, turn: int, seen: bool | None
    ) -> None:
        """Put a claim in place of the one that `who` made before."""
        self._drop(who)
        claim = _Claim(mac=mac, address=address, turn=turn, seen=seen)
        self._claims[who] = self._by_mac[mac][who] = self._by_address[address][who] = claim
        for listener in tuple(self._listeners):
            listener()

    def _drop(self, who: str) -> None:
        held = self._claims.pop(who, None)
        if held is None:
            return
        del self._by_mac[held.mac][who]
        if not self._by_mac[held.mac]:
            del self._by_mac[held.mac]
        del self._by_address[held.address][who]
        if not self._by_address[held.address]:
            del self._by_address[held.address]


def _age(claim: _Claim) -> tuple[int, bool]:
    return claim.turn, claim.seen is True


def _updated(state: State) -> float:
    return state.last_updated_timestamp


def _said_by(state: State | None) -> tuple[str, IPv4Address] | None:
    """Return the MAC and the address that a tracker shows, if it shows both.

    One that shows another zone is that of a router in another place, which
    may give the very same addresses.
    """
    if state is None or state.state not in (STATE_HOME, STATE_NOT_HOME):
        return None
    mac, address = _mac(state.attributes.get(ATTR_MAC)), _address(state.attributes.get(ATTR_IP))
    return (mac, address) if mac and address else None


def _mac(text: object) -> str | None:
    """Return a MAC as the device registry has it, None for what is not that of a device."""
    mac = format_mac(text) if isinstance(text, str) else None
    return mac if mac and _IS_MAC(mac) else None


def _address(text: object) -> IPv4Address | None:
    try:
        return IPv4Address(text) if isinstance(text, str) else None
    except AddressValueError:
        return None
