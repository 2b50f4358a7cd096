"""The objects beside `uci`: session, system, network.interface, luci-rpc, file."""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.outbound import Address, Outbound, Passing

from .accounts import CONNTRACK, NFT
from .clock import Clock
from .firewall import Firewall
from .nft import list_ruleset
from .sessions import Session, Sessions
from .status import (
    INVALID_ARGUMENT,
    NOT_FOUND,
    PERMISSION_DENIED,
    TIMED_OUT,
    Args,
    Method,
    StatusError,
    needed,
    text,
)
from .uci_methods import UciMethods

_TABLE = "/proc/net/nf_conntrack"
_PAGE = 4096
_MOST_OUTPUT = 4096 * 64
"""Bytes: what `file read` gives of a file without a size, and what a command may print (rpcd)."""
_MOST_LINES = 1000
"""Of what the command asks for itself."""


@dataclass(slots=True, kw_only=True)
class Device:
    """What the router says about itself."""

    hostname: str = "OpenWrt"
    model: str = "Virtual OpenWrt One"
    version: str = "25.12.1"
    mac: str = "02:00:5E:10:00:01"
    lan_address: str = "192.168.1.1"
    external_address: str | None = "203.0.113.7"
    """None while the WAN is down."""
    external_address6: str | None = "2001:db8:1::7"
    booted: float = 0.0
    connected: float = 0.0
    """When it was switched on and when the WAN came up, on the clock that only grows."""
    has_nft: bool = True
    has_conntrack: bool = True
    noise: tuple[str, ...] = ()
    """Lines of the connection table before all others."""


class SystemMethods:
    """Answers for everything but the configuration."""

    def __init__(  # noqa: PLR0913  all that there is to tell of
        self,
        device: Device,
        sessions: Sessions,
        uci: UciMethods,
        firewall: Firewall,
        *,
        outbound: Outbound,
        clock: Clock,
    ) -> None:
        """Take what there is to tell of."""
        self._outbound = outbound
        self._device = device
        self._sessions = sessions
        self._uci = uci
        self._firewall = firewall
        self._clock = clock

    @property
    def objects(self) -> dict[str, dict[str, Method]]:
        """The methods of each object."""
        return {
            "session": {"login": self.login, "access": self.access, "destroy": self.destroy},
            "system": {"board": self.board, "info": self.info},
            "network.interface": {"dump": self.dump},
            "luci-rpc": {"getNetworkDevices": self.devices},
            "file": {"exec": self.execute, "read": self.read},
        }

    async def login(self, session: Session | None, args: Args) -> object:
        """Begin a session, or go on with the one whose apply is pending."""
        username, password = text(args, "username"), text(args, "password")
        timeout = args.get("timeout")
        if username is None or password is None or not isinstance(timeout, int | None):
            raise StatusError(INVALID_ARGUMENT)
        account = self._sessions.authenticated(username, password)
        if account is None:
            raise StatusError(PERMISSION_DENIED)
        pending = self._uci.pending
        if (
            pending
            and pending.session.account is account
            and self._sessions.find(pending.session.id)
        ):
            session = pending.session
        else:
            session = self._sessions.login(account, timeout)
        return {
            "ubus_rpc_session": session.id,
            "timeout": session.timeout,
            "expires": session.timeout,
            "acls": session.rights.shown(),
            "data": {"username": account.username},
        }

    async def access(self, session: Session | None, args: Args) -> object:
        """Tell what the session may do."""
        if session is None:
            return {}
        if scope := text(args, "scope"):
            name, function = needed(args, "object"), needed(args, "function")
            return {"access": session.rights.allows(scope, name, function)}
        return session.rights.shown()

    async def destroy(self, session: Session | None, args: Args) -> object:  # noqa: ARG002  it takes none
        """End the session."""
        if session is not None:
            self._sessions.destroy(session.id)
        return None

    async def board(self, session: Session | None, args: Args) -> object:  # noqa: ARG002  it takes none
        """Tell what device and software it is."""
        return {
            "kernel": "6.12.60",
            "hostname": self._device.hostname,
            "system": "ARMv8 Processor rev 4",
            "model": self._device.model,
            "board_name": "virtual,openwrt-one",
            "rootfs_type": "squashfs",
            "release": {
                "distribution": "OpenWrt",
                "version": self._device.version,
                "revision": "r32713-f919e7899d",
                "target": "virtual/generic",
                "description": f"OpenWrt {self._device.version} r32713-f919e7899d",
            },
        }

    async def info(self, session: Session | None, args: Args) -> object:  # noqa: ARG002  it takes none
        """Tell the time and how long it is up."""
        return {
            "localtime": self._clock.local_epoch(),
            "uptime": int(self._clock.monotonic() - self._device.booted),
            "load": [0, 0, 0],
            "memory": {"total": 1016672256, "free": 801337344},
        }

    async def dump(self, session: Session | None, args: Args) -> object:  # noqa: ARG002  it takes none
        """Tell the interfaces and their addresses."""
        device, uptime = self._device, int(self._clock.monotonic() - self._device.connected)
        wan, wan6 = device.external_address, device.external_address6
        default = {"target": "0.0.0.0", "mask": 0, "nexthop": "203.0.113.1"}  # noqa: S104  a route
        default6 = {"target": "::", "mask": 0, "nexthop": "fe80::1"}
        lan = {"address": device.lan_address, "mask": 24}
        return {
            "interface": [
                _interface("loopback", "lo", ipv4=[{"address": "127.0.0.1", "mask": 8}]),
                _interface("lan", "br-lan", ipv4=[lan], uptime=uptime),
                _interface(
                    "wan",
                    "wan0",
                    up=wan is not None,
                    ipv4=[{"address": wan, "mask": 24}] if wan else [],
                    routes=[default] if wan else [],
                    uptime=uptime,
                ),
                _interface(
                    "wan6",
                    "wan0",
                    up=wan6 is not None,
                    ipv6=[{"address": wan6, "mask": 64}] if wan6 else [],
                    routes=[default6] if wan6 else [],
                    uptime=uptime,
                ),
            ]
        }

    async def devices(self, session: Session | None, args: Args) -> object:  # noqa: ARG002  it takes none
        """Tell the hardware addresses, as LuCI's plugin does."""
        return {
            name: {"name": name, "mac": self._device.mac, "up": True, "mtu": 1500}
            for name in ("br-lan", "wan0")
        }

    async def execute(self, session: Session | None, args: Args) -> object:
        """Run a command: two are there, one that lists the rules and one the connections."""
        params = args.get("params") or []
        if not isinstance(params, list):
            raise StatusError(INVALID_ARGUMENT)
        command = " ".join([needed(args, "command"), *map(str, params)])
        if session is None or not session.rights.allows("file", command, "exec"):
            raise StatusError(PERMISSION_DENIED)
        if command == NFT and self._device.has_nft:
            return {"code": 0, "stdout": list_ruleset(self._firewall.rules, self._clock)}
        if command == CONNTRACK:
            return self._grep()
        raise StatusError(NOT_FOUND)

    async def read(self, session: Session | None, args: Args) -> object:
        """Read a file: there is only the connection table, of which rpcd gives one page."""
        path = needed(args, "path")
        if session is None or not session.rights.allows("file", path, "read"):
            raise StatusError(PERMISSION_DENIED)
        if path != _TABLE or not self._device.has_conntrack:
            raise StatusError(NOT_FOUND)
        return {"data": "".join(self._connections())[:_PAGE]}

    def _grep(self) -> object:
        """Return what grep prints: without a line it ends with 1, without the file with 2."""
        if not self._device.has_conntrack:
            return {"code": 2, "stderr": f"grep: {_TABLE}: No such file or directory\n"}
        lines = [line for line in self._connections() if line.startswith("ipv4")][:_MOST_LINES]
        if not lines:
            return {"code": 1}
        if len(printed := "".join(lines)) > _MOST_OUTPUT:
            raise StatusError(TIMED_OUT)
        return {"code": 0, "stdout": printed}

    def _connections(self) -> Iterator[str]:
        """Iterate over the lines of /proc/net/nf_conntrack."""
        external = self._device.external_address or ""
        yield from self._device.noise
        for flow in self._firewall.relays.flows:
            port = flow.mapping.external_port
            inside = (flow.mapping.internal_host, flow.mapping.internal_port)
            yield _line(
                Passing(protocol="tcp", source=flow.source, destination=(external, port)),
                reply_from=inside,
                reply_to=flow.source,
            )
        for passing in self._outbound.passing:
            yield _line(
                passing,
                reply_from=passing.destination,
                reply_to=(external, passing.source[1]),
            )


def _line(passing: Passing, *, reply_from: Address, reply_to: Address) -> str:
    """Return one line as the kernel writes it (nf_conntrack_standalone.c, ct_seq_show)."""
    number, state = (6, f" {passing.state}") if passing.protocol == "tcp" else (17, "")
    unreplied, assured = ("", " [ASSURED]") if passing.answered else (" [UNREPLIED]", "")
    return (
        f"ipv4     2 {passing.protocol:8} {number} 431999{state}"
        f"{_tuple(passing.source, passing.destination)} packets=4 bytes=240{unreplied}"
        f"{_tuple(reply_from, reply_to)} packets=3 bytes=180{assured} mark=0 zone=0 use=2\n"
    )


def _tuple(source: Address, destination: Address) -> str:
    return f" src={source[0]} dst={destination[0]} sport={source[1]} dport={destination[1]}"


def _interface(  # noqa: PLR0913  what netifd tells of each
    name: str,
    device: str,
    *,
    up: bool = True,
    ipv4: list[dict[str, object]] | None = None,
    ipv6: list[dict[str, object]] | None = None,
    routes: list[dict[str, object]] | None = None,
    uptime: int = 100,
) -> dict[str, object]:
    shown: dict[str, object] = {
        "interface": name,
        "up": up,
        "pending": False,
        "available": True,
        "autostart": True,
        "dynamic": False,
    }
    if up:
        shown |= {"uptime": uptime, "l3_device": device}
    return shown | {
        "proto": "static",
        "device": device,
        "ipv4-address": ipv4 or [],
        "ipv6-address": ipv6 or [],
        "ipv6-prefix": [],
        "ipv6-prefix-assignment": [],
        "route": routes or [],
        "dns-server": [],
        "data": {},
    }
