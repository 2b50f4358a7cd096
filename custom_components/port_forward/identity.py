"""Which router an entry stands for, where its ids or its address are others than before.

What tells it from another is in `routers/upnp/identity.py`. Routers with a
login are known by their account, and PCP gateways by their address alone.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from ipaddress import IPv4Address
from typing import Any, Final

import aiohttp
from homeassistant.config_entries import SOURCE_IGNORE, ConfigEntry, ConfigEntryState
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from yarl import URL

from .const import CONF_DRIVER, CONF_WAN, DOMAIN
from .devices.hosts import HostError, async_router_address
from .discovery import async_gateways
from .issues import async_ask_moved
from .noting import noting
from .openings import Ledger
from .routers.errors import RouterError, UnconfirmedRouterError
from .routers.ipv4 import mac_of
from .routers.model import RouterInfo
from .routers.router import Router
from .routers.transport import Transport
from .routers.upnp import MAC, WAN, Identity, counterpart, describe, own_mac
from .runtime import async_get_runtime, async_session

UPNP: Final = "upnp"


class Verdict(Enum):
    """Whether what answers is the router of an entry."""

    NO = auto()
    YES = auto()
    ASK = auto()
    """Only the user knows."""


async def async_keep_identity(
    hass: HomeAssistant, entry: ConfigEntry, router: Router, ledger: Ledger, info: RouterInfo
) -> None:
    """Keep what a UPnP router is known by, which has just been connected to.

    Its entry is given the ids of today.
    """
    if entry.data[CONF_DRIVER] != UPNP:
        return
    with suppress(HomeAssistantError):  # Logged. It is learned once more at the next start.
        await ledger.learn(router.learned)
    with noting():
        await _async_take_ids(
            hass, entry, info.unique_id, {**entry.data, CONF_WAN: router.learned[WAN]}
        )


async def async_accept(
    hass: HomeAssistant, entry: ConfigEntry, url: str, *, udn: str | None = None
) -> None:
    """Let the entry be of the router that answers at `url`, where the user or its MAC says so.

    Raises RouterError: UnconfirmedRouterError where its UDN is not `udn`, None
    for any; UnsupportedError where nobody can tell which of its WANs is meant.
    """
    description = await describe(async_session(hass), url)
    if udn not in (None, description.udn):
        raise UnconfirmedRouterError(host=Transport.host_of(url))
    learned = await async_learned(hass, entry)
    wan = counterpart(learned, entry.data[CONF_WAN], description).id
    await _async_take_ids(
        hass, entry, description.udn, {**entry.data, CONF_URL: url, CONF_WAN: wan}
    )
    async_try_again(hass, entry)


async def _async_take_ids(
    hass: HomeAssistant, entry: ConfigEntry, udn: str, data: Mapping[str, Any]
) -> None:
    await async_forget_ignored(hass, udn)
    holder = hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, udn)
    # Of a router that was added twice, each goes on; one of them keeps an id that is over.
    unique_id = udn if holder is None else entry.unique_id
    hass.config_entries.async_update_entry(entry, unique_id=unique_id, data=data)


async def async_forget_ignored(hass: HomeAssistant, udn: str) -> None:
    """Forget that the user does not want to be told of this UDN: it is that of an entry now."""
    holder = hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, udn)
    if holder and holder.source == SOURCE_IGNORE:
        await hass.config_entries.async_remove(holder.entry_id)


@callback
def async_try_again(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Set an entry up once more that could not be; one that is loaded listens for its changes."""
    if entry.state in (ConfigEntryState.SETUP_RETRY, ConfigEntryState.SETUP_ERROR):
        hass.config_entries.async_schedule_reload(entry.entry_id)


async def async_learned(hass: HomeAssistant, entry: ConfigEntry) -> Mapping[str, str]:
    """Return what the driver of the entry has learned, whether it is loaded or not."""
    runtime = await async_get_runtime(hass, entry)
    return {**runtime.ledger.learned, **runtime.router.learned}


async def async_entries_at(hass: HomeAssistant, url: str) -> list[ConfigEntry]:
    """Return the entries of the router at the address of `url`, whatever is spoken to it."""
    address = await _async_address(hass, url)
    return [
        entry
        for entry in hass.config_entries.async_entries(DOMAIN, include_ignore=False)
        if address and await _async_address(hass, entry.data[CONF_URL]) == address
    ]


async def async_entries_of_gateway(hass: HomeAssistant, url: str) -> list[ConfigEntry]:
    """Return the entries of the router at the address of `url`, also those at another of its own.

    Behind a repeater, which has one MAC for all, it may be one too many.
    """
    entries = hass.config_entries.async_entries(DOMAIN, include_ignore=False)
    address = await _async_address(hass, url)
    addresses = [await _async_address(hass, entry.data[CONF_URL]) for entry in entries]

    def same() -> list[bool]:
        mac = mac_of(address) if address else None
        return [
            there is not None and (there == address or (mac is not None and mac_of(there) == mac))
            for there in addresses
        ]

    alike = await hass.async_add_executor_job(same)
    return [entry for entry, is_same in zip(entries, alike, strict=True) if is_same]


async def async_has_moved(
    hass: HomeAssistant, session: aiohttp.ClientSession, entry: ConfigEntry, url: str
) -> Verdict:
    """Judge whether the router of `entry` has left where the entry has it, for `url` (Q36).

    Anybody in the network can claim its UDN. So it moves by itself only to
    another port, to the default gateway, or to the host with its MAC, and
    while it answers where it is, only if that is neither: such a place was
    taken by somebody who claimed it.
    """
    here: str = entry.data[CONF_URL]
    if here == url or not await async_is_at(session, url, entry):
        return Verdict.NO
    stays = await async_is_at(session, here, entry)
    if await _async_address(hass, here) == await _async_address(hass, url):
        return Verdict.NO if stays else Verdict.YES
    is_trusted = await _async_is_trusted(hass, entry, url)
    if stays:
        takes_back = is_trusted and not await _async_is_trusted(hass, entry, here)
        return Verdict.YES if takes_back else Verdict.NO
    return Verdict.YES if is_trusted else Verdict.ASK


async def async_is_renamed(
    hass: HomeAssistant, session: aiohttp.ClientSession, entry: ConfigEntry, url: str
) -> Verdict:
    """Judge whether what answers at `url` under another UDN is the router of `entry` (Q51).

    It is not while that one answers as itself: a host may be several routers.
    Raises RouterError.
    """
    if entry.data[CONF_DRIVER] != UPNP:
        return Verdict.NO
    description = await describe(session, url)
    here = entry.data[CONF_URL]
    if description.udn == entry.unique_id or await async_is_at(session, here, entry):
        return Verdict.NO
    now = await Identity.read(url, description)
    if await _async_address(hass, here) == await _async_address(hass, url):
        # One of them may be a name.
        now = replace(now, host=URL(here).host or "")
    before = Identity.from_learned(await async_learned(hass, entry))
    return Verdict.YES if before.is_same(now) else Verdict.ASK


async def async_take_up_renamed(
    hass: HomeAssistant, session: aiohttp.ClientSession, entry: ConfigEntry, url: str
) -> bool:
    """Let the entry be of the router that answers at `url` under another UDN, if it is; tell so.

    Where nobody knows, the user is asked. Raises RouterError.
    """
    verdict = await async_is_renamed(hass, session, entry, url)
    if verdict is Verdict.YES:
        await async_accept(hass, entry, url)
    elif verdict is Verdict.ASK and entry.data[CONF_URL] == url:
        # Its set-up asks, and opens nothing until it is answered.
        hass.config_entries.async_schedule_reload(entry.entry_id)
    elif verdict is Verdict.ASK:
        await async_ask_whether_moved(hass, session, entry, url)
    return verdict is Verdict.YES


async def async_ask_whether_moved(
    hass: HomeAssistant, session: aiohttp.ClientSession, entry: ConfigEntry, url: str
) -> None:
    """Ask the user whether the router of the entry is the one at `url` now; raises RouterError."""
    async_ask_moved(hass, entry, url, (await describe(session, url)).info)


async def async_is_at(session: aiohttp.ClientSession, url: str, entry: ConfigEntry) -> bool:
    """Return whether a router with the UDN of the entry answers at `url`."""
    try:
        return (await describe(session, url)).udn == entry.unique_id
    except RouterError:
        return False


async def _async_is_trusted(hass: HomeAssistant, entry: ConfigEntry, url: str) -> bool:
    """Return whether nobody could be there by claiming a UDN: the gateway, or the known MAC."""
    address = await _async_address(hass, url)
    if address in await async_gateways(hass):
        return True
    mac = await own_mac(str(address)) if address else None
    return mac is not None and mac == (await async_learned(hass, entry)).get(MAC)


async def _async_address(hass: HomeAssistant, url: str) -> IPv4Address | None:
    try:
        return await async_router_address(hass, url)
    except HostError:
        return None
