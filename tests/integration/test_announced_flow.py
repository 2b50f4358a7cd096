"""Routers with an API of their own that announce themselves."""

import pytest
from homeassistant.config_entries import SOURCE_SSDP, ConfigFlowResult
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.helpers.service_info.ssdp import SsdpServiceInfo
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from lab.fritzbox import PASSWORD, USER, FritzBox
from lab.unifi import ApiKey, UnifiController

from .announcing import discovered
from .flows import added, assert_abort, assert_form, submit

pytestmark = pytest.mark.usefixtures("gateway_is_unknown")

FRITZBOX = "urn:schemas-upnp-org:device:fritzbox:1"
DREAM_MACHINE = {
    "friendlyName": "Dream Machine",
    "manufacturer": "Ubiquiti Networks",
    "modelDescription": "UniFi Dream Machine Pro",
}


async def take(hass: HomeAssistant, info: SsdpServiceInfo) -> ConfigFlowResult:
    """Let Home Assistant hand on what its ssdp has matched."""
    return await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_SSDP}, data=info
    )


def fritzbox(box: FritzBox, *, sender: str = "127.0.0.1") -> SsdpServiceInfo:
    return SsdpServiceInfo(
        "",
        FRITZBOX,
        {},
        f"{box.url}/fboxdesc.xml",
        ssdp_udn="uuid:of-another-device-in-it",
        ssdp_headers={"_host": sender},
    )


def unifi(*, location: str = "http://127.0.0.66:41080/rootDesc.xml") -> SsdpServiceInfo:
    return SsdpServiceInfo(
        "",
        "upnp:rootdevice",
        DREAM_MACHINE,
        location,
        ssdp_udn="uuid:dream-machine",
        ssdp_headers={"_host": "127.0.0.66"},
    )


def title(hass: HomeAssistant) -> str:
    [card] = discovered(hass)
    return card["context"]["title_placeholders"]["name"]


def suggested_url(step: ConfigFlowResult) -> str:
    schema = step["data_schema"]
    assert schema
    [url, *_] = schema.schema
    assert url == CONF_URL
    return str(url.description["suggested_value"])


async def test_fritzbox(hass: HomeAssistant) -> None:
    async with FritzBox(tls=False) as box:
        step = await take(hass, fritzbox(box))
        assert_form(step, "fritzbox")
        assert suggested_url(step) == "https://127.0.0.1:49443"
        assert title(hass) == "FRITZ!Box 7590 (TR-064)"
        assert_abort(await take(hass, fritzbox(box)), "already_in_progress")

        step = await submit(hass, step, url=box.url, username=USER, password=PASSWORD)
        assert added(hass, await submit(hass, step)).title == "FRITZ!Box 7590"
        assert_abort(await take(hass, fritzbox(box)), "already_configured")


async def test_fritzbox_that_is_known_by_upnp(hass: HomeAssistant) -> None:
    async with FritzBox(tls=False) as box:
        data = {"driver": "upnp", CONF_URL: "http://127.0.0.1:49000/igddesc.xml", "wan": "wan"}
        MockConfigEntry(domain=DOMAIN, unique_id="uuid:igd", data=data).add_to_hass(hass)
        assert_abort(await take(hass, fritzbox(box)), "already_configured")


async def test_fritzbox_that_was_ignored(hass: HomeAssistant) -> None:
    async with FritzBox(tls=False) as box:
        await take(hass, fritzbox(box))
        [card] = discovered(hass)
        await hass.config_entries.flow.async_init(
            DOMAIN,
            context={"source": "ignore"},
            data={"unique_id": card["context"]["unique_id"], "title": "FRITZ!Box"},
        )
        assert_abort(await take(hass, fritzbox(box)), "already_configured")


async def test_repeater(hass: HomeAssistant) -> None:
    """It announces the same, but has no connection to the internet."""
    async with FritzBox(tls=False) as box:
        box.tr064 = False
        assert_abort(await take(hass, fritzbox(box)), "untrusted_discovery")


async def test_announced_by_another_host(hass: HomeAssistant) -> None:
    async with FritzBox(tls=False) as box:
        assert_abort(await take(hass, fritzbox(box, sender="127.0.0.66")), "untrusted_discovery")
        assert not box.requests


async def test_unifi(hass: HomeAssistant) -> None:
    step = await take(hass, unifi())
    assert_form(step, "unifi")
    assert suggested_url(step) == "https://127.0.0.66"
    assert title(hass) == "Dream Machine (API)"
    async with UnifiController(keys=[ApiKey()], lan_host="127.0.0.66") as controller:
        step = await submit(hass, step, url=controller.url, api_key=ApiKey().value)
        added(hass, await submit(hass, step))
    assert_abort(await take(hass, unifi()), "already_configured")
