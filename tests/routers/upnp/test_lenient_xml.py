import tracemalloc

import pytest

from custom_components.port_forward.routers.upnp.lenient_xml import (
    NotXmlError,
    decode,
    fields,
    find,
    name,
    number,
    parse,
    sendable,
    text,
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"plain", "plain"),
        ("Küche".encode(), "Küche"),
        ("Küche".encode("latin-1"), "Küche"),
        (b"\xef\xbb\xbfmarked", "marked"),
        ("Tür".encode() + b" K\xfcche \x80 \x81", "Tür Küche € \N{REPLACEMENT CHARACTER}"),
        (b"cut \xc3", "cut Ã"),
        (b"", ""),
    ],
)
def test_decode_never_fails_and_keeps_what_is_utf_8(body: bytes, expected: str) -> None:
    assert decode(body) == expected


@pytest.mark.parametrize(
    "start",
    [
        "<n:a xmlns:n='{}'>",
        '<n:a xmlns:n = "{}">',
        "<n:a xmlns:n\r=\n'{}'>",
        "<n:a xmlns:\u1680='' xmlns:n='{}'>",
        "<n:a xml\x00ns:n='{}'>",
    ],
)
def test_a_namespace_of_a_megabyte_is_refused(start: str) -> None:
    """Each name is expanded to the whole of it: these few would take 300 MB."""
    document = start.format("u" * 1_000_000) + "<n:b/>" * 300 + "</n:a>"
    _check_refused_without_much_memory(document)
    _check_refused_without_much_memory(decode(document.encode("utf-16-be")))


def _check_refused_without_much_memory(document: str) -> None:
    tracemalloc.start()
    with pytest.raises(NotXmlError):
        parse(document)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("length", [0, 60, 255])
def test_other_namespaces_are_fine(length: int) -> None:
    assert name(parse(f"<a xmlns='urn:{'u' * (length - 4)}'/>")) == "a"


def test_long_values_are_fine() -> None:
    document = f"<a xsi='{'x' * 999}' xmlns='u'><b>xmlns= {'x' * 999} '</b></a>"
    assert text(parse(document), "b").endswith("x '")


def test_what_xml_cannot_hold_is_marked_and_not_left_out() -> None:
    assert sendable("a\x00b\ud800\ufffe\tä") == "a\ufffdb\ufffd\ufffd\tä"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("<a><b>x &amp; y</b></a>", "x & y"),
        ("<a><b>x & y</b></a>", "x & y"),
        ("<a><b>x &amp; y & z &copy; &#38; &#x26;</b></a>", "x & y & z &copy; & &"),
        ("<a><b>one\x00\x0b two\ufffe</b></a>", "one two"),
        ("\n <?xml version='1.0' encoding='ISO-8859-1'?><a><b> ü </b></a>\x00", "ü"),
        ("<a><b><![CDATA[x & y]]></b></a>", "x & y"),
        ("<n:a xmlns:n='urn:x'><n:b>z</n:b></n:a>", "z"),
        ("<a><b/><b>second</b></a>", ""),
        ("<a/>", ""),
    ],
)
def test_parse_repairs_text(document: str, expected: str) -> None:
    assert text(parse(document), "b") == expected


@pytest.mark.parametrize(
    "document",
    [
        "",
        "no XML",
        "<a><b></a>",
        "<a>&#0;</a>",
        "<a>&#xD800;</a>",
        "<!DOCTYPE html><html/>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        "<!DOCTYPE a SYSTEM 'http://127.0.0.1/x.dtd'><a/>",
        "<n:a/>",
    ],
)
def test_parse_refuses(document: str) -> None:
    with pytest.raises(NotXmlError):
        parse(document)


def test_depth_is_no_danger() -> None:
    depth = 100_000
    root = parse("<a>" * depth + "<b>deep</b>" + "</a>" * depth)
    found = find(root, "b")
    assert found is not None
    assert found.text == "deep"


def test_fields_are_the_children_in_any_namespace() -> None:
    root = parse("<a xmlns:n='urn:x'><n:one> 1 </n:one><two/></a>")
    assert fields(root) == {"one": "1", "two": ""}


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("0", 0),
        ("65535", 65535),
        ("00080", 80),
        ("65536", None),
        ("000080", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1_0", None),
        ("1.0", None),
        (" 1", None),
        ("٣", None),
        ("²", None),
        ("9" * 100_000, None),
    ],
)
def test_numbers_are_strict(digits: str, expected: int | None) -> None:
    assert number(digits, 65535) == expected
