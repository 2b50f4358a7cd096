"""JSON-RPC to one router's ubus: a session that is renewed, and replies with a status.

Source: uhttpd's ubus plugin and rpcd, as measured (rpcd of April 2026). Every
reply is HTTP 200; what went wrong stands inside.
"""

import json
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, cast

import aiohttp

from ..errors import (
    AuthenticationFailedError,
    MissingRightsError,
    ProtocolError,
    RouterBusyError,
    RouterError,
    RouterTimeoutError,
    TooOldError,
    UnsupportedError,
)
from ..tls import ssl_of
from ..transport import TIMEOUT, DroppedError, Transport
from .rights import Rights, read_rights

type Data = Mapping[str, object]

NEEDED: Final = "OpenWrt 22.03"
"""The first with fw4, whose rules these are."""

_SESSION_TIMEOUTS: Final = range(900, 1000)  # seconds without a call

_NOBODY = "0" * 32
_ACCESS_DENIED = -32002
_OBJECT_NOT_FOUND = -32000
_HTTP_OK, _HTTP_NOT_FOUND = 200, 404

_METHOD_NOT_FOUND = 3
NOT_FOUND: Final = 4
NO_DATA: Final = 5
PERMISSION_DENIED: Final = 6
_TIMED_OUT = 7

# What rpcd refuses for want of a right to the file alone. Of `apply` and the like it also means
# that somebody else's change is waiting to be confirmed.
_BY_FILE: Final = tuple(
    f"uci {function}" for function in ("get", "changes", "add", "set", "delete")
)


class StatusError(ProtocolError):
    """The method answered with a status that is not 0 (host, detail)."""

    def __init__(self, *, host: str, call: str, status: int) -> None:
        """Take the call, such as `uci apply`, and the status of ubus."""
        super().__init__(host=host, detail=f"{call}: status {status}")
        self.status = status


class SessionLostError(ProtocolError):
    """The session is not known, or may not do this: rpcd answers both alike (host, detail)."""

    def __init__(self, *, host: str, call: str) -> None:
        """Take the call that was denied."""
        super().__init__(host=host, detail=f"{call}: access denied")
        self.call = call


class NoObjectError(UnsupportedError):
    """The router has no such object on its bus (host, detail)."""


class Ubus:
    """The bus of one router, on behalf of one account."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: Mapping[str, str],
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        """Take `url`, `username`, `password` and, where there is one, `fingerprint`.

        The session has to verify certificates, see `tls.ssl_of`.
        """
        self.url = settings["url"].rstrip("/")
        self.host = Transport.host_of(self.url)
        self._username = settings["username"]
        self._password = settings["password"]
        self._transport = Transport(session, timeout=timeout, ssl=ssl_of(settings))
        self._session_id: str | None = None
        self._number = 0
        # A number that nobody else asks for: while somebody's apply is not confirmed, rpcd gives
        # *their* session to a login of the same user, changes and all. This tells it from ours.
        self._session_timeout = random.choice(_SESSION_TIMEOUTS)  # noqa: S311  guards nothing
        self.rights = Rights(acls={})
        """What the account may do, known since the last login."""

    async def call(self, name: str, function: str, /, **args: object) -> Data:
        """Call a method, logging in first where needed, and once more when that was too long ago.

        Returns the data of the reply, empty for none. Raises MissingRightsError,
        AuthenticationFailedError, StatusError, NoObjectError and what the
        transport raises.
        """
        fresh = self._session_id is None
        try:
            return await self.call_in_session(name, function, **args)
        except SessionLostError as error:
            if fresh:
                raise self._denied(error) from None
        self.forget()
        try:
            return await self.call_in_session(name, function, **args)
        except SessionLostError as error:
            raise self._denied(error) from None

    async def call_in_session(self, name: str, function: str, /, **args: object) -> Data:
        """Call a method in the session that there is, as changes are known to it alone.

        Raises SessionLostError where `call` would log in again.
        """
        if self._session_id is None:
            await self.login()
        return await self._call(self._session_id or _NOBODY, name, function, args)

    async def read(self, name: str, function: str, /, **args: object) -> Data:
        """Call what changes nothing, once more when the connection breaks."""
        try:
            return await self.call(name, function, **args)
        except DroppedError:
            return await self.call(name, function, **args)

    async def login(self) -> Rights:
        """Begin a session and return what it may do.

        Raises AuthenticationFailedError, and RouterBusyError when rpcd gives us
        somebody else's session.
        """
        self.forget()
        data = await self._login(self._password)
        session_id = data.get("ubus_rpc_session")
        if not isinstance(session_id, str):
            raise ProtocolError(host=self.host, detail="a login without a session")
        if data.get("timeout") != self._session_timeout:
            raise RouterBusyError(host=self.host)
        self._session_id = session_id
        self.rights = read_rights(data.get("acls"))
        return self.rights

    async def lets_in(self, password: str) -> bool:
        """Tell whether the account may log in with this password."""
        try:
            data = await self._login(password)
        except AuthenticationFailedError:
            return False
        if data.get("timeout") == self._session_timeout:
            # Where that may not be done, it ends by itself.
            with suppress(ProtocolError):
                await self._call(str(data.get("ubus_rpc_session")), "session", "destroy", {})
        return True

    @property
    def has_session(self) -> bool:
        """Whether somebody has logged in, and not been forgotten since."""
        return self._session_id is not None

    def forget(self) -> None:
        """Log in anew before the next call."""
        self._session_id = None

    async def _login(self, password: str) -> Data:
        credentials = {"username": self._username, "password": password}
        try:
            return await self._call(
                _NOBODY, "session", "login", {**credentials, "timeout": self._session_timeout}
            )
        except StatusError as error:
            if error.status == PERMISSION_DENIED:
                raise AuthenticationFailedError(host=self.host) from None
            raise

    def _denied(self, error: SessionLostError) -> MissingRightsError:
        """Return what it means that a new session is denied something, too."""
        return MissingRightsError(host=self.host, detail=error.call)

    async def _call(self, session_id: str, name: str, function: str, args: Data) -> Data:
        self._number += 1
        call = f"{name} {function}"
        request = {
            "jsonrpc": "2.0",
            "id": self._number,
            "method": "call",
            "params": [session_id, name, function, dict(args)],
        }
        status, body = await self._transport.request(
            "POST",
            f"{self.url}/ubus",
            headers={"Content-Type": "application/json"},
            body=json.dumps(request).encode(),
        )
        match self._parse(status, body):
            case {"error": {"code": int(code)}}:
                raise self._error(call, code)
            case {"result": [0]}:
                return {}
            case {"result": [0, dict(data)]}:
                return cast("Data", data)
            case {"result": [int(code), *_]}:
                raise self._status(call, code)
        raise ProtocolError(host=self.host, detail=f"{call}: an answer of another shape")

    def _parse(self, status: int, body: bytes) -> object:
        if status == _HTTP_NOT_FOUND:
            detail = "it has no /ubus: install the package uhttpd-mod-ubus, or LuCI"
            raise UnsupportedError(host=self.host, detail=detail)
        if status != _HTTP_OK:
            raise ProtocolError(host=self.host, detail=f"HTTP {status}")
        try:
            return json.loads(body)
        except ValueError, RecursionError:
            # Not chained: the exception would carry the body along, and with it a session.
            page = body.lstrip()[:1] == b"<"
            detail = "a web page in place of an answer" if page else "no JSON"
            raise ProtocolError(host=self.host, detail=detail) from None

    def _error(self, call: str, code: int) -> ProtocolError | UnsupportedError:
        if code == _ACCESS_DENIED:
            return SessionLostError(host=self.host, call=call)
        if code == _OBJECT_NOT_FOUND:
            return NoObjectError(host=self.host, detail=f"it does not know {call}")
        return ProtocolError(host=self.host, detail=f"{call}: error {code}")

    def _status(self, call: str, status: int) -> RouterError:
        if status == _METHOD_NOT_FOUND:
            return TooOldError(host=self.host, version=f"without {call}", needed=NEEDED)
        if status == _TIMED_OUT:
            return RouterTimeoutError(host=self.host)
        if status == PERMISSION_DENIED and call in _BY_FILE:
            return MissingRightsError(host=self.host, detail=call)
        return StatusError(host=self.host, call=call, status=status)
