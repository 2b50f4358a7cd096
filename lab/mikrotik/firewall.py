"""What the rules do with a new connection from the internet."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from lab.virtual_router.mapping import VirtualMapping

from .address_list import AddressListMenu
from .menus import Item, Menu
from .values import in_network, in_ports

MOST_PORTS = 64
"""Ports of one rule that get a relay; a rule for all ports has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packet:
    """The first packet of a connection that comes in from the internet."""

    protocol: str
    source: str
    destination: str
    port: int


class Firewall:
    """The rules of both families, as they apply to what comes in at `interface`."""

    def __init__(  # noqa: PLR0913  the menus of a firewall
        self,
        *,
        nat: Menu,
        filter6: Menu,
        lists: AddressListMenu,
        lists6: AddressListMenu,
        members: Menu,
        interface: str,
    ) -> None:
        """Take the menus that decide."""
        self._nat = nat
        self._filter6 = filter6
        self._lists = lists
        self._lists6 = lists6
        self._members = members
        self._interface = interface

    def ports(self) -> Iterator[tuple[str, int]]:
        """Iterate over the external ports that a rule leads somewhere, as a relay needs them."""
        for item in self._nat.items:
            if item.get("action") != "dst-nat" or not (_is_on(item) and self._is_entry(item)):
                continue
            for part in item.get("dst-port", "").split(","):
                first, _, last = part.partition("-")
                if first.isdigit() and int(last or first) - int(first) < MOST_PORTS:
                    for port in range(int(first), int(last or first) + 1):
                        yield item["protocol"].upper(), port

    def translate(self, packet: Packet) -> VirtualMapping | None:
        """Return where the first rule that fits leads the packet, and count it."""
        for item in self._nat.items:
            if item["chain"] != "dstnat" or not self._fits(item, packet, self._lists):
                continue
            _count(item)
            if item["action"] == "dst-nat":
                return VirtualMapping(
                    protocol=packet.protocol.upper(),
                    external_port=packet.port,
                    internal_host=item.get("to-addresses", packet.destination),
                    internal_port=_translated(item, packet.port),
                    description=item.get("comment", ""),
                )
            if item["action"] in ("accept", "redirect"):
                return None
        return None

    def lets_through(self, packet: Packet) -> bool:
        """Tell whether the IPv6 firewall lets a new connection from the internet through."""
        for item in self._filter6.items:
            if item["chain"] != "forward" or not self._fits(item, packet, self._lists6):
                continue
            _count(item)
            if item["action"] in ("accept", "drop", "reject"):
                return item["action"] == "accept"
        return True

    def _fits(self, item: Item, packet: Packet, lists: AddressListMenu) -> bool:
        if not (_is_on(item) and self._is_entry(item)):
            return False
        matchers: Mapping[str, Callable[[str], bool]] = {
            "protocol": lambda text: text == packet.protocol,
            "dst-port": lambda text: in_ports(packet.port, text),
            "src-port": lambda _: False,
            "dst-address": lambda text: in_network(packet.destination, text),
            "src-address": lambda text: in_network(packet.source, text),
            "src-address-list": lambda text: _listed(packet.source, text, lists),
            "dst-address-list": lambda text: _listed(packet.destination, text, lists),
            "dst-address-type": lambda text: text == "local",
            "out-interface": lambda _: False,
            "out-interface-list": lambda text: text in ("LAN", "all"),
            "connection-state": lambda text: "new" in text.split(","),
            "connection-nat-state": lambda text: text == "!dstnat",
            "hop-limit": lambda _: False,
        }
        return all(fits(item[key]) for key, fits in matchers.items() if key in item)

    def _is_entry(self, item: Item) -> bool:
        """Tell whether the rule is for the interface that the internet comes in by."""
        return _is(item.get("in-interface", self._interface), {self._interface}) and (
            "in-interface-list" not in item
            or _is(item["in-interface-list"], self._interface_lists())
        )

    def _interface_lists(self) -> set[str]:
        members = self._members.items
        return {row["list"] for row in members if row["interface"] == self._interface} | {"all"}


def _is_on(item: Mapping[str, str]) -> bool:
    return item.get("disabled", "false") == "false" and item.get("invalid") != "true"


def _is(text: str, names: Collection[str]) -> bool:
    return (text.removeprefix("!") in names) is not text.startswith("!")


def _listed(address: str, text: str, lists: AddressListMenu) -> bool:
    """Tell whether an address is in a list; one that is empty or unknown has none."""
    name = text.removeprefix("!")
    found = any(
        in_network(address, item["address"])
        for item in lists.items
        if item["list"] == name and item.get("disabled", "false") == "false"
    )
    return found is not text.startswith("!")


def _translated(item: Item, port: int) -> int:
    """Return the internal port: the same one unless `to-ports` is a single other."""
    to_ports = item.get("to-ports", "")
    return int(to_ports) if to_ports.isdigit() else port


def _count(item: Item) -> None:
    item["packets"] = str(int(item["packets"]) + 1)
    item["bytes"] = str(int(item["bytes"]) + 60)
