"""A router that announces itself: its card, and what it can do to one that is known."""

from collections.abc import AsyncGenerator

import pytest
from homeassistant.config_entries import SOURCE_IGNORE, SOURCE_SSDP, ConfigEntryState
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.helpers.service_info.ssdp import SsdpServiceInfo
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import Fault, Quirk, VirtualRouter, Wan

from .announcing import GATEWAY, announce, discovered
from .conftest import ROUTER_UDN, set_up
from .flows import added, assert_abort, assert_form, options, submit

pytestmark = pytest.mark.usefixtures("gateway_is_unknown")

STRANGER = "127.0.0.66"


@pytest.fixture
async def impostor() -> AsyncGenerator[VirtualRouter]:
    """Another machine in the network, whose description claims to be the router's."""
    async with VirtualRouter(udn=ROUTER_UDN, lan_host=STRANGER) as machine:
        yield machine


@pytest.mark.parametrize("notify", [False, True], ids=["answer", "notify"])
async def test_one_click(
    hass: HomeAssistant,
    router: VirtualRouter,
    notify: bool,  # noqa: FBT001
) -> None:
    await announce(hass, router, notify=notify)
    [card] = discovered(hass)
    assert card["step_id"] == "confirm"
    assert card["context"]["title_placeholders"] == {"name": "Virtual Router"}
    step = await hass.config_entries.flow.async_configure(card["flow_id"])
    assert_form(step, "confirm")
    assert step["description_placeholders"] == {
        "name": "Virtual Router",
        "url": router.description_url,
    }
    entry = added(hass, await submit(hass, step))
    assert entry.unique_id == ROUTER_UDN
    assert entry.data[CONF_URL] == router.description_url
    assert entry.title == "Virtual Router"


async def test_one_card_for_all_announcements(hass: HomeAssistant, router: VirtualRouter) -> None:
    older = GATEWAY.replace(":2", ":1")
    await announce(hass, router)
    await announce(hass, router, ST=older, USN=f"{router.udn}::{older}")
    await announce(hass, router, notify=True)
    assert len(discovered(hass)) == 1


async def test_choice_of_a_wan(hass: HomeAssistant) -> None:
    wans = (Wan(), Wan(kind="ppp", external_address="198.51.100.7"))
    async with VirtualRouter(wans=wans) as router:
        await announce(hass, router)
        [card] = discovered(hass)
        step = await submit(hass, card)
        assert_form(step, "wan")
        wan = list(options(step, "wan"))[1]
        assert added(hass, await submit(hass, step, wan=wan)).data["wan"] == wan


async def test_gone_when_it_is_to_be_added(hass: HomeAssistant, router: VirtualRouter) -> None:
    await announce(hass, router)
    [card] = discovered(hass)
    router.fault(Fault.DROP_BEFORE, times=None)
    step = await submit(hass, card)
    assert_form(step, "confirm", {"base": "unreachable"})
    router.clear_faults()
    added(hass, await submit(hass, step))


async def test_another_one_when_it_is_to_be_added(
    hass: HomeAssistant, router: VirtualRouter
) -> None:
    await announce(hass, router)
    [card] = discovered(hass)
    port = router.port
    await router.stop()
    async with VirtualRouter(port=port):
        assert_abort(await submit(hass, card), "untrusted_discovery")
    assert hass.config_entries.async_entries(DOMAIN) == []


async def test_announced_by_another_host(hass: HomeAssistant, router: VirtualRouter) -> None:
    """Q34, and every attempt to send Home Assistant to a stranger."""
    await announce(hass, router, sender=STRANGER)
    assert discovered(hass) == []
    assert router.requests["GetStatusInfo"] == 0


@pytest.mark.parametrize(
    "info",
    [
        SsdpServiceInfo("", GATEWAY, {}, ssdp_udn=ROUTER_UDN, ssdp_headers={"_host": "127.0.0.1"}),
        SsdpServiceInfo("", GATEWAY, {}, "http://127.0.0.1/", ssdp_headers={"_host": "127.0.0.1"}),
        SsdpServiceInfo("", GATEWAY, {}, "http://127.0.0.1/", ssdp_udn=ROUTER_UDN),
    ],
    ids=["no location", "no name", "no sender"],
)
async def test_incomplete(hass: HomeAssistant, info: SsdpServiceInfo) -> None:
    step = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_SSDP}, data=info
    )
    assert_abort(step, "untrusted_discovery")


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.GARBAGE, Fault.HTML])
async def test_leads_to_no_router(hass: HomeAssistant, router: VirtualRouter, fault: Fault) -> None:
    router.fault(fault, times=None)
    await announce(hass, router)
    assert discovered(hass) == []


async def test_port_that_does_not_exist(hass: HomeAssistant, router: VirtualRouter) -> None:
    await announce(hass, router, LOCATION="http://127.0.0.1:99999/")
    assert discovered(hass) == []


async def test_known_router(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await set_up(hass, entry)
    await announce(hass, router)
    assert discovered(hass) == []
    assert entry.data[CONF_URL] == router.description_url


async def test_known_router_that_moved(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    """Q36: its port is another one after each restart."""
    await set_up(hass, entry)
    router.quirks.add(Quirk.Q36)
    old = router.description_url
    await router.restart()
    assert router.description_url != old
    await announce(hass, router)
    assert discovered(hass) == []
    assert entry.data[CONF_URL] == router.description_url
    assert entry.state is ConfigEntryState.LOADED
    assert entry.runtime_data.last_update_success


async def test_known_router_that_moved_while_home_assistant_was_off(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await router.restart()
    await set_up(hass, entry)
    assert not hass.states.async_all()
    await announce(hass, router)
    assert entry.data[CONF_URL] == router.description_url
    assert entry.state is ConfigEntryState.LOADED


async def test_known_router_is_back_where_it_was(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    """Home Assistant tries again by itself, but only after a while."""
    await router.stop()
    await set_up(hass, entry)
    assert not hass.states.async_all()
    await router.start()
    await announce(hass, router)
    assert entry.state is ConfigEntryState.LOADED


async def test_place_of_a_router_that_answers_is_not_taken(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, impostor: VirtualRouter
) -> None:
    await set_up(hass, entry)
    await announce(hass, impostor, sender=STRANGER)
    assert entry.data[CONF_URL] == router.description_url
    assert discovered(hass) == []


async def test_place_of_a_router_is_not_taken_under_another_name(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, impostor: VirtualRouter
) -> None:
    """The announcement tells one name, the description that it leads to the router's."""
    await set_up(hass, entry)
    await announce(hass, impostor, sender=STRANGER, USN=f"uuid:of-its-own::{GATEWAY}")
    assert entry.data[CONF_URL] == router.description_url
    assert discovered(hass) == []


async def test_silent_router_is_not_replaced_by_what_is_no_router(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, impostor: VirtualRouter
) -> None:
    await router.stop()
    impostor.fault(Fault.HTML, times=None)
    await announce(hass, impostor, sender=STRANGER)
    assert entry.data[CONF_URL] == router.description_url


async def test_silent_router_is_not_replaced_by_another_one(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    url = router.description_url
    await router.stop()
    async with VirtualRouter() as other:
        await announce(hass, other, USN=f"{ROUTER_UDN}::{GATEWAY}")
        assert entry.data[CONF_URL] == url


async def test_ignored_router(hass: HomeAssistant, router: VirtualRouter) -> None:
    ignored = MockConfigEntry(domain=DOMAIN, source=SOURCE_IGNORE, unique_id=ROUTER_UDN)
    ignored.add_to_hass(hass)
    await announce(hass, router)
    assert discovered(hass) == []
    assert dict(ignored.data) == {}
