"""The REST API of RouterOS 7: rows of text, and errors with the router's own words.

Sources: the vendor's page on the REST API, and measurements of 7.23.7. Create
is PUT in the vendor's examples; here it is the `add` command by POST, because
aiohttp sends a PUT again by itself when a kept connection breaks, and RouterOS
takes the same rule twice.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import quote, urlencode

from ..errors import (
    AuthenticationFailedError,
    MissingRightsError,
    ProtocolError,
    UnsupportedError,
)
from ..transport import MAX_BODY, Transport

type Row = Mapping[str, str]
"""An item of a menu. All values are text; what was never set is absent."""

ID = ".id"

_LONGEST_DETAIL = 120

_LONG_MENUS = ("ip/firewall/nat",)
_LONGEST = 16 * 1024 * 1024
"""Bytes. Each device of the home may add rules to the NAT by UPnP, of some 400 bytes each: if
it adds 10,000, ours must still be seen among them, and be closed."""


class RestError(ProtocolError):
    """The router said no, in its own words (host, detail)."""

    def __init__(self, *, host: str, detail: str, status: int) -> None:
        """Take what it said, and the HTTP status."""
        super().__init__(host=host, detail=detail)
        self.status = status

    @property
    def is_absent(self) -> bool:
        """Tell whether there is no such item (any more), in either way to say so."""
        return self.status == HTTPStatus.NOT_FOUND or "no such item" in self.placeholders["detail"]

    @property
    def is_unknown_menu(self) -> bool:
        """Tell whether this router has no such menu."""
        return "no such command" in self.placeholders["detail"]


class Rest:
    """The API of one router, logged in with each request."""

    def __init__(self, transport: Transport, url: str, username: str, password: str) -> None:
        """Take the way to the router, and its address such as `https://192.168.88.1`."""
        self._transport = transport
        self._url = url.rstrip("/")
        credentials = b64encode(f"{username}:{password}".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/json",
        }

    @property
    def host(self) -> str:
        """The host of the router, for messages."""
        return self._transport.host_of(self._url)

    async def rows(self, path: str, query: Mapping[str, str] | None = None) -> Sequence[Row]:
        """Return the items of a menu in their order, those with the values of `query`."""
        encoded = f"?{urlencode(query, quote_via=quote)}" if query else ""
        longest = _LONGEST if path in _LONG_MENUS else MAX_BODY
        answer = await self._ask("GET", f"{path}{encoded}", longest=longest)
        if not isinstance(answer, list):
            raise ProtocolError(host=self.host, detail="no list")
        return [_texts(row) for row in answer if isinstance(row, dict)]

    async def single(self, path: str) -> Row:
        """Return the only item of a menu that has just one."""
        answer = await self._ask("GET", path)
        if not isinstance(answer, dict):
            raise ProtocolError(host=self.host, detail="no object")
        return _texts(answer)

    async def row(self, path: str, row_id: str) -> Row | None:
        """Return the item of this id, None when there is none."""
        try:
            return await self.single(_item(path, row_id))
        except RestError as error:
            if error.is_absent:
                return None
            raise

    async def add(self, path: str, values: Mapping[str, str]) -> str:
        """Add an item and return its id."""
        answer = await self._ask("POST", f"{path}/add", values)
        added = answer.get("ret") if isinstance(answer, dict) else None
        if not isinstance(added, str) or not added:
            raise ProtocolError(host=self.host, detail="no id")
        return added

    async def set(self, path: str, row_id: str, values: Mapping[str, str]) -> None:
        """Change these values of an item, and no others."""
        await self._ask("PATCH", _item(path, row_id), values)

    async def remove(self, path: str, row_id: str) -> None:
        """Remove an item; an absent one is no error."""
        try:
            await self._ask("DELETE", _item(path, row_id))
        except RestError as error:
            if not error.is_absent:
                raise

    async def _ask(
        self,
        method: str,
        path: str,
        values: Mapping[str, str] | None = None,
        *,
        longest: int = MAX_BODY,
    ) -> object:
        status, body = await self._transport.request(
            method,
            f"{self._url}/rest/{path}",
            headers=self._headers,
            body=None if values is None else json.dumps(values).encode(),
            longest=longest,
        )
        if status == HTTPStatus.UNAUTHORIZED:
            raise AuthenticationFailedError(host=self.host)
        if status == HTTPStatus.NO_CONTENT:
            return None
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            if status == HTTPStatus.NOT_FOUND:
                # RouterOS 6 shows a page of its own there.
                detail = "no REST API, which RouterOS has from version 7.9 on"
                raise UnsupportedError(host=self.host, detail=detail) from error
            raise ProtocolError(host=self.host, detail="no JSON") from error
        is_error = isinstance(answer, dict) and "error" in answer
        if status >= HTTPStatus.BAD_REQUEST or is_error:
            raise self._error(status, method, answer)
        return answer

    def _error(self, status: int, method: str, answer: object) -> RestError | MissingRightsError:
        """Return what an error means; one may come with the status 200."""
        said = answer if isinstance(answer, dict) else {}
        detail = str(said.get("detail") or said.get("message") or f"HTTP {status}")
        # Error 9 names a policy of the user's group, see docs/routers/mikrotik.md.
        if "not allowed (9)" in detail:
            return MissingRightsError(host=self.host, detail="api")
        if "not enough permissions (9)" in detail:
            return MissingRightsError(host=self.host, detail="read" if method == "GET" else "write")
        plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in detail)
        return RestError(host=self.host, detail=plain[:_LONGEST_DETAIL], status=status)


def _item(path: str, row_id: str) -> str:
    return f"{path}/{quote(row_id, safe='*')}"


def _texts(row: Mapping[object, object]) -> Row:
    """Return the values that are text, as all of them should be."""
    return {str(key): value for key, value in row.items() if isinstance(value, str)}
