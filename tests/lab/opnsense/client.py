"""A client of the simulated OPNsense that shows what came over the wire."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from lab.opnsense import OPNsense

D_NAT = "/api/firewall/d_nat"


@dataclass(frozen=True, kw_only=True)
class Client:
    """Speaks for the first account, or for nobody."""

    session: aiohttp.ClientSession
    firewall: OPNsense

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        account: tuple[str, str] | str | None = "first",
        raw: str | None = None,
    ) -> tuple[int, Any]:
        """Return status and reply."""
        if account == "first":
            first = self.firewall.accounts[0]
            account = (first.key, first.secret)
        headers = {}
        if isinstance(account, tuple):
            headers["Authorization"] = aiohttp.encode_basic_auth(*account)
        certificate = self.firewall.certificate
        async with self.session.request(
            method,
            self.firewall.url + path,
            data=raw if raw is not None else None if body is None else json.dumps(body),
            headers=headers,
            ssl=aiohttp.Fingerprint(bytes.fromhex(certificate.fingerprint))
            if certificate
            else True,
        ) as response:
            text = await response.text()
            return response.status, json.loads(text) if text.startswith(("{", "[")) else text

    async def post(self, path: str, body: object = None) -> Any:  # noqa: ANN401  JSON
        """Return the reply to a POST that is answered with 200."""
        status, reply = await self.ask("POST", f"{D_NAT}/{path}", {} if body is None else body)
        assert status == 200, reply
        return reply

    async def add(self, **fields: object) -> str:
        """Add a rule, and return its id."""
        reply = await self.post("addRule", rule(**fields))
        assert reply["result"] == "saved", reply
        return str(reply["uuid"])


@asynccontextmanager
async def client_of(firewall: OPNsense) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session=session, firewall=firewall)


def rule(**fields: object) -> dict[str, Any]:
    """Return the body of a request for the rule of the recordings, changed as told."""
    made: dict[str, Any] = {
        "disabled": "0",
        "interface": "wan",
        "ipprotocol": "inet",
        "protocol": "tcp",
        "source": {"network": "203.0.113.50", "port": "", "not": "0"},
        "destination": {"network": "wanip", "port": "32400", "not": "0"},
        "target": "192.168.1.10",
        "local-port": "32400",
        "log": "0",
        "descr": "HA: Plex [ha-pf:01H]",
        "natreflection": "disable",
        "pass": "pass",
    }
    for key, value in fields.items():
        name = "local-port" if key == "local_port" else key
        if isinstance(value, dict):
            made[name] = {**made[name], **value}
        else:
            made[name] = value
    return {"rule": made}
