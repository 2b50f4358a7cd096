"""The API of the UniFi Network application: its envelope, and who may speak to it.

It is private and undocumented, and has been the same for about ten years. The
official Integration API has no port forwards (10.4.57). Sources: the clients
aiounifi and go-unifi, and the controller's own regular expressions.
"""

import json
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import datetime
from http import HTTPStatus
from urllib.parse import quote

import aiohttp

from ..errors import (
    AuthenticationFailedError,
    MissingRightsError,
    ProtocolError,
    RouterError,
    UnsupportedError,
)
from ..tls import ssl_of
from ..transport import Transport
from .login import Login

type Document = Mapping[str, object]
"""A thing that the controller keeps, as its whole JSON."""

UNIFI_OS = "unifi_os"
"""Key of `learned`: `yes` for a controller on UniFi OS, `no` for one on a machine of its own."""

FORWARDS = "rest/portforward"

NO_PERMISSION = "api.err.NoPermission"
RIGHT = "full management of the Network application"
"""What an account needs, in the words of the controller's own page."""

_LONGEST_DETAIL = 120


class ApiError(ProtocolError):
    """The controller said no (host, detail: its code, such as `api.err.IdInvalid`)."""

    @property
    def is_absent(self) -> bool:
        """Tell whether there is no such document (any more)."""
        return self.placeholders["detail"] in ("api.err.IdInvalid", "api.err.NotFound")

    @property
    def is_overlap(self) -> bool:
        """Tell whether another forward has the port."""
        return self.placeholders["detail"] == "api.err.PortForwardOverlaps"

    @property
    def is_invalid(self) -> bool:
        """Tell whether the values are at fault."""
        return self.placeholders["detail"].startswith("api.err.Invalid")


class _StrangerError(AuthenticationFailedError):
    """It does not know who asks: the session has ended, or there never was one (host)."""


class Api:
    """One site of one controller, with an API key or a local account.

    A session that has ended is begun anew, once for a request.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: Mapping[str, str],
        *,
        learned: MutableMapping[str, str],
        clock: Callable[[], datetime],
        timeout: float,
    ) -> None:
        """Take the settings as `driver.from_settings` tells, and the driver's memory."""
        self._url = settings["url"].rstrip("/")
        self._site = settings.get("site") or "default"
        self._learned = learned
        self._key = settings.get("api_key", "")
        self._login = Login(settings.get("username", ""), settings.get("password", ""), clock=clock)
        self._transport = Transport(
            session,
            timeout=timeout,
            ssl=ssl_of(settings),
            middlewares=(self._login.note_headers,),
        )

    @property
    def host(self) -> str:
        """The host of the controller, for messages."""
        return self._transport.host_of(self._url)

    @property
    def site(self) -> str:
        """The name of the site."""
        return self._site

    async def detect(self) -> None:
        """Find out where the API is: UniFi OS shows a page at its root, others lead away."""
        try:
            status, _ = await self._transport.request("GET", f"{self._url}/")
        except ProtocolError as error:
            if not error.placeholders["detail"].startswith("redirect"):
                raise
            self._learned[UNIFI_OS] = "no"
            return
        if status != HTTPStatus.OK:
            raise ProtocolError(host=self.host, detail=f"HTTP {status}")
        self._learned[UNIFI_OS] = "yes"

    async def sites(self) -> Sequence[Document]:
        """Return the sites that the account may see."""
        return await self._ask("GET", "self/sites")

    async def read(self, path: str) -> Sequence[Document]:
        """Return the documents of a list of the site."""
        return await self._ask("GET", f"s/{quote(self._site, safe='')}/{path}")

    async def forwards(self) -> Sequence[Document]:
        """Return the forwards that have an id."""
        return [row for row in await self.read(FORWARDS) if isinstance(row.get("_id"), str)]

    async def create(self, values: Document) -> None:
        """Create a forward."""
        await self._ask("POST", self._path(), values)

    async def replace(self, forward_id: str, document: Document) -> None:
        """Put a whole document in place of one: fields that are left out are lost."""
        await self._ask("PUT", self._path(forward_id), document)

    async def delete(self, forward_id: str) -> None:
        """Delete a forward; an absent one is no error."""
        try:
            await self._ask("DELETE", self._path(forward_id))
        except ApiError as error:
            if not error.is_absent:
                raise

    def _path(self, forward_id: str = "") -> str:
        path = f"s/{quote(self._site, safe='')}/{FORWARDS}"
        return f"{path}/{quote(forward_id, safe='')}" if forward_id else path

    async def _ask(
        self, method: str, path: str, body: Document | None = None
    ) -> Sequence[Document]:
        if UNIFI_OS not in self._learned:
            await self.detect()
        is_os = self._learned[UNIFI_OS] == "yes"
        url = f"{self._url}{'/proxy/network' if is_os else ''}/api/{path}"
        if self._key:
            return await self._send(method, url, {"X-API-KEY": self._key}, body)
        if self._login.is_in:
            try:
                return await self._send(method, url, self._login.headers, body, may_be_old=True)
            except _StrangerError:
                self._login.leave()
        await self._login.enter(self._transport, self._url, is_os=is_os)
        return await self._send(method, url, self._login.headers, body)

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Document | None,
        *,
        may_be_old: bool = False,
    ) -> Sequence[Document]:
        """Send one request; `may_be_old` says that the session or its token may have ended."""
        status, answer = await self._transport.request(
            method,
            url,
            headers={"Content-Type": "application/json", **headers},
            body=None if body is None else json.dumps(body).encode(),
        )
        try:
            said = json.loads(answer)
        except ValueError, RecursionError:
            said = None
        meta = said.get("meta") if isinstance(said, dict) else None
        code = str(meta.get("msg") or "") if isinstance(meta, dict) else ""
        is_good = isinstance(meta, dict) and meta.get("rc") == "ok"
        if not is_good or status >= HTTPStatus.BAD_REQUEST:
            raise self._refusal(status, code, may_be_old=may_be_old) or self._nonsense(
                status, is_json=said is not None
            )
        data = said.get("data") if isinstance(said, dict) else None
        if not isinstance(data, list):
            raise ProtocolError(host=self.host, detail="no list")
        return [row for row in data if isinstance(row, dict)]

    def _refusal(self, status: int, code: str, *, may_be_old: bool) -> RouterError | None:
        """Return what a refusal means, None for what is none; one may come with the status 200."""
        if status == HTTPStatus.UNAUTHORIZED or code == "api.err.LoginRequired":
            return _StrangerError(host=self.host)
        if status == HTTPStatus.FORBIDDEN and code != NO_PERMISSION and may_be_old:
            # A CSRF token that is not valid any more.
            return _StrangerError(host=self.host)
        if status == HTTPStatus.FORBIDDEN or code == NO_PERMISSION:
            return MissingRightsError(host=self.host, detail=RIGHT)
        if not code:
            return None
        plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in code)
        return ApiError(host=self.host, detail=plain[:_LONGEST_DETAIL])

    def _nonsense(self, status: int, *, is_json: bool) -> RouterError:
        """Return what an answer without an envelope means."""
        if status == HTTPStatus.NOT_FOUND:
            return UnsupportedError(host=self.host, detail="no UniFi Network application")
        detail = f"HTTP {status}" if is_json or status >= HTTPStatus.BAD_REQUEST else "no JSON"
        return ProtocolError(host=self.host, detail=detail)
