"""JSON-RPC as uhttpd's ubus plugin speaks it: errors, access, batches."""

import json
from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase

from .faults import Fault, FaultBox, Injected
from .sessions import NOBODY, Session, Sessions
from .status import Method, StatusError

MAX_BODY = 65536  # bytes

PARSE_ERROR = (-32700, "Parse error")
METHOD_NOT_FOUND = (-32601, "Method not found")
INVALID_PARAMETERS = (-32602, "Invalid parameters")
OBJECT_NOT_FOUND = (-32000, "Object not found")
ACCESS_DENIED = (-32002, "Access denied")

type Json = dict[str, object]

_OPEN_TO_ALL = (("session", "login"), ("session", "access"))
_WITHOUT_THE_CALL = (Fault.HTML, Fault.GARBAGE, Fault.HTTP_500, Fault.DROP_BEFORE, Fault.HUGE)


class StruckError(Exception):
    """The reply goes wrong as HTTP; `acted` says whether the call was carried out."""

    def __init__(self, injected: Injected, reply: object = None) -> None:
        """Take the fault, and what would have been the reply."""
        super().__init__(injected.fault)
        self.injected = injected
        self.reply = reply


class Ubus:
    """Answers requests to /ubus."""

    def __init__(self, sessions: Sessions, objects: Mapping[str, Mapping[str, Method]]) -> None:
        """Take the objects with their methods."""
        self._sessions = sessions
        self.objects = {name: dict(methods) for name, methods in objects.items()}
        self.calls: Counter[str] = Counter()
        self.faults = FaultBox()

    async def answer(self, body: bytes) -> object:
        """Return the reply to a request or to a batch of them; raises StruckError."""
        if len(body) > MAX_BODY:
            return _error(None, PARSE_ERROR)
        try:
            request = json.loads(body)
        except ValueError:
            return _error(None, PARSE_ERROR)
        if isinstance(request, list):
            return [await self._one(item) for item in request]
        return await self._one(request)

    async def _one(self, request: object) -> Json:
        if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
            return _error(None, PARSE_ERROR)
        number = request.get("id")
        match request.get("method"):
            case "call":
                return await self._call(number, request.get("params"))
            case "list":
                return _reply(number, result=sorted(self.objects))
            case _:
                return _error(number, METHOD_NOT_FOUND)

    async def _call(self, number: object, params: object) -> Json:
        match params:
            case [str(session_id), str(name), str(function), *rest]:
                args = rest[0] if rest else {}
            case _:
                return _error(number, PARSE_ERROR)
        if not isinstance(args, dict):
            return _error(number, PARSE_ERROR)
        call = f"{name} {function}"
        self.calls[call] += 1
        struck = self.faults.take(call)
        if struck and struck.fault in _WITHOUT_THE_CALL:
            raise StruckError(struck)
        if struck and struck.fault is Fault.EXPIRE:
            self._sessions.destroy(session_id)
        if struck and struck.fault is Fault.FAIL:
            return _reply(number, result=[struck.status])
        if struck and struck.fault is Fault.IGNORE:
            return _reply(number, result=[0])
        reply = await self._carry_out(number, session_id, name, function, args)
        if struck and struck.fault is not Fault.EXPIRE:
            raise StruckError(struck, reply)
        return reply

    async def _carry_out(
        self, number: object, session_id: str, name: str, function: str, args: Json
    ) -> Json:
        if name not in self.objects:
            return _error(number, OBJECT_NOT_FOUND)
        session = None if session_id == NOBODY else self._sessions.find(session_id)
        if not _allowed(session, name, function):
            return _error(number, ACCESS_DENIED)
        if "ubus_rpc_session" in args:
            return _error(number, INVALID_PARAMETERS)
        method = self.objects[name].get(function)
        if method is None:
            return _reply(number, result=[3])
        try:
            data = await method(session, args)
        except StatusError as error:
            return _reply(number, result=[error.status])
        return _reply(number, result=[0] if data is None else [0, data])


def _allowed(session: Session | None, name: str, function: str) -> bool:
    if (name, function) in _OPEN_TO_ALL:
        return True
    if session is None:
        return False
    return any(
        fnmatchcase(name, pattern) and any(fnmatchcase(function, may) for may in functions)
        for pattern, functions in session.rights.ubus.items()
    )


def _reply(number: object, *, result: object) -> Json:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def _error(number: object, error: tuple[int, str]) -> Json:
    code, message = error
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}
