"""Digest authentication as TR-064 asks for it (RFC 2617 with qop=auth and MD5)."""

import hashlib
import re
import secrets
from collections.abc import Mapping

REALM = "F!Box SOAP-Auth"
MOST_WRONG = 3
"""Wrong logins in a row after which the box takes none for a while."""

_FIELD = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


class Digest:
    """Who may come in, and the challenges that are out."""

    def __init__(self, passwords: Mapping[str, str]) -> None:
        """Take the passwords by user name, which may change later."""
        self.passwords = passwords
        self.locked = False
        """After too many wrong logins; a test unlocks it, as time does."""
        self._wrong = 0
        self._nonces: set[str] = set()

    def challenge(self) -> str:
        """Return the value of WWW-Authenticate."""
        nonce = secrets.token_hex(8).upper()
        self._nonces.add(nonce)
        return f'Digest realm="{REALM}",nonce="{nonce}",algorithm=MD5,qop="auth"'

    def forget(self) -> None:
        """Forget the challenges, as a restart does."""
        self._nonces.clear()

    def user(self, method: str, path: str, authorization: str) -> str | None:
        """Return who sent a request, None for nobody that is known."""
        fields = {key: quoted or plain for key, quoted, plain in _FIELD.findall(authorization)}
        name = fields.get("username", "")
        if fields.get("nonce") not in self._nonces or fields.get("uri") != path:
            return None
        first = _md5(f"{name}:{REALM}:{self.passwords.get(name, '')}")
        second = _md5(f"{method}:{path}")
        parts = (first, *(fields.get(key, "") for key in ("nonce", "nc", "cnonce", "qop")), second)
        right = name in self.passwords and _md5(":".join(parts)) == fields.get("response")
        self._wrong = 0 if right else self._wrong + 1
        self.locked = self.locked or self._wrong >= MOST_WRONG
        return name if right and not self.locked else None


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324  the protocol's own
