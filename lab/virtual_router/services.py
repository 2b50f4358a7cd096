"""The services and actions of an IGD, as WANIPConnection:1 and :2 (UPnP Forum) list them."""

from dataclasses import dataclass

from .wan import WanConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """An action's arguments, in order: name → related state variable."""

    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of the device, as its description lists it."""

    name: str
    """Such as WANIPConnection."""
    version: int
    service_id: str
    path: str
    """Names the service in the paths of its SCPD and its control URL."""
    actions: dict[str, Action]
    wan: WanConnection | None = None
    vendor: str = "schemas-upnp-org"

    @property
    def type(self) -> str:
        """The service type."""
        return f"urn:{self.vendor}:service:{self.name}:{self.version}"

    @property
    def control_path(self) -> str:
        """Where its actions are called."""
        return f"/ctl/{self.path}"

    @property
    def scpd_path(self) -> str:
        """Where its SCPD is."""
        return f"/scpd/{self.path}.xml"


def _action(inputs: str = "", outputs: str = "") -> Action:
    return Action(inputs=_arguments(inputs), outputs=_arguments(outputs))


def _arguments(names: str) -> dict[str, str]:
    return {f"New{name}": VARIABLE_OF.get(name, name) for name in names.split()}


def _firewall_action(inputs: str = "", outputs: str = "") -> Action:
    """Give an action of the firewall, whose arguments have no "New" before their names."""
    return Action(
        inputs={name: FIREWALL_VARIABLE_OF.get(name, name) for name in inputs.split()},
        outputs={name: FIREWALL_VARIABLE_OF.get(name, name) for name in outputs.split()},
    )


FIREWALL_VARIABLE_OF = {
    "RemoteHost": "A_ARG_TYPE_IPv6Address",
    "RemotePort": "A_ARG_TYPE_Port",
    "InternalClient": "A_ARG_TYPE_IPv6Address",
    "InternalPort": "A_ARG_TYPE_Port",
    "Protocol": "A_ARG_TYPE_Protocol",
    "LeaseTime": "A_ARG_TYPE_LeaseTime",
    "NewLeaseTime": "A_ARG_TYPE_LeaseTime",
    "UniqueID": "A_ARG_TYPE_UniqueID",
    "IsWorking": "A_ARG_TYPE_Boolean",
    "OutboundPinholeTimeout": "A_ARG_TYPE_OutboundPinholeTimeout",
    "PinholePackets": "A_ARG_TYPE_PinholePackets",
}

VARIABLE_OF = {
    "Protocol": "PortMappingProtocol",
    "Enabled": "PortMappingEnabled",
    "LeaseDuration": "PortMappingLeaseDuration",
    "PortMappingIndex": "PortMappingNumberOfEntries",
    "ReservedPort": "ExternalPort",
    "StartPort": "ExternalPort",
    "EndPort": "ExternalPort",
    "Manage": "A_ARG_TYPE_Manage",
    "NumberOfPorts": "PortMappingNumberOfEntries",
    "PortListing": "A_ARG_TYPE_PortListing",
}

# What is not here is a string.
VARIABLE_TYPES = {
    "Uptime": "ui4",
    "ExternalPort": "ui2",
    "InternalPort": "ui2",
    "PortMappingEnabled": "boolean",
    "PortMappingLeaseDuration": "ui4",
    "PortMappingNumberOfEntries": "ui2",
    "A_ARG_TYPE_Manage": "boolean",
    "Layer1UpstreamMaxBitRate": "ui4",
    "Layer1DownstreamMaxBitRate": "ui4",
    "FirewallEnabled": "boolean",
    "InboundPinholeAllowed": "boolean",
    "A_ARG_TYPE_Port": "ui2",
    "A_ARG_TYPE_Protocol": "ui2",
    "A_ARG_TYPE_LeaseTime": "ui4",
    "A_ARG_TYPE_UniqueID": "ui2",
    "A_ARG_TYPE_Boolean": "boolean",
    "A_ARG_TYPE_OutboundPinholeTimeout": "ui4",
    "A_ARG_TYPE_PinholePackets": "ui4",
}

ALLOWED_VALUES = {
    "PortMappingProtocol": ("TCP", "UDP"),
    "ConnectionStatus": ("Unconfigured", "Connecting", "Connected", "Disconnected"),
    "PhysicalLinkStatus": ("Up", "Down"),
}

_KEY = "RemoteHost ExternalPort Protocol"
_TARGET = "InternalPort InternalClient Enabled PortMappingDescription LeaseDuration"

WAN_ACTIONS = {
    "GetStatusInfo": _action("", "ConnectionStatus LastConnectionError Uptime"),
    "GetExternalIPAddress": _action("", "ExternalIPAddress"),
    "AddPortMapping": _action(f"{_KEY} {_TARGET}"),
    "DeletePortMapping": _action(_KEY),
    "GetSpecificPortMappingEntry": _action(_KEY, _TARGET),
    "GetGenericPortMappingEntry": _action("PortMappingIndex", f"{_KEY} {_TARGET}"),
}
WAN_ACTIONS_2 = WAN_ACTIONS | {
    "AddAnyPortMapping": _action(f"{_KEY} {_TARGET}", "ReservedPort"),
    "GetListOfPortMappings": _action(
        "StartPort EndPort Protocol Manage NumberOfPorts", "PortListing"
    ),
}
COMMON_ACTIONS = {
    "GetCommonLinkProperties": _action(
        "",
        "WANAccessType Layer1UpstreamMaxBitRate Layer1DownstreamMaxBitRate PhysicalLinkStatus",
    ),
}
_PINHOLE = "RemoteHost RemotePort InternalClient InternalPort Protocol"
FIREWALL_ACTIONS = {
    "GetFirewallStatus": _firewall_action("", "FirewallEnabled InboundPinholeAllowed"),
    "GetOutboundPinholeTimeout": _firewall_action(_PINHOLE, "OutboundPinholeTimeout"),
    "AddPinhole": _firewall_action(f"{_PINHOLE} LeaseTime", "UniqueID"),
    "UpdatePinhole": _firewall_action("UniqueID NewLeaseTime"),
    "DeletePinhole": _firewall_action("UniqueID"),
    "GetPinholePackets": _firewall_action("UniqueID", "PinholePackets"),
    "CheckPinholeWorking": _firewall_action("UniqueID", "IsWorking"),
}
FORWARDING_ACTIONS = {"GetDefaultConnectionService": _action("", "DefaultConnectionService")}


def forwarding_service() -> Service:
    """Layer3Forwarding:1 of the root device."""
    return Service(
        name="Layer3Forwarding",
        version=1,
        service_id="urn:upnp-org:serviceId:L3Forwarding1",
        path="L3F",
        actions=FORWARDING_ACTIONS,
    )


def common_service(wan: WanConnection) -> Service:
    """WANCommonInterfaceConfig:1 of a WAN."""
    return Service(
        name="WANCommonInterfaceConfig",
        version=1,
        service_id="urn:upnp-org:serviceId:WANCommonIFC1",
        path=f"{wan.index}/CommonIFC",
        actions=COMMON_ACTIONS,
        wan=wan,
    )


def connection_service(wan: WanConnection, *, igd: int, dslforum: bool) -> Service:
    """Give the service that maps ports, of version 2 for an IP connection of an IGD:2 only.

    IGD:2 made a new version of WANIPConnection and none of WANPPPConnection;
    `urn:dslforum-org` types (Q32) never had a second version.
    """
    version = 2 if igd == 2 and wan.kind == "ip" and not dslforum else 1  # noqa: PLR2004  IGD:2
    short = wan.kind.upper()
    return Service(
        name=f"WAN{short}Connection",
        version=version,
        service_id=f"urn:upnp-org:serviceId:WAN{short}Conn1",
        path=f"{wan.index}/{short}Conn",
        actions=WAN_ACTIONS if version == 1 else WAN_ACTIONS_2,
        wan=wan,
        vendor="dslforum-org" if dslforum else "schemas-upnp-org",
    )


def firewall_service(wan: WanConnection) -> Service:
    """WANIPv6FirewallControl:1 of a WAN; IGD:2 brought it."""
    return Service(
        name="WANIPv6FirewallControl",
        version=1,
        service_id="urn:upnp-org:serviceId:WANIPv6Firewall1",
        path=f"{wan.index}/IP6FCtl",
        actions=FIREWALL_ACTIONS,
        wan=wan,
    )
