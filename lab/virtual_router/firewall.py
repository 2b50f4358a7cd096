"""What the IPv6 firewall does when an action is called (WANIPv6FirewallControl:1 §2.5)."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from .call import HIGHEST_PORT, Values, number
from .pinhole import Ipv6, Pinhole, PinholeTable
from .quirks import Quirk
from .soap import UpnpError

PROTOCOLS = {6: "TCP", 17: "UDP"}
ANY_PROTOCOL = 65535
LONGEST_LEASE = 86400  # seconds, §2.3.8
OUTBOUND_TIMEOUT = 180  # seconds
LOWEST_USER_PORT = 1024  # Q50


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallCall:
    """An action called on the firewall."""

    arguments: Values
    caller: str
    """The address that the request came from, of either kind."""
    settings: Ipv6
    table: PinholeTable
    quirks: AbstractSet[Quirk]


def get_firewall_status(call: FirewallCall) -> Values:
    """GetFirewallStatus."""
    return {
        "FirewallEnabled": "1" if call.settings.firewall_enabled else "0",
        "InboundPinholeAllowed": "1" if call.settings.pinholes_allowed else "0",
    }


def get_outbound_pinhole_timeout(call: FirewallCall) -> Values:
    """GetOutboundPinholeTimeout."""
    _check_status(call)
    return {"OutboundPinholeTimeout": str(OUTBOUND_TIMEOUT)}


def add_pinhole(call: FirewallCall) -> Values:
    """AddPinhole: one that is there already is renewed and keeps its name."""
    _check_status(call)
    asked = _read(call)
    _check_caller(call, asked)
    for known in call.table.rows:
        if known.way == asked.way and known.made_by == "UPnP":
            call.table.put(replace(known, lease=asked.lease))
            if Quirk.Q50_AGAIN in call.quirks:
                call.table.keep(known.unique_id)
            return {"UniqueID": str(known.unique_id)}
    if len(call.table.rows) >= call.settings.table_size:
        raise UpnpError(701)
    return {"UniqueID": str(call.table.add(asked).unique_id)}


def update_pinhole(call: FirewallCall) -> Values:
    """UpdatePinhole."""
    pinhole = _named(call)
    call.table.put(replace(pinhole, lease=_lease(call.arguments["NewLeaseTime"])))
    return {}


def delete_pinhole(call: FirewallCall) -> Values:
    """DeletePinhole."""
    call.table.remove(_named(call).unique_id)
    return {}


def get_pinhole_packets(call: FirewallCall) -> Values:
    """GetPinholePackets."""
    return {"PinholePackets": str(_named(call).packets)}


def check_pinhole_working(call: FirewallCall) -> Values:
    """CheckPinholeWorking: only a packet that came through tells."""
    if not _named(call).packets:
        raise UpnpError(709)
    return {"IsWorking": "1"}


FIREWALL_HANDLERS: dict[str, Callable[[FirewallCall], Values]] = {
    "GetFirewallStatus": get_firewall_status,
    "GetOutboundPinholeTimeout": get_outbound_pinhole_timeout,
    "AddPinhole": add_pinhole,
    "UpdatePinhole": update_pinhole,
    "DeletePinhole": delete_pinhole,
    "GetPinholePackets": get_pinhole_packets,
    "CheckPinholeWorking": check_pinhole_working,
}


def _check_status(call: FirewallCall) -> None:
    """Raise UpnpError where nothing is let in on request."""
    if not call.settings.firewall_enabled:
        raise UpnpError(702)
    if not call.settings.pinholes_allowed:
        raise UpnpError(703)


def _read(call: FirewallCall) -> Pinhole:
    """Read the pinhole that is asked for. Raises UpnpError for what cannot be one."""
    arguments = call.arguments
    protocol = number(arguments["Protocol"], ANY_PROTOCOL)
    if protocol not in PROTOCOLS:
        raise UpnpError(707 if protocol == ANY_PROTOCOL else 705)
    internal_port = number(arguments["InternalPort"], HIGHEST_PORT)
    if internal_port == 0:
        raise UpnpError(706)
    if not arguments["InternalClient"]:
        raise UpnpError(708)
    remote_host = arguments["RemoteHost"]
    return Pinhole(
        protocol=PROTOCOLS[protocol],
        internal_host=_address(arguments["InternalClient"]),
        internal_port=internal_port,
        remote_host=_address(remote_host) if remote_host else "",
        remote_port=number(arguments["RemotePort"], HIGHEST_PORT),
        lease=_lease(arguments["LeaseTime"]),
    )


def _check_caller(call: FirewallCall, pinhole: Pinhole) -> None:
    """Raise UpnpError 606 when the pinhole is not the caller's to make or to know of (Q50)."""
    if Quirk.Q50 not in call.quirks:
        return
    if call.caller != pinhole.internal_host or pinhole.internal_port < LOWEST_USER_PORT:
        raise UpnpError(606)


def _named(call: FirewallCall) -> Pinhole:
    """Find the pinhole that is named. Raises UpnpError."""
    _check_status(call)
    pinhole = call.table.find(number(call.arguments["UniqueID"], 2**16 - 1))
    if pinhole is None:
        raise UpnpError(402 if Quirk.Q50_402 in call.quirks else 704)
    _check_caller(call, pinhole)
    return pinhole


def _lease(value: str) -> int:
    lease = number(value, LONGEST_LEASE)
    if lease == 0:
        raise UpnpError(402)
    return lease


def _address(value: str) -> str:
    """Read an IPv6 address, in the one form that all have in common. Raises UpnpError 402."""
    try:
        return str(IPv6Address(value))
    except ValueError:
        raise UpnpError(402) from None
