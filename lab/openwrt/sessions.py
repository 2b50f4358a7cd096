"""Sessions of rpcd: who is logged in, until when, with which changes in hand."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field

from .accounts import Account, Rights
from .clock import Clock
from .uci import Delta

DEFAULT_TIMEOUT = 300  # seconds
NOBODY = "0" * 32
"""The session id of who is not logged in."""


@dataclass(slots=True, kw_only=True)
class Session:
    """One login."""

    id: str
    account: Account
    timeout: int
    expires: float
    rights: Rights
    """As they were at the login: rpcd does not look at the account again."""
    deltas: dict[str, Delta] = field(default_factory=dict)


class Sessions:
    """All that are logged in."""

    def __init__(self, accounts: Collection[Account], clock: Clock) -> None:
        """Take who may log in."""
        self._accounts = {account.username: account for account in accounts}
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    @property
    def ids(self) -> frozenset[str]:
        """The ids of those that have not expired."""
        return frozenset(key for key in list(self._sessions) if self.find(key, touch=False))

    def account(self, username: str) -> Account:
        """Return an account, to change it."""
        return self._accounts[username]

    def authenticated(self, username: str, password: str) -> Account | None:
        """Return the account of these credentials; an empty password is any (rpcd session.c)."""
        account = self._accounts.get(username)
        if account is None or account.password not in ("", password):
            return None
        return account

    def login(self, account: Account, timeout: int | None) -> Session:
        """Begin a session."""
        lasts = DEFAULT_TIMEOUT if timeout is None else timeout
        session = Session(
            id=secrets.token_hex(16),
            account=account,
            timeout=lasts,
            expires=self._clock.monotonic() + lasts,
            rights=account.rights,
        )
        self._sessions[session.id] = session
        return session

    def find(self, session_id: str, *, touch: bool = True) -> Session | None:
        """Return the session of that id; every access begins its time anew."""
        session = self._sessions.get(session_id)
        if session is None:
            return None
        now = self._clock.monotonic()
        if session.expires <= now:
            del self._sessions[session_id]
            return None
        if touch:
            session.expires = now + session.timeout
        return session

    def destroy(self, session_id: str) -> None:
        """End a session, and forget its changes."""
        self._sessions.pop(session_id, None)

    def expire_all(self) -> None:
        """End all of them, as a restart of rpcd does."""
        self._sessions.clear()
