import pytest

from custom_components.port_forward.routers.errors import ProtocolError, UnsupportedError
from custom_components.port_forward.routers.upnp.description import read

URL = "http://192.0.2.1:5000/sub/desc.xml"
IP1 = "urn:schemas-upnp-org:service:WANIPConnection:1"


def document(*services: tuple[str, str], extra: str = "", base: str = "") -> bytes:
    """A root device with a WAN device for each service type and control URL."""
    wans = "".join(
        f"<device><friendlyName>WAN</friendlyName><UDN>uuid:wan</UDN><serviceList><service>"
        f"<serviceType>{service_type}</serviceType><serviceId>id</serviceId>"
        f"<controlURL>{control_url}</controlURL></service></serviceList></device>"
        for service_type, control_url in services
    )
    return (
        f'<root xmlns="urn:schemas-upnp-org:device-1-0">{base}<device><UDN> uuid:root </UDN>{extra}'
        f"<deviceList>{wans}</deviceList></device></root>"
    ).encode()


@pytest.mark.parametrize(
    ("base", "control_url", "expected"),
    [
        ("", "/ctl", "http://192.0.2.1:5000/ctl"),
        ("", "ctl", "http://192.0.2.1:5000/sub/ctl"),
        ("", "?x=1", "http://192.0.2.1:5000/sub/desc.xml?x=1"),
        ("", "http://192.0.2.1:80/ctl", "http://192.0.2.1:80/ctl"),
        ("", "http://198.51.100.1:81/ctl", "http://192.0.2.1:81/ctl"),
        ("", "http://evil.example/ctl", "http://192.0.2.1/ctl"),
        ("", "http://u:p@198.51.100.1:81/ctl#x", "http://192.0.2.1:81/ctl"),
        ("", "//198.51.100.1:82/ctl", "http://192.0.2.1:82/ctl"),
        ("http://192.0.2.1:6000/a/", "ctl", "http://192.0.2.1:6000/a/ctl"),
        ("http://192.0.2.1:6000", "/ctl", "http://192.0.2.1:6000/ctl"),
        ("http://127.0.0.1:9/", "/ctl", "http://192.0.2.1:5000/ctl"),
        ("http://198.51.100.1:9/", "/ctl", "http://192.0.2.1:5000/ctl"),
        ("nonsense", "/ctl", "http://192.0.2.1:5000/ctl"),
        ("http://[", "/ctl", "http://192.0.2.1:5000/ctl"),
    ],
)
def test_control_url(base: str, control_url: str, expected: str) -> None:
    found = read(URL, document((IP1, control_url), base=f"<URLBase>{base}</URLBase>"))
    assert found.wans[0].control_url == expected


@pytest.mark.parametrize("control_url", ["", "ftp://192.0.2.1/", "http://[", "http://x:99999/"])
def test_service_without_a_usable_control_url_is_left_out(control_url: str) -> None:
    found = read(URL, document((IP1, control_url), (IP1, "/good")))
    assert [wan.control_url for wan in found.wans] == ["http://192.0.2.1:5000/good"]


def test_host_may_be_an_ipv6_address() -> None:
    found = read("http://[fe80::1]:5000/d.xml", document((IP1, "/ctl")))
    assert found.wans[0].control_url == "http://[fe80::1]:5000/ctl"


@pytest.mark.parametrize(
    ("service_type", "version"),
    [
        (IP1, 1),
        ("urn:schemas-upnp-org:service:WANIPConnection:2", 2),
        ("urn:schemas-upnp-org:service:WANIPConnection:3", 3),
        ("urn:schemas-upnp-org:service:WANPPPConnection:1", 1),
        ("urn:dslforum-org:service:WANIPConnection:1", 1),
        ("urn:dslforum-org:service:WANPPPConnection:1", 1),
        ("urn:schemas-upnp-org:service:WANIPConnection:0", None),
        ("urn:schemas-upnp-org:service:WANIPConnection:", None),
        ("urn:schemas-upnp-org:service:WANIPv6FirewallControl:1", None),
        ("urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1", None),
    ],
)
def test_service_types(service_type: str, version: int | None) -> None:
    body = document((service_type, "/ctl"))
    if version is None:
        with pytest.raises(UnsupportedError):
            read(URL, body)
    else:
        assert read(URL, body).wans[0].version == version


def test_equal_ids_are_told_apart() -> None:
    found = read(URL, document((IP1, "/1"), (IP1, "/2"), (IP1, "/3")))
    assert [wan.id for wan in found.wans] == ["uuid:wan/id", "uuid:wan/id#2", "uuid:wan/id#3"]


def test_an_id_that_looks_like_that_of_a_second_one_is_told_apart() -> None:
    body = document((IP1, "/1"), (IP1, "/2"), (IP1, "/3"))
    first, second, third, end = body.split(b">id<")
    found = read(URL, first + b">id<" + second + b">id#2<" + third + b">id<" + end)
    assert [wan.id for wan in found.wans] == ["uuid:wan/id", "uuid:wan/id#2", "uuid:wan/id#3"]
    found = read(URL, first + b">id#2<" + second + b">id<" + third + b">id<" + end)
    assert len({wan.id for wan in found.wans}) == 3


def test_no_more_wans_are_asked_than_a_router_can_have() -> None:
    found = read(URL, document(*[(IP1, f"/{at}") for at in range(1000)]))
    assert [wan.control_url for wan in found.wans] == [
        f"http://192.0.2.1:5000/{at}" for at in range(32)
    ]


@pytest.mark.parametrize(
    "reference", ["a/" * 9999, "/" + "a" * 9999, "http://192.0.2.1/" + "a" * 9999]
)
def test_an_address_of_no_sensible_length_is_none(reference: str) -> None:
    found = read(URL, document((IP1, reference), (IP1, "/good")))
    assert [wan.control_url for wan in found.wans] == ["http://192.0.2.1:5000/good"]
    found = read(URL, document((IP1, "/good"), base=f"<URLBase>{reference}</URLBase>"))
    assert [wan.control_url for wan in found.wans] == ["http://192.0.2.1:5000/good"]


def test_identity() -> None:
    extra = (
        "<friendlyName>My Router</friendlyName><manufacturer>ACME</manufacturer>"
        "<modelName>R1</modelName><modelNumber>2.0</modelNumber><serialNumber>7</serialNumber>"
        "<presentationURL>http://my.router/start</presentationURL>"
    )
    info = read(URL, document((IP1, "/ctl"), extra=extra)).info
    assert info.unique_id == "uuid:root"
    assert (info.name, info.manufacturer, info.model) == ("My Router", "ACME", "R1")
    assert (info.version, info.serial_number) == ("2.0", "7")
    assert info.configuration_url == "http://192.0.2.1/start"


def test_identity_of_a_router_that_tells_little() -> None:
    info = read(URL, document((IP1, "/ctl"))).info
    assert info.name == "192.0.2.1"
    assert (info.manufacturer, info.configuration_url) == (None, None)


def test_what_a_router_calls_itself_cannot_act() -> None:
    written = "Router\u202e\n\u200b" + "x" * 65536
    extra = "".join(
        f"<{field}>{written}</{field}>"
        for field in ("friendlyName", "manufacturer", "modelName", "modelNumber")
    )
    info = read(URL, document((IP1, "/ctl"), extra=extra)).info
    for shown in (info.name, info.manufacturer, info.model, info.version):
        assert shown
        assert shown.startswith("Router x")
        assert len(shown) == 100


def test_deeply_nested_devices_are_read_without_recursion() -> None:
    nested = "<deviceList><device>" * 5000
    body = f"<root><device><UDN>u</UDN>{nested}<serviceList><service><serviceType>{IP1}"
    body += "</serviceType><controlURL>/c</controlURL></service></serviceList>"
    body += "</device></deviceList>" * 5000 + "</device></root>"
    assert len(read(URL, body.encode()).wans) == 1


@pytest.mark.parametrize(
    "body", [b"<root/>", b"<root><device/></root>", b"<root><device><UDN>u</UDN></device></root>"]
)
def test_no_router(body: bytes) -> None:
    with pytest.raises(UnsupportedError):
        read(URL, body)


@pytest.mark.parametrize("body", [b"", b"<html><br></html>", b"\xff\xfe"])
def test_no_description(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(URL, body)


@pytest.mark.parametrize(
    "url", ["", "no url", "ftp://192.0.2.1/", "http://", "http://x:0/", "http://["]
)
def test_no_address(url: str) -> None:
    with pytest.raises(UnsupportedError):
        read(url, document((IP1, "/ctl")))
