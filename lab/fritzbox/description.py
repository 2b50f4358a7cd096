"""The description that TR-064 begins with, as far as port forwards need it."""

from xml.sax.saxutils import escape

TYPE = "urn:dslforum-org:service"
DESCRIPTION_PATH = "/tr64desc.xml"
FORWARDING_PATH = "/upnp/control/layer3forwarding"
CONTROL_PATHS = {
    "WANPPPConnection": "/upnp/control/wanpppconn1",
    "WANIPConnection": "/upnp/control/wanipconnection1",
}


def description(name: str, version: str, mac: str) -> bytes:
    """Return the document; `mac` is the hardware address in hex that its ids end with."""
    connections = "".join(_service(kind, path) for kind, path in CONTROL_PATHS.items())
    connection_device = _device("WANConnectionDevice", name, f"75802409-bccb-40e7-8e69-{mac}")
    wan_device = _device("WANDevice", name, f"75802409-bccb-40e7-8e6a-{mac}")
    root = _device("InternetGatewayDevice", name, f"739f2409-bccb-40e7-8e6c-{mac}")
    return (
        '<?xml version="1.0"?>\n<root xmlns="urn:dslforum-org:device-1-0">'
        "<specVersion><major>1</major><minor>0</minor></specVersion>"
        f"<systemVersion><HW>226</HW><Display>{version}</Display></systemVersion>"
        f"<device>{root}"
        f"<serviceList>{_service('Layer3Forwarding', FORWARDING_PATH)}</serviceList>"
        f"<deviceList><device>{wan_device}<deviceList><device>{connection_device}"
        f"<serviceList>{connections}</serviceList></device></deviceList></device></deviceList>"
        "<presentationURL>http://fritz.box</presentationURL></device></root>\n"
    ).encode()


def _device(kind: str, name: str, udn: str) -> str:
    shown = escape(name if kind == "InternetGatewayDevice" else f"{kind} - {name}")
    return (
        f"<deviceType>urn:dslforum-org:device:{kind}:1</deviceType>"
        f"<friendlyName>{shown}</friendlyName><manufacturer>AVM</manufacturer>"
        f"<modelName>{shown}</modelName><modelNumber> - avm</modelNumber><UDN>uuid:{udn}</UDN>"
    )


def _service(kind: str, path: str) -> str:
    return (
        f"<service><serviceType>{TYPE}:{kind}:1</serviceType>"
        f"<serviceId>urn:{kind}-com:serviceId:{kind}1</serviceId>"
        f"<controlURL>{path}</controlURL><eventSubURL>{path}</eventSubURL>"
        f"<SCPDURL>/{kind.lower()}SCPD.xml</SCPDURL></service>"
    )
