"""What the account may do, as the reply to its login tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

NFT: Final = ("/usr/sbin/nft", "--terse", "--json", "list", "ruleset")
"""The command that lists the rules as rendered: an ACL allows it word for word."""

CONNTRACK: Final = ("/bin/grep", "-m", "1000", "^ipv4", "/proc/net/nf_conntrack")
"""The command that lists connections. `file read` gives only the first 4 KiB of a file without a
size (RPC_FILE_MIN_SIZE of rpcd's file.c), and without a word. What a command prints may be 256 KiB
(RPC_FILE_MAX_SIZE) or it fails: a thousand lines are fewer."""

_NEEDED_CALLS: Final = {
    "uci": ("get", "changes", "add", "set", "delete", "apply", "confirm"),
    "system": ("board", "info"),
    "network.interface": ("dump",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rights:
    """The ACL of a session."""

    acls: Mapping[str, Mapping[str, tuple[str, ...]]]

    def may(self, scope: str, name: str, function: str) -> bool:
        """Tell whether a function of an object may be used; both may be allowed by pattern."""
        return any(
            fnmatchcase(name, pattern) and any(fnmatchcase(function, may) for may in functions)
            for pattern, functions in self.acls.get(scope, {}).items()
        )

    def may_call(self, name: str, function: str) -> bool:
        """Tell whether a method of ubus may be called."""
        return self.may("ubus", name, function)

    @property
    def missing(self) -> tuple[str, ...]:
        """What is lacking to open and close ports, as it has to be written into an ACL."""
        calls = [
            f"ubus {name} {function}"
            for name, functions in _NEEDED_CALLS.items()
            for function in functions
            if not self.may_call(name, function)
        ]
        files = [
            f"uci firewall {function}"
            for function in ("read", "write")
            if not self.may("uci", "firewall", function)
        ]
        return (*calls, *files)

    @property
    def rules(self) -> bool:
        """Whether the rules may be looked at as the firewall has them, with their counters."""
        return self.may_call("file", "exec") and self.may("file", " ".join(NFT), "exec")

    @property
    def time_zone(self) -> bool:
        """Whether the router's time zone may be read, to get daylight saving right."""
        return self.may("uci", "system", "read")

    @property
    def hardware_address(self) -> bool:
        """Whether the router may be told from others for good."""
        return self.may_call("luci-rpc", "getNetworkDevices")

    @property
    def connections(self) -> bool:
        """Whether the table of connections may be read."""
        return self.may_call("file", "exec") and self.may("file", " ".join(CONNTRACK), "exec")


def read_rights(acls: object) -> Rights:
    """Return the rights of the `acls` of a login, none for what makes no sense."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for scope, objects in acls.items() if isinstance(acls, dict) else ():
        if isinstance(objects, dict):
            found[str(scope)] = {
                str(name): tuple(map(str, functions))
                for name, functions in objects.items()
                if isinstance(functions, list)
            }
    return Rights(acls=found)
