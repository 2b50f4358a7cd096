"""Who may speak to the controller: API keys, and accounts with sessions and CSRF tokens."""

import secrets
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

MOST_FAILURES = 5
"""Wrong passwords before nobody may log in for a while."""

MFA_REQUIRED = 499


@dataclass(slots=True, kw_only=True)
class Account:
    """A local account, with or without a second factor."""

    name: str = "home-assistant"
    password: str = "correct horse"  # noqa: S105  of a controller that exists nowhere
    role: str = "admin"
    """`admin` or `readonly`."""
    needs_code: bool = False


@dataclass(slots=True, kw_only=True)
class ApiKey:
    """A key that somebody made in the controller's settings."""

    value: str = "kT9-xQ2bV7"
    role: str = "admin"


@dataclass(slots=True, kw_only=True)
class Session:
    """What a login has brought."""

    account: Account
    csrf: str


class Door:
    """Lets in whom it knows."""

    def __init__(
        self, accounts: list[Account], keys: list[ApiKey], *, is_os: bool, wrong: HTTPStatus
    ) -> None:
        """Take who is known; `wrong` is the status for a wrong password."""
        self.accounts = accounts
        self.keys = keys
        self.wrong = wrong
        self.failures = 0
        self.logins = 0
        self._is_os = is_os
        self._sessions: dict[str, Session] = {}

    @property
    def cookie(self) -> str:
        """The name of the cookie."""
        return "TOKEN" if self._is_os else "unifises"

    def expire_sessions(self) -> None:
        """Forget who is logged in."""
        self._sessions.clear()

    def unlock(self) -> None:
        """Let people log in again after too many wrong passwords."""
        self.failures = 0

    async def login(self, request: web.Request) -> web.Response:
        """Answer a login."""
        self.logins += 1
        if self.failures >= MOST_FAILURES:
            return _refused(429, "AUTHENTICATION_FAILED_LIMIT_REACHED")
        sent = await request.json()
        account = next(
            (
                account
                for account in self.accounts
                if (account.name, account.password) == (sent.get("username"), sent.get("password"))
            ),
            None,
        )
        if account is None:
            self.failures += 1
            return _refused(self.wrong, "AUTHENTICATION_FAILED_INVALID_CREDENTIALS")
        if account.needs_code:
            return _refused(MFA_REQUIRED, "MFA_AUTH_REQUIRED")
        token, csrf = secrets.token_hex(16), secrets.token_hex(16)
        self._sessions[token] = Session(account=account, csrf=csrf)
        headers = {"x-csrf-token": csrf} if self._is_os else {}
        response = web.json_response({"username": account.name}, headers=headers)
        response.set_cookie(self.cookie, token, httponly=True)
        return response

    def session(self, request: web.Request) -> Session | None:
        """Return the session of a request, None where there is none."""
        return self._sessions.get(request.cookies.get(self.cookie, ""))

    def role(self, request: web.Request) -> str | None:
        """Return what the one who asks may do, None for strangers."""
        key = request.headers.get("X-API-KEY")
        if key is not None:
            return next((known.role for known in self.keys if known.value == key), None)
        session = self.session(request)
        return session.account.role if session else None

    def is_genuine(self, request: web.Request) -> bool:
        """Tell whether a change has its CSRF token; keys and old controllers need none."""
        session = self.session(request)
        if "X-API-KEY" in request.headers or session is None or not self._is_os:
            return True
        return request.headers.get("x-csrf-token") == session.csrf

    def renew_csrf(self, request: web.Request) -> str | None:
        """Replace the CSRF token of a session, and return the new one."""
        session = self.session(request)
        if session is None:
            return None
        session.csrf = secrets.token_hex(16)
        return session.csrf


def _refused(status: int, code: str) -> web.Response:
    message = "Invalid username or password"
    body = {"code": code, "message": message, "level": "debug"}
    return web.json_response(body, status=status)
