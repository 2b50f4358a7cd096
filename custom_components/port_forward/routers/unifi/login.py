"""Logging in with a local account: a cookie, and a CSRF token that may change at any answer."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus

import aiohttp

from ..errors import (
    AuthenticationFailedError,
    LockedOutError,
    ProtocolError,
    SecondFactorError,
)
from ..transport import Transport

QUIET = timedelta(minutes=15)
"""After a login that was refused none is tried for so long: five in a row lock everybody out."""

_MFA_REQUIRED = 499  # no status of the standard
_COOKIES = ("TOKEN", "unifises")


class Login:
    """The session of one account."""

    def __init__(self, username: str, password: str, *, clock: Callable[[], datetime]) -> None:
        """Take the account; `clock` returns an aware time."""
        self._credentials = {"username": username, "password": password, "rememberMe": True}
        self._clock = clock
        self._cookie = ""
        self._csrf = ""
        self._refused: AuthenticationFailedError | None = None
        self._quiet_until: datetime | None = None

    @property
    def is_in(self) -> bool:
        """Tell whether there is a session, as far as is known."""
        return bool(self._cookie)

    @property
    def headers(self) -> Mapping[str, str]:
        """What tells a request as one of the session."""
        csrf = {"x-csrf-token": self._csrf} if self._csrf else {}
        return {"Cookie": self._cookie, **csrf}

    async def note_headers(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Note the cookie and the CSRF token of every answer (a middleware of aiohttp)."""
        response = await handler(request)
        for name in _COOKIES:
            if name in response.cookies:
                self._cookie = f"{name}={response.cookies[name].value}"
        headers = response.headers
        self._csrf = headers.get("x-updated-csrf-token", headers.get("x-csrf-token", self._csrf))
        return response

    async def enter(self, transport: Transport, url: str, *, is_os: bool) -> None:
        """Begin a session.

        Raises AuthenticationFailedError, LockedOutError and SecondFactorError;
        and again, without asking, for `QUIET` after any of them.
        """
        if self._refused and self._quiet_until and self._clock() < self._quiet_until:
            raise self._again(self._refused)
        self.leave()
        status, answer = await transport.request(
            "POST",
            f"{url}/api/auth/login" if is_os else f"{url}/api/login",
            headers={"Content-Type": "application/json"},
            body=json.dumps(self._credentials).encode(),
        )
        host = transport.host_of(url)
        if refused := _refusal(status, answer, host):
            self._refused, self._quiet_until = refused, self._clock() + QUIET
            raise refused
        self._refused = None
        if status != HTTPStatus.OK or not self._cookie:
            self.leave()
            raise ProtocolError(host=host, detail=f"log in answered with HTTP {status}")

    def leave(self) -> None:
        """Forget the session, which has ended."""
        self._cookie = self._csrf = ""

    @staticmethod
    def _again(refused: AuthenticationFailedError) -> AuthenticationFailedError:
        return type(refused)(**refused.placeholders)


def _refusal(status: int, answer: bytes, host: str) -> AuthenticationFailedError | None:
    """Return why nobody is let in, None where somebody is or it is not about that."""
    if status == _MFA_REQUIRED or b"MFA_AUTH_REQUIRED" in answer:
        return SecondFactorError(host=host)
    if status == HTTPStatus.TOO_MANY_REQUESTS or b"LIMIT_REACHED" in answer:
        return LockedOutError(host=host)
    # Some answer a wrong password with 401, old controllers with 400 (api.err.Invalid).
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return AuthenticationFailedError(host=host)
    return None
