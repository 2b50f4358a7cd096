"""TLS to routers that sign their own certificates."""

import asyncio
import ssl

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    CertificateError,
    RouterUnreachableError,
    UnsupportedError,
)
from custom_components.port_forward.routers.tls import fingerprint_of, ssl_of
from custom_components.port_forward.routers.transport import Transport
from lab.certificate import Certificate, self_signed
from lab.virtual_router import free_port


async def _serve(certificate: Certificate | None) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A handshake has no such line: whoever speaks no TLS answers at once.
            await (reader.readuntil(b"\r\n\r\n") if certificate else reader.read(1))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            await writer.drain()
        except OSError, asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    context = certificate.context if certificate else None
    return await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


async def test_the_fingerprint_that_is_shown_is_the_one_that_is_accepted() -> None:
    certificate = self_signed("router")
    async with await _serve(certificate) as server, aiohttp.ClientSession() as session:
        fingerprint = await fingerprint_of("127.0.0.1", _port(server))
        assert fingerprint == certificate.fingerprint
        colons = ":".join(fingerprint[i : i + 2] for i in range(0, 64, 2)).upper()
        for written in (fingerprint, colons):
            transport = Transport(session, ssl=ssl_of({"fingerprint": written}))
            url = f"https://127.0.0.1:{_port(server)}/"
            assert await transport.request("GET", url) == (200, b"hi")


@pytest.mark.parametrize("settings", [{}, {"fingerprint": ""}, {"fingerprint": "00" * 32}])
@pytest.mark.parametrize("verifies", [True, False])
async def test_nobody_else_is_accepted_whatever_the_session_does(
    settings: dict[str, str], *, verifies: bool
) -> None:
    connector = aiohttp.TCPConnector(ssl=verifies)
    async with (
        await _serve(self_signed("router")) as server,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        transport = Transport(session, ssl=ssl_of(settings))
        with pytest.raises(CertificateError) as raised:
            await transport.request("GET", f"https://127.0.0.1:{_port(server)}/")
        assert raised.value.placeholders == {"host": "127.0.0.1"}


async def test_no_tls_or_nobody_there() -> None:
    async with await _serve(None) as server:
        with pytest.raises(UnsupportedError, match="no TLS"):
            await fingerprint_of("127.0.0.1", _port(server))
    with pytest.raises(RouterUnreachableError):
        await fingerprint_of("127.0.0.1", free_port())


def test_verified_means_verified() -> None:
    context = ssl_of({})
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
