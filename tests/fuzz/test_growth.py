"""Four times the input takes four times the time and memory, and not sixteen times."""

import gc
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest

from custom_components.port_forward.routers.errors import RouterError
from custom_components.port_forward.routers.tag import owner_in
from custom_components.port_forward.routers.upnp import description, soap
from custom_components.port_forward.routers.upnp.lenient_xml import NotXmlError, decode, parse
from custom_components.port_forward.routers.upnp.rows import read_port_listing
from custom_components.port_forward.routers.upnp.ssdp import read_answer, same_host

from .documents import WAN_TYPES, elements, port_listing, tag
from .documents import soap as soap_answer

URL = "http://192.0.2.1/d.xml"
SERVICE = tag("service", elements({"serviceType": WAN_TYPES[0], "controlURL": "c"}))
UNKNOWN = tag("service", elements({"serviceType": "urn:x", "controlURL": "c"}))

type Attack = Callable[[int], str]
"""Makes a document of about so many bytes."""


def _half(unit: str, n: int) -> str:
    return unit * (n // 2 // len(unit))


def _description(before: str, after: str, base: str = "") -> str:
    inner = tag("device", before + tag("serviceList", after))
    return tag("root", base + tag("device", "<UDN>u</UDN>" + tag("deviceList", inner)))


XML: dict[str, Attack] = {
    "flat": lambda n: tag("a", "<b/>" * (n // 4)),
    "deep": lambda n: "<b>" * (n // 7) + "</b>" * (n // 7),
    "not closed": lambda n: "<b>" * (n // 3),
    "attributes": lambda n: f"<a {' '.join(f"a{i}=''" for i in range(n // 10))}/>",
    "same attribute": lambda n: f"<a {"a='' " * (n // 5)}/>",
    "namespaces": lambda n: "".join(f"<b xmlns:n{i}='u'>" for i in range(n // 20)),
    "long namespace": lambda n: (
        f"<n:a xmlns:n='{'u' * (n // 2)}'>{''.join(f'<n:b{i}/>' for i in range(n // 20))}</n:a>"
    ),
    "namespace to the limit": lambda n: (
        f"<n:a xmlns:n='{'u' * 255}'>{''.join(f'<n:b{i}/>' for i in range(n // 10))}</n:a>"
    ),
    "namespace of attributes": lambda n: (
        f"<n:a xmlns:n='{'u' * 255}' {' '.join(f"n:a{i}=''" for i in range(n // 12))}/>"
    ),
    "almost a namespace": lambda n: "<a " + "xmlns:" * (n // 6),
    "almost another": lambda n: "<a " + "xmlns=" * (n // 6) + "'",
    "space after a namespace": lambda n: "<a xmlns" + " " * n,
    "ampersands": lambda n: tag("a", "&" * n),
    "control characters": lambda n: tag("a", "\x01" * n),
    "NUL": lambda n: tag("a", "\x00" * n),
    "space": lambda n: " " * n + "<a/>",
    "comments": lambda n: tag("a", "<!---->" * (n // 7)),
    "comment without end": lambda n: tag("a", "<!--" * (n // 4)),
    "CDATA": lambda n: tag("a", "<![CDATA[]]>" * (n // 12)),
    "references": lambda n: tag("a", "&#65;" * (n // 5)),
    "long name": lambda n: f"<{'a' * n}/>",
    "declarations": lambda n: "<!DOCTYPE a [" + "<!ENTITY a 'a'>" * (n // 15),
}
DESCRIPTIONS: dict[str, Attack] = {
    "services": lambda n: _description("<UDN>w</UDN>", SERVICE * (n // len(SERVICE))),
    "no known service": lambda n: _description("", UNKNOWN * (n // len(UNKNOWN))),
    "long UDN": lambda n: _description(f"<UDN>{'u' * (n // 2)}</UDN>", _half(SERVICE, n)),
    "long name": lambda n: _description(tag("friendlyName", "u" * (n // 2)), _half(SERVICE, n)),
    "many children": lambda n: _description(_half("<a/>", n), _half(SERVICE, n)),
    "long base": lambda n: _description(
        "", _half(SERVICE, n), tag("URLBase", f"http://192.0.2.1/{'a/' * (n // 4)}")
    ),
    "dots": lambda n: _description("", SERVICE.replace(">c<", f">{'../' * (n // 3)}<")),
    "devices": lambda n: (
        tag("root", "<device><UDN>u</UDN>" + "<deviceList><device>" * (n // 45))
        + "</device></deviceList>" * (n // 45)
        + "</device>"
    ),
    "equal lists": lambda n: _description("", "</serviceList><serviceList>" * (n // 27)),
}
LISTINGS: dict[str, Attack] = {
    "entries": lambda n: port_listing(["<PortMappingEntry/>"] * (n // 19)),
    "nested entries": lambda n: port_listing(
        ["<PortMappingEntry>" * (n // 37) + "</PortMappingEntry>" * (n // 37)]
    ),
    "one long entry": lambda n: port_listing([tag("PortMappingEntry", "<a/>" * (n // 4))]),
    "nested lists": lambda n: "<PortMappingList>" * (n // 35) + "</PortMappingList>" * (n // 35),
}
SOAP: dict[str, Attack] = {
    "answers": lambda n: soap_answer("Get", "<GetResponse/>" * (n // 14)),
    "arguments": lambda n: soap_answer("Get", "<NewA/>" * (n // 7)),
    "long fault": lambda n: tag("Fault", tag("faultstring", "ä" * (n // 2))),
    "faults": lambda n: tag("Fault", "<Fault/>" * (n // 8)),
}
TEXT: dict[str, Attack] = {
    "tags": lambda n: "[ha-pf:" * (n // 7),
    "long tag": lambda n: "[ha-pf:" + "a" * n,
    "address": lambda n: "http://192.0.2.1/" + "a/../" * (n // 5),
    "ports": lambda n: "http://192.0.2.1:" + "8" * n,
    "brackets": lambda n: "http://[" + ":" * n + "]/",
    "at": lambda n: "http://" + "@" * n,
}
BYTES: dict[str, Callable[[int], bytes]] = {
    "no UTF-8": lambda n: b"\xff" * n,
    "cut UTF-8": lambda n: b"\xe2\x82" * (n // 2),
    "mixed": lambda n: b"\xc3\xa4\xe4" * (n // 3),
    "header lines": lambda n: b"HTTP/1.1 200 OK\r\n" + b"\r\n" * (n // 2),
    "colons": lambda n: b"HTTP/1.1 200 OK\r\n" + b":" * n,
}


def _decode_and_split(body: bytes) -> None:
    decode(body)
    read_answer(body)


def _read_text(value: str) -> None:
    owner_in(value)
    same_host(value, "192.0.2.1")


CASES = [
    *(("XML", name, make, parse) for name, make in XML.items()),
    *(
        ("description", name, make, lambda text: description.read(URL, text.encode()))
        for name, make in DESCRIPTIONS.items()
    ),
    *(
        ("listing", name, make, lambda text: list(read_port_listing(text)))
        for name, make in LISTINGS.items()
    ),
    *(
        ("SOAP", name, make, lambda text: soap.read_answer("h", "Get", 200, text.encode()))
        for name, make in SOAP.items()
    ),
    *(("text", name, make, _read_text) for name, make in TEXT.items()),
    *(("bytes", name, make, _decode_and_split) for name, make in BYTES.items()),
]


def _seconds[T](read: Callable[[T], object], document: T) -> float:
    """The best of three: what disturbs only makes it longer. CPU time, without the collector."""
    best = 1e9
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            started = time.thread_time()
            with suppress(RouterError, NotXmlError):
                read(document)
            best = min(best, time.thread_time() - started)
    finally:
        gc.enable()
    return best


def _peak[T](read: Callable[[T], object], document: T) -> int:
    tracemalloc.start()
    with suppress(RouterError, NotXmlError):
        read(document)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(
    ("make", "read"), [case[2:] for case in CASES], ids=[f"{case[0]} {case[1]}" for case in CASES]
)
def test_cost_grows_as_the_input[T](make: Callable[[int], T], read: Callable[[T], object]) -> None:
    small, large = make(20_000), make(80_000)
    assert len(large) > 3 * len(small)  # type: ignore[arg-type]  # str or bytes
    # What takes some milliseconds in all tells nothing, and harms nobody.
    assert _seconds(read, large) < 0.010 + 7 * _seconds(read, small)
    assert _peak(read, large) < 1_000_000 + 5 * _peak(read, small)
