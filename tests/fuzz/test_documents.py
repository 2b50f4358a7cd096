"""Descriptions, SOAP and lists of port mappings: our own errors or sound values, in bounds."""

from collections.abc import Mapping
from datetime import timedelta
from xml.etree.ElementTree import fromstring  # reads what we wrote ourselves

from hypothesis import given
from hypothesis import strategies as st

from custom_components.port_forward.routers.errors import RouterError
from custom_components.port_forward.routers.model import PortMapping, PortRange, Protocol
from custom_components.port_forward.routers.upnp import description, soap
from custom_components.port_forward.routers.upnp.lenient_xml import (
    NotXmlError,
    decode,
    fields,
    number,
    parse,
)
from custom_components.port_forward.routers.upnp.rows import read_port_listing, read_row

from .checks import check_error, check_row
from .documents import (
    NUMBERS,
    TEXTS,
    WAN_TYPES,
    as_entry,
    bodies,
    descriptions,
    elements,
    good_rows,
    port_listing,
    row_fields,
    soap_fault,
    tag,
)
from .documents import soap as soap_answer
from .effort import bounded, inputs

URL = "http://192.0.2.1:5000/sub/desc.xml"
ACTION = "GetGenericPortMappingEntry"

soap_originals = st.one_of(
    row_fields(in_list=False).map(lambda row: soap_answer(ACTION, elements(row))),
    st.builds(soap_fault, st.sampled_from(NUMBERS), st.sampled_from(TEXTS)),
)
listing_originals = st.lists(row_fields(in_list=True).map(as_entry), max_size=5).map(port_listing)


@inputs(30)
@given(st.binary(max_size=200) | bodies(st.sampled_from(TEXTS)))
def test_decode_takes_everything(body: bytes) -> None:
    with bounded(len(body)):
        text = decode(body)
    text.encode()


@inputs(30)
@given(st.text())
def test_decode_gives_back_what_is_utf_8(text: str) -> None:
    with bounded(len(text)):
        assert decode(b"\xef\xbb\xbf" + text.encode()) == text
    assert decode(text.encode()) == text.removeprefix("\ufeff")


@inputs(75)
@given(bodies(st.one_of(descriptions(), soap_originals, listing_originals)))
def test_xml(body: bytes) -> None:
    text = decode(body)
    with bounded(len(body)):
        try:
            root = parse(text)
        except NotXmlError:
            return
        fields(root)
    assert all(isinstance(element.tag, str) for element in root.iter())


@inputs(140)
@given(bodies(descriptions()))
def test_description(body: bytes) -> None:
    with bounded(len(body)):
        try:
            found = description.read(URL, body)
        except RouterError as error:
            check_error(error)
            return
    assert found.udn
    assert found.wans
    assert len({wan.id for wan in found.wans}) == len(found.wans)
    for wan in found.wans:
        assert wan.control_url.startswith(("http://192.0.2.1", "https://192.0.2.1"))
        assert 1 <= wan.version <= 99
        # It goes into a header and into the XML that we send.
        assert wan.service_type.isascii()
        assert wan.service_type.replace(":", "").replace("-", "").isalnum()


@inputs(30)
@given(st.lists(st.sampled_from(WAN_TYPES), min_size=1, max_size=8))
def test_every_wan_of_a_good_description_is_found(types: list[str]) -> None:
    services = "".join(
        tag("service", elements({"serviceType": kind, "serviceId": "i", "controlURL": f"/{at}"}))
        for at, kind in enumerate(types)
    )
    device = elements({"UDN": "uuid:r"}) + tag("serviceList", services)
    body = tag("root", tag("device", device)).encode()
    with bounded(len(body)):
        found = description.read(URL, body)
    assert [wan.service_type for wan in found.wans] == types


@inputs(100)
@given(st.sampled_from((200, 500, 404, 401)), bodies(soap_originals))
def test_soap(status: int, body: bytes) -> None:
    with bounded(len(body)):
        try:
            answer = soap.read_answer("192.0.2.1", ACTION, status, body)
        except RouterError as error:
            check_error(error)
            return
    assert status == 200
    row = read_row(answer)
    if row is not None:
        check_row(row)


@inputs(50)
@given(
    st.sampled_from(WAN_TYPES),
    st.dictionaries(st.sampled_from(("NewA", "NewB", "NewC")), st.text() | st.sampled_from(TEXTS)),
)
def test_what_we_send_is_xml_that_says_it(kind: str, arguments: Mapping[str, str]) -> None:
    """Whatever a name or a description holds, it stays one argument."""
    with bounded(sum(map(len, arguments.values()))):
        body = soap.envelope(kind, "AddPortMapping", arguments)
    ((action,),) = fromstring(body)  # noqa: S314  our own
    assert action.tag == f"{{{kind}}}AddPortMapping"
    assert [child.tag for child in action] == list(arguments)
    for child, value in zip(action, arguments.values(), strict=True):
        assert not list(child)
        assert (child.text or "") == _sendable(value)


def _sendable(value: str) -> str:
    """What XML can say of a text, with a mark in place of each control character."""
    return "".join(
        c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in value
    )


@inputs(60)
@given(row_fields(in_list=False))
def test_row(written: dict[str, str]) -> None:
    row = {name: value.strip() for name, value in written.items()}
    with bounded(sum(map(len, row.values()))):
        found = read_row(row)
    if found is None:
        return
    check_row(found)
    # It is about the port that was written there and no other.
    assert str(found.external_ports) == row["NewExternalPort"].lstrip("0")
    assert found.protocols[0] == row["NewProtocol"].lower()
    assert found.internal_host == row["NewInternalClient"]


@inputs(30)
@given(good_rows())
def test_a_good_row_is_read_to_the_letter(row: dict[str, str]) -> None:
    with bounded(100):
        assert read_row(row) == mapping_of(row)


@inputs(80)
@given(bodies(listing_originals))
def test_port_listing(body: bytes) -> None:
    text = decode(body)
    with bounded(len(body)):
        try:
            found = list(read_port_listing(text))
        except NotXmlError:
            return
    for row in found:
        check_row(row)


@inputs(60)
@given(st.data(), st.lists(good_rows(), min_size=1, max_size=30))
def test_bad_entries_hide_no_good_ones(data: st.DataObject, good: list[dict[str, str]]) -> None:
    """Whatever well-formed nonsense stands between them, in any number."""
    nonsense = st.one_of(
        row_fields(in_list=True).map(as_entry),
        st.sampled_from(
            (
                *("<p:PortMappingEntry/>", "<x/>", "junk", "<!-- x -->", "<?x y?>", "a & b"),
                *("\x00\x01", "<![CDATA[<p:PortMappingEntry>]]>", "&nbsp;", " " * 10_000),
                "<x>" * 500 + "</x>" * 500,
                "<p:PortMappingEntry><p:PortMappingEntry/>t</p:PortMappingEntry>",
                as_entry({}).replace(
                    "><", ">" + "<p:NewExternalPort>1</p:NewExternalPort>" * 9 + "<"
                ),
            )
        ),
    )
    entries: list[str] = []
    for row in good:
        entries += [*data.draw(st.lists(nonsense, max_size=3)), as_entry(row)]
    document = port_listing(entries)
    with bounded(len(document)):
        found = list(read_port_listing(document))
    remaining = iter(found)
    assert all(mapping_of(row) in remaining for row in good), "a good row is missing"


@inputs(30)
@given(st.sampled_from(NUMBERS) | st.text(), st.sampled_from((65535, 2**32 - 1, 9999)))
def test_numbers(digits: str, highest: int) -> None:
    with bounded(len(digits)):
        value = number(digits, highest)
    assert value is None or (0 <= value <= highest and digits.lstrip("0") == str(value or ""))


def mapping_of(row: Mapping[str, str]) -> PortMapping:
    """What a good row says."""
    seconds = int(row["NewLeaseDuration"])
    return PortMapping(
        protocols=(Protocol(row["NewProtocol"].lower()),),
        external_ports=PortRange.single(int(row["NewExternalPort"])),
        internal_host=row["NewInternalClient"],
        internal_ports=PortRange.single(int(row["NewInternalPort"])),
        allowed_source=row["NewRemoteHost"],
        enabled=row["NewEnabled"] == "1",
        description=row["NewPortMappingDescription"],
        lease=timedelta(seconds=seconds) if seconds else None,
    )
