"""XML as routers write it, and what can become of it on a bad day."""

import re
from collections.abc import Callable, Mapping, Sequence
from xml.sax.saxutils import escape  # writes XML, parses none

from hypothesis import strategies as st

MAX_BODY = 1024 * 1024

NUMBERS = (
    *("0", "1", "80", "65535", "65536", "-1", "+80", " 80 ", "8_0", "080", "0x50", "80.0", "1e3"),
    *(
        "٨٠",
        "\uff18\uff10",
        "²",
        "",
        "NaN",
        "true",
        "4294967295",
        "4294967296",
        "18446744073709551616",
    ),
    *("-2147483648", "9" * 5000, "80\n", "80\x00", "8 0"),
)
"""Numbers, some of them good, none of them safe to read with int()."""

TEXTS = (
    *("", "*", "0.0.0.0", "192.0.2.5", "xbox.lan", "::1", "999.1.1.1", "192.0.2.5\x00"),  # noqa: S104
    *("TCP", "udp", "Tcp ", "ICMP", "Küche", "日本", "\u202eabc", "a & b", "<b>", "]]>", "%s{0}"),
    *("[ha-pf:abc]", "[ha-pf:", "a" * 3000, "\r\n\t", "&#0;", "&amp;amp;", "\ufffe\uffff"),
    *("uuid:x", "http://127.0.0.1:9/", "http://[", "//evil.example/", "\\\\evil", "?x#y"),
)
WAN_TYPES = (
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:dslforum-org:service:WANPPPConnection:1",
)

_SIZES = st.sampled_from((1, 2, 30, 1000, 10_000, 60_000))
_TOKENS = re.compile(r"(<[^>]*>)")
_BOMB = (
    "<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'>"
    + "".join(
        f"<!ENTITY {name} '{f'&{before};' * 10}'>"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]>"
)
_JUNK = (
    *("&", "&&amp;", "&#0;", "&#xD800;", "&nbsp;", "&xxe;", "&i;", "<", ">", "\x00", "\x0b\x1f"),
    *("\ufffe", "\ufeff", "<![CDATA[", "]]>", "<![CDATA[<b>]]>", "<!--", "-->", "<!-- b -->"),
    *("<?php ?>", "<?xml version='1.0' encoding='UTF-16'?>", "<?xml version='1.1'?>", _BOMB),
    "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'>",
    "<!DOCTYPE a [<!ENTITY xxe SYSTEM 'file:///etc/passwd'>]>",
    "<!DOCTYPE a [<!ENTITY % p SYSTEM 'http://127.0.0.1:9/'> %p;]>",
    *("<n:b/>", "<b xmlns=''/>", "<b xmlns:n='' />", "<b x='1' x='2'/>", "<b:c:d/>", "<1/>"),
    "<device><UDN>uuid:other</UDN></device>",
    "<Fault><faultcode/></Fault>",
    "<UPnPError><errorCode>٧١٨</errorCode></UPnPError>",
    "<PortMappingEntry/>",
)
_BULK: tuple[Callable[[int], str], ...] = (
    lambda n: "<b>" * n,
    lambda n: "</b>" * n,
    lambda n: "<b>" * n + "</b>" * n,
    lambda n: "<b/>" * n,
    lambda n: " " * n,
    lambda n: "\n\t" * n,
    lambda n: "&" * n,
    lambda n: "&amp;" * n,
    lambda n: "\x01" * n,
    lambda n: "ÿ" * n,
    lambda n: "x" * n,
    lambda n: f"<{'t' * n}/>",
    lambda n: f"<b x='{'y' * n}'/>",
    lambda n: f"<b {' '.join(f"a{i}=''" for i in range(min(n, 10_000)))}/>",
    lambda n: f"<n:b xmlns:n='{'u' * n}'>{''.join(f'<n:b{i}/>' for i in range(n // 50))}</n:b>",
    lambda n: f"<n:b xmlns:n='{'u' * n}' {' '.join(f"n:a{i}=''" for i in range(n // 50))}/>",
    lambda n: "".join(f"<b xmlns:n{i}='urn:{i}'>" for i in range(min(n, 10_000))),
    lambda n: "<device><deviceList>" * n,
    lambda n: "<service/>" * n,
)
_ENCODINGS = (
    *("utf-8", "utf-8", "utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-be"),
    *("utf-32", "utf-7", "cp037", "shift_jis"),
)


def tag(name: str, content: str, prefix: str = "") -> str:
    """Write an element; `content` is XML."""
    name = f"{prefix}{name}"
    return f"<{name}>{content}</{name}>"


def elements(values: Mapping[str, str], prefix: str = "") -> str:
    """Write an element for each value."""
    return "".join(tag(name, escape(value), prefix) for name, value in values.items())


def row_fields(*, in_list: bool) -> st.SearchStrategy[dict[str, str]]:
    """The fields of a row, each of them there or not, sensible or not."""
    number = st.sampled_from(NUMBERS)
    text = st.sampled_from(TEXTS) | st.text(max_size=8)
    return st.fixed_dictionaries(
        {},
        optional={
            "NewRemoteHost": text,
            "NewExternalPort": number,
            "NewProtocol": st.sampled_from(
                ("TCP", "UDP", "tcp", "", "ICMP", "TCP ", "\uff34\uff23\uff30")
            ),
            "NewInternalPort": number,
            "NewInternalClient": text,
            "NewEnabled": st.sampled_from(("0", "1", "true", "No", "", "2", "-1", "\u0660")),
            "NewDescription" if in_list else "NewPortMappingDescription": text,
            "NewLeaseTime" if in_list else "NewLeaseDuration": number,
        },
    )


def good_rows() -> st.SearchStrategy[dict[str, str]]:
    """Rows that are as they should be, as GetGenericPortMappingEntry tells them."""
    port = st.integers(1, 65535).map(str)
    return st.fixed_dictionaries(
        {
            "NewRemoteHost": st.sampled_from(("", "198.51.100.7")),
            "NewExternalPort": port,
            "NewProtocol": st.sampled_from(("TCP", "UDP")),
            "NewInternalPort": port,
            "NewInternalClient": st.integers(1, 254).map("192.0.2.{}".format),
            "NewEnabled": st.sampled_from(("0", "1")),
            "NewPortMappingDescription": st.sampled_from(("", "Door", "a & b", "Küche")),
            "NewLeaseDuration": st.integers(0, 2**32 - 1).map(str),
        }
    )


def as_entry(row: Mapping[str, str], prefix: str = "p:") -> str:
    """Write a row as an entry of a PortMappingList, where two names differ."""
    names = {"NewPortMappingDescription": "NewDescription", "NewLeaseDuration": "NewLeaseTime"}
    written = {names.get(name, name): value for name, value in row.items()}
    return tag("PortMappingEntry", elements(written, prefix), prefix)


def port_listing(entries: Sequence[str]) -> str:
    """Write a PortMappingList of entries."""
    return f'<p:PortMappingList xmlns:p="urn:x">{"".join(entries)}</p:PortMappingList>'


def soap(action: str, content: str) -> str:
    """Write the answer to an action; `content` is XML."""
    answer = f'<u:{action}Response xmlns:u="{WAN_TYPES[0]}">{content}</u:{action}Response>'
    return envelope(answer)


def soap_fault(code: str, description: str) -> str:
    """Write the refusal of an action."""
    error = tag("UPnPError", tag("errorCode", code) + tag("errorDescription", description))
    fault = f"<faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring>{error}"
    return envelope(f"<s:Fault>{fault}</s:Fault>")


def envelope(content: str) -> str:
    """Write the envelope around what a SOAP message says."""
    namespace = "http://schemas.xmlsoap.org/soap/envelope/"
    return (
        '<?xml version="1.0"?>\n'
        f'<s:Envelope xmlns:s="{namespace}"><s:Body>{content}</s:Body></s:Envelope>'
    )


@st.composite
def descriptions(draw: st.DrawFn) -> str:
    """Root descriptions with some WANs, deep or not, of which much may be odd."""
    text = st.sampled_from(TEXTS)
    services = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "serviceType": st.sampled_from((*WAN_TYPES, *WAN_TYPES, "urn:x", "")),
                    "serviceId": text,
                    "controlURL": text | st.sampled_from(("/ctl", "ctl", "http://192.0.2.9/c")),
                }
            ),
            max_size=4,
        )
    )
    listed = "".join(tag("service", elements(service)) for service in services)
    wan = elements({"UDN": draw(text), "friendlyName": draw(text)}) + tag("serviceList", listed)
    for _ in range(draw(st.integers(0, 3))):
        wan = tag("deviceList", tag("device", wan))
    root = elements({"UDN": draw(st.sampled_from(("uuid:r", "uuid:r", ""))), "modelName": "R"})
    base = elements({"URLBase": draw(text)}) if draw(st.booleans()) else ""
    return f'<root xmlns="urn:schemas-upnp-org:device-1-0">{base}{tag("device", root + wan)}</root>'


@st.composite
def mutated(draw: st.DrawFn, originals: st.SearchStrategy[str]) -> str:
    """What is left of a document after up to four accidents; well-formed or not."""
    tokens = [token for token in _TOKENS.split(draw(originals)) if token]
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(tokens)))
        other = draw(st.integers(0, len(tokens)))
        match draw(st.integers(0, 7)):
            case 0:
                tokens = tokens[:at]
            case 1:
                tokens[min(at, other) : max(at, other)] = []
            case 2:
                again = tokens[min(at, other) : max(at, other)]
                tokens[at:at] = again
            case 3 if max(at, other) < len(tokens):
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 4 if at < len(tokens):
                old = tokens[at]
                tokens[at] = draw(st.sampled_from((old.upper(), old.lower(), old.swapcase())))
            case 5 if at < len(tokens):
                values = (*NUMBERS, *TEXTS)
                tokens[at] = draw(st.sampled_from(values))
            case 6:
                tokens.insert(at, draw(st.sampled_from(_BULK))(draw(_SIZES)))
            case _:
                tokens.insert(at, draw(st.sampled_from(_JUNK)))
    return "".join(tokens)


@st.composite
def bodies(draw: st.DrawFn, originals: st.SearchStrategy[str]) -> bytes:
    """Those documents in some encoding, as bytes of which a few may be wrong."""
    encoding = draw(st.sampled_from(_ENCODINGS))
    body = draw(mutated(originals)).encode(encoding, "replace")
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 3)))):
        at = draw(st.integers(0, len(body)))
        wrong = draw(st.binary(max_size=4))
        body = body[:at] + wrong + body[at + draw(st.integers(0, 4)) :]
    return body[:MAX_BODY]
