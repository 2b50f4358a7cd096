"""The device description and the SCPDs, rendered."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from uuid import UUID, uuid5

from .quirks import Quirk
from .services import ALLOWED_VALUES, VARIABLE_TYPES, Service
from .soap import encode, text

MODEL = "Virtual Router"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device of the tree, its services and the devices inside it."""

    name: str
    version: int
    udn: str
    friendly_name: str
    services: Sequence[Service] = ()
    children: Sequence[Device] = ()

    @property
    def type(self) -> str:
        """The device type."""
        return f"urn:schemas-upnp-org:device:{self.name}:{self.version}"


def tree(
    *,
    igd: int,
    udn: str,
    friendly_name: str,
    root_services: Sequence[Service],
    wans: Sequence[Sequence[Service]],
) -> Device:
    """Arrange the devices of an IGD; each of `wans` is a link service and its connection's."""
    root = UUID(udn.removeprefix("uuid:"))
    wan_devices = []
    for index, (link, *connection) in enumerate(wans):
        connection_device = Device(
            name="WANConnectionDevice",
            version=igd,
            udn=f"uuid:{uuid5(root, f'WANConnectionDevice {index}')}",
            friendly_name=f"WAN connection {index + 1}",
            services=connection,
        )
        wan_devices.append(
            Device(
                name="WANDevice",
                version=igd,
                udn=f"uuid:{uuid5(root, f'WANDevice {index}')}",
                friendly_name=f"WAN {index + 1}",
                services=[link],
                children=[connection_device],
            )
        )
    return Device(
        name="InternetGatewayDevice",
        version=igd,
        udn=udn,
        friendly_name=friendly_name,
        services=root_services,
        children=wan_devices,
    )


def description(  # noqa: PLR0913  what differs from router to router
    root: Device,
    *,
    url_base: str | None,
    control_base: str,
    presentation_url: str,
    serial_number: str,
    quirks: AbstractSet[Quirk],
) -> bytes:
    """Render the device description; control URLs are `control_base` and the service's path."""
    base = "" if url_base is None else f"<URLBase>{url_base}</URLBase>"
    last = (
        f"<serialNumber>{serial_number}</serialNumber>"
        f"<presentationURL>{presentation_url}</presentationURL>"
    )
    device = _device(root, control_base, quirks, last)
    return encode(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<root xmlns="urn:schemas-upnp-org:device-1-0" configId="1">'
        f"<specVersion><major>1</major><minor>1</minor></specVersion>{base}{device}</root>\n",
        quirks,
    )


def _device(device: Device, control_base: str, quirks: AbstractSet[Quirk], last: str = "") -> str:
    services = "".join(
        "<service>"
        f"<serviceType>{service.type}</serviceType>"
        f"<serviceId>{service.service_id}</serviceId>"
        f"<SCPDURL>{service.scpd_path}</SCPDURL>"
        f"<controlURL>{control_base}{service.control_path}</controlURL>"
        f"<eventSubURL>/evt/{service.path}</eventSubURL>"
        "</service>"
        for service in device.services
    )
    children = "".join(_device(child, control_base, quirks) for child in device.children)
    return (
        "<device>"
        f"<deviceType>{device.type}</deviceType>"
        f"<friendlyName>{text(device.friendly_name, quirks)}</friendlyName>"
        "<manufacturer>Port Forward</manufacturer>"
        "<manufacturerURL>https://www.home-assistant.io/</manufacturerURL>"
        f"<modelDescription>{MODEL}</modelDescription><modelName>{MODEL}</modelName>"
        "<modelNumber>1</modelNumber>"
        f"<UDN>{device.udn}</UDN>"
        + (f"<serviceList>{services}</serviceList>" if services else "")
        + (f"<deviceList>{children}</deviceList>" if children else "")
        + f"{last}</device>"
    )


def scpd(service: Service, quirks: AbstractSet[Quirk]) -> bytes:
    """Render the service's SCPD."""
    actions = []
    variables: set[str] = set()
    for name, action in service.actions.items():
        variables |= {*action.inputs.values(), *action.outputs.values()}
        outputs: Mapping[str, str] = action.outputs
        if Quirk.Q28 in quirks and name == "AddAnyPortMapping":
            outputs = {"NewExternalPort": "ExternalPort"}
        arguments = _arguments("in", action.inputs) + _arguments("out", outputs)
        actions.append(
            f"<action><name>{name}</name><argumentList>{arguments}</argumentList></action>"
        )
    document = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<scpd xmlns="urn:schemas-upnp-org:service-1-0">'
        "<specVersion><major>1</major><minor>0</minor></specVersion>"
        f"<actionList>{''.join(actions)}</actionList>"
        f"<serviceStateTable>{''.join(map(_variable, sorted(variables)))}</serviceStateTable>"
        "</scpd>\n"
    ).encode()
    if Quirk.Q33_MALFORMED in quirks:
        return document[: document.rindex(b"</action") + 4]
    return document


def _arguments(direction: str, arguments: Mapping[str, str]) -> str:
    return "".join(
        f"<argument><name>{name}</name><direction>{direction}</direction>"
        f"<relatedStateVariable>{variable}</relatedStateVariable></argument>"
        for name, variable in arguments.items()
    )


def _variable(name: str) -> str:
    values = "".join(
        f"<allowedValue>{value}</allowedValue>" for value in ALLOWED_VALUES.get(name, ())
    )
    allowed = f"<allowedValueList>{values}</allowedValueList>" if values else ""
    return (
        '<stateVariable sendEvents="no">'
        f"<name>{name}</name><dataType>{VARIABLE_TYPES.get(name, 'string')}</dataType>{allowed}"
        "</stateVariable>"
    )
