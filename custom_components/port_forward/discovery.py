"""Which routers there are, and where: those that announced themselves, and the gateway."""

import asyncio
from collections.abc import Mapping
from ipaddress import IPv4Address
from urllib.parse import urlsplit

import aiohttp
from homeassistant.components import ssdp
from homeassistant.components.network import async_get_adapters
from homeassistant.core import HomeAssistant
from homeassistant.helpers.service_info.ssdp import ATTR_UPNP_FRIENDLY_NAME, SsdpServiceInfo

from .const import LOGGER
from .gateway import default_gateways
from .routers.errors import RouterError
from .routers.pcp import PcpRouter
from .routers.pcp.exchange import PORT as PCP_PORT
from .routers.upnp import describe, same_host, search

_GATEWAY_TYPES = (
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
)

# Seconds. Whoever is there answers in milliseconds; most hosts are not, and somebody waits.
_PROBE_TIMEOUT = 2.0


async def async_find_routers(
    hass: HomeAssistant, session: aiohttp.ClientSession
) -> Mapping[str, str]:
    """Return the URL of each router with what a user reads of it.

    A router that speaks several protocols has a URL for each. Those of UPnP
    come first: only it tells what else is open.
    """
    found: dict[str, str] = {}
    for gateway_type in _GATEWAY_TYPES:
        for info in await ssdp.async_get_discovery_info_by_st(hass, gateway_type):
            if location := await async_trusted_location(hass, info):
                # None where Home Assistant could not read the description.
                name = info.upnp.get(ATTR_UPNP_FRIENDLY_NAME)
                found[location] = upnp_label(location, name or urlsplit(location).hostname)
    gateways = await async_gateways(hass)
    others = await asyncio.gather(
        # Some routers answer no multicast, only a search sent to themselves (Q43).
        *(_async_upnp_of(session, gateway, found) for gateway in gateways),
        *(async_find_pcp(gateway) for gateway in gateways),
    )
    for routers in others:
        found |= routers
    return found


async def async_find_pcp(address: IPv4Address, port: int = PCP_PORT) -> Mapping[str, str]:
    """Return the URL of a router that speaks PCP or NAT-PMP with its name, or nothing."""
    try:
        info = await PcpRouter(f"{address}:{port}", timeout=_PROBE_TIMEOUT).connect()
    except RouterError as error:
        LOGGER.debug("%s speaks neither PCP nor NAT-PMP: %s", address, error)
        return {}
    return {pcp_url(address, port): info.name}


def pcp_url(address: IPv4Address, port: int = PCP_PORT) -> str:
    """Return the URL by which an entry keeps where a router is that speaks PCP or NAT-PMP."""
    return f"pcp://{address}" if port == PCP_PORT else f"pcp://{address}:{port}"


def upnp_label(location: str, name: str | None) -> str:
    """Return what a user reads of a router that is described at `location`."""
    return f"UPnP: {name} ({location})"


async def async_trusted_location(hass: HomeAssistant, info: SsdpServiceInfo) -> str | None:
    """Return where the router is, if it is on the host that sent the announcement, or the gateway.

    Anybody in the network can announce a router that is somewhere else. Google
    Wifi does so for good reasons (Q34), but then names the gateway. A router
    that announces itself over IPv6 too, as miniupnpd does, has several
    locations, and Home Assistant hands on the last one: the IPv4 one counts.
    """
    # Where the datagram came from, whatever it says itself; set last, so that
    # no header of the same name can take its place (async_upnp_client.ssdp).
    sender = info.ssdp_headers.get("_host")
    if not sender:
        return None
    hosts = [sender, *map(str, await async_gateways(hass))]
    locations = [info.ssdp_location or "", *sorted(info.ssdp_all_locations)]
    return next((url for url in locations if any(same_host(url, host) for host in hosts)), None)


async def _async_upnp_of(
    session: aiohttp.ClientSession, gateway: IPv4Address, known: Mapping[str, str]
) -> Mapping[str, str]:
    try:
        location = await search(str(gateway))
        if location and location not in known:
            name = (await describe(session, location)).info.name
            return {location: upnp_label(location, name)}
    except RouterError as error:
        LOGGER.debug("The gateway %s is no UPnP router: %s", gateway, error)
    return {}


async def async_gateways(hass: HomeAssistant) -> list[IPv4Address]:
    """Return the gateways behind the adapters that the user lets Home Assistant use."""
    enabled = {adapter["name"] for adapter in await async_get_adapters(hass) if adapter["enabled"]}
    return await hass.async_add_executor_job(default_gateways, enabled)
