"""The network as netifd and the firewall's zones show it: which side is the internet."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_interface,
)
from typing import Final

from .sections import Section

_EVER: Final = 2**32  # seconds
_DEFAULT_ROUTES: Final = ("0.0.0.0", "::")  # noqa: S104  targets of routes; nothing is bound


@dataclass(frozen=True, kw_only=True, slots=True)
class Interface:
    """One interface, such as `lan` or `wan6`."""

    name: str
    device: str
    up: bool
    uptime: timedelta | None
    addresses: tuple[IPv4Address | IPv6Address, ...]
    networks: tuple[IPv4Network | IPv6Network, ...]
    """Those that its hosts are in, prefixes that were delegated to it included."""
    is_uplink: bool
    """Whether the way to everywhere leads through it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """All interfaces and zones."""

    interfaces: Sequence[Interface]
    zones: Mapping[str, tuple[str, ...]]
    """The interfaces of each zone by its name."""
    masquerading: frozenset[str]
    """The zones behind which addresses are translated."""
    picked: str
    """The zone of the internet as it was told or found before, "" for none."""

    @property
    def zone(self) -> str | None:
        """The zone that ports are opened to: the one that was picked, as long as it exists.

        With a second WAN to fall back on, the way out is through another one at
        times, and rules must not move with it.
        """
        return self.picked if self.picked in self.zones else next(iter(self.outside), None)

    @property
    def outside(self) -> tuple[str, ...]:
        """The zones that the internet is behind, those with an uplink first."""
        uplinks = {interface.name for interface in self.interfaces if interface.is_uplink}
        found = [name for name, members in self.zones.items() if uplinks & set(members)]
        # While the WAN is down there is no route to tell it by.
        found += [
            name
            for name, members in self.zones.items()
            if name in self.masquerading and name not in found and "lan" not in members
        ]
        return tuple(found)

    def zone_of(self, host: IPv4Address | IPv6Address) -> str | None:
        """Return the zone that a host of the home is in; `lan` where its network is not shown."""
        inside = [name for name in self.zones if name not in (*self.outside, self.zone)]
        for interface in self.interfaces:
            if any(host in network for network in interface.networks):
                for zone in inside:
                    if interface.name in self.zones[zone]:
                        return zone
        return "lan" if "lan" in inside else None

    @property
    def uplinks(self) -> Iterator[Interface]:
        """The interfaces of the zone that ports are opened to."""
        members = self.zones.get(self.zone or "", ())
        return (interface for interface in self.interfaces if interface.name in members)

    @property
    def external_address(self) -> IPv4Address | None:
        """The IPv4 address of the uplink, None while it has none."""
        return next(
            (a for i in self._up() for a in i.addresses if isinstance(a, IPv4Address)), None
        )

    @property
    def external_address6(self) -> IPv6Address | None:
        """The IPv6 address of the uplink that the internet knows, None while it has none."""
        return next(
            (
                a
                for i in self._up()
                for a in i.addresses
                if isinstance(a, IPv6Address) and not a.is_link_local
            ),
            None,
        )

    @property
    def connected(self) -> bool:
        """Whether there is a way to the internet."""
        return any(self._up())

    @property
    def uptime(self) -> timedelta | None:
        """How long the way to the internet is up, the shortest where there are two."""
        return min((i.uptime for i in self._up() if i.uptime is not None), default=None)

    @property
    def lan_device(self) -> str | None:
        """The device of the home's own network."""
        return next((i.device for i in self.interfaces if i.name == "lan"), None)

    def _up(self) -> Iterator[Interface]:
        return (interface for interface in self.uplinks if interface.up and interface.is_uplink)


def read_network(dump: object, sections: Iterable[Section], picked: str = "") -> Network:
    """Return what `network.interface dump` and the zones say; nonsense is left out."""
    zones = [section for section in sections if section.type == "zone" and section.text("name")]
    return Network(
        interfaces=tuple(_interface(row) for row in _rows(dump)),
        zones={zone.text("name"): tuple(zone.text("network").split()) for zone in zones},
        masquerading=frozenset(z.text("name") for z in zones if z.text("masq") in ("1", "yes")),
        picked=picked,
    )


def _interface(row: Mapping[str, object]) -> Interface:
    uptime = row.get("uptime")
    routes = [route for route in _rows(row.get("route")) if route.get("mask") == 0]
    addresses = [*_rows(row.get("ipv4-address")), *_rows(row.get("ipv6-address"))]
    delegated = _rows(row.get("ipv6-prefix-assignment"))
    return Interface(
        name=str(row.get("interface", "")),
        device=str(row.get("l3_device") or row.get("device") or ""),
        up=row.get("up") is True,
        uptime=timedelta(seconds=uptime)
        if isinstance(uptime, int) and 0 <= uptime < _EVER
        else None,
        addresses=tuple(_addresses(addresses)),
        networks=tuple(_networks([*addresses, *delegated])),
        is_uplink=any(route.get("target") in _DEFAULT_ROUTES for route in routes),
    )


def _addresses(rows: Iterable[Mapping[str, object]]) -> Iterator[IPv4Address | IPv6Address]:
    for row in rows:
        try:
            yield ip_address(str(row.get("address")))
        except ValueError:
            continue


def _networks(rows: Iterable[Mapping[str, object]]) -> Iterator[IPv4Network | IPv6Network]:
    for row in rows:
        try:
            yield ip_interface(f"{row.get('address')}/{row.get('mask')}").network
        except ValueError:
            continue


def _rows(value: object) -> list[Mapping[str, object]]:
    rows = value.get("interface") if isinstance(value, dict) else value
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
