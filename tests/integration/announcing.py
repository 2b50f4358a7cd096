"""Announcements of a router, taken in by Home Assistant as if they came over the network."""

from unittest.mock import patch

from async_upnp_client.const import SsdpSource
from async_upnp_client.ssdp import build_ssdp_packet, decode_ssdp_packet
from async_upnp_client.ssdp_listener import SsdpListener
from homeassistant.components.ssdp.const import DOMAIN as SSDP_DOMAIN
from homeassistant.components.ssdp.const import SSDP_SCANNER
from homeassistant.config_entries import ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.loader import async_get_ssdp
from homeassistant.setup import async_setup_component

from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import VirtualRouter

GATEWAY = "urn:schemas-upnp-org:device:InternetGatewayDevice:2"


async def announce(
    hass: HomeAssistant,
    router: VirtualRouter,
    *,
    sender: str = "127.0.0.1",
    notify: bool = False,
    byebye: bool = False,
    boot_id: str | None = None,
    **headers: str,
) -> None:
    """Let `sender` announce `router`, or say goodbye; `headers` replace those of the router.

    The datagram goes through all of Home Assistant's ssdp but its sockets, and
    a rule of it that leaves out what is announced on loopback.
    """
    await set_up_ssdp(hass)
    answer = {
        "CACHE-CONTROL": "max-age=1800",
        "LOCATION": router.description_url,
        "USN": f"{router.udn}::{GATEWAY}",
    } | headers
    if boot_id:
        answer["BOOTID.UPNP.ORG"] = boot_id
    if notify or byebye:
        kind = "ssdp:byebye" if byebye else "ssdp:alive"
        start = "NOTIFY * HTTP/1.1"
        answer = {"NT": GATEWAY, "NTS": kind, "HOST": "239.255.255.250:1900"} | answer
    else:
        start = "HTTP/1.1 200 OK"
        answer = {"ST": GATEWAY, "EXT": ""} | answer
    _, decoded = decode_ssdp_packet(build_ssdp_packet(start, answer), None, (sender, 1900))
    decoded["_source"] = SsdpSource.ADVERTISEMENT if notify or byebye else SsdpSource.SEARCH
    scanner = hass.data[SSDP_DOMAIN][SSDP_SCANNER]
    listener = SsdpListener(
        callback=scanner._ssdp_listener_callback, device_tracker=scanner._device_tracker
    )
    with patch("async_upnp_client.ssdp_listener.is_valid_location", return_value=True):
        if byebye:
            listener._on_byebye(decoded)
        else:
            (listener._on_alive if notify else listener._on_search)(decoded)
    await hass.async_block_till_done(wait_background_tasks=True)


def discovered(hass: HomeAssistant) -> list[ConfigFlowResult]:
    """Return the cards of discovered routers."""
    return hass.config_entries.flow.async_progress_by_handler(DOMAIN)


async def set_up_ssdp(hass: HomeAssistant) -> None:
    """Set ssdp up with our matchers only: those of others would start their flows."""
    assert await async_setup_component(hass, SSDP_DOMAIN, {})
    scanner = hass.data[SSDP_DOMAIN][SSDP_SCANNER]
    scanner.integration_matchers.async_setup({DOMAIN: (await async_get_ssdp(hass))[DOMAIN]})
