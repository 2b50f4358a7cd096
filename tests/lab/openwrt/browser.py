"""A client of /ubus that says exactly what it is told to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp

from lab.openwrt import PASSWORD, USERNAME, OpenWrt

NOBODY = "0" * 32


@dataclass(kw_only=True)
class Client:
    """One connection to the router, with the session of a login."""

    http: aiohttp.ClientSession
    router: OpenWrt
    session: str = NOBODY
    _number: int = field(default=0)

    async def post(self, body: bytes | str) -> tuple[int, str]:
        async with self.http.post(f"{self.router.url}/ubus", data=body) as response:
            return response.status, await response.text()

    async def raw(self, name: str, function: str, /, **args: object) -> dict[str, object]:
        """The whole reply to a call."""
        self._number += 1
        request = {
            "jsonrpc": "2.0",
            "id": self._number,
            "method": "call",
            "params": [self.session, name, function, args],
        }
        async with self.http.post(f"{self.router.url}/ubus", json=request) as response:
            assert response.status == 200
            reply: dict[str, object] = await response.json()
        assert reply.pop("jsonrpc") == "2.0"
        assert reply.pop("id") == self._number
        return reply

    async def call(self, name: str, function: str, /, **args: object) -> object:
        """The result of a call, or the code of its error."""
        reply = await self.raw(name, function, **args)
        error = reply.get("error")
        return error["code"] if isinstance(error, dict) else reply["result"]

    async def uci(self, function: str, /, **args: object) -> object:
        return await self.call("uci", function, config="firewall", **args)

    async def login(
        self, username: str = USERNAME, password: str = PASSWORD, **args: object
    ) -> Mapping[str, object]:
        reply = await self.call("session", "login", username=username, password=password, **args)
        assert isinstance(reply, list)
        session: dict[str, object] = reply[1]
        self.session = str(session["ubus_rpc_session"])
        return session

    async def add(self, section: str, /, **values: object) -> None:
        """Add a redirect and make it live."""
        assert await self.uci("add", type="redirect", name=section, values=values) == [
            0,
            {"section": section},
        ]
        assert await self.uci("commit") == [0]
