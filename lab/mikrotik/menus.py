"""The menus of the router: ordered lists of items with ids, as its REST API shows them."""

from collections.abc import Callable, Collection, Mapping
from itertools import count
from typing import override

from .habits import Habit
from .values import (
    InvalidValueError,
    check_flag,
    check_host,
    check_network,
    check_ports,
)

type Item = dict[str, str]
type Check = Callable[[str], object]
"""What raises InvalidValueError for a value that the router refuses."""

PORT_PROTOCOLS = ("tcp", "udp", "sctp", "dccp", "udp-lite")


class RefusedError(Exception):
    """An answer that is an error: its HTTP status and its detail."""

    def __init__(self, status: int, detail: str = "") -> None:
        """Take the status, and what RouterOS says besides."""
        super().__init__(detail)
        self.status = status
        self.detail = detail


def any_text(_: str) -> None:
    """Take anything."""


def _one_of(*words: str) -> Check:
    def check(text: str) -> None:
        if text.removeprefix("!") not in words:
            raise InvalidValueError("input does not match any value of it")

    return check


_COMMON: Mapping[str, Check] = {
    "chain": any_text,
    "comment": any_text,
    "connection-state": any_text,
    "disabled": check_flag,
    "dst-address": check_network,
    "dst-address-list": any_text,
    "dst-port": check_ports,
    "in-interface": any_text,
    "in-interface-list": any_text,
    "jump-target": any_text,
    "log": check_flag,
    "log-prefix": any_text,
    "out-interface": any_text,
    "out-interface-list": any_text,
    "protocol": any_text,
    "src-address": check_network,
    "src-address-list": any_text,
    "src-port": check_ports,
}

NAT: Mapping[str, Check] = {
    **_COMMON,
    "action": _one_of(
        "accept", "dst-nat", "jump", "log", "masquerade", "netmap", "passthrough", "redirect",
        "return", "same", "src-nat",
    ),
    "connection-nat-state": any_text,
    "dst-address-type": _one_of("unicast", "local", "broadcast", "multicast"),
    "to-addresses": check_host,
    "to-ports": check_ports,
}  # fmt: skip

FILTER: Mapping[str, Check] = {
    **_COMMON,
    "action": _one_of(
        "accept", "drop", "fasttrack-connection", "jump", "log", "passthrough", "reject", "return"
    ),
    "connection-nat-state": any_text,
    "hop-limit": any_text,
    "reject-with": any_text,
}


class Menu:
    """One menu. Items are shown with what is set, and nothing else."""

    def __init__(
        self,
        arguments: Mapping[str, Check] | None = None,
        *,
        always: Mapping[str, str] | None = None,
        references: Mapping[str, Callable[[str], bool]] | None = None,
    ) -> None:
        """Take what may be set; None for a menu to read only.

        `always` is what each item has from the start, `references` tells of
        arguments that name something whether it is there.
        """
        self.items: list[Item] = []
        self._arguments = arguments
        self._always = dict(always or {})
        self._references = references or {}
        self._ids = count(1)

    def find(self, item_id: str) -> Item:
        """Return the item. Raises RefusedError when there is none."""
        for item in self.items:
            if item[".id"] == item_id:
                return item
        raise RefusedError(404)

    def add(self, values: Mapping[str, str]) -> Item:
        """Add an item at the end, or where `place-before` says."""
        values = dict(values)
        before = values.pop("place-before", None)
        self._check(values, {})
        where = len(self.items)
        if before is not None:
            where = next((i for i, it in enumerate(self.items) if it[".id"] == before), -1)
            if where < 0:
                raise RefusedError(400, "no such item")
        item = {".id": f"*{next(self._ids):X}", **self._always, **_set(values)}
        self.items.insert(where, item)
        return item

    def set(self, item_id: str, values: Mapping[str, str]) -> Item:
        """Change an item; an empty value takes the argument away."""
        item = self.find(item_id)
        self._check(values, item)
        item.update(values)
        for key in [key for key, value in values.items() if not value and key != "comment"]:
            del item[key]
        return item

    def remove(self, item_id: str) -> None:
        """Remove an item."""
        self.items.remove(self.find(item_id))

    def move(self, item_id: str, before: str | None) -> None:
        """Move an item before another one, None for to the end."""
        item = self.find(item_id)
        self.items.remove(item)
        where = len(self.items) if before is None else self.items.index(self.find(before))
        self.items.insert(where, item)

    def show(self) -> list[Item]:
        """Return the items as they are shown now."""
        return self.items

    def _check(self, values: Mapping[str, str], held: Item) -> None:
        if self._arguments is None:
            raise RefusedError(400, "no such command")
        for key, value in values.items():
            if key not in self._arguments:
                raise RefusedError(400, f"unknown parameter {key}")
            if not value:
                continue
            try:
                self._arguments[key](value)
            except InvalidValueError as error:
                raise RefusedError(400, f"{error} ({key})") from error
            if key in self._references and not self._references[key](value.removeprefix("!")):
                raise RefusedError(400, f"input does not match any value of {key}")
        self._check_whole({**held, **values})

    def _check_whole(self, item: Item) -> None:
        """Refuse what does not fit together."""


class RuleMenu(Menu):
    """A menu of firewall rules, each with its counters."""

    def __init__(
        self,
        arguments: Mapping[str, Check],
        habits: Collection[Habit],
        references: Mapping[str, Callable[[str], bool]],
    ) -> None:
        """Take what may be set of a rule, and the arguments that name something."""
        counters = {"bytes": "0", "dynamic": "false", "invalid": "false", "packets": "0"}
        super().__init__(arguments, always=counters, references=references)
        self._habits = habits

    @override
    def add(self, values: Mapping[str, str]) -> Item:
        """Add a rule at the end, or where `place-before` says."""
        if Habit.LIST_DROPPED in self._habits:
            values = {key: v for key, v in values.items() if key != "src-address-list"}
        return super().add(values)

    @override
    def set(self, item_id: str, values: Mapping[str, str]) -> Item:
        """Change a rule; an empty value takes the argument away."""
        if Habit.SWITCH_IGNORED in self._habits:
            values = {key: value for key, value in values.items() if key != "disabled"}
        return super().set(item_id, values)

    @override
    def _check_whole(self, item: Item) -> None:
        if not item.get("chain"):
            raise RefusedError(400, "failure: chain must be set")
        ports = [key for key in ("dst-port", "src-port", "to-ports") if item.get(key)]
        if ports and item.get("protocol") not in PORT_PROTOCOLS:
            raise RefusedError(400, "failure: ports can be specified if proto is tcp or udp")
        if item.get("action") == "dst-nat" and not (item.get("to-addresses") or "to-ports" in item):
            raise RefusedError(400, "failure: to-addresses or to-ports must be set")

    def reset_counters(self) -> None:
        """Count from zero."""
        for item in self.items:
            item |= {"bytes": "0", "packets": "0"}


def _set(values: Mapping[str, str]) -> Item:
    return {key: value for key, value in values.items() if value or key == "comment"}
