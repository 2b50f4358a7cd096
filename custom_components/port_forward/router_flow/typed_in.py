"""Looking at the address that a user has typed in."""

import asyncio
from collections.abc import Mapping

import aiohttp
from homeassistant.core import HomeAssistant

from ..devices.hosts import async_router_address
from ..discovery import async_find_pcp, pcp_url, upnp_label
from ..routers.errors import (
    ProtocolError,
    RouterUnreachableError,
    UnsupportedError,
)
from ..routers.pcp.exchange import PORT as PCP_PORT
from ..routers.upnp import describe, search
from .address import PCP, Address, AddressError


async def async_look_at(
    hass: HomeAssistant, session: aiohttp.ClientSession, text: str, *, only: str | None = None
) -> Mapping[str, str]:
    """Return the URL of each protocol that may be spoken there, with what a user reads of it.

    With `only`, a scheme, any other protocol is left out. Where neither the
    protocol nor the port was said, nothing but what answers is returned.
    Raises AddressError, HostError and RouterError.
    """
    address = Address.parse(text, scheme=only)
    if address.scheme is None:
        return await _async_either_at(hass, session, address)
    if address.scheme == PCP:
        # By its address only: it has no other identity.
        host = await async_router_address(hass, str(address.url))
        return {pcp_url(host, address.port or PCP_PORT): address.host}
    url = await _async_location_of(address) or str(address.url)
    return {url: address.host}


async def _async_either_at(
    hass: HomeAssistant, session: aiohttp.ClientSession, address: Address
) -> Mapping[str, str]:
    host = await async_router_address(hass, str(address.url))
    location, pcp = await asyncio.gather(
        _async_location_of(address), async_find_pcp(host, address.port or PCP_PORT)
    )
    if pcp and location is None and address.is_host_alone:
        return pcp  # There is nothing but a guess at where a description could be.
    url = location or str(address.url)
    try:
        name = (await describe(session, url)).info.name
    except (UnsupportedError, ProtocolError) as error:
        if pcp:
            return pcp
        raise AddressError("no_protocol", field="base", host=address.host) from error
    except RouterUnreachableError:
        if pcp:
            return pcp
        raise
    return {url: upnp_label(url, name), **pcp}


async def _async_location_of(address: Address) -> str | None:
    """Ask the router itself where its description is: few users know."""
    return await search(address.host) if address.is_host_alone else None
