"""Adding a router by hand: found, or typed in; and taking up again one that is known."""

from functools import partial
from unittest.mock import AsyncMock

import pytest
from homeassistant.config_entries import (
    SOURCE_IGNORE,
    SOURCE_SSDP,
    ConfigEntryState,
    FlowType,
)
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.router_flow import typed_in
from custom_components.port_forward.router_flow import upnp as upnp_steps
from custom_components.port_forward.router_flow.kinds import KINDS
from custom_components.port_forward.routers.upnp import describe, search
from lab.virtual_router import Fault, Quirk, VirtualRouter, Wan, free_port

from .announcing import announce, discovered
from .conftest import ROUTER_UDN, set_up
from .flows import added, assert_abort, assert_form, default, options, start, start_typing, submit

pytestmark = pytest.mark.usefixtures("gateway_is_unknown")

TWO_WANS = (Wan(), Wan(kind="ppp", external_address="198.51.100.7"))


async def test_found_router(hass: HomeAssistant, router: VirtualRouter) -> None:
    await announce(hass, router)
    step = await start(hass)
    assert_form(step, "user")
    url = router.description_url
    assert options(step, CONF_URL) == {
        url: f"UPnP: Virtual Router ({url})",
        "typed_in": "typed_in",
    } | {kind: kind for kind in KINDS}
    assert default(step, CONF_URL) == url

    entry = added(hass, await submit(hass, step, url=url))
    assert entry.title == "Virtual Router"
    assert entry.unique_id == ROUTER_UDN
    assert dict(entry.data) == {"driver": "upnp", "url": url, "wan": entry.data["wan"]}
    assert entry.runtime_data.info.name == "Virtual Router"
    assert discovered(hass) == []


async def test_new_router_leads_to_its_first_forward(
    hass: HomeAssistant, router: VirtualRouter
) -> None:
    step = await submit(hass, await start_typing(hass), url=router.description_url)
    kind, flow_id = step["next_flow"]
    assert kind is FlowType.CONFIG_SUBENTRIES_FLOW
    forward = await hass.config_entries.subentries.async_configure(
        flow_id,
        {
            "name": "Camera",
            "internal_host": "127.0.0.5",
            "protocol": "tcp",
            "internal_ports": "8080",
            "more": {},
        },
    )
    assert forward["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    assert hass.states.get("switch.camera")


async def test_the_other_one_of_two_found_routers(
    hass: HomeAssistant, router: VirtualRouter
) -> None:
    async with VirtualRouter(friendly_name="The other one") as other:
        await announce(hass, router)
        await announce(hass, other)
        step = await start(hass)
        assert len(options(step, CONF_URL)) == 3 + len(KINDS)
        assert added(hass, await submit(hass, step, url=other.description_url)).title == (
            "The other one"
        )


async def test_found_router_that_is_gone_when_it_is_chosen(
    hass: HomeAssistant, router: VirtualRouter
) -> None:
    await announce(hass, router)
    step = await start(hass)
    router.fault(Fault.DROP_BEFORE, times=None)
    step = await submit(hass, step, url=router.description_url)
    assert_form(step, "user", {"base": "unreachable"})
    router.clear_faults()
    added(hass, await submit(hass, step, url=router.description_url))


async def test_found_router_is_not_the_one(hass: HomeAssistant, router: VirtualRouter) -> None:
    async with VirtualRouter() as other:
        await announce(hass, other)
        step = await submit(hass, await start(hass), url="typed_in")
        assert_form(step, "url")
        entry = added(hass, await submit(hass, step, url=router.description_url))
        assert entry.unique_id == ROUTER_UDN


async def test_no_router_found(hass: HomeAssistant, router: VirtualRouter) -> None:
    step = await start(hass)
    assert_form(step, "user")
    assert default(step, CONF_URL) == "typed_in"
    assert list(options(step, CONF_URL)) == ["typed_in", *KINDS]
    step = await submit(hass, step, url="typed_in")
    assert_form(step, "url")
    added(hass, await submit(hass, step, url=f" {router.description_url}\n"))


@pytest.mark.parametrize(
    "url",
    ["", " ", "ftp://127.0.0.1/", "http://", "http:///rootDesc.xml", "http://[", "127.0.0.1:x"],
)
async def test_no_address(hass: HomeAssistant, router: VirtualRouter, url: str) -> None:
    step = await submit(hass, await start_typing(hass), url=url)
    assert_form(step, "url", {"url": "invalid_url"})
    added(hass, await submit(hass, step, url=router.description_url))


async def test_nothing_answers(hass: HomeAssistant, router: VirtualRouter) -> None:
    step = await submit(
        hass, await start_typing(hass), url=f"http://127.0.0.1:{free_port()}/desc.xml"
    )
    assert_form(step, "url", {"base": "unreachable"})
    placeholders = step["description_placeholders"]
    assert placeholders
    assert placeholders["host"] == "127.0.0.1"
    added(hass, await submit(hass, step, url=router.description_url))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.DROP_BEFORE, "unreachable"),
        (Fault.DROP_AFTER_ACCEPT, "unreachable"),
        (Fault.HTTP_500_EMPTY, "unsupported"),
        (Fault.HTML, "protocol_error"),
        (Fault.GARBAGE, "protocol_error"),
        (Fault.NOT_HTTP, "protocol_error"),
        (Fault.HUGE_BODY, "protocol_error"),
        (Fault.REDIRECT_ELSEWHERE, "protocol_error"),
        (Fault.ENTITY_BOMB, "protocol_error"),
        (Fault.SLOW, "timed_out"),
    ],
)
async def test_answer_that_is_no_router(
    hass: HomeAssistant,
    router: VirtualRouter,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    error: str,
) -> None:
    if fault is Fault.SLOW:
        impatient = partial(describe, timeout=0.1)
        monkeypatch.setattr(upnp_steps, "describe", impatient)
    router.fault(fault, times=None, delay=0.5)
    step = await submit(hass, await start_typing(hass), url=router.description_url)
    assert_form(step, "url", {"base": error})
    router.clear_faults()
    monkeypatch.undo()
    added(hass, await submit(hass, step, url=router.description_url))


async def test_device_without_a_wan(hass: HomeAssistant, router: VirtualRouter) -> None:
    url = router.description_url.replace("rootDesc.xml", "missing.xml")
    step = await submit(hass, await start_typing(hass), url=url)
    assert_form(step, "url", {"base": "unsupported"})


async def test_description_without_a_working_control_url(
    hass: HomeAssistant, router: VirtualRouter
) -> None:
    router.fault(Fault.GARBAGE, action="GetStatusInfo", times=None)
    step = await submit(hass, await start_typing(hass), url=router.description_url)
    assert_form(step, "url", {"base": "protocol_error"})
    assert hass.config_entries.async_entries(DOMAIN) == []


@pytest.mark.usefixtures("name_server")
async def test_router_without_an_ipv4_address(
    hass: HomeAssistant, router: VirtualRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads to it over HTTP, but not where a forward needs an IPv4 address."""
    connector = async_get_clientsession(hass, verify_ssl=False).connector
    host = {"hostname": "", "host": "127.0.0.1", "port": router.port, "family": 2}
    found = AsyncMock(return_value=[host | {"proto": 0, "flags": 0}])
    monkeypatch.setattr(connector, "_resolve_host", found)
    url = router.description_url.replace("127.0.0.1", "router.test")
    step = await submit(hass, await start_typing(hass), url=url)
    assert_form(step, "url", {"base": "router_unknown"})
    monkeypatch.undo()
    added(hass, await submit(hass, step, url=router.description_url))


@pytest.mark.parametrize("typed", ["{}", "http://{}", " {}/ "])
async def test_address_alone_is_enough(hass: HomeAssistant, own_loopback: str, typed: str) -> None:
    async with VirtualRouter(lan_host=own_loopback, ssdp=True) as router:
        step = await submit(hass, await start_typing(hass), url=typed.format(own_loopback))
        assert added(hass, step).data[CONF_URL] == router.description_url


async def test_address_of_something_else(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typed_in, "search", partial(search, timeout=0.1))
    step = await submit(hass, await start_typing(hass), url="127.0.0.66")
    assert_form(step, "url", {"base": "unreachable"})


async def test_address_and_port_without_http(hass: HomeAssistant, router: VirtualRouter) -> None:
    step = await submit(
        hass, await start_typing(hass), url=router.description_url[len("http://") :]
    )
    assert added(hass, step).data[CONF_URL] == router.description_url


async def test_several_wans(hass: HomeAssistant) -> None:
    async with VirtualRouter(wans=TWO_WANS) as router:
        step = await submit(hass, await start_typing(hass), url=router.description_url)
        assert_form(step, "wan")
        first, second = options(step, "wan").values()
        assert first.endswith(": 203.0.113.7")
        assert second.endswith(": 198.51.100.7")
        wan = list(options(step, "wan"))[1]
        entry = added(hass, await submit(hass, step, wan=wan))
        assert entry.data["wan"] == wan
        state = hass.states.get("sensor.virtual_router_external_ip_address")
        assert state
        assert state.state == "198.51.100.7"


async def test_best_wan_comes_first(hass: HomeAssistant) -> None:
    """Q30: a disconnected WANIPConnection stands before the one in use."""
    async with VirtualRouter(quirks={Quirk.Q30}) as router:
        step = await submit(hass, await start_typing(hass), url=router.description_url)
        best, dead = options(step, "wan").items()
        assert default(step, "wan") == best[0]
        assert best[1].endswith("(WANPPPConnection): 203.0.113.7")
        assert dead[1].endswith("(WANIPConnection)")


async def test_known_router_is_found_at_its_new_address(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await set_up(hass, entry)
    await router.restart()
    step = await submit(hass, await start_typing(hass), url=router.description_url)
    assert_abort(step, "already_configured")
    assert entry.data[CONF_URL] == router.description_url
    assert entry.state is ConfigEntryState.LOADED
    assert entry.runtime_data.last_update_success


async def test_known_router_that_could_not_be_set_up_is_set_up_at_once(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await router.restart()
    await set_up(hass, entry)
    assert not hass.states.async_all()
    step = await submit(hass, await start_typing(hass), url=router.description_url)
    assert_abort(step, "already_configured")
    assert entry.state is ConfigEntryState.LOADED


async def test_known_router_that_answers_where_it_is_known_stays_there(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    """What is found may be an impostor; whoever means it reconfigures the router."""
    async with VirtualRouter(udn=ROUTER_UDN, lan_host="127.0.0.66") as impostor:
        await announce(hass, impostor, sender="127.0.0.66")
        step = await submit(hass, await start(hass), url=impostor.description_url)
        assert_abort(step, "already_configured")
        assert entry.data[CONF_URL] == router.description_url


async def test_router_that_was_ignored(hass: HomeAssistant, router: VirtualRouter) -> None:
    MockConfigEntry(domain=DOMAIN, source=SOURCE_IGNORE, unique_id=ROUTER_UDN).add_to_hass(hass)
    step = await submit(hass, await start_typing(hass), url=router.description_url)
    assert added(hass, step).data[CONF_URL] == router.description_url


async def test_router_whose_card_waits(hass: HomeAssistant, router: VirtualRouter) -> None:
    """Who adds it by hand is not told that it is being added already."""
    await announce(hass, router)
    assert [flow["context"]["source"] for flow in discovered(hass)] == [SOURCE_SSDP]
    step = await submit(hass, await start(hass), url=router.description_url)
    added(hass, step)
    assert discovered(hass) == []


async def test_second_router(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    async with VirtualRouter(friendly_name="The other one") as other:
        step = await submit(hass, await start_typing(hass), url=other.description_url)
        # On one host, only its answers tell that it is another one.
        assert_form(step, "second_entry")
        step = await submit(hass, step)
        assert step["type"] is FlowResultType.CREATE_ENTRY
        assert entry.data[CONF_URL] == router.description_url
