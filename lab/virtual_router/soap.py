"""SOAP as UPnP uses it: reading a call, writing its reply or its fault."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import ElementTree

from .quirks import Quirk

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
CONTROL = "urn:schemas-upnp-org:control-1-0"

# UPnP Device Architecture §3.2.2 (401 to 606), WANIPv6FirewallControl:1 §2.5 (701
# to 709), WANIPConnection:2 §2.5 (713 and above).
ERRORS = {
    401: "Invalid Action",
    402: "Invalid Args",
    501: "Action Failed",
    606: "Action not authorized",
    701: "PinholeSpaceExhausted",
    702: "FirewallDisabled",
    703: "InboundPinholeNotAllowed",
    704: "NoSuchEntry",
    705: "ProtocolNotSupported",
    706: "InternalPortWildcardingNotAllowed",
    707: "ProtocolWildcardingNotAllowed",
    708: "WildCardNotPermittedInSrcIP",
    709: "NoPacketSent",
    713: "SpecifiedArrayIndexInvalid",
    714: "NoSuchEntryInArray",
    715: "WildCardNotPermittedInSrcIP",
    716: "WildCardNotPermittedInExtPort",
    718: "ConflictInMappingEntry",
    724: "SamePortValuesRequired",
    725: "OnlyPermanentLeasesSupported",
    726: "RemoteHostOnlySupportsWildcard",
    727: "ExternalPortOnlySupportsWildcard",
    728: "NoPortMapsAvailable",
    729: "ConflictWithOtherMechanisms",
    730: "PortMappingNotFound",
    732: "WildCardNotPermittedInIntPort",
    733: "InconsistentParameters",
}


class UpnpError(Exception):
    """An action is refused with a code of the standard."""

    def __init__(self, code: int) -> None:
        """Refuse with this code."""
        super().__init__(f"{code} {ERRORS[code]}")
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An action as called."""

    namespace: str
    action: str
    arguments: dict[str, str]


def read_call(body: bytes) -> Call:
    """Read the SOAP body of a request. Raises ValueError when it is none."""
    try:
        root: Element = ElementTree.fromstring(body)
    except ParseError as error:
        raise ValueError(f"The body is no XML: {error}") from error
    element = root.find(f"{{{ENVELOPE}}}Body/*")
    if element is None or not element.tag.startswith("{"):
        raise ValueError("The body is no SOAP envelope with an action")
    namespace, _, action = element.tag[1:].partition("}")
    arguments = {argument.tag: argument.text or "" for argument in element}
    return Call(namespace=namespace, action=action, arguments=arguments)


def reply(
    action: str, service_type: str, values: Mapping[str, str], quirks: AbstractSet[Quirk]
) -> bytes:
    """Render the reply to an action that succeeded."""
    arguments = "".join(f"<{name}>{text(value, quirks)}</{name}>" for name, value in values.items())
    if Quirk.Q39_BARE in quirks:
        return _envelope(f"<{action}Response>{arguments}</{action}Response>", quirks)
    return _envelope(
        f'<u:{action}Response xmlns:u="{service_type}">{arguments}</u:{action}Response>', quirks
    )


def fault(code: int, quirks: AbstractSet[Quirk]) -> bytes:
    """Render the reply to an action that is refused with `code`."""
    control = f' xmlns="{CONTROL}"'
    if Quirk.Q39_ODD in quirks:
        control = ' xmlns="urn:schemas-upnp-org:control-1.0"'
    prefix = "s:"
    if Quirk.Q39_BARE in quirks:
        control = prefix = ""
    return _envelope(
        f"<{prefix}Fault><faultcode>{prefix}Client</faultcode>"
        f"<faultstring>UPnPError</faultstring><detail><UPnPError{control}>"
        f"<errorCode>{code}</errorCode><errorDescription>{ERRORS[code]}</errorDescription>"
        f"</UPnPError></detail></{prefix}Fault>",
        quirks,
    )


def text(value: str, quirks: AbstractSet[Quirk]) -> str:
    """Render the text as it stands in a document."""
    if Quirk.Q26 in quirks:
        return value.replace("<", "&lt;").replace(">", "&gt;")
    return escape(value)


def encode(document: str, quirks: AbstractSet[Quirk]) -> bytes:
    """Encode the document as it goes over the wire, always said to be UTF-8."""
    if Quirk.Q26 in quirks:
        return document.encode("latin-1", "replace")
    return document.encode()


def _envelope(body: str, quirks: AbstractSet[Quirk]) -> bytes:
    if Quirk.Q39_BARE in quirks:
        inside = f"<Envelope><Body>{body}</Body></Envelope>"
    else:
        inside = (
            f'<s:Envelope xmlns:s="{ENVELOPE}"'
            ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
            f"<s:Body>{body}</s:Body></s:Envelope>"
        )
    return encode(f'<?xml version="1.0" encoding="utf-8"?>\n{inside}\n', quirks)
