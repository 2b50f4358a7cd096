"""The simulated FRITZ!Box's life, and TR-064 over HTTP and TLS."""

import asyncio
from collections import Counter
from typing import Literal, cast, override
from xml.sax.saxutils import escape

from aiohttp import web

from lab.certificate import self_signed
from lab.running import Running
from lab.virtual_router.soap import Call, read_call

from .actions import Connection, Values
from .description import (
    CONTROL_PATHS,
    DESCRIPTION_PATH,
    FORWARDING_PATH,
    TYPE,
    description,
)
from .digest import Digest
from .faults import Fault
from .sharing import Lease, PortSharing, TableError

USER = "homeassistant"
PASSWORD = "gurkensalat-7590"  # noqa: S105  of a simulated box

_LOGIN_PAGE = (
    "<!DOCTYPE html><html><head><title>FRITZ!Box</title></head><body>Anmeldung</body></html>"
)
_UNAUTHORIZED_PAGE = (
    "<HTML><HEAD><TITLE>401 Unauthorized (ERR_NONE)</TITLE></HEAD>"
    "<BODY><H1>401 Unauthorized</H1></BODY></HTML>"
)
_ERRORS = {
    401: "Invalid Action",
    402: "Invalid Args",
    501: "Action Failed",
    606: "Action Not Authorized",
    713: "SpecifiedArrayIndexInvalid",
    714: "NoSuchEntryInArray",
    718: "ConflictInMappingEntry",
    801: "String Argument Too Long",
    866: "Second Factor Authentication Required",
}


class FritzBox(Running):
    """A FRITZ!Box in this process: TR-064 with digest authentication, and a NAT that really relays.

    `sharing` is its table, `connections` its WAN services by their type, of
    which the box uses one. `settings_right` is what the account is ticked for.
    `requests` counts what came in, by action.
    """

    def __init__(  # noqa: PLR0913  each is a property of the box
        self,
        *,
        connection: Literal["WANPPPConnection", "WANIPConnection"] = "WANPPPConnection",
        lease: Lease = Lease.IGNORED,
        tls: bool = True,
        lan_host: str = "127.0.0.1",
        wan_host: str = "127.0.0.1",
        external_address: str = "203.0.113.7",
        mac: str = "989BCB2B93B0",
    ) -> None:
        """Make a box that is switched off."""
        self.sharing = PortSharing(wan_host, lease=lease)
        self.connections = {
            kind: Connection(self.sharing, external_address if kind == connection else "")
            for kind in CONTROL_PATHS
        }
        self.passwords = {USER: PASSWORD}
        self.digest = Digest(self.passwords)
        self.settings_right = True
        self.tr064 = True
        """*Allow access for applications*; without it there is no description."""
        self.requests: Counter[str] = Counter()
        self.certificate = self_signed("fritz.box") if tls else None
        self._default = connection
        self._lan_host = lan_host
        self._mac = mac
        self._faults: list[tuple[Fault, str | None, int | None]] = []
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._gone = asyncio.Event()

    @property
    def url(self) -> str:
        """Where TR-064 is, without a path."""
        return f"{'https' if self.certificate else 'http'}://{self._lan_host}:{self._port}"

    @property
    def connection(self) -> Connection:
        """The WAN service that is in use."""
        return self.connections[self._default]

    @property
    def settings(self) -> dict[str, str]:
        """What the driver is given to reach it."""
        return {
            "url": self.url,
            "username": USER,
            "password": PASSWORD,
            "fingerprint": self.certificate.fingerprint if self.certificate else "",
        }

    @override
    async def start(self) -> None:
        """Switch on: the uptime is 0, the table as it was."""
        self._gone.clear()
        self.digest.forget()
        for connection in self.connections.values():
            connection.up_since = asyncio.get_running_loop().time()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0, access_log=None)
        await self._runner.setup()
        context = self.certificate.context if self.certificate else None
        await web.TCPSite(self._runner, self._lan_host, self._port, ssl_context=context).start()
        self._port = cast("tuple[str, int]", self._runner.addresses[0])[1]
        await self.sharing.refresh()

    @override
    async def stop(self) -> None:
        """Switch off: every connection ends."""
        self._gone.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self.sharing.close()

    async def change_certificate(self) -> None:
        """Show another certificate from now on, as after a reset, or as an impostor would."""
        await self.stop()
        self.certificate = self_signed("fritz.box")
        await self.start()

    def fault(self, fault: Fault, *, action: str | None = None, times: int | None = 1) -> None:
        """Let the next `times` requests (None: until cleared) for this action go wrong."""
        self._faults.append((fault, action, times))

    def clear_faults(self) -> None:
        """Let nothing more go wrong."""
        self._faults.clear()

    def _take_fault(self, name: str) -> Fault | None:
        for index, (fault, action, times) in enumerate(self._faults):
            if action in (None, name):
                if times is not None:
                    self._faults[index : index + 1] = (
                        [(fault, action, times - 1)] if times > 1 else []
                    )
                return fault
        return None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = None
        if request.method == "POST":
            authorization = request.headers.get("Authorization", "")
            if self.digest.user("POST", request.path, authorization) is None:
                return self._unauthorized()
            try:
                call = read_call(await request.read())
            except ValueError:
                return web.Response(status=500)
        name = call.action if call else request.path
        self.requests[name] += 1
        return await self._strike(self._take_fault(name), request, call)

    async def _strike(
        self, fault: Fault | None, request: web.Request, call: Call | None
    ) -> web.StreamResponse:
        if fault is Fault.HTML:
            return web.Response(text=_LOGIN_PAGE, content_type="text/html")
        if fault is Fault.ERROR_INSIDE:
            return _fault(501, status=200)
        if fault not in (Fault.NEVER, Fault.DROP_BEFORE):
            response = await self._answer(request, call, ignored=fault is Fault.IGNORED)
            if fault is Fault.GARBAGE:
                return web.Response(body=b"\x00\x7f<<<", content_type="text/xml")
            if fault not in (Fault.SLOW, Fault.DROP_AFTER):
                return response
        if fault in (Fault.SLOW, Fault.NEVER):
            await self._gone.wait()
        assert request.transport is not None  # noqa: S101  it is being served
        request.transport.abort()
        return web.Response()

    async def _answer(
        self, request: web.Request, call: Call | None, *, ignored: bool
    ) -> web.Response:
        if call is None:
            return self._describe(request.path)
        return await self._act(request, call, ignored=ignored)

    def _describe(self, path: str) -> web.Response:
        if path != DESCRIPTION_PATH or not self.tr064:
            return web.Response(status=404)
        body = description("FRITZ!Box 7590", "154.08.21", self._mac)
        return web.Response(body=body, content_type="text/xml")

    def _unauthorized(self) -> web.Response:
        return web.Response(
            status=401,
            text=_UNAUTHORIZED_PAGE,
            content_type="text/html",
            headers={"WWW-Authenticate": self.digest.challenge()},
        )

    async def _act(self, request: web.Request, call: Call, *, ignored: bool) -> web.Response:
        paths = {path: kind for kind, path in CONTROL_PATHS.items()}
        try:
            if request.path == FORWARDING_PATH and call.action == "GetDefaultConnectionService":
                return _reply(call, {"NewDefaultConnectionService": f"1.{self._default}.1"})
            kind = paths.get(request.path, "")
            expected = f"{TYPE}:{kind}:1"
            action = request.headers.get("SOAPAction", "").strip('"')
            if call.namespace != expected or action != f"{expected}#{call.action}":
                return _fault(401)
            if ignored and call.action in ("AddPortMapping", "DeletePortMapping"):
                return _reply(call, {})
            caller = request.remote or ""
            connection = self.connections[kind]
            values = await connection.act(
                call.action, call.arguments, caller, may_set=self.settings_right
            )
        except TableError as error:
            return _fault(error.code)
        except KeyError:
            return _fault(402)
        return _reply(call, values)


def _reply(call: Call, values: Values) -> web.Response:
    arguments = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in values.items())
    name = f"u:{call.action}Response"
    return _envelope(f'<{name} xmlns:u="{call.namespace}">{arguments}</{name}>', 200)


def _fault(code: int, *, status: int = 500) -> web.Response:
    return _envelope(
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"
        '<UPnPError xmlns="urn:schemas-upnp-org:control-1-0">'
        f"<errorCode>{code}</errorCode><errorDescription>{_ERRORS[code]}</errorDescription>"
        "</UPnPError></detail></s:Fault>",
        status,
    )


def _envelope(body: str, status: int) -> web.Response:
    text = (
        '<?xml version="1.0"?>\n'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
        ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    )
    return web.Response(status=status, text=text, content_type="text/xml")
