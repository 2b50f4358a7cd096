"""The REST API of RouterOS 7: authentication, policies, and the shape of its answers.

Measured on 7.23.7 by others, and the vendor's page on REST; every value is
text, and a body of an error has the only number.
"""

import binascii
import json
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from lab.http_faults import FaultBox

from .habits import Habit
from .menus import Item, Menu, RefusedError, RuleMenu

PAGE = "<!DOCTYPE html><html><head><title>RouterOS router configuration page</title></head></html>"

ALL = frozenset({"read", "write", "rest-api", "api", "policy", "test"})
"""The policies of a group that matter here."""


@dataclass(slots=True, kw_only=True)
class User:
    """Who may log in, and what they may do."""

    name: str = "home-assistant"
    password: str = "correct horse"  # noqa: S105  of a router that exists nowhere
    policies: frozenset[str] = ALL


class Machine(Protocol):
    """What the API changes."""

    users: list[User]
    habits: set[Habit]

    @property
    def has_rest(self) -> bool:
        """Whether it speaks REST."""

    def menu(self, path: str) -> Menu | None:
        """Return the list of this path."""

    def single(self, path: str) -> Item | None:
        """Return the only item of a path that has just one."""

    async def apply(self) -> None:
        """Put what was changed into force."""


@dataclass(slots=True)
class Rest:
    """Answers requests; counts them as `GET ip/firewall/nat`, whatever the id."""

    machine: Machine
    requests: Counter[str] = field(default_factory=Counter)
    log: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    faults: FaultBox = field(
        default_factory=lambda: FaultBox(
            page=PAGE,
            inside=_body(400, "failure: something else"),
            server_error=_body(500, "std failure: timeout (13)"),
        )
    )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or let it go wrong."""
        path = request.path.strip("/")
        if not self.machine.has_rest or not path.startswith("rest/"):
            status = HTTPStatus.OK if not path else HTTPStatus.NOT_FOUND
            return web.Response(status=status, text=PAGE, content_type="text/html")
        path = path.removeprefix("rest/")
        if path.rpartition("/")[2].startswith("*"):
            path, _, item_id = path.rpartition("/")
        else:
            item_id = ""
        name = f"{request.method} {path}"
        self.requests[name] += 1
        return await self.faults.strike(name, request, lambda: self._answer(request, path, item_id))

    async def _answer(self, request: web.Request, path: str, item_id: str) -> web.Response:
        user = self._user(request)
        if user is None or "rest-api" not in user.policies:
            # The same answer for both.
            return _error(401)
        if "api" not in user.policies:
            return _error(500, "std failure: not allowed (9)")
        if ("read" if request.method == "GET" else "write") not in user.policies:
            return _error(500, "not enough permissions (9)")
        values: dict[str, str] = {}
        if request.can_read_body:
            try:
                values = {
                    key: str(value) for key, value in json.loads(await request.text()).items()
                }
            except ValueError, AttributeError:
                return _error(400, "malformed body")
        self.log.append((f"{request.method} {path}", values))
        try:
            answer = self._carry_out(request, path, item_id, values)
        except RefusedError as refused:
            return _error(refused.status, refused.detail)
        if request.method != "GET":
            await self.machine.apply()
        return answer

    def _carry_out(
        self, request: web.Request, path: str, item_id: str, values: dict[str, str]
    ) -> web.Response:
        single = self.machine.single(path)
        if single is not None and request.method == "GET":
            return _json(single)
        if request.method == "POST":
            return self._command(path, values)
        menu = self.machine.menu(path)
        if menu is None:
            raise _no_such(path)
        if request.method == "DELETE" and item_id:
            if Habit.DELETE_IGNORED not in self.machine.habits:
                menu.remove(item_id)
            return web.Response(status=HTTPStatus.NO_CONTENT)
        match request.method, bool(item_id):
            case "GET", False:
                answer = _json(_selected(menu.show(), request.query))
            case "GET", True:
                answer = _json(_shown(menu, item_id))
            case "PUT", False:
                answer = _json(_shown(menu, menu.add(values)[".id"]), HTTPStatus.CREATED)
            case "PATCH", True:
                answer = _json(_shown(menu, menu.set(item_id, values)[".id"]))
            case _:
                raise RefusedError(405)
        return answer

    def _command(self, path: str, values: Mapping[str, str]) -> web.Response:
        path, _, command = path.rpartition("/")
        menu = self.machine.menu(path)
        if menu is None:
            raise _no_such(path)
        match command:
            case "add":
                return _json({"ret": menu.add(values)[".id"]})
            case "move":
                menu.move(values["numbers"], values.get("destination"))
            case "reset-counters" if isinstance(menu, RuleMenu):
                menu.reset_counters()
            case _:
                raise _no_such(command)
        return web.json_response([])

    def _user(self, request: web.Request) -> User | None:
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return None
        try:
            name, _, password = b64decode(encoded, validate=True).decode().partition(":")
        except binascii.Error, UnicodeDecodeError:
            return None
        users = [u for u in self.machine.users if (u.name, u.password) == (name, password)]
        return users[0] if users else None


def _selected(items: list[Item], query: Mapping[str, str]) -> list[Item]:
    """Return the items whose values are those of the query, with the wanted ones of them."""
    wanted = {key: value for key, value in query.items() if key != ".proplist"}
    found = [item for item in items if all(item.get(k, "") == v for k, v in wanted.items())]
    if ".proplist" not in query:
        return found
    shown = {".id", *query[".proplist"].split(",")}
    return [{key: value for key, value in item.items() if key in shown} for item in found]


def _shown(menu: Menu, item_id: str) -> Item:
    return next((item for item in menu.show() if item[".id"] == item_id), menu.find(item_id))


def _no_such(path: str) -> RefusedError:
    return RefusedError(400, f"no such command or directory ({path.rpartition('/')[2]})")


def _json(answer: Item | list[Item], status: int = HTTPStatus.OK) -> web.Response:
    def in_order(item: Item) -> Item:
        return dict(sorted(item.items()))

    shown = in_order(answer) if isinstance(answer, dict) else [in_order(item) for item in answer]
    return web.json_response(shown, status=status)


def _error(code: int, detail: str = "") -> web.Response:
    return web.json_response(_body(code, detail), status=code)


def _body(code: int, detail: str = "") -> dict[str, str | int]:
    message = HTTPStatus(code).phrase
    return {"error": code, "message": message, **({"detail": detail} if detail else {})}
