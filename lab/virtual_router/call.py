"""An action called on a WAN, and the reading of its arguments."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from .mapping import Key, VirtualMapping
from .quirks import Quirk
from .services import Service
from .soap import UpnpError
from .wan import WILDCARDS, WanConnection, is_ipv4

HIGHEST_PORT = 65535
LONGEST_NUMBER = 10  # digits of a ui4

type Values = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WanCall:
    """An action called on a WAN's connection service."""

    service: Service
    wan: WanConnection
    arguments: Values
    caller: str
    """The address that the request came from."""
    quirks: AbstractSet[Quirk]
    secure_mode: bool
    table_size: int | None
    own_tcp_ports: AbstractSet[int]
    """TCP ports of the WAN's address that the router needs for itself."""

    @property
    def igd(self) -> int:
        """The generation whose error codes apply: the service's own version."""
        return self.service.version


def number(value: str, highest: int) -> int:
    """Read an unsigned number. Raises UpnpError 402 when it is none or too high."""
    if not (value.isascii() and value.isdigit() and len(value) <= LONGEST_NUMBER):
        raise UpnpError(402)
    if int(value) > highest:
        raise UpnpError(402)
    return int(value)


def read_protocol(call: WanCall) -> str:
    """Read the protocol, which most routers take in any case. Raises UpnpError 402."""
    protocol = call.arguments["NewProtocol"]
    if Quirk.Q41 not in call.quirks:
        protocol = protocol.upper()
    if protocol not in ("TCP", "UDP"):
        raise UpnpError(402)
    return protocol


def _remote_host(call: WanCall) -> str:
    remote_host = call.arguments["NewRemoteHost"]
    if remote_host and not is_ipv4(remote_host):
        raise UpnpError(402)
    if remote_host == "0.0.0.0" and {Quirk.Q18, Quirk.Q18_NFT} & call.quirks:  # noqa: S104  a wildcard, nothing is bound
        return remote_host
    return "" if remote_host in WILDCARDS else remote_host


def read_key(call: WanCall) -> Key:
    """Read which mapping is meant. Raises UpnpError 402."""
    remote_host = _remote_host(call)
    if Quirk.Q19 in call.quirks:
        remote_host = ""
    return read_protocol(call), number(call.arguments["NewExternalPort"], HIGHEST_PORT), remote_host


def read_mapping(call: WanCall) -> VirtualMapping:
    """Read the mapping that is asked for. Raises UpnpError 402 or 732 for what cannot be one."""
    arguments = call.arguments
    internal_port = number(arguments["NewInternalPort"], HIGHEST_PORT)
    if internal_port == 0:
        raise UpnpError(402 if call.igd == 1 else 732)
    host = arguments["NewInternalClient"]
    if not is_ipv4(host) or host in WILDCARDS:
        raise UpnpError(402)
    enabled = {"1": True, "0": False}.get(arguments["NewEnabled"])
    if enabled is None:
        raise UpnpError(402)
    return VirtualMapping(
        protocol=read_protocol(call),
        external_port=number(arguments["NewExternalPort"], HIGHEST_PORT),
        internal_host=host,
        internal_port=internal_port,
        remote_host=_remote_host(call),
        enabled=enabled,
        description=arguments["NewPortMappingDescription"],
        lease=number(arguments["NewLeaseDuration"], 2**32 - 1),
    )
