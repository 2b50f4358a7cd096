"""Which machine a forward leads to, and whether it may."""

import asyncio
import socket
from collections.abc import Collection, Sequence
from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
)

from homeassistant.components.network import async_get_adapters
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from yarl import URL

from ..const import CAUSING_DEVICE, DOMAIN, THIS_HOME_ASSISTANT
from ..forwards import ForwardSettings, IpVersion
from ..routers.addresses import PRIVATE
from ..routers.ipv6 import GLOBAL, own_address6
from .lan import async_get_lan
from .names import async_get_names

# The key of the one HostError that is about the router.
ROUTER_UNKNOWN = "router_unknown"
# That of a forward that leads nowhere until a device causes it.
HOST_WAITS = "host_waits"


type Hosts = tuple[IPv4Address | None, IPv6Address | None]


class HostError(HomeAssistantError):
    """The internal host cannot be used; `key` and `placeholders` say why."""

    def __init__(self, key: str, **placeholders: str) -> None:
        """Take the translation key, which forms use at the field as well."""
        super().__init__(
            translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders
        )
        self.key = key
        self.placeholders = placeholders


async def async_router_address(hass: HomeAssistant, url: str) -> IPv4Address:
    """Return the address of the router behind its URL.

    Raises HostError when its name does not resolve.
    """
    host = URL(url).host or ""
    try:
        addresses = await _async_lookup(hass, host)
    except TimeoutError:
        addresses = []
    if not addresses:
        raise HostError(ROUTER_UNKNOWN, host=host)
    return addresses[0]


def is_name(host: str) -> bool:
    """Return whether an internal host is a name, which has to be looked up."""
    if host in ("", CAUSING_DEVICE, THIS_HOME_ASSISTANT):
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False


async def async_resolve_hosts(
    hass: HomeAssistant,
    settings: ForwardSettings,
    router: IPv4Address,
    *,
    prefer: Collection[IPv4Address | IPv6Address | None] = (),
) -> Hosts:
    """Return the addresses that a forward leads to right now; raises HostError.

    Of several addresses of one name it is the one to `prefer`, where that is
    among them: name servers tell them in another order each time.
    """
    host, ip_version = settings.internal_host, settings.ip_version
    if host == CAUSING_DEVICE:
        raise HostError(HOST_WAITS)
    if settings.device:
        host = str(async_address_of(hass, settings.device))
    if ip_version is IpVersion.IPV4:
        return await async_resolve_host(hass, host, router, prefer=prefer), None
    if ip_version is IpVersion.IPV6:
        return None, await async_resolve_host6(hass, host, prefer=prefer)
    return await asyncio.gather(
        async_resolve_host(hass, host, router, prefer=prefer),
        async_resolve_host6(hass, host, prefer=prefer),
    )


@callback
def async_address_of(hass: HomeAssistant, device_id: str) -> IPv4Address:
    """Return the address that only this device is said to have now; raises HostError."""
    device = dr.async_get(hass).async_get(device_id, include_child_devices=False)
    if device is None:
        raise HostError("device_gone")
    lan, name = async_get_lan(hass), device.name_by_user or device.name or device_id
    if not (macs := lan.macs_of(device_id)):
        raise HostError("device_no_mac", device=name)
    address = lan.find(macs)
    if address is None:
        raise HostError("device_address_unknown", device=name)
    holders = lan.holders(address)
    if holders - macs:
        if holders & macs:
            raise HostError("address_conflict", device=name, address=str(address))
        raise HostError("address_taken", device=name, address=str(address))
    return address


async def async_resolve_host6(
    hass: HomeAssistant, host: str, *, prefer: Collection[object] = ()
) -> IPv6Address:
    """Return the IPv6 address under which the internet knows `host`.

    It has to be in a network that this machine is in, too: any other may be a
    stranger's. Raises HostError.
    """
    networks = [
        network
        for adapter in await async_get_adapters(hass)
        for ipv6 in adapter["ipv6"]
        if (network := _network6_of(ipv6["address"], ipv6["network_prefix"])).subnet_of(GLOBAL)
    ]
    if host == THIS_HOME_ASSISTANT:
        own = own_address6()
        if own is None:
            raise HostError("own_address6_unknown")
        return own
    try:
        addresses = await _async_lookup6(hass, host)
    except TimeoutError as error:
        raise HostError("host_timed_out", host=host) from error
    for address in _preferred_first(addresses, prefer):
        if any(address in network for network in networks):
            return address
    raise HostError("host_no_ipv6", host=host)


async def async_resolve_host(
    hass: HomeAssistant, host: str, router: IPv4Address, *, prefer: Collection[object] = ()
) -> IPv4Address:
    """Return the address that a forward to `host` leads to right now.

    `host` is an address, a name or THIS_HOME_ASSISTANT. Raises HostError when
    there is none, or when it is not a machine in the router's network: a
    router would take it, and the port would lead to a stranger.
    """
    networks = [
        network
        for adapter in await async_get_adapters(hass)
        for ipv4 in adapter["ipv4"]
        if router in (network := _network_of(ipv4["address"], ipv4["network_prefix"]))
    ]
    if host == THIS_HOME_ASSISTANT:
        own = _own_address(router)
        # In a container with a network of its own, the router cannot reach
        # the address that Home Assistant has there.
        if own is None or not networks:
            raise HostError("own_address_unknown", router=str(router))
        return own
    try:
        addresses = await _async_lookup(hass, host)
    except TimeoutError as error:
        raise HostError("host_timed_out", host=host) from error
    if not addresses:
        raise HostError("host_unknown", host=host)
    for address in _preferred_first(addresses, prefer):
        if _is_machine(address) and (
            any(_is_host_of(address, network) for network in networks)
            if networks
            else any(address in network for network in PRIVATE)
        ):
            return address
    raise HostError("host_outside", host=host, router=str(router))


def _network_of(address: str, prefix: int) -> IPv4Network:
    return IPv4Interface(f"{address}/{prefix}").network


def _network6_of(address: str, prefix: int) -> IPv6Network:
    return IPv6Interface(f"{address}/{prefix}").network


def _is_machine(address: IPv4Address) -> bool:
    return not (address.is_multicast or address.is_unspecified or address.is_reserved)


def _is_host_of(address: IPv4Address, network: IPv4Network) -> bool:
    """Tell whether it is in the network, and neither the network itself nor its broadcast."""
    if address not in network:
        return False
    # Networks of one or two addresses have neither (RFC 3021).
    return network.prefixlen >= network.max_prefixlen - 1 or address not in (
        network.network_address,
        network.broadcast_address,
    )


async def _async_lookup(hass: HomeAssistant, host: str) -> list[IPv4Address]:
    # Most hosts are addresses: a thousand of them need no thread, each time.
    with suppress(ValueError):
        return [IPv4Address(host)]
    found = await async_get_names(hass).async_look_up(host, socket.AF_INET)
    return [IPv4Address(address) for address in found]


async def _async_lookup6(hass: HomeAssistant, host: str) -> list[IPv6Address]:
    with suppress(ValueError):
        return [IPv6Address(host)]
    found = await async_get_names(hass).async_look_up(host, socket.AF_INET6)
    return [IPv6Address(address) for address in found]


def _preferred_first[A: IPv4Address | IPv6Address](
    addresses: Sequence[A], prefer: Collection[object]
) -> list[A]:
    return sorted(addresses, key=lambda address: address not in prefer)


def _own_address(router: IPv4Address) -> IPv4Address | None:
    """Return the address from which this machine speaks to the router.

    Home Assistant's own helper answers with the first enabled adapter where
    the right one is not enabled for it, which may be another network.
    Connecting a datagram socket sends nothing.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0)
        try:
            probe.connect((str(router), 1))
        except OSError:
            return None
        return IPv4Address(probe.getsockname()[0])
