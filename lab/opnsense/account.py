"""Who may do what: keys, and the privileges that the user manager knows."""

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatch


class Privilege(StrEnum):
    """What an administrator ticks; the value is its name there."""

    DESTINATION_NAT = "Firewall: NAT: Destination NAT"
    SHOW_STATES = "Diagnostics: Show States"
    INTERFACES = "Status: Interfaces"
    DASHBOARD = "Lobby: Dashboard"


_PATTERNS = {
    Privilege.DESTINATION_NAT: ("firewall/d_nat/*",),
    Privilege.SHOW_STATES: (
        "diagnostics/firewall/query_states*",
        "diagnostics/firewall/del_state*",
        "diagnostics/firewall/kill_states*",
    ),
    Privilege.INTERFACES: ("interfaces/overview/*",),
    Privilege.DASHBOARD: ("diagnostics/system/system_information*",),
}


@dataclass(kw_only=True, slots=True)
class Account:
    """A user with an API key; tests may change what it may do."""

    key: str = "hQ8fmKcU1vTzq0pR"
    secret: str = "r3dHerr1ng+S3cret"  # noqa: S105  of a simulated firewall
    name: str = "ha"
    privileges: set[Privilege] = field(default_factory=lambda: set(Privilege))
    read_only: bool = False
    """Deny config write: what is about to be saved is refused, and nothing else."""

    def may(self, path: str) -> bool:
        """Tell whether a privilege covers the path below /api, in snake_case."""
        return any(
            fnmatch(path, pattern)
            for privilege in self.privileges
            for pattern in _PATTERNS[privilege]
        )
