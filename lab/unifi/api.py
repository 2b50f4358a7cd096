"""The controller's API: its envelope, its paths, and what it does with forwards."""

import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from lab.http_faults import FaultBox

from .accounts import Door
from .documents import Document, InvalidError, check, overlapping
from .habits import Habit

PREFIX = "/proxy/network"
PAGE = "<!DOCTYPE html><html><head><title>UniFi OS</title></head><body></body></html>"
FORWARDS = "rest/portforward"


class RefusedError(Exception):
    """An answer that is an error."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        """Take the HTTP status and the `msg` of the envelope."""
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True, kw_only=True)
class Site:
    """A site with its forwards, in the order in which they were made."""

    id: str
    name: str
    description: str
    forwards: list[Document] = field(default_factory=list)


class Machine(Protocol):
    """What the API shows and changes."""

    sites: list[Site]
    habits: set[Habit]
    is_os: bool

    def shown(self, site: Site, path: str) -> Sequence[Document] | None:
        """Return a list that can only be read, None where there is none."""

    def changed(self) -> None:
        """Hear that a forward was changed."""


@dataclass(slots=True)
class Api:
    """Answers requests; counts them as `PUT rest/portforward`, whatever the id."""

    machine: Machine
    door: Door
    requests: Counter[str] = field(default_factory=Counter)
    log: list[tuple[str, object]] = field(default_factory=list)
    faults: FaultBox = field(
        default_factory=lambda: FaultBox(
            page=PAGE,
            inside=_envelope(error="api.err.ServerBusy"),
            server_error=_envelope(error="api.err.InternalError"),
        )
    )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or let it go wrong."""
        is_os = self.machine.is_os
        if request.path == "/":
            return await self.faults.strike("GET /", request, self._root)
        if request.path == ("/api/auth/login" if is_os else "/api/login"):
            return await self.faults.strike("login", request, lambda: self.door.login(request))
        path = request.path.removeprefix(PREFIX) if is_os else request.path
        if (is_os and path == request.path) or not path.startswith("/api/"):
            return web.Response(status=404, text=PAGE, content_type="text/html")
        parts = path.removeprefix("/api/").split("/")
        site = ""
        if parts[0] == "s" and len(parts) > 2:  # noqa: PLR2004  s, site, the rest
            site, parts = parts[1], parts[2:]
        wanted_id = parts.pop() if "/".join(parts[:2]) == FORWARDS and parts[2:] else ""
        name = "/".join(parts)
        self.requests[f"{request.method} {name}"] += 1
        return await self.faults.strike(
            f"{request.method} {name}",
            request,
            lambda: self._answer(request, site, name, wanted_id),
        )

    async def _root(self) -> web.Response:
        if not self.machine.is_os:
            return web.Response(status=HTTPStatus.FOUND, headers={"Location": "/manage"})
        return web.Response(text=PAGE, content_type="text/html")

    async def _answer(
        self, request: web.Request, site: str, path: str, wanted_id: str
    ) -> web.Response:
        try:
            data = await self._carry_out(request, site, path, wanted_id)
        except RefusedError as refused:
            return web.json_response(_envelope(error=refused.message), status=refused.status)
        response = web.json_response(_envelope(data=data))
        if Habit.CSRF_ROTATES in self.machine.habits and request.method != "GET":
            renewed = self.door.renew_csrf(request)
            if renewed:
                response.headers["x-updated-csrf-token"] = renewed
        return response

    async def _carry_out(
        self, request: web.Request, name: str, path: str, wanted_id: str
    ) -> Sequence[Mapping[str, object]]:
        role = self.door.role(request)
        if role is None:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "api.err.LoginRequired")
        if path == "self/sites":
            return [
                {"_id": site.id, "name": site.name, "desc": site.description, "role": role}
                for site in self.machine.sites
            ]
        site = next((site for site in self.machine.sites if site.name == name), None)
        if site is None:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "api.err.NoSiteContext")
        if request.method == "GET":
            shown = site.forwards if path == FORWARDS else self.machine.shown(site, path)
            if shown is None:
                raise RefusedError(HTTPStatus.NOT_FOUND, "api.err.NotFound")
            return shown
        if not self.door.is_genuine(request):
            raise RefusedError(HTTPStatus.FORBIDDEN, "api.err.CsrfTokenInvalid")
        if role != "admin":
            raise RefusedError(HTTPStatus.FORBIDDEN, "api.err.NoPermission")
        if path != FORWARDS:
            raise RefusedError(HTTPStatus.NOT_FOUND, "api.err.NotFound")
        return self._change(site, request.method, wanted_id, await _body(request))

    def _change(
        self, site: Site, method: str, wanted_id: str, body: Document
    ) -> Sequence[Document]:
        self.log.append((f"{method} {FORWARDS}", body))
        if method == "POST":
            answer = [self.create(site, body)]
        else:
            held = next((row for row in site.forwards if row["_id"] == wanted_id), None)
            if held is None:
                raise RefusedError(HTTPStatus.BAD_REQUEST, "api.err.IdInvalid")
            if method == "DELETE":
                if Habit.DELETE_IGNORED not in self.machine.habits:
                    site.forwards.remove(held)
                answer = []
            else:
                # The whole document: what is not sent is gone.
                changed = self._stored({**body, "_id": wanted_id, "site_id": site.id})
                self._check(site, changed)
                if Habit.PUT_IGNORED not in self.machine.habits:
                    site.forwards[site.forwards.index(held)] = changed
                answer = [] if Habit.PUT_EMPTY in self.machine.habits else [changed]
        self.machine.changed()
        return answer

    def create(self, site: Site, body: Mapping[str, object]) -> Document:
        """Add a forward as it is asked for. Raises RefusedError."""
        document = self._stored({**body, "_id": secrets.token_hex(12), "site_id": site.id})
        self._check(site, document)
        site.forwards.append(document)
        return document

    def _stored(self, document: Document) -> Document:
        if Habit.LIMIT_DROPPED in self.machine.habits:
            return {k: v for k, v in document.items() if not k.startswith("src_limiting")}
        return document

    def _check(self, site: Site, document: Document) -> None:
        try:
            check(document)
        except InvalidError as invalid:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "api.err.InvalidPayload") from invalid
        checks_overlap = Habit.NO_OVERLAP_CHECK not in self.machine.habits
        others = site.forwards
        if Habit.OVERLAP_WHEN_ON in self.machine.habits:
            checks_overlap = bool(document.get("enabled"))
            others = [other for other in others if other.get("enabled")]
        if checks_overlap and overlapping(document, others):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "api.err.PortForwardOverlaps")


async def _body(request: web.Request) -> Document:
    if not request.can_read_body:
        return {}
    try:
        body = json.loads(await request.text())
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "api.err.InvalidPayload") from error
    if not isinstance(body, dict):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "api.err.InvalidPayload")
    return body


def _envelope(
    *, data: Sequence[Mapping[str, object]] = (), error: str | None = None
) -> dict[str, object]:
    meta = {"rc": "error", "msg": error} if error else {"rc": "ok"}
    return {"meta": meta, "data": list(data)}
