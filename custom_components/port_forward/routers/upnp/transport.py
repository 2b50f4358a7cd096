"""HTTP to one router: capped, timed, without redirects, one request at a time."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from ..errors import ProtocolError, RouterTimeoutError, RouterUnreachableError

TIMEOUT = 10.0
"""Seconds for one request with its answer."""

MAX_BODY = 1024 * 1024
"""Bytes of an answer; the largest real ones, long mapping lists, are below 100 KiB."""

_CHUNK = 16 * 1024


class NotConnectedError(RouterUnreachableError):
    """No connection came about: the request was certainly not sent."""


class DroppedError(RouterUnreachableError):
    """The connection broke: the request may or may not have been carried out."""


class Transport:
    """The way to one router over a session that belongs to somebody else.

    Weak routers answer nonsense under parallel requests (Q40), hence the lock.
    Waiting for it does not count against a request's own time.
    """

    def __init__(self, session: aiohttp.ClientSession, *, timeout: float = TIMEOUT) -> None:
        """Take the session, and the seconds that each request may last."""
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._lock = asyncio.Lock()
        self._keep_alive = True

    @staticmethod
    def host_of(url: str) -> str:
        """Return the host of a URL, for messages."""
        return urlsplit(url).hostname or url

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[int, bytes]:
        """Return status and body of the answer.

        Raises RouterTimeoutError, NotConnectedError, DroppedError, and
        ProtocolError for what is no HTTP, too long, or a redirect.
        """
        host = self.host_of(url)
        async with self._lock:
            try:
                return await self._exchange(method, url, host, headers, body)
            except TimeoutError as error:
                raise RouterTimeoutError(host=host) from error
            except aiohttp.ClientConnectorError as error:
                raise NotConnectedError(host=host) from error
            except aiohttp.ClientResponseError as error:
                raise ProtocolError(host=host, detail="no HTTP") from error
            except (aiohttp.InvalidURL, UnicodeError) as error:
                raise ProtocolError(host=host, detail="no URL") from error
            except (aiohttp.ClientError, OSError) as error:
                # What breaks connections that it offered to keep is not offered any more (Q37).
                self._keep_alive = False
                raise DroppedError(host=host) from error

    async def _exchange(
        self,
        method: str,
        url: str,
        host: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
    ) -> tuple[int, bytes]:
        connection = {} if self._keep_alive else {"Connection": "close"}
        async with self._session.request(
            method,
            url,
            headers={"Accept-Encoding": "identity", **connection, **(headers or {})},
            data=body,
            allow_redirects=False,
            timeout=self._timeout,
        ) as response:
            if response.status // 100 == 3:  # noqa: PLR2004  # the redirects
                raise ProtocolError(host=host, detail=f"redirect {response.status}")
            received = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                received += chunk
                if len(received) > MAX_BODY:
                    response.close()
                    raise ProtocolError(host=host, detail="answer too long")
            return response.status, bytes(received)
