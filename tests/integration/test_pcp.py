"""Forwards over PCP: what the router grants is shown, kept, and taken back."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError

from lab.virtual_router import Quirk, free_port

from .conftest import ledger_of, ledger_path, phases, set_up, state_of, stop_home_assistant, switch
from .pcp_home import CAMERA, EVENT, PORT_SENSOR, PcpHome, pcp_home

# It goes on by itself: a router that is silent is waited for.
pytestmark = pytest.mark.freeze_time(tick=True)


@pytest.fixture
async def home(hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[PcpHome]:
    """A router that lets any host of the home be mapped for."""
    async with pcp_home(hass, monkeypatch, third_party=True) as home:
        yield home


@pytest.fixture
async def opened(home: PcpHome, external_port: int) -> PcpHome:
    """The same with an open forward."""
    await home.add(external_port)
    await switch(home.hass, "turn_on")
    return home


async def take(home: PcpHome, port: int) -> None:
    """Let another client of the router have an external port."""
    await home.router.add_foreign(
        protocol="TCP", external_port=port, internal_host="127.0.0.9", internal_port=3074
    )


async def test_opened_and_closed(home: PcpHome, external_port: int) -> None:
    await home.add(external_port)
    assert (home.state, state_of(home.hass, PORT_SENSOR)) == ("off", "unknown")
    answer = await home.open()
    assert answer["external_ports"] == str(external_port)
    assert answer["address"] == f"203.0.113.7:{external_port}"
    assert (home.state, state_of(home.hass, PORT_SENSOR)) == ("on", str(external_port))
    [row] = home.router.mappings
    assert (row.internal_host, row.internal_port) == (CAMERA, external_port)

    await switch(home.hass, "turn_off")
    assert not home.router.mappings
    assert (home.state, state_of(home.hass, PORT_SENSOR)) == ("off", "unknown")
    assert ledger_of(home.hass, home.entry)["openings"] == []


async def test_another_port_is_granted_where_any_will_do(home: PcpHome, external_port: int) -> None:
    await take(home, external_port)
    await home.add(external_port, external_ports="")
    answer = await home.open()
    [granted] = [row.external_port for row in home.router.mappings if row.nonce]
    assert granted != external_port
    assert answer["external_ports"] == str(granted)
    assert answer["address"] == f"203.0.113.7:{granted}"
    assert (home.state, state_of(home.hass, PORT_SENSOR)) == ("on", str(granted))
    state = home.hass.states.get(EVENT)
    assert state
    assert state.attributes["external_ports"] == str(granted)

    await home.restart()
    assert (home.state, state_of(home.hass, PORT_SENSOR)) == ("on", str(granted))
    await switch(home.hass, "turn_off")
    assert home.ports == [external_port]


@pytest.mark.parametrize("quirks", [(), (Quirk.Q48_LAX,)], ids=["strict", "miniupnpd"])
async def test_the_very_port_is_taken(
    hass: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
    external_port: int,
    quirks: tuple[Quirk, ...],
) -> None:
    async with pcp_home(hass, monkeypatch, quirks=quirks, third_party=True) as home:
        await take(home, external_port)
        await home.add(external_port)
        with pytest.raises(HomeAssistantError) as refused:
            await switch(hass, "turn_on")
        assert str(external_port) in str(refused.value)
        assert home.ports == [external_port]
        assert (home.state, state_of(hass, PORT_SENSOR)) == ("off", "unknown")
        assert home.told == ("open_failed", "refused")
        assert ledger_of(hass, home.entry)["openings"] == []


async def test_restart_keeps_it_open_and_its_nonce(
    opened: PcpHome, freezer: FrozenDateTimeFactory, external_port: int
) -> None:
    before = opened.nonces
    await opened.restart()
    assert (opened.state, opened.nonces) == ("on", before)
    asked = opened.router.requests["PCP MAP"]
    await opened.pass_time(freezer, minutes=31)
    assert opened.router.requests["PCP MAP"] == asked + 1
    assert (opened.state, opened.nonces) == ("on", before)
    # The old lease would have been over: it is the same mapping, renewed.
    await opened.pass_time(freezer, minutes=30)
    assert opened.ports == [external_port]


@pytest.mark.parametrize("quirks", [(), (Quirk.Q49,)], ids=["new epoch", "same epoch"])
async def test_new_external_address(
    hass: HomeAssistant,
    monkeypatch: pytest.MonkeyPatch,
    external_port: int,
    quirks: tuple[Quirk, ...],
) -> None:
    """What was mapped to the old one is lost (miniupnp#254)."""
    async with pcp_home(hass, monkeypatch, quirks={*quirks, Quirk.Q44}, third_party=True) as home:
        await home.add(external_port)
        await switch(hass, "turn_on")
        async with home.becoming(EVENT, lambda: home.told[0] == "restored"):
            await home.router.reconnect_wan(new_address="203.0.113.8")
        assert home.ports == [external_port]
        assert home.state == "on"
        assert state_of(hass, "sensor.pcp_router_127_0_0_1_external_ip_address") == "203.0.113.8"


async def test_deleting_the_router_closes(opened: PcpHome) -> None:
    await opened.hass.config_entries.async_remove(opened.entry.entry_id)
    assert not opened.router.mappings
    assert not ledger_path(opened.hass, opened.entry).exists()


async def test_killed_between_ledger_and_answer(home: PcpHome, external_port: int) -> None:
    """Invariant 1: the next start knows the nonce of what it may find."""
    noted: list[str] = []
    note = home.router.wans[0]
    note._on_change = lambda what, _: (
        noted.append(ledger_path(home.hass, home.entry).read_text()) if what == "opened" else None
    )
    await home.add(external_port)
    await switch(home.hass, "turn_on")
    await stop_home_assistant(home.hass, home.entry)
    ledger_path(home.hass, home.entry).write_text(noted[0])
    assert phases(home.hass, home.entry) == ["opening"]
    assert home.ports == [external_port]

    await set_up(home.hass, home.entry)
    assert not home.router.mappings
    assert home.state == "off"
    assert ledger_of(home.hass, home.entry)["openings"] == []


class TestAllowedSource:
    """A source is heeded by the router, or nothing is opened."""

    @pytest.fixture
    def limited(self) -> dict[str, Any]:
        return {"allowed_source": "198.51.100.7"}

    async def test_known(self, home: PcpHome, external_port: int, limited: dict[str, Any]) -> None:
        await home.add(external_port, **limited)
        await switch(home.hass, "turn_on")
        [row] = home.router.mappings
        assert [str(allowed) for allowed in row.filters] == ["198.51.100.7/32"]
        assert home.state == "on"

    async def test_ignored(
        self,
        hass: HomeAssistant,
        monkeypatch: pytest.MonkeyPatch,
        external_port: int,
        limited: dict[str, Any],
    ) -> None:
        async with pcp_home(hass, monkeypatch, quirks=[Quirk.Q19_PCP], third_party=True) as home:
            changes: list[str] = []
            home.router.wans[0]._on_change = lambda what, _: changes.append(what)
            await home.add(external_port, **limited)
            with pytest.raises(HomeAssistantError) as refused:
                await switch(hass, "turn_on")
            assert refused.value.translation_key == "not_permitted_source_ignored"
            # Not even for a moment.
            assert not changes
            assert home.state == "off"
            assert ledger_of(hass, home.entry)["openings"] == []

    async def test_natpmp_knows_none(
        self,
        hass: HomeAssistant,
        monkeypatch: pytest.MonkeyPatch,
        limited: dict[str, Any],
    ) -> None:
        async with pcp_home(hass, monkeypatch, speaks="natpmp") as home:
            await home.add(free_port(), internal_host="This Home Assistant", **limited)
            with pytest.raises(HomeAssistantError) as refused:
                await switch(hass, "turn_on")
            assert refused.value.translation_key == "not_permitted_any_source_only"
            assert not home.router.mappings


@pytest.mark.parametrize(
    "pcp", [{"speaks": "natpmp"}, {"third_party": False}], ids=["NAT-PMP", "no THIRD_PARTY"]
)
async def test_other_hosts_are_out_of_reach(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, external_port: int, pcp: dict[str, Any]
) -> None:
    async with pcp_home(hass, monkeypatch, **pcp) as home:
        await home.add(external_port)
        with pytest.raises(HomeAssistantError) as refused:
            await switch(hass, "turn_on")
        assert refused.value.translation_key == "not_permitted_own_host_only"
        assert CAMERA in str(refused.value)
        assert not home.router.mappings
        assert home.state == "off"
