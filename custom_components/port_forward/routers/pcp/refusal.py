"""What a result code means for the user."""

from ipaddress import IPv4Address

from ..addresses import is_public
from ..errors import (
    PortNotGivenError,
    Refusal,
    RouterError,
    TableFullError,
    UnsupportedError,
)
from ..model import PortMapping
from ..refusals import conflict, not_permitted
from . import natpmp, packets
from .packets import Address, Result

_LOWEST_FREE_PORT = 1024

_REASONS = {
    Result.UNSUPP_OPTION: Refusal.OWN_HOST_ONLY,
    Result.MALFORMED_OPTION: Refusal.OWN_HOST_ONLY,
    Result.NETWORK_FAILURE: Refusal.DOUBLE_NAT,
    Result.EXCESSIVE_REMOTE_PEERS: Refusal.ANY_SOURCE_ONLY,
}
_NO_ROOM = (Result.NO_RESOURCES, Result.USER_EX_QUOTA)
_HELD = (Result.NOT_AUTHORIZED, Result.CANNOT_PROVIDE_EXTERNAL)


def not_given(wanted: PortMapping, granted: int) -> PortNotGivenError:
    """Return the error of a router that would give `granted` in place of the port."""
    protocols = "+".join(wanted.protocols).upper()
    return PortNotGivenError(
        port=str(wanted.external_ports), protocol=protocols, holder="?", offered=str(granted)
    )


def other_address(host: str) -> UnsupportedError:
    """Return the error of a router that sees another sender than we are (ADDRESS_MISMATCH)."""
    return UnsupportedError(
        host=host, detail="another router between it and Home Assistant changes addresses"
    )


def check_address(address: Address | None, wanted: PortMapping) -> None:
    """Raise NotPermittedError for an external address that the internet cannot reach.

    The gateway of a VPN may not tell any. Over IPv6 nothing is translated.
    """
    if isinstance(address, IPv4Address) and not address.is_unspecified and not is_public(address):
        raise not_permitted(Refusal.DOUBLE_NAT, wanted, str(address))


def explain(result: int, wanted: PortMapping, router: str) -> RouterError:
    """Return why a PCP server at the address `router` refused to map `wanted`.

    Options are the reason of UNSUPP_OPTION: by then only THIRD_PARTY is left
    that could be, see `opening`.
    """
    detail = packets.name_of(result)
    if result in _HELD and wanted.external_ports.first < _LOWEST_FREE_PORT:
        # OpenWrt's miniupnpd allows 1024 to 65535 and nothing else (Q12).
        return not_permitted(Refusal.LOW_PORT, wanted, detail)
    if result in _HELD:
        # Another nonce than that of the mapping that there is, so another client's (Q48).
        return conflict(wanted)
    if result in _NO_ROOM:
        return TableFullError(port=str(wanted.external_ports))
    if result == Result.ADDRESS_MISMATCH:
        return other_address(router)
    reason = _REASONS.get(Result(result)) if result in Result else None
    return not_permitted(reason or Refusal.REFUSED, wanted, detail)


def explain_natpmp(result: int, wanted: PortMapping) -> RouterError:
    """Return why a NAT-PMP server refused to map `wanted`."""
    if result == natpmp.Result.OUT_OF_RESOURCES:
        return TableFullError(port=str(wanted.external_ports))
    if result == natpmp.Result.NETWORK_FAILURE:
        # It has no address, or for miniupnpd none that is public.
        return not_permitted(Refusal.DOUBLE_NAT, wanted, natpmp.name_of(result))
    return not_permitted(Refusal.REFUSED, wanted, natpmp.name_of(result))
