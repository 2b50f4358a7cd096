"""Address lists: who is in them, and until when."""

import math
from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_network
from typing import override

from .habits import Habit
from .menus import Item, Menu, RefusedError, any_text
from .values import InvalidValueError, check_flag, check_network, duration, seconds_of


class AddressListMenu(Menu):
    """Addresses in named lists, some of them for a while only."""

    def __init__(
        self, now: Callable[[], float], habits: Collection[Habit], *, version: int
    ) -> None:
        """Take the clock, in seconds, and the IP version of the addresses."""
        super().__init__(
            {
                "address": self._check_address,
                "comment": any_text,
                "disabled": check_flag,
                "list": any_text,
                "timeout": seconds_of,
            }
        )
        self._now = now
        self._habits = habits
        self._version = version
        self._ends: dict[str, float] = {}

    @property
    def next_end(self) -> float | None:
        """When the next address leaves, on the clock."""
        return min(self._ends.values(), default=None)

    @override
    def add(self, values: Mapping[str, str]) -> Item:
        """Add an address; with a timeout it is dynamic, and in RAM only."""
        values = dict(values)
        timeout = values.get("timeout", "")
        if "address" in values:
            self._check(values, {})
            values["address"] = self._stored(values["address"])
        names = (values.get("list"), values.get("address"))
        if any((item["list"], item["address"]) == names for item in self.items):
            raise RefusedError(400, "failure: already have such entry")
        item = super().add(values)
        item.pop("timeout", None)
        item["dynamic"] = "true" if timeout else "false"
        if timeout:
            self._ends[item[".id"]] = self._now() + seconds_of(timeout)
        return item

    @override
    def set(self, item_id: str, values: Mapping[str, str]) -> Item:
        """Change an address, or how long it stays from now on."""
        values = dict(values)
        self._check(values, self.find(item_id))
        timeout = values.pop("timeout", "")
        if timeout and Habit.NO_PATCH in self._habits:
            raise RefusedError(400, "failure: can not change dynamic")
        item = super().set(item_id, values)
        if timeout and Habit.PATCH_IGNORED not in self._habits:
            item["dynamic"] = "true"
            self._ends[item_id] = self._now() + seconds_of(timeout)
        return item

    @override
    def remove(self, item_id: str) -> None:
        """Remove an address."""
        super().remove(item_id)
        self._ends.pop(item_id, None)

    @override
    def show(self) -> list[Item]:
        """Return the addresses with what remains of their time."""
        return [self.shown(item) for item in self.items]

    def shown(self, item: Item) -> Item:
        """Return an address with what remains of its time."""
        end = self._ends.get(item[".id"])
        return item if end is None else {**item, "timeout": duration(math.ceil(end - self._now()))}

    def expire(self) -> None:
        """Let those go whose time is up."""
        for item_id in [item_id for item_id, end in self._ends.items() if end <= self._now()]:
            self.remove(item_id)

    def forget_dynamic(self) -> None:
        """Lose what is in RAM only, as at a reboot."""
        for item_id in list(self._ends):
            self.remove(item_id)

    def _check_address(self, text: str) -> None:
        check_network(text)
        if (":" in text) is not (self._version == 6):  # noqa: PLR2004  the IP version
            raise InvalidValueError(f"value {text} is of the other family")
        if text.endswith("/0") and Habit.NO_WHOLE in self._habits:
            raise InvalidValueError(f"value {text} is not allowed")

    def _stored(self, address: str) -> str:
        """Return an address as it is stored: IPv4 without /32, IPv6 always with a prefix."""
        if "-" in address:
            return address
        network = ip_network(address, strict=False)
        if network.prefixlen == 0 and Habit.WHOLE_MANGLED in self._habits:
            return str(network.network_address)
        return str(network) if network.version == 6 else str(network).removesuffix("/32")  # noqa: PLR2004

    @override
    def _check_whole(self, item: Item) -> None:
        if not item.get("list"):
            raise RefusedError(400, "failure: list must be set")
        if not item.get("address"):
            raise RefusedError(400, "failure: address must be set")
