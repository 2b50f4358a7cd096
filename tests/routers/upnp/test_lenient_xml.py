import pytest

from custom_components.port_forward.routers.upnp.lenient_xml import (
    NotXmlError,
    decode,
    fields,
    find,
    number,
    parse,
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


def test_the_way_to_decode_does_not_encode() -> None:
    with pytest.raises(UnicodeEncodeError):
        "ä".encode("ascii", "port_forward_cp1252")


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
