"""HTTP to a FRITZ!Box: with a login, and not again and again with one that is wrong."""

import time
from collections.abc import Mapping
from typing import override

import aiohttp

from ..errors import AuthenticationFailedError
from ..tls import ssl_of
from ..transport import MAX_BODY, TIMEOUT, Transport

LOGIN_PAUSE = 300.0
"""Seconds without a request after a login that failed: the box makes whoever goes on wait."""

_UNAUTHORIZED = 401


class LoggedInTransport(Transport):
    """The way to one box, on behalf of one of its users."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: Mapping[str, str],
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        """Take `username`, `password` and `fingerprint`."""
        name = settings["username"]
        # No name with a colon can be sent (RFC 7616 section 3.4), and so no box has such a user.
        login = () if ":" in name else (aiohttp.DigestAuthMiddleware(name, settings["password"]),)
        super().__init__(session, timeout=timeout, ssl=ssl_of(settings), middlewares=login)
        self._refused_at: float | None = None

    @override
    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
        longest: int = MAX_BODY,
    ) -> tuple[int, bytes]:
        """Return status and body; raises AuthenticationFailedError, and as `Transport` does."""
        host = self.host_of(url)
        if self._refused_at is not None and time.monotonic() < self._refused_at + LOGIN_PAUSE:
            raise AuthenticationFailedError(host=host)
        status, answer = await super().request(
            method, url, headers=headers, body=body, timeout=timeout, longest=longest
        )
        self._refused_at = time.monotonic() if status == _UNAUTHORIZED else None
        if status == _UNAUTHORIZED:
            raise AuthenticationFailedError(host=host)
        return status, answer
