"""A MikroTik router in this process: its life, and what tests do to it."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import override

from aiohttp import web

from lab.http_faults import Fault, Injected
from lab.outbound import Outbound
from lab.relays import Relays
from lab.running import Running
from lab.virtual_router.mapping import VirtualMapping

from .address_list import AddressListMenu
from .firewall import Firewall, Packet
from .habits import Habit
from .menus import FILTER, NAT, Item, Menu, RuleMenu
from .rest import Rest, User
from .stock import BUILT_IN, INTERFACES, PORTS, stock
from .values import duration

OLD = "6."
"""Versions that begin so have no REST API."""


class MikrotikRouter(Running):
    """A router with RouterOS 7 and its stock firewall, whose NAT is real.

    `habits` and `users` may be changed while it runs; `requests` counts what
    came, as "GET ip/firewall/nat". Time is the event loop's, and `advance`.
    `outbound` is the way of the home to the internet.
    """

    def __init__(  # noqa: PLR0913  each is a property of the router
        self,
        *,
        users: Sequence[User] = (User(),),
        habits: Collection[Habit] = (),
        version: str = "7.24 (stable)",
        serial_number: str | None = "HGQ09R6RW4E",
        external_address: str = "203.0.113.7",
        lan_host: str = "127.0.0.1",
        wan_host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        wan_list: bool = True,
    ) -> None:
        """Make a router that is switched off.

        `serial_number` None makes it a CHR. Without `wan_list` the router has
        no interface list WAN, as one that was set up from nothing.
        """
        self.users = list(users)
        self.habits = set(habits)
        self.version = version
        self.serial_number = serial_number
        self.external_address = external_address
        self.cloud_address = ""
        self.lan_host = lan_host
        self.port = port
        self._tls = tls
        self._skipped = 0.0
        self._booted = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        lists = Menu()
        references = {
            "in-interface": lambda name: name in PORTS,
            "in-interface-list": lambda name: (
                name in BUILT_IN or any(row["name"] == name for row in lists.items)
            ),
        }
        self.nat = RuleMenu(NAT, self.habits, references)
        self.filter6 = RuleMenu(FILTER, self.habits, references)
        self.lists = AddressListMenu(self._now, self.habits, version=4)
        self.lists6 = AddressListMenu(self._now, self.habits, version=6)
        self._menus: dict[str, Menu] = {
            "ip/firewall/nat": self.nat,
            "ip/firewall/address-list": self.lists,
            "ipv6/firewall/filter": self.filter6,
            "ipv6/firewall/address-list": self.lists6,
            "interface/list": lists,
            **{path: Menu() for path in INTERFACES},
        }
        stock(self._menus, external_address, wan_list=wan_list)
        self._firewall = Firewall(
            nat=self.nat,
            filter6=self.filter6,
            lists=self.lists,
            lists6=self.lists6,
            members=self._menus["interface/list/member"],
            interface="ether1",
        )
        self._relays = Relays(wan_host, self._translate)
        self.outbound = Outbound()
        self.rest = Rest(self)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self._tls else 'http'}://{self.lan_host}:{self.port}"

    @property
    def has_rest(self) -> bool:
        """Whether its version speaks REST."""
        return not self.version.startswith(OLD)

    @property
    def requests(self) -> Counter[str]:
        """How many requests came, as `GET ip/firewall/nat`."""
        return self.rest.requests

    @override
    async def start(self) -> None:
        """Switch on; again on the port that it had. Raises OSError when that is taken."""
        self._booted = self._now()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.rest.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.lan_host, self.port, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        await self.apply()

    @override
    async def stop(self) -> None:
        """Switch off, and lose what is in RAM only."""
        self.rest.faults.stop()
        if self._timer is not None:
            self._timer.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._relays.close()
        await self.outbound.close()
        self._forget()

    async def reboot(self) -> None:
        """Lose what is in RAM only, and count the uptime from now."""
        self._forget()
        self._booted = self._now()
        await self.apply()

    async def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        self._skipped += seconds
        await self.apply()

    def menu(self, path: str) -> Menu | None:
        """Return the list of this path."""
        if Habit.NO_IPV6 in self.habits and path.startswith("ipv6/"):
            return None
        return self._menus.get(path) or self._connections(path)

    def single(self, path: str) -> Item | None:
        """Return the only item of a path that has just one."""
        has_board = self.serial_number is not None
        singles: Mapping[str, Item] = {
            "system/resource": {
                "architecture-name": "arm64" if has_board else "x86_64",
                "board-name": "hAP ax^2" if has_board else "CHR",
                "platform": "MikroTik",
                "uptime": duration(self._now() - self._booted),
                "version": self.version,
            },
            "system/identity": {"name": "MikroTik"},
            "system/license": {"level": "free", "system-id": "Xk2HkLbXdNB"},
            "system/routerboard": (
                {
                    "model": "C52iG-5HaxD2HaxD",
                    "routerboard": "true",
                    "serial-number": self.serial_number or "",
                }
                if has_board
                else {"routerboard": "false"}
            ),
            "ip/cloud": {
                "ddns-enabled": "true" if self.cloud_address else "false",
                **({"public-address": self.cloud_address} if self.cloud_address else {}),
            },
        }
        if path == "system/routerboard" and Habit.NO_BOARD_MENU in self.habits:
            return None
        return singles.get(path)

    async def add(self, path: str, **values: str) -> str:
        """Add an item as somebody else would, `_` for `-` in names; return its id."""
        item = self._menus[path].add({key.replace("_", "-"): v for key, v in values.items()})
        await self.apply()
        return item[".id"]

    async def change(self, path: str, item_id: str, **values: str) -> None:
        """Change an item as somebody else would."""
        self._menus[path].set(item_id, {k.replace("_", "-"): v for k, v in values.items()})
        await self.apply()

    async def remove(self, path: str, item_id: str) -> None:
        """Remove an item as somebody else would."""
        Menu.remove(self._menus[path], item_id)
        await self.apply()

    def items(self, path: str = "ip/firewall/nat") -> list[Item]:
        """Return copies of what a menu shows."""
        return [dict(item) for item in self._menus[path].show()]

    def lets_through(self, protocol: str, source: str, host: str, port: int) -> bool:
        """Tell whether a new IPv6 connection from the internet would get to the host."""
        packet = Packet(protocol=protocol, source=source, destination=host, port=port)
        return self._firewall.lets_through(packet)

    def fault(self, fault: Fault, request: str | None = None, times: int | None = 1) -> None:
        """Let the next `times` requests (None: until cleared) go wrong.

        `request` names them as `requests` does; None is every request.
        """
        self.rest.faults.add(Injected(fault=fault, request=request, times=times))

    async def apply(self) -> None:
        """Let go what has run out, and relay what the rules say."""
        for menu in (self.lists, self.lists6):
            menu.expire()
        if self._timer is not None:
            self._timer.cancel()
        ends = [end for menu in (self.lists, self.lists6) if (end := menu.next_end) is not None]
        loop = asyncio.get_running_loop()
        if ends:
            self._timer = loop.call_later(max(0.0, min(ends) - self._now()), self._time_is_up)
        if self._runner is not None:
            await self._relays.listen(set(self._firewall.ports()))

    def _time_is_up(self) -> None:
        task = asyncio.get_running_loop().create_task(self.apply())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _now(self) -> float:
        return asyncio.get_running_loop().time() + self._skipped

    def _forget(self) -> None:
        for lists in (self.lists, self.lists6):
            lists.forget_dynamic()
        for rules in (self.nat, self.filter6):
            rules.reset_counters()

    def _translate(self, protocol: str, port: int, source: str) -> VirtualMapping | None:
        return self._firewall.translate(
            Packet(
                protocol=protocol.lower(),
                source=source,
                destination=self.external_address,
                port=port,
            )
        )

    def _connections(self, path: str) -> Menu | None:
        """Return the connection table, made anew."""
        if path != "ip/firewall/connection":
            return None
        table = Menu()
        forwarded = [
            {
                "dst-address": f"{self.external_address}:{flow.mapping.external_port}",
                "protocol": flow.mapping.protocol.lower(),
                "repl-bytes": "180",
                "reply-src-address": f"{flow.mapping.internal_host}:{flow.mapping.internal_port}",
                "src-address": "{}:{}".format(*flow.source),
                "tcp-state": "established",
                "timeout": "1d",
            }
            for flow in self._relays.flows
        ]
        outbound = [
            {
                "dst-address": "{}:{}".format(*passing.destination),
                "protocol": passing.protocol,
                "repl-bytes": "180" if passing.answered else "0",
                "reply-src-address": "{}:{}".format(*passing.destination),
                "src-address": "{}:{}".format(*passing.source),
                **(
                    {"tcp-state": passing.state.lower().replace("_", "-")}
                    if passing.protocol == "tcp"
                    else {}
                ),
                "timeout": "1d",
            }
            for passing in self.outbound.passing
        ]
        table.items = [
            {".id": f"*{number:X}", **item}
            for number, item in enumerate([*forwarded, *outbound], 1)
        ]
        return table
