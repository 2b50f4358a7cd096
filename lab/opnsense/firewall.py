"""The simulated firewall's life and its HTTP API."""

import asyncio
import base64
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import cast, override

from aiohttp import web

from lab.certificate import Certificate, self_signed
from lab.running import Running

from .account import Account
from .controllers import CRASHED, Controllers
from .faults import Fault, FaultBox, Injected
from .pf import PacketFilter
from .table import RuleTable

LOGIN_PAGE = b"""<!doctype html>
<html lang="en-US"><head><title>Login | OPNsense</title></head>
<body class="page-login"><form id="iform" name="iform" method="post" autocomplete="off">
<input type="text" name="usernamefld"><input type="password" name="passwordfld"></form></body>
</html>
"""
INTERFACES = {"lan": "LAN", "wan": "WAN"}


class OPNsense(Running):
    """An OPNsense in this process: its API with real validation, and a NAT that really relays.

    `requests` counts what came, by action in camelCase ("addRule"). `accounts`
    may be changed while it runs. Rules are in `table` as saved, and in `pf` as
    in force since the last apply.
    """

    def __init__(
        self,
        *,
        version: str = "26.7.2",
        accounts: Sequence[Account] | None = None,
        tls: bool = True,
        external_address: str = "203.0.113.7",
        wan_host: str = "127.0.0.1",
    ) -> None:
        """Make a firewall that is switched off."""
        self.accounts = list(accounts) if accounts is not None else [Account()]
        self.table = RuleTable(INTERFACES)
        self.pf = PacketFilter(wan_host, external_address)
        self.requests: Counter[str] = Counter()
        self.version = version
        self.certificate: Certificate | None = self_signed("OPNsense.internal") if tls else None
        self.on_request: Callable[[str], None] | None = None
        """Called with the action before it is done: what happens at that very moment."""
        self._faults = FaultBox()
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._gone = asyncio.Event()

    @property
    def url(self) -> str:
        """Where the API is, without a path."""
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://127.0.0.1:{self._port}"

    @property
    def settings(self) -> dict[str, str]:
        """What the driver is given to reach it."""
        return {
            "url": self.url,
            "api_key": self.accounts[0].key,
            "api_secret": self.accounts[0].secret,
            "fingerprint": self.certificate.fingerprint if self.certificate else "",
        }

    @override
    async def start(self) -> None:
        """Switch on; the rules that were saved are in force, as after a boot."""
        self._gone.clear()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0, access_log=None)
        await self._runner.setup()
        context = self.certificate.context if self.certificate else None
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=context)
        await site.start()
        self._port = cast("tuple[str, int]", self._runner.addresses[0])[1]
        await self.pf.load(self.table.in_order())

    @override
    async def stop(self) -> None:
        """Switch off: every connection ends, the saved rules stay."""
        self._gone.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self.pf.close()

    async def change_certificate(self) -> None:
        """Show another certificate from now on, as after a renewal, or as an impostor would."""
        await self.stop()
        self.certificate = self_signed("OPNsense.internal")
        await self.start()

    def fault(self, fault: Fault, *, action: str | None = None, times: int | None = 1) -> None:
        """Let the next `times` requests (None: until cleared) for this action go wrong."""
        self._faults.waiting.append(Injected(fault=fault, action=action, times=times))

    def clear_faults(self) -> None:
        """Let nothing more go wrong."""
        self._faults.waiting.clear()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/api/")
        action = _camel(path.split("/")[2]) if path.count("/") > 1 else path
        self.requests[action] += 1
        fault = self._faults.take(action)
        if not request.path.startswith("/api/"):
            return _login_page()
        if fault in _IN_PLACE:
            return _IN_PLACE[fault]()
        if fault is not Fault.NEVER and fault is not Fault.DROP_BEFORE:
            response = await self._answer(request, path, action, fault)
            if fault not in (Fault.SLOW, Fault.DROP_AFTER):
                return _AFTER[fault]() if fault in _AFTER else response
        if fault in (Fault.SLOW, Fault.NEVER):
            await self._gone.wait()
        return _drop(request)

    async def _answer(
        self, request: web.Request, path: str, action: str, fault: Fault | None
    ) -> web.Response:
        account = self._account(request.headers.get("Authorization", ""))
        if account is None:
            return _reply({"status": 401, "message": "Authentication Failed"}, 401)
        module, controller, *_ = (*path.split("/"), "", "")
        if not account.may(_snake(path)):
            return _reply({"status": 403, "message": "Forbidden"}, 403)
        if self.on_request is not None:
            self.on_request(action)
        text = await request.text()
        try:
            body: object = json.loads(text) if text else None
        except ValueError:
            body = None
        controllers = Controllers(self.table, self.pf, self.version, account, fault)
        status, reply = await controllers.act(
            f"{module}/{controller}/{action}",
            path.split("/")[3:],
            body,
            posted=request.method == "POST",
        )
        return _reply(reply, status)

    def _account(self, authorization: str) -> Account | None:
        scheme, _, encoded = authorization.partition(" ")
        if scheme != "Basic":
            return None
        try:
            key, _, secret = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            return None
        return next((a for a in self.accounts if (a.key, a.secret) == (key, secret)), None)


def _login_page() -> web.Response:
    return web.Response(body=LOGIN_PAGE, content_type="text/html")


def _drop(request: web.Request) -> web.StreamResponse:
    """Close the connection in place of an answer."""
    assert request.transport is not None  # noqa: S101  it is being served
    request.transport.abort()
    return web.Response()


def _reply(reply: object, status: int = 200) -> web.Response:
    response = web.json_response(reply, status=status)
    # A session is made for each request, and nobody needs it.
    response.headers["Set-Cookie"] = (
        f"PHPSESSID={secrets.token_hex(13)}; path=/; secure; HttpOnly; SameSite=Lax"
    )
    response.headers["Cache-Control"] = "no-store, no-cache, must-revalidate"
    return response


# What is answered in place of acting, and what after having acted.
_IN_PLACE: Mapping[Fault | None, Callable[[], web.Response]] = {
    Fault.HTML: _login_page,
    Fault.ERROR_500: lambda: _reply({"errorMessage": CRASHED}, 500),
    Fault.ERROR_INSIDE: lambda: _reply({"result": "failed"}),
}
_AFTER: Mapping[Fault | None, Callable[[], web.Response]] = {
    Fault.EMPTY: lambda: web.Response(content_type="application/json"),
    Fault.WRONG_SHAPE: lambda: _reply([["unexpected"]]),
}


def _camel(action: str) -> str:
    """Both spellings of an action are answered."""
    first, *others = action.split("_")
    return first + "".join(other.capitalize() for other in others)


def _snake(path: str) -> str:
    """Privileges are written in snake_case."""
    parts = path.split("/")
    if len(parts) > 2:  # noqa: PLR2004  the action is the third
        parts[2] = re.sub(r"(?<!^)(?=[A-Z])", "_", parts[2]).lower()
    return "/".join(parts)
