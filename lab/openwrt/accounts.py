"""Accounts of rpcd, and what each may do."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

type Scope = dict[str, tuple[str, ...]]
"""Objects, with `*` for any, and the functions of each that are allowed."""

NFT = "/usr/sbin/nft --terse --json list ruleset"
CONNTRACK = "/bin/grep -m 1000 ^ipv4 /proc/net/nf_conntrack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """The ACL of an account, as the reply to its login shows it."""

    groups: tuple[str, ...] = ("portforward",)
    ubus: Scope = field(default_factory=dict)
    uci: Scope = field(default_factory=dict)
    file: Scope = field(default_factory=dict)

    def allows(self, scope: str, name: str, function: str) -> bool:
        """Tell whether this may be done."""
        scopes: dict[str, Scope] = {"ubus": self.ubus, "uci": self.uci, "file": self.file}
        return any(
            fnmatchcase(name, pattern) and any(fnmatchcase(function, may) for may in functions)
            for pattern, functions in scopes.get(scope, {}).items()
        )

    def shown(self) -> dict[str, object]:
        """Return the ACL as JSON has it."""
        write = [scope for functions in self.uci.values() for scope in functions]
        kinds = ["read", "write"] if "write" in write else ["read"]
        scopes = {"file": self.file, "ubus": self.ubus, "uci": self.uci}
        return {
            "access-group": dict.fromkeys(self.groups, kinds),
            **{
                name: {key: list(functions) for key, functions in scope.items()}
                for name, scope in scopes.items()
                if scope
            },
        }


_READ_UBUS: Scope = {
    "network.interface": ("dump",),
    "session": ("access", "list", "destroy"),
    "system": ("board", "info"),
}
_WRITE_UCI = ("add", "set", "delete", "order", "revert", "commit", "apply", "confirm", "rollback")
_READ_WRITE = ("read", "write")

ROOT = Rights(
    groups=("superuser", "unauthenticated"),
    ubus={"*": ("*",)},
    uci={"*": _READ_WRITE},
    file={"*": ("*",)},
)
"""The root of a router with an ACL for everything."""

LUCI = Rights(
    groups=("luci-access", "luci-mod-status-firewall", "uci-access", "unauthenticated"),
    ubus={
        "file": ("list", "read", "stat", "exec"),
        "luci-rpc": ("getHostHints", "getNetworkDevices"),
        "network.interface": ("dump",),
        "session": ("access", "login"),
        "system": ("board", "info", "validate_firmware_image"),
        "uci": ("changes", "get", "add", "apply", "confirm", "delete", "order", "set", "rename"),
    },
    uci={"*": _READ_WRITE},
    file={NFT: ("exec",), "/etc/passwd": ("read",)},
)
"""The root of a stock router with LuCI: no commit, revert, rollback or session destroy."""

DEDICATED = Rights(
    ubus={
        **_READ_UBUS,
        "file": ("exec",),
        "luci-rpc": ("getNetworkDevices",),
        "uci": ("get", "changes", *_WRITE_UCI),
    },
    uci={"firewall": _READ_WRITE, "system": ("read",)},
    file={NFT: ("exec",), CONNTRACK: ("exec",)},
)
"""The account that our page describes, with everything on it."""

PLAIN = Rights(
    ubus={**_READ_UBUS, "uci": ("get", "changes", *_WRITE_UCI)}, uci={"firewall": _READ_WRITE}
)
"""The least that can open ports: no rules as rendered, no counters, no time zone, no MAC."""

READ_ONLY = Rights(
    ubus={**_READ_UBUS, "file": ("exec",), "uci": ("get", "changes")},
    uci={"firewall": ("read",)},
    file={NFT: ("exec",)},
)
"""Looks and cannot change."""


@dataclass(slots=True, kw_only=True)
class Account:
    """Who may log in. An empty password lets everybody in, whatever they type."""

    username: str
    password: str
    rights: Rights
