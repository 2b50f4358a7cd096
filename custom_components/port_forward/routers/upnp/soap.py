"""One action of one service, called by SOAP 1.1 (UDA 1.1 section 3)."""

from collections.abc import Mapping
from typing import override
from urllib.parse import urlsplit
from xml.sax.saxutils import escape  # writes XML, parses none

from ..errors import ProtocolError
from ..transport import Transport
from .description import Service
from .lenient_xml import NotXmlError, decode, fields, find, number, parse, sendable, text

_ENVELOPE = (
    '<?xml version="1.0"?>\r\n'
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
    ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
    '<u:{action} xmlns:u="{service_type}">{arguments}</u:{action}>'
    "</s:Body></s:Envelope>\r\n"
)
_LINE_END = {"\r": "&#13;"}  # as itself it would arrive as another one
_HTTP_OK = 200


class UpnpFault(ProtocolError):  # noqa: N818  # the standard's own word
    """The router answered an action with an error code; 0 if it told none.

    Whoever knows what was asked turns it into the leaf that says what to do.
    One that slips through is still a ProtocolError with the code in its text.
    """

    def __init__(self, *, host: str, action: str, code: int, description: str) -> None:
        """Take what the router said."""
        self.code = code
        super().__init__(host=host, detail=f"{action}: {code} {_printable(description)}".strip())

    @override
    def __repr__(self) -> str:
        """Show the code, for tests and logs."""
        return f"UpnpFault({self.code})"


async def call(
    transport: Transport, service: Service, action: str, arguments: Mapping[str, str]
) -> dict[str, str]:
    """Return the out-arguments; raises UpnpFault and what the transport raises.

    The SOAPAction is quoted and repeats the service type to the letter (Q41).
    A fault counts as one whatever the HTTP status and namespaces are (Q39),
    the content type of the answer is not looked at (Q38).
    """
    status, body = await transport.request(
        "POST",
        service.control_url,
        headers={
            "Content-Type": 'text/xml; charset="utf-8"',
            "SOAPAction": f'"{service.service_type}#{action}"',
        },
        body=envelope(service.service_type, action, arguments),
    )
    host = urlsplit(service.control_url).hostname or ""
    return read_answer(host, action, status, body)


def envelope(service_type: str, action: str, arguments: Mapping[str, str]) -> bytes:
    """Return the body of a request, arguments in the given order.

    What XML cannot say is marked and not left out: a source without it could
    be the empty one, which is everybody.
    """
    written = "".join(
        f"<{key}>{escape(sendable(value), _LINE_END)}</{key}>" for key, value in arguments.items()
    )
    return _ENVELOPE.format(action=action, service_type=service_type, arguments=written).encode()


def read_answer(host: str, action: str, status: int, body: bytes) -> dict[str, str]:
    """Return the out-arguments that a body holds; raises UpnpFault and ProtocolError."""
    try:
        root = parse(decode(body))
    except NotXmlError as error:
        detail = "no XML" if status == _HTTP_OK else f"HTTP {status}"
        raise ProtocolError(host=host, detail=f"{action}: {detail}") from error
    fault = find(root, "UPnPError")
    if fault is None:
        fault = find(root, "Fault")
    if fault is not None:
        code = number(text(fault, "errorCode"), 9999)
        description = text(fault, "errorDescription") or text(fault, "faultstring")
        raise UpnpFault(host=host, action=action, code=code or 0, description=description)
    answer = find(root, f"{action}Response")
    if answer is None or status != _HTTP_OK:
        raise ProtocolError(host=host, detail=f"{action}: HTTP {status} without an answer")
    return fields(answer)


def _printable(description: str) -> str:
    """Return at most 60 printable ASCII characters: this goes to logs and to the screen."""
    return "".join(c for c in description if c.isascii() and c.isprintable())[:60]
