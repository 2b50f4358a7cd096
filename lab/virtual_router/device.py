"""What the router answers to one HTTP request when nothing goes wrong."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from http import HTTPStatus

from .actions import WAN_HANDLERS
from .call import Values, WanCall
from .description import Device, description, scpd, tree
from .firewall import FIREWALL_HANDLERS, FirewallCall
from .listing import UnparsableReplyError
from .page import status_page
from .pinhole import Ipv6, PinholeTable
from .quirks import Quirk
from .services import (
    FIREWALL_ACTIONS,
    Service,
    common_service,
    connection_service,
    firewall_service,
    forwarding_service,
)
from .soap import Call, UpnpError, fault, reply
from .wan import WanConnection
from .web import Request, Response

DESCRIPTION_PATH = "/rootDesc.xml"
NO_XML = b"HTTP/1.1 500 Internal & <broken\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the router can be reached at the moment."""

    url_base: str | None
    control_base: str
    """Stands before each control path."""
    own_tcp_ports: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class IgdDevice:
    """An Internet Gateway Device."""

    igd: int
    udn: Callable[[], str]
    friendly_name: str
    serial_number: str
    wans: tuple[WanConnection, ...]
    quirks: AbstractSet[Quirk]
    addresses: Callable[[], Addresses]
    secure_mode: bool
    table_size: int | None
    lan_host: str
    ipv6: Ipv6 | None
    pinholes: PinholeTable

    def tree(self) -> Device:
        """Arrange the devices and services as the quirks of the moment have them."""
        dslforum = Quirk.Q32 in self.quirks
        return tree(
            igd=self.igd,
            udn=self.udn(),
            friendly_name=self.friendly_name,
            root_services=[forwarding_service()],
            wans=[
                [
                    common_service(wan),
                    connection_service(wan, igd=self.igd, dslforum=dslforum),
                    # IPv6 has no NAT and so no second WAN to choose.
                    *([firewall_service(wan)] if self.ipv6 and wan.index == 0 else []),
                ]
                for wan in self.wans
            ],
        )

    def get(self, path: str) -> Response:
        """Answer a GET."""
        root = self.tree()
        if path == "/":
            return Response(
                body=status_page(self.friendly_name, self.wans), content_type="text/html"
            )
        if path == DESCRIPTION_PATH:
            where = self.addresses()
            body = description(
                root,
                url_base=where.url_base,
                control_base=where.control_base,
                presentation_url="/",
                serial_number=self.serial_number,
                quirks=self.quirks,
            )
            return Response(body=body)
        if Quirk.Q33 not in self.quirks:
            for service in _services(root):
                if path == service.scpd_path:
                    return Response(body=scpd(service, self.quirks))
        return Response(status=HTTPStatus.NOT_FOUND)

    async def post(self, request: Request, call: Call) -> Response:
        """Answer a call of an action."""
        service = next((s for s in _services(self.tree()) if s.control_path == request.path), None)
        if service is None:
            return Response(status=HTTPStatus.NOT_FOUND)
        try:
            self._check_action(service, request.headers.get("soapaction", ""), call)
            values = await self._act(service, request.peer, call)
        except UpnpError as error:
            ok = Quirk.Q39 in self.quirks
            status = HTTPStatus.OK if ok else HTTPStatus.INTERNAL_SERVER_ERROR
            return Response(status=status, body=fault(error.code, self.quirks))
        except UnparsableReplyError:
            return Response(body=NO_XML)
        return Response(body=reply(call.action, call.namespace, values, self.quirks))

    def _check_action(self, service: Service, header: str, call: Call) -> None:
        """Raise UpnpError 401 for an action that this service does not have."""
        # Older versions of the service are part of it (UPnP Device Architecture §2.3).
        types = {
            service.type.removesuffix(str(service.version)) + str(version)
            for version in range(1, service.version + 1)
        }
        known = call.action in service.actions and call.namespace in types
        expected = f"{call.namespace}#{call.action}"
        if Quirk.Q41 in self.quirks:
            named = header == f'"{expected}"'
        else:
            named = header.strip('"').lower() == expected.lower()
        if not (known and named):
            raise UpnpError(401)
        if missing := service.actions[call.action].inputs.keys() - call.arguments.keys():
            raise UpnpError(402) from KeyError(missing)

    async def _act(self, service: Service, caller: str, call: Call) -> Values:
        if call.action == "GetDefaultConnectionService":
            return {"NewDefaultConnectionService": self._default_connection()}
        if call.action == "GetCommonLinkProperties":
            return {
                "NewWANAccessType": "Ethernet",
                "NewLayer1UpstreamMaxBitRate": "50000000",
                "NewLayer1DownstreamMaxBitRate": "250000000",
                "NewPhysicalLinkStatus": "Up",
            }
        if self.ipv6 is not None and service.actions is FIREWALL_ACTIONS:
            return FIREWALL_HANDLERS[call.action](
                FirewallCall(
                    arguments=call.arguments,
                    caller=caller,
                    settings=self.ipv6,
                    table=self.pinholes,
                    quirks=self.quirks,
                )
            )
        if service.wan is None:
            raise UpnpError(401)
        own_ports = self.addresses().own_tcp_ports
        wan_call = WanCall(
            service=service,
            wan=service.wan,
            arguments=call.arguments,
            caller=caller,
            quirks=self.quirks,
            secure_mode=self.secure_mode,
            table_size=self.table_size,
            own_tcp_ports=own_ports if service.wan.host == self.lan_host else frozenset(),
        )
        return await WAN_HANDLERS[call.action](wan_call)

    def _default_connection(self) -> str:
        """Name the first WAN that is connected in the notation of Layer3Forwarding:1 §2.2.1."""
        devices = [wan_device.children[0] for wan_device in self.tree().children]
        best = next((i for i, wan in enumerate(self.wans) if wan.connected), 0)
        device = devices[best]
        return f"{device.udn}:{device.name}:{device.version},{device.services[0].service_id}"


def _services(device: Device) -> list[Service]:
    inner = [service for child in device.children for service in _services(child)]
    return [*device.services, *inner]
