"""Adding and changing routers that speak PCP or NAT-PMP, and those that speak UPnP besides."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
from homeassistant.config_entries import SOURCE_IGNORE, ConfigEntryState
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from custom_components.port_forward.router_flow import typed_in
from custom_components.port_forward.router_flow.kinds import KINDS
from custom_components.port_forward.routers.upnp import search
from lab.virtual_router import Fault, Pcp, VirtualRouter

from .announcing import set_up_ssdp
from .conftest import (
    add_forward,
    forward_data,
    ledger_of,
    ledger_path,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)
from .flows import added, assert_abort, assert_form, default, options, start, start_typing, submit
from .routes import HEADER, route

pytestmark = pytest.mark.usefixtures("gateway_is_unknown")

type Gateway = Callable[..., AbstractAsyncContextManager[VirtualRouter]]

PCP_PORT = 5351


@pytest.fixture(autouse=True)
def _nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed_in, "search", partial(search, timeout=0.2))


@pytest.fixture
def pcp_only(own_loopback: str) -> Gateway:
    """A gateway at the usual port that speaks no UPnP."""
    return partial(VirtualRouter, upnp=False, lan_host=own_loopback, pcp=Pcp(), pcp_port=PCP_PORT)


@pytest.fixture
async def gateway(pcp_only: Gateway) -> AsyncGenerator[VirtualRouter]:
    async with pcp_only() as router:
        yield router


@pytest.fixture
async def both(own_loopback: str) -> AsyncGenerator[VirtualRouter]:
    """A gateway that speaks everything at the usual ports."""
    async with VirtualRouter(
        lan_host=own_loopback, ssdp=True, pcp=Pcp(), pcp_port=PCP_PORT
    ) as router:
        yield router


@pytest.fixture
async def pcp_entry(hass: HomeAssistant, gateway: VirtualRouter) -> MockConfigEntry:
    """The entry of the gateway, not set up."""
    entry = MockConfigEntry(
        domain=DOMAIN,
        title=f"PCP router {gateway.lan_host}",
        unique_id=f"pcp-{gateway.lan_host}",
        data={"driver": "pcp", CONF_URL: f"pcp://{gateway.lan_host}"},
    )
    entry.add_to_hass(hass)
    return entry


@pytest.mark.parametrize("typed", ["{}", " {}\n", "{}:5351", "pcp://{}", "pcp://{}:5351/"])
async def test_address_is_enough(hass: HomeAssistant, gateway: VirtualRouter, typed: str) -> None:
    step = await start_typing(hass)
    entry = added(hass, await submit(hass, step, url=typed.format(gateway.lan_host)))
    assert entry.title == f"PCP router {gateway.lan_host}"
    assert entry.unique_id == f"pcp-{gateway.lan_host}"
    assert dict(entry.data) == {"driver": "pcp", CONF_URL: f"pcp://{gateway.lan_host}"}


@pytest.mark.parametrize("typed", ["{}:{}", "pcp://{}:{}"])
async def test_another_port(hass: HomeAssistant, own_loopback: str, typed: str) -> None:
    async with VirtualRouter(upnp=False, lan_host=own_loopback, pcp=Pcp()) as router:
        text = typed.format(own_loopback, router.pcp_port)
        entry = added(hass, await submit(hass, await start_typing(hass), url=text))
        assert entry.data[CONF_URL] == f"pcp://{own_loopback}:{router.pcp_port}"


async def test_vpn_provider(hass: HomeAssistant, pcp_only: Gateway) -> None:
    """NAT-PMP only, on the gateway of a tunnel, and silent to everything else."""
    async with pcp_only(pcp=Pcp(provider=True)) as router:
        step = await submit(hass, await start_typing(hass), url=router.lan_host)
        entry = added(hass, step)
        assert entry.title == f"NAT-PMP router {router.lan_host}"
        assert entry.unique_id == f"pcp-{router.lan_host}"


@pytest.mark.usefixtures("name_server")
async def test_name_is_kept_as_its_address(
    hass: HomeAssistant, gateway: VirtualRouter, name_server: dict[str, list[str]]
) -> None:
    name_server["gateway.test"] = [gateway.lan_host]
    step = await submit(hass, await start_typing(hass), url="gateway.test")
    assert added(hass, step).data[CONF_URL] == f"pcp://{gateway.lan_host}"


async def test_both_are_offered(hass: HomeAssistant, both: VirtualRouter) -> None:
    step = await submit(hass, await start_typing(hass), url=both.lan_host)
    assert_form(step, "protocol")
    pcp = f"pcp://{both.lan_host}"
    assert options(step, CONF_URL) == {
        both.description_url: f"UPnP: Virtual Router ({both.description_url})",
        pcp: f"PCP router {both.lan_host}",
    }
    assert default(step, CONF_URL) == both.description_url
    assert added(hass, await submit(hass, step, url=pcp)).unique_id == f"pcp-{both.lan_host}"


async def test_upnp_of_both(hass: HomeAssistant, both: VirtualRouter) -> None:
    step = await submit(hass, await start_typing(hass), url=both.lan_host)
    entry = added(hass, await submit(hass, step, url=both.description_url))
    assert entry.unique_id == both.udn


async def test_one_of_both_that_is_gone_when_it_is_chosen(
    hass: HomeAssistant, both: VirtualRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = await submit(hass, await start_typing(hass), url=both.lan_host)
    await both.stop()
    step = await submit(hass, step, url=f"pcp://{both.lan_host}")
    assert_form(step, "protocol", {"base": "no_pcp"})
    await both.start()
    added(hass, await submit(hass, step, url=f"pcp://{both.lan_host}"))


async def test_device_that_answers_a_search_but_is_no_router(
    hass: HomeAssistant, both: VirtualRouter
) -> None:
    """Such as a gateway whose media server is all that speaks UPnP."""
    both.fault(Fault.HTML, times=None)
    step = await submit(hass, await start_typing(hass), url=both.lan_host)
    assert added(hass, step).unique_id == f"pcp-{both.lan_host}"


async def test_web_server_that_does_not_answer_beside(
    hass: HomeAssistant, both: VirtualRouter
) -> None:
    both.fault(Fault.DROP_BEFORE, times=None)
    step = await submit(hass, await start_typing(hass), url=both.lan_host)
    assert added(hass, step).unique_id == f"pcp-{both.lan_host}"


async def test_neither(hass: HomeAssistant, own_loopback: str) -> None:
    """A web server and nothing else."""
    async with VirtualRouter(lan_host=own_loopback) as server:
        server.fault(Fault.HTML, times=None)
        step = await submit(hass, await start_typing(hass), url=f"{own_loopback}:{server.port}")
        assert_form(step, "url", {"base": "no_protocol"})
        placeholders = step["description_placeholders"]
        assert placeholders
        assert placeholders["host"] == own_loopback


async def test_description_at_a_port(hass: HomeAssistant, router: VirtualRouter) -> None:
    """It is not said what is spoken there, and UPnP needs the path: neither."""
    step = await submit(hass, await start_typing(hass), url=f"127.0.0.1:{router.port}")
    assert_form(step, "url", {"base": "no_protocol"})


@pytest.mark.parametrize("typed", ["pcp://127.0.0.66", "pcp://127.0.0.66:5351"])
async def test_nothing_answers(hass: HomeAssistant, typed: str) -> None:
    step = await submit(hass, await start_typing(hass), url=typed)
    assert_form(step, "url", {"base": "no_pcp"})


@pytest.mark.parametrize("typed", ["pcp://gateway.test", "gateway.test", "x" * 64])
@pytest.mark.usefixtures("name_server")
async def test_name_that_does_not_resolve(hass: HomeAssistant, typed: str) -> None:
    step = await submit(hass, await start_typing(hass), url=typed)
    assert_form(step, "url", {"base": "router_unknown"})


@pytest.mark.parametrize(
    "typed", ["pcp://", "127.0.0.1:0", "127.0.0.1:65536", "pcp://127.0.0.1:x", "nat://x"]
)
async def test_no_address(hass: HomeAssistant, typed: str) -> None:
    step = await submit(hass, await start_typing(hass), url=typed)
    assert_form(step, "url", {"url": "invalid_url"})


async def test_known_gateway(
    hass: HomeAssistant, gateway: VirtualRouter, pcp_entry: MockConfigEntry
) -> None:
    await set_up(hass, pcp_entry)
    step = await submit(hass, await start_typing(hass), url=gateway.lan_host)
    assert_abort(step, "already_configured")


async def test_gateway_that_was_ignored(hass: HomeAssistant, gateway: VirtualRouter) -> None:
    MockConfigEntry(
        domain=DOMAIN, source=SOURCE_IGNORE, unique_id=f"pcp-{gateway.lan_host}"
    ).add_to_hass(hass)
    added(hass, await submit(hass, await start_typing(hass), url=gateway.lan_host))


async def test_known_by_upnp_can_be_added_by_pcp_too(
    hass: HomeAssistant, both: VirtualRouter
) -> None:
    step = await submit(hass, await start_typing(hass), url=both.lan_host)
    upnp = added(hass, await submit(hass, step, url=both.description_url))
    step = await submit(hass, await start_typing(hass), url=f"pcp://{both.lan_host}")
    assert_form(step, "second_entry")
    step = await submit(hass, step)
    assert hass.config_entries.async_entries(DOMAIN) == [upnp, step["result"]]


async def test_default_gateway_is_offered(
    hass: HomeAssistant,
    both: VirtualRouter,
    route_table: Path,
    loopback_enabled: None,
) -> None:
    """Twice, as it speaks two protocols, and UPnP first."""
    route_table.write_text(HEADER + route("lo", both.lan_host))
    await set_up_ssdp(hass)
    step = await start(hass)
    assert_form(step, "user")
    pcp = f"pcp://{both.lan_host}"
    assert options(step, CONF_URL) == {
        both.description_url: f"UPnP: Virtual Router ({both.description_url})",
        pcp: f"PCP router {both.lan_host}",
        "typed_in": "typed_in",
    } | {kind: kind for kind in KINDS}
    assert default(step, CONF_URL) == both.description_url
    assert added(hass, await submit(hass, step, url=pcp)).unique_id == f"pcp-{both.lan_host}"


class TestReconfigure:
    """Another gateway is another connection to the internet."""

    @pytest.fixture
    async def other(self) -> AsyncGenerator[VirtualRouter]:
        async with VirtualRouter(upnp=False, lan_host="127.0.0.1", pcp=Pcp()) as router:
            yield router

    @pytest.fixture
    async def open_entry(
        self, hass: HomeAssistant, pcp_entry: MockConfigEntry, external_port: int
    ) -> MockConfigEntry:
        add_forward(
            hass, pcp_entry, forward_data(external_port, internal_host="This Home Assistant")
        )
        await set_up(hass, pcp_entry)
        await switch(hass, "turn_on")
        return pcp_entry

    async def test_same_gateway(
        self, hass: HomeAssistant, gateway: VirtualRouter, open_entry: MockConfigEntry
    ) -> None:
        step = await open_entry.start_reconfigure_flow(hass)
        assert_form(step, "reconfigure_pcp")
        step = await submit(hass, step, url=gateway.lan_host)
        assert_abort(step, "reconfigure_successful")
        assert len(gateway.mappings) == 1
        assert state_of(hass) == "on"

    async def test_another_gateway(
        self,
        hass: HomeAssistant,
        gateway: VirtualRouter,
        other: VirtualRouter,
        open_entry: MockConfigEntry,
    ) -> None:
        assert len(gateway.mappings) == 1
        step = await open_entry.start_reconfigure_flow(hass)
        step = await submit(hass, step, url=f"127.0.0.1:{other.pcp_port}")
        assert_form(step, "gateway")
        assert step["description_placeholders"] == {"old": gateway.lan_host, "new": "127.0.0.1"}
        assert len(gateway.mappings) == 1, "nothing is done before it is meant"

        assert_abort(await submit(hass, step), "reconfigure_successful")
        assert not gateway.mappings
        assert open_entry.unique_id == "pcp-127.0.0.1"
        assert open_entry.title == "PCP router 127.0.0.1"
        assert dict(open_entry.data) == {
            "driver": "pcp",
            CONF_URL: f"pcp://127.0.0.1:{other.pcp_port}",
        }
        assert open_entry.state is ConfigEntryState.LOADED
        assert state_of(hass) == "off"
        await switch(hass, "turn_on")
        assert len(other.mappings) == 1
        assert not gateway.mappings

    async def test_another_gateway_is_locked_as_the_old_one_was(
        self,
        hass: HomeAssistant,
        gateway: VirtualRouter,
        other: VirtualRouter,
        open_entry: MockConfigEntry,
    ) -> None:
        """Lockdown is the user's, not the router's; and PCP lists nothing that it could go by."""
        [lockdown] = [row for row in hass.states.async_entity_ids() if row.endswith("_lockdown")]
        await switch(hass, "turn_on", lockdown)
        assert not gateway.mappings
        step = await open_entry.start_reconfigure_flow(hass)
        step = await submit(hass, step, url=f"127.0.0.1:{other.pcp_port}")
        assert_abort(await submit(hass, step), "reconfigure_successful")
        assert state_of(hass, lockdown) == "on"
        with pytest.raises(HomeAssistantError) as raised:
            await switch(hass, "turn_on")
        assert raised.value.translation_key == "lockdown"
        assert not other.mappings

    async def test_name_of_the_user_is_kept(
        self, hass: HomeAssistant, other: VirtualRouter, pcp_entry: MockConfigEntry
    ) -> None:
        hass.config_entries.async_update_entry(pcp_entry, title="VPN")
        await set_up(hass, pcp_entry)
        step = await pcp_entry.start_reconfigure_flow(hass)
        step = await submit(hass, step, url=f"pcp://127.0.0.1:{other.pcp_port}")
        assert_abort(await submit(hass, step), "reconfigure_successful")
        assert pcp_entry.title == "VPN"

    async def test_old_gateway_is_away(
        self,
        hass: HomeAssistant,
        gateway: VirtualRouter,
        other: VirtualRouter,
        open_entry: MockConfigEntry,
    ) -> None:
        """What is open there cannot be closed, but ends with its lease."""
        await gateway.stop()
        for _ in range(2):
            step = await open_entry.start_reconfigure_flow(hass)
            step = await submit(hass, step, url=f"pcp://127.0.0.1:{other.pcp_port}")
            step = await submit(hass, step)
            assert_abort(step, "not_run_out")
            placeholders = step["description_placeholders"]
            assert placeholders
            assert 50 <= int(placeholders["minutes"]) <= 60
            assert open_entry.unique_id == f"pcp-{gateway.lan_host}"
        issues = ir.async_get(hass).issues
        assert any(key.startswith("not_closed") for _, key in issues)

        # As if Home Assistant had been off for an hour.
        await stop_home_assistant(hass, open_entry)
        ledger = ledger_of(hass, open_entry)
        for opening in ledger["openings"]:
            opening["lease_until"] = dt_util.utcnow().isoformat()
        ledger_path(hass, open_entry).write_text(json.dumps(ledger))
        step = await open_entry.start_reconfigure_flow(hass)
        step = await submit(hass, step, url=f"pcp://127.0.0.1:{other.pcp_port}")
        assert_abort(await submit(hass, step), "reconfigure_successful")
        assert open_entry.unique_id == "pcp-127.0.0.1"
        assert state_of(hass) == "off"
        assert not other.mappings
        assert not any(key.startswith("not_closed") for _, key in issues)

    async def test_old_gateway_is_away_and_may_keep_what_is_open(
        self,
        hass: HomeAssistant,
        gateway: VirtualRouter,
        other: VirtualRouter,
        open_entry: MockConfigEntry,
    ) -> None:
        """Home Assistant died while it opened: no lease is known."""
        await stop_home_assistant(hass, open_entry)
        ledger = ledger_of(hass, open_entry)
        for opening in ledger["openings"]:
            opening |= {"lease_until": None, "phase": "opening"}
        ledger_path(hass, open_entry).write_text(json.dumps(ledger))
        await gateway.stop()
        step = await open_entry.start_reconfigure_flow(hass)
        step = await submit(hass, step, url=f"pcp://127.0.0.1:{other.pcp_port}")
        assert_abort(await submit(hass, step), "not_closed")
        assert open_entry.unique_id == f"pcp-{gateway.lan_host}"

    async def test_gateway_of_another_entry(
        self,
        hass: HomeAssistant,
        other: VirtualRouter,
        pcp_entry: MockConfigEntry,
    ) -> None:
        MockConfigEntry(
            domain=DOMAIN,
            unique_id="pcp-127.0.0.1",
            data={"driver": "pcp", CONF_URL: f"pcp://127.0.0.1:{other.pcp_port}"},
        ).add_to_hass(hass)
        step = await pcp_entry.start_reconfigure_flow(hass)
        step = await submit(hass, step, url=f"pcp://127.0.0.1:{other.pcp_port}")
        assert_abort(step, "already_configured")

    @pytest.mark.parametrize(
        ("typed", "errors"),
        [
            ("http://127.0.0.66", {"url": "invalid_url"}),
            ("127.0.0.66", {"base": "no_pcp"}),
        ],
    )
    async def test_wrong_address(
        self, hass: HomeAssistant, pcp_entry: MockConfigEntry, typed: str, errors: dict[str, str]
    ) -> None:
        step = await pcp_entry.start_reconfigure_flow(hass)
        assert_form(await submit(hass, step, url=typed), "reconfigure_pcp", errors)

    async def test_upnp_router_stays_one(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        step = await entry.start_reconfigure_flow(hass)
        step = await submit(hass, step, url="pcp://127.0.0.1")
        assert_form(step, "reconfigure", {"url": "invalid_url"})
