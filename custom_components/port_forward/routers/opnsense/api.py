"""HTTP to one OPNsense: JSON in and out, with the key and the secret of a user.

Source: the recorded replies of 26.1.11 and 26.7.2, and the controllers of
OPNsense's core.
"""

import base64
import json
import time
from collections.abc import Mapping
from typing import cast

import aiohttp

from ..errors import (
    AuthenticationFailedError,
    MissingRightsError,
    ProtocolError,
    RouterError,
    TooOldError,
)
from ..tls import ssl_of
from ..transport import TIMEOUT, DroppedError, Transport

type Reply = Mapping[str, object]

D_NAT = "firewall/d_nat"
STATES = "diagnostics/firewall"
INTERFACES = "interfaces/overview/interfacesInfo"
SYSTEM = "diagnostics/system/systemInformation"

RIGHTS = {
    D_NAT: "Firewall: NAT: Destination NAT",
    STATES: "Diagnostics: Show States",
    INTERFACES: "Status: Interfaces",
    SYSTEM: "Lobby: Dashboard",
}
"""The privilege that covers each part of the API, as the user manager calls it."""

LOGIN_PAUSE = 300.0
"""Seconds without a request after a login that failed: the firewall blocks whoever goes on."""

_FIRST_WITH_D_NAT = "26.1"
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404


class Api:
    """The API of one firewall, on behalf of one user."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: Mapping[str, str],
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        """Take `url` (such as `https://192.168.1.1`), `api_key`, `api_secret` and `fingerprint`."""
        self.url = settings["url"].rstrip("/")
        self.host = Transport.host_of(self.url)
        self._transport = Transport(session, timeout=timeout, ssl=ssl_of(settings))
        login = f"{settings['api_key']}:{settings['api_secret']}".encode()
        self._headers = {
            "Authorization": f"Basic {base64.b64encode(login).decode()}",
            "Accept": "application/json",
        }
        self._refused_at: float | None = None

    async def read(self, path: str, body: Reply | None = None) -> Reply:
        """Ask what changes nothing, once more when the connection breaks."""
        try:
            return await self._ask(path, body)
        except DroppedError:
            return await self._ask(path, body)

    async def write(self, path: str, body: Reply | None = None, *, timeout: float = 0) -> Reply:  # noqa: ASYNC109  in place of the usual one
        """Ask for a change, once: when the connection breaks, it may have been carried out."""
        return await self._ask(path, body or {}, timeout=timeout)

    async def _ask(self, path: str, body: Reply | None, *, timeout: float = 0) -> Reply:  # noqa: ASYNC109
        if self._refused_at is not None and time.monotonic() < self._refused_at + LOGIN_PAUSE:
            raise AuthenticationFailedError(host=self.host)
        headers = self._headers
        if body is not None:
            headers = headers | {"Content-Type": "application/json"}
        status, answer = await self._transport.request(
            "GET" if body is None else "POST",
            f"{self.url}/api/{path}",
            headers=headers,
            body=None if body is None else json.dumps(body).encode(),
            timeout=timeout or None,
        )
        self._refused_at = time.monotonic() if status == _UNAUTHORIZED else None
        reply = _parse(answer)
        if status == _OK and isinstance(reply, dict):
            return cast("Reply", reply)
        raise self._explain(path, status, reply, answer)

    def _explain(self, path: str, status: int, reply: object, answer: bytes) -> RouterError:
        """Return what an answer means that is not the one that was hoped for."""
        told = reply if isinstance(reply, dict) else {}
        message = str(told.get("errorMessage", told.get("message", "")))
        if status == _UNAUTHORIZED:
            return AuthenticationFailedError(host=self.host)
        if status == _FORBIDDEN:
            return MissingRightsError(host=self.host, detail=right_for(path))
        if "denied for write access" in message:
            detail = "saving changes (take away System: Deny config write)"
            return MissingRightsError(host=self.host, detail=detail)
        if status == _NOT_FOUND and told and path.startswith(D_NAT):
            return TooOldError(
                host=self.host,
                version=f"before {_FIRST_WITH_D_NAT}",
                needed=f"OPNsense {_FIRST_WITH_D_NAT}",
            )
        if reply is None and answer.lstrip().startswith(b"<"):
            message = "a web page in place of an answer"
        elif not message:
            message = "no JSON" if reply is None else "an answer of another shape"
        return ProtocolError(host=self.host, detail=f"HTTP {status}, {short(message)}")


def right_for(path: str) -> str:
    """Return the privilege that covers a path."""
    return next(right for part, right in RIGHTS.items() if path.startswith(part))


def short(text: object) -> str:
    """Return at most 80 printable ASCII characters: this goes to logs and to the screen."""
    return "".join(c for c in str(text) if c.isascii() and c.isprintable()).strip()[:80]


def _parse(answer: bytes) -> object:
    try:
        return json.loads(answer)
    except ValueError, RecursionError:
        return None
