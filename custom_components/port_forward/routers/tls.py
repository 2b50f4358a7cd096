"""TLS to routers: verified as usual, or by the fingerprint of a certificate that the user accepted.

Most routers sign their own certificate, and no authority vouches for it.
Switching verification off would send the password to whoever answers. The
fingerprint that the user saw once is as good as an authority's word.
"""

import asyncio
import hashlib
import ssl
from collections.abc import Mapping

import aiohttp

from .errors import RouterTimeoutError, RouterUnreachableError, UnsupportedError

FINGERPRINT = "fingerprint"
"""Key of a router's settings: SHA-256 of its certificate in hex, "" or absent for none."""

_TIMEOUT = 10.0  # seconds

# Made while this is imported, which Home Assistant does in a thread: it reads files.
_VERIFIED = ssl.create_default_context()


def ssl_of(settings: Mapping[str, str]) -> ssl.SSLContext | aiohttp.Fingerprint:
    """Return what requests take as `ssl`: either way the router has to prove who it is.

    It is not left to the session, which may be one that verifies nothing.
    """
    fingerprint = settings.get(FINGERPRINT, "").replace(":", "")
    return aiohttp.Fingerprint(bytes.fromhex(fingerprint)) if fingerprint else _VERIFIED


async def fingerprint_of(host: str, port: int) -> str:
    """Return the fingerprint of the certificate that is shown there now, for the user to compare.

    Nothing but the handshake is sent. Raises RouterUnreachableError,
    RouterTimeoutError, and UnsupportedError for what speaks no TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except TimeoutError as error:
        raise RouterTimeoutError(host=host) from error
    except ssl.SSLError as error:
        raise UnsupportedError(host=host, detail="no TLS") from error
    except OSError as error:
        raise RouterUnreachableError(host=host) from error
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return hashlib.sha256(certificate).hexdigest()
