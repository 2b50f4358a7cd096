"""XML as routers write it: text read leniently, structure parsed strictly.

Nothing here resolves an entity or loads anything: a document type declaration
is refused altogether. SOAP 1.1 section 3 forbids it in messages, and no UPnP
description has a use for one.
"""

import re
from collections.abc import Iterator

# Only the type and the exception; parsing is done by defusedxml alone.
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Each prefixed name is expanded to the whole address of its namespace: half a body of address
# and half a body of names would fill the memory. The longest in use has some 60 characters.
_LONG_NAMESPACE = re.compile(
    r"""xmlns(?::[^ \t\r\n=:]*)?[ \t\r\n]*=[ \t\r\n]*(?:"[^"]{256}|'[^']{256})"""
)
# What "surrogateescape" makes of a byte that is not UTF-8, and what the byte meant.
_WINDOWS_1252 = {
    0xDC00 + byte: bytes([byte]).decode("cp1252", "replace") for byte in range(128, 256)
}
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)")


class NotXmlError(Exception):
    """The text cannot be parsed, or holds what is refused. Never leaves this package."""


def decode(body: bytes) -> str:
    """Return the text of a body, whatever it says of its own encoding.

    UDA 1.1 demands UTF-8. Routers that say so and copy a Latin-1 name from a
    web form into it are read byte by byte (Q26), so this cannot fail.
    """
    return body.decode("utf-8-sig", "surrogateescape").translate(_WINDOWS_1252)


def parse(text: str) -> Element:
    """Return the root of a document, at a cost that grows as its length; raises NotXmlError.

    What is well-formed is taken as it is. Only then raw ampersands and control
    characters in a description are repaired (Q26).
    """
    # With them, expat takes the text for UTF-16, and would read another than we look at.
    text = text.replace("\0", "")
    try:
        try:
            return _root(text)
        except ParseError:
            return _root(_repaired(text))
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise NotXmlError(str(error)) from error


def _root(text: str) -> Element:
    if _LONG_NAMESPACE.search(text):
        raise NotXmlError("a namespace of no sensible length")
    return fromstring(text, forbid_dtd=True)


def sendable(text: str) -> str:
    """Return a text with a mark in place of each character that XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _repaired(text: str) -> str:
    return _BARE_AMPERSAND.sub("&amp;", _NOT_XML.sub("", text)).strip()


def name(element: Element) -> str:
    """Return the name of an element without its namespace, of which routers are careless."""
    return element.tag.rpartition("}")[2]


def children(element: Element, wanted: str) -> Iterator[Element]:
    """Iterate over the direct children of that name, in any namespace."""
    return (child for child in element if name(child) == wanted)


def find(root: Element, wanted: str) -> Element | None:
    """Return the first element of that name at any depth, in any namespace."""
    return next((element for element in root.iter() if name(element) == wanted), None)


def text(element: Element, wanted: str) -> str:
    """Return the stripped text of the first child of that name, "" without one."""
    return next((_text(child) for child in children(element, wanted)), "")


def fields(element: Element) -> dict[str, str]:
    """Return name and stripped text of each child, the first where there are several.

    A description that the router copies as it is (Q26) may hold elements: it
    comes after the fields that say whether a mapping is on and where it leads.
    """
    found: dict[str, str] = {}
    for child in element:
        found.setdefault(name(child), _text(child))
    return found


def _text(element: Element) -> str:
    return (element.text or "").strip()


def number(digits: str, highest: int) -> int | None:
    """Return a whole number from 0 to `highest`, or None for anything else.

    Strict on purpose (Q26): `int` also takes `1_0`, `+1` and other alphabets'
    digits, and a wrong port is worse than none.
    """
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(highest))):
        return None
    value = int(digits)
    return value if value <= highest else None
