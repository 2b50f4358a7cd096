import pytest

from custom_components.port_forward.routers.errors import ProtocolError, RouterError
from custom_components.port_forward.routers.upnp.lenient_xml import decode, find, parse
from custom_components.port_forward.routers.upnp.soap import UpnpFault, envelope, read_answer

IP1 = "urn:schemas-upnp-org:service:WANIPConnection:1"


def test_envelope_keeps_order_and_escapes() -> None:
    body = envelope(IP1, "AddPortMapping", {"NewB": "a < b & c", "NewA": ""})
    root = parse(decode(body))
    action = find(root, "AddPortMapping")
    assert action is not None
    assert action.tag == f"{{{IP1}}}AddPortMapping"
    assert [(child.tag, child.text) for child in action] == [("NewB", "a < b & c"), ("NewA", None)]


@pytest.mark.parametrize("value", ["\x00", "\x1f", "\ud800", "\uffff"])
def test_what_cannot_be_said_does_not_become_any_source(value: str) -> None:
    body = envelope(IP1, "AddPortMapping", {"NewRemoteHost": value})
    action = find(parse(decode(body)), "AddPortMapping")
    assert action is not None
    assert action[0].text == "\N{REPLACEMENT CHARACTER}"


def test_a_line_end_arrives_as_it_is() -> None:
    action = find(parse(decode(envelope(IP1, "Add", {"NewA": "a\rb\nc"}))), "Add")
    assert action is not None
    assert action[0].text == "a\rb\nc"


def test_answer_in_any_namespace() -> None:
    body = (
        b"<e:E xmlns:e='x'><B><u:GetResponse xmlns:u='y'><NewX> 1 </NewX></u:GetResponse></B></e:E>"
    )
    assert read_answer("host", "Get", 200, body) == {"NewX": "1"}


@pytest.mark.parametrize("status", [200, 500, 404])
@pytest.mark.parametrize(
    "body",
    [
        b"<E><Fault><UPnPError><errorCode> 718 </errorCode></UPnPError></Fault></E>",
        b"<Fault xmlns='x'><UPnPError xmlns='y'><errorCode>718</errorCode></UPnPError></Fault>",
        b"<UPnPError><errorCode>718</errorCode></UPnPError>",
        b"<Fault><errorCode>718</errorCode></Fault>",
    ],
)
def test_code_of_a_fault(status: int, body: bytes) -> None:
    with pytest.raises(UpnpFault) as error:
        read_answer("host", "Add", status, body)
    assert error.value.code == 718
    assert repr(error.value) == "UpnpFault(718)"
    assert isinstance(error.value, RouterError)


def test_fault_without_a_code_and_with_a_long_odd_text() -> None:
    body = f"<Fault><faultstring>{'ä\n' * 9}{'x' * 99}</faultstring></Fault>".encode()
    with pytest.raises(UpnpFault) as error:
        read_answer("host", "Add", 500, body)
    assert error.value.code == 0
    assert error.value.placeholders == {"host": "host", "detail": "Add: 0 " + "x" * 60}


@pytest.mark.parametrize(
    ("status", "body", "detail"),
    [
        (200, b"garbage", "Get: no XML"),
        (404, b"", "Get: HTTP 404"),
        (401, b"<html/>", "Get: HTTP 401 without an answer"),
        (500, b"<E><GetResponse/></E>", "Get: HTTP 500 without an answer"),
        (200, b"<E><OtherResponse/></E>", "Get: HTTP 200 without an answer"),
    ],
)
def test_nonsense(status: int, body: bytes, detail: str) -> None:
    with pytest.raises(ProtocolError) as error:
        read_answer("host", "Get", status, body)
    assert error.value.placeholders == {"host": "host", "detail": detail}
