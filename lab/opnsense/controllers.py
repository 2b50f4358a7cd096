"""What each action of the API does when nothing goes wrong."""

import re
from collections.abc import Mapping
from typing import cast

from .account import Account
from .faults import Fault
from .pf import PacketFilter
from .table import ReadOnlyError, RuleTable

type Answer = tuple[int, object]

FIRST_WITH_D_NAT = (26, 1)
_LAST_WITH_SAVEPOINTS = (26, 1)

NOT_FOUND: Answer = (404, {"errorMessage": "Endpoint not found"})
CRASHED = "Unexpected error, check log for details"
_SUCCESS = {
    "addRule": {"result": "saved", "uuid": "00000000-1111-2222-3333-444444444444"},
    "setRule": {"result": "saved"},
    "delRule": {"result": "deleted"},
    "apply": {"status": "OK\n\n"},
}


class Controllers:
    """The actions, on behalf of one account."""

    def __init__(
        self,
        table: RuleTable,
        pf: PacketFilter,
        version: str,
        account: Account,
        fault: Fault | None,
    ) -> None:
        """Take the firewall; `fault` is one that is felt inside an action."""
        self._table = table
        self._pf = pf
        self._version = version
        self._account = account
        self._fault = fault

    async def act(
        self, endpoint: str, arguments: list[str], body: object, *, posted: bool
    ) -> Answer:
        """Return status and reply of `module/controller/action`."""
        controller, _, action = endpoint.rpartition("/")
        if controller == "firewall/d_nat":
            self._table.read_only = self._account.read_only
            try:
                return await self._d_nat(action, arguments, body, posted=posted)
            except ReadOnlyError:
                return self._deny()
            finally:
                self._table.read_only = False
        if controller == "diagnostics/firewall":
            return await self._states(action, arguments, body, posted=posted)
        if endpoint == "interfaces/overview/interfacesInfo":
            return 200, self._interfaces()
        if endpoint == "diagnostics/system/systemInformation":
            versions = [f"OPNsense {self._version}-amd64", "FreeBSD 14.3-RELEASE-p5"]
            return 200, {"name": "OPNsense.internal", "versions": versions}
        return NOT_FOUND

    async def _d_nat(  # noqa: PLR0911  one return an action
        self, action: str, arguments: list[str], body: object, *, posted: bool
    ) -> Answer:
        if self._release() < FIRST_WITH_D_NAT:
            return NOT_FOUND
        uuid = arguments[0] if arguments else ""
        if self._fault is Fault.IGNORED and action in _SUCCESS:
            return 200, _SUCCESS[action]
        if action == "apply":
            return 200, await self._apply(posted=posted)
        if action in ("addRule", "setRule"):
            return self._save(uuid if action == "setRule" else None, body)
        if action == "savepoint" and self._release() <= _LAST_WITH_SAVEPOINTS:
            return 200, {"status": "ok", "retention": "100", "revision": "1795346002.03"}
        if action in ("searchRule", "getRule"):
            return 200, self._read(uuid, body, all_of_them=action == "searchRule")
        if action in ("toggleRule", "delRule"):
            return 200, self._switch(action, arguments, posted=posted)
        return NOT_FOUND

    def _deny(self) -> Answer:
        error = {
            "errorMessage": f"User {self._account.name} denied for write access"
            " (user-config-readonly set)",
            "errorTitle": "General access",
            "errorLevel": "error",
        }
        return 500, error

    def _read(self, uuid: str, body: object, *, all_of_them: bool) -> object:
        if not all_of_them:
            return self._table.template(uuid or None)
        asked = cast("Mapping[str, object]", body or {})
        return self._table.search(
            str(asked.get("searchPhrase", "")), int(str(asked.get("rowCount", -1)))
        )

    def _switch(self, action: str, arguments: list[str], *, posted: bool) -> object:
        if not posted or not arguments:
            return {"result": "failed"}
        if action == "delRule":
            return self._table.delete(arguments[0])
        return self._table.toggle(arguments[0], arguments[1] if len(arguments) > 1 else None)

    def _save(self, uuid: str | None, body: object) -> Answer:
        rule = body.get("rule") if isinstance(body, dict) else None
        if not isinstance(rule, dict):
            return 500, {"errorMessage": CRASHED}
        if uuid is None:
            return 200, self._table.add(rule, self._account.name)
        return 200, self._table.change(uuid, rule, self._account.name)

    async def _apply(self, *, posted: bool) -> Mapping[str, str]:
        if not posted:
            return {"status": "error"}
        if self._fault is Fault.NOT_APPLIED:
            return {"status": "Execute error\n"}
        await self._pf.load(self._table.in_order())
        return {"status": "OK\n\n"}

    async def _states(
        self, action: str, arguments: list[str], body: object, *, posted: bool
    ) -> Answer:
        asked = body if isinstance(body, dict) else {}
        if action == "queryStates":
            rows = self._pf.find(_sanitized(asked.get("searchPhrase"))) if posted else []
            return 200, {"rows": rows, "rowCount": len(rows), "total": len(rows), "current": 1}
        if action == "killStates":
            text = _sanitized(asked.get("filter"))
            if not posted or not text:
                return 200, {"result": "failed"}
            found = self._pf.find(text)
            self._pf.kill([state["id"] for state in found])
            return 200, {"result": "ok", "dropped_states": len(found)}
        if action == "delState" and len(arguments) > 1:
            if posted:
                self._pf.kill(["/".join(arguments[:2])])
            return 200, {"result": ""}
        return NOT_FOUND

    def _interfaces(self) -> Mapping[str, object]:
        rows = [
            _interface("lan", "igb1", "192.168.1.1/24", "02:00:00:00:00:01", gateways=[]),
            _interface(
                "wan",
                "igb0",
                f"{self._pf.external_address}/24",
                "02:00:00:00:00:02",
                gateways=["203.0.113.1"],
            ),
        ]
        return {"total": len(rows), "rowCount": len(rows), "current": 1, "rows": rows}

    def _release(self) -> tuple[int, int]:
        year, month, *_ = map(int, re.findall(r"\d+", self._version))
        return year, month


def _interface(
    identifier: str, device: str, address: str, mac: str, *, gateways: list[str]
) -> Mapping[str, object]:
    return {
        "identifier": identifier,
        "device": device,
        "description": identifier.upper(),
        "status": "up",
        "enabled": True,
        "link_type": "static",
        "addr4": address,
        "addr6": "",
        "ipv4": [{"ipaddr": address}],
        "macaddr": mac,
        "gateways": gateways,
    }


def _sanitized(text: object) -> str:
    """Colons and slashes are taken out, so that neither IPv6 nor a network can be asked for."""
    return re.sub(r"[^0-9a-zA-Z ,*\-_.#]", "", str(text or ""))
