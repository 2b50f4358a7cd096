"""The saved destination NAT rules, and the replies of their controller."""

import time
from collections.abc import Mapping
from uuid import uuid4

from .options import OPTIONS, choice
from .rule import DEFAULTS, Fields, flatten, validate

type Reply = dict[str, object]

_AUTOMATIC = 100000
_ORDINARY = 400000
_ALIASED = (
    "source.network",
    "source.port",
    "destination.network",
    "destination.port",
    "target",
    "local-port",
)


class ReadOnlyError(Exception):
    """The user may not save; raised when something is about to be."""


class RuleTable:
    """Rules as saved, which is not as in force: see `PacketFilter`."""

    def __init__(self, interfaces: Mapping[str, str]) -> None:
        """Begin with no rule; `interfaces` are names by identifier, such as `wan`."""
        self.interfaces = interfaces
        self.aliases: dict[str, str] = {}
        """Descriptions of the aliases by their name; what they hold is not simulated."""
        self.lockout: dict[str, tuple[str, ...]] = {"lan": ("80", "443")}
        """Ports of the automatic rules by interface."""
        self.read_only = False
        """Whether whoever is served now is denied to save."""
        self._rules: dict[str, Fields] = {}

    def __getitem__(self, uuid: str) -> Fields:
        """Return the fields of a rule as saved."""
        return self._rules[uuid]

    def __contains__(self, uuid: str) -> bool:
        """Tell whether there is such a rule."""
        return uuid in self._rules

    @property
    def uuids(self) -> list[str]:
        """The rules in their order, which is that of their sequence."""
        return sorted(self._rules, key=lambda uuid: int(self._rules[uuid]["sequence"]))

    def in_order(self) -> tuple[Fields, ...]:
        """Return a copy of the rules in their order."""
        return tuple(dict(self._rules[uuid]) for uuid in self.uuids)

    def add(self, rule: Mapping[str, object], username: str) -> Reply:
        """Reply to addRule; a port that is in use already is no reason to refuse."""
        fields: Fields = {**DEFAULTS, **flatten(rule)}
        fields["sequence"] = fields["sequence"] or self._next_sequence()
        _stamp(fields, "created", username)
        return self._save(str(uuid4()), fields, username) or {"result": "failed"}

    def change(self, uuid: str, rule: Mapping[str, object], username: str) -> Reply:
        """Reply to setRule, which leaves what is not named as it is."""
        if uuid not in self._rules:
            return {"result": "failed"}
        reply = self._save(uuid, {**self._rules[uuid], **flatten(rule)}, username)
        reply.pop("uuid", None)
        return reply

    def toggle(self, uuid: str, disabled: str | None) -> Reply:
        """Reply to toggleRule, whose last part says disabled, not enabled."""
        if uuid not in self._rules:
            return {"result": "failed"}
        self._check_may_save()
        fields = self._rules[uuid]
        flipped = "0" if fields["disabled"] == "1" else "1"
        fields["disabled"] = disabled if disabled in ("0", "1") else flipped
        return {"result": "Disabled" if fields["disabled"] == "1" else "Enabled"}

    def delete(self, uuid: str) -> Reply:
        """Reply to delRule."""
        if uuid not in self._rules:
            return {"result": "not found"}
        self._check_may_save()
        del self._rules[uuid]
        return {"result": "deleted"}

    def template(self, uuid: str | None = None) -> Reply | list[object]:
        """Reply to getRule: a new rule, or one of those that there are."""
        if uuid is not None and uuid not in self._rules:
            return []
        fields = self._rules[uuid] if uuid else {**DEFAULTS, "sequence": self._next_sequence()}
        rule: dict[str, object] = {}
        for key, value in fields.items():
            outer, dot, inner = key.partition(".")
            if dot:
                branch = rule.setdefault(outer, {})
                assert isinstance(branch, dict)  # noqa: S101  made in this loop
                branch[inner] = value
            elif key == "interface":
                rule[key] = choice(self.interfaces, value)
            elif key in OPTIONS:
                rule[key] = choice(OPTIONS[key], value)
            else:
                rule[key] = [] if key == "category" else value
        return {"rule": rule}

    def search(self, phrase: str = "", count: int = -1) -> Reply:
        """Reply to searchRule: `count` rows, the automatic ones come first and do not count."""
        found = [
            self._row(uuid)
            for uuid in self.uuids
            if phrase.lower() in " ".join(self._rules[uuid].values()).lower()
        ]
        shown = found if count < 0 else found[:count]
        return {
            "rows": [*self._automatic(), *shown],
            "rowCount": len(shown),
            "total": len(found),
            "current": 1,
        }

    def _save(self, uuid: str, fields: Fields, username: str) -> Reply:
        if wrong := validate(fields, self.interfaces, self.aliases):
            return {"result": "failed", "validations": wrong}
        self._check_may_save()
        _stamp(fields, "updated", username)
        self._rules[uuid] = fields
        return {"result": "saved", "uuid": uuid}

    def _check_may_save(self) -> None:
        if self.read_only:
            raise ReadOnlyError

    def _next_sequence(self) -> str:
        return str(max((int(r["sequence"]) for r in self._rules.values()), default=100) + 100)

    def _row(self, uuid: str) -> Reply:
        fields = self._rules[uuid]
        row: Reply = {"uuid": uuid}
        for key, value in fields.items():
            row[key] = value
            if (shown := self._shown(key, value)) is not None:
                row[f"%{key}"] = shown
        row["category_colors"] = []
        for key in _ALIASED:
            if fields[key]:
                row[f"alias_meta_{key}"] = self._meta(fields[key])
        row["sort_order"] = f"{_ORDINARY}.0{int(fields['sequence']):06d}"
        row["prio_group"] = str(_ORDINARY)
        return row

    def _shown(self, key: str, value: str) -> str | None:
        """Return the text that the page shows in place of a value, if it does."""
        if not value:
            return None
        if key == "interface":
            return ", ".join(self.interfaces[name] for name in value.split(","))
        if key.endswith(".network"):
            return self._networks().get(value)
        return OPTIONS.get(key, {}).get(value)

    def _networks(self) -> dict[str, str]:
        names = {"any": "any", "(self)": "This Firewall"}
        for identifier, name in self.interfaces.items():
            names |= {identifier: f"{name} network", f"{identifier}ip": f"{name} address"}
        return names

    def _meta(self, value: str) -> list[Reply]:
        alias = value in self.aliases
        return [
            {
                "value": value,
                "%value": self._networks().get(value, value),
                "isAlias": alias,
                "description": self.aliases.get(value, ""),
            }
        ]

    def _automatic(self) -> list[Reply]:
        rows: list[Reply] = []
        for interface, ports in self.lockout.items():
            for index, port in enumerate(ports):
                network = f"{interface}ip"
                row: Reply = {
                    "uuid": f"lockout_{index}",
                    "ipprotocol": "",
                    "protocol": "tcp",
                    "%protocol": "TCP",
                    "disabled": "0",
                    "nordr": "1",
                    "interface": interface,
                    "%interface": self.interfaces[interface],
                    "destination.network": network,
                    "destination.port": port,
                    "alias_meta_destination.port": self._meta(port),
                    "alias_meta_destination.network": self._meta(network),
                    "descr": "Anti-Lockout Rule",
                    "is_automatic": True,
                    "sort_order": f"{_AUTOMATIC}.0{index:06d}",
                    "prio_group": str(_AUTOMATIC),
                }
                rows.insert(0, row)
        return rows


def _stamp(fields: Fields, what: str, username: str) -> None:
    fields[f"{what}.username"] = username
    fields[f"{what}.time"] = f"{time.time():.2f}"
    fields[f"{what}.description"] = "/api.php made changes"
