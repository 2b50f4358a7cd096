"""HTTP to one router: capped, timed, without redirects, one request at a time."""

import asyncio
from collections.abc import Mapping, Sequence
from ssl import SSLContext
from typing import override
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler

from .errors import (
    CertificateError,
    ProtocolError,
    RouterTimeoutError,
    RouterUnreachableError,
)
from .queue import RequestLock

TIMEOUT = 10.0
"""Seconds for one request with its answer."""

MAX_BODY = 1024 * 1024
"""Bytes of an answer; the largest real ones, long mapping lists, are below 100 KiB."""

_CHUNK = 16 * 1024


class NotConnectedError(RouterUnreachableError):
    """No connection came about: the request was certainly not sent."""


class DroppedError(RouterUnreachableError):
    """The connection broke: the request may or may not have been carried out."""


class _Request(aiohttp.BytesPayload):
    """The body of a request, not sent where the connection holds an answer already.

    aiohttp takes what has come meanwhile for the answer to the next request. A
    router that answers twice would be one question behind from then on, and a
    port show as open because another one is.
    """

    is_answered = False

    @override
    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        connection = getattr(writer, "protocol", None)
        if isinstance(connection, ResponseHandler) and connection.should_close:
            self.is_answered = True
            raise ConnectionAbortedError
        await super().write_with_length(writer, content_length)


class Transport:
    """The way to one router over a session that belongs to somebody else.

    Weak routers answer nonsense under parallel requests (Q40), hence the lock.
    Waiting for it does not count against a request's own time. Raises
    StoppedError in the place of a request of an operation that was stopped.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        timeout: float = TIMEOUT,
        ssl: bool | SSLContext | aiohttp.Fingerprint = True,
        middlewares: Sequence[aiohttp.ClientMiddlewareType] = (),
    ) -> None:
        """Take the session, and the seconds that each request may last.

        `ssl` is as `tls.ssl_of` returns it, True for what the session does;
        `middlewares` are for logging in.
        """
        self._session = session
        self._timeout = timeout
        self._ssl = ssl
        self._middlewares = middlewares
        self._lock = RequestLock()
        self._keep_alive = True

    @staticmethod
    def host_of(url: str) -> str:
        """Return the host of a URL, for messages."""
        return urlsplit(url).hostname or url

    async def request(  # noqa: PLR0913  all but two have a default
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  in place of the usual one
        longest: int = MAX_BODY,
    ) -> tuple[int, bytes]:
        """Return status and body of the answer, which may have so many bytes.

        Raises RouterTimeoutError, NotConnectedError, DroppedError,
        CertificateError, and ProtocolError for what is no HTTP, too long, or a
        redirect.
        """
        host = self.host_of(url)
        async with self._lock:
            try:
                async with asyncio.timeout(timeout or self._timeout):
                    return await self._exchange(method, url, host, headers, body, longest)
            except TimeoutError as error:
                raise RouterTimeoutError(host=host) from error
            except (
                aiohttp.ServerFingerprintMismatch,
                aiohttp.ClientConnectorCertificateError,
            ) as error:
                raise CertificateError(host=host) from error
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

    async def _exchange(  # noqa: PLR0913, PLR0917  what a request is made of
        self,
        method: str,
        url: str,
        host: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        longest: int,
    ) -> tuple[int, bytes]:
        connection = {} if self._keep_alive else {"Connection": "close"}
        request = None if body is None else _Request(body)
        async with self._session.request(
            method,
            url,
            headers={"Accept-Encoding": "identity", **connection, **(headers or {})},
            data=request,
            allow_redirects=False,
            # It is counted around the whole; the session's own may be another.
            timeout=aiohttp.ClientTimeout(total=None),
            ssl=self._ssl,
            middlewares=self._middlewares,
        ) as response:
            if request and request.is_answered:
                response.close()
                raise ConnectionAbortedError
            if response.status // 100 == 3:  # noqa: PLR2004  # the redirects
                raise ProtocolError(host=host, detail=f"redirect {response.status}")
            received = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                received += chunk
                if len(received) > longest:
                    response.close()
                    raise ProtocolError(host=host, detail="answer too long")
            return response.status, bytes(received)
