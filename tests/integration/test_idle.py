"""Forwards that nobody uses are closed, on routers that count."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SubentryFlowResult
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from lab.mikrotik import MikrotikRouter
from lab.openwrt import DEDICATED, LUCI, PASSWORD, PLAIN, USERNAME, Fault, OpenWrt, Rights
from lab.virtual_router import VirtualRouter, free_port
from tests.lab.control_point import talk
from tests.translations import rendered

from .adopt_home import home_of, labels, users_router
from .conftest import (
    add_forward,
    forward_data,
    refresh,
    set_up,
    state_of,
    stop_home_assistant,
    switch,
)
from .test_forward_flow import TYPED, assert_form, message, start, submit

MINUTE = timedelta(minutes=1)
IDLE = {"minutes": 10}


@dataclass(kw_only=True)
class Home:
    """Home Assistant with one forward of a router that counts, which is open."""

    hass: HomeAssistant
    entry: MockConfigEntry
    router: OpenWrt | MikrotikRouter
    freezer: FrozenDateTimeFactory
    port: int

    async def after(self, time: timedelta) -> str:
        """Let time pass, look once, and return what the switch shows."""
        self.freezer.tick(time)
        await refresh(self.hass, self.entry)
        return state_of(self.hass)

    async def knock(self) -> None:
        """Let somebody connect for a moment."""
        assert await talk(self.port, b"hello") == b"HELLO"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Let somebody connect, and stay."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"HELLO"
        return reader, writer

    @property
    def reason(self) -> str | None:
        """Why it was closed last."""
        state = self.hass.states.get("event.camera_activity")
        assert state
        return str(state.attributes.get("reason"))


@pytest.fixture
async def inside() -> AsyncGenerator[int]:
    """The port of a host that answers in capitals until the other side has said all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data.upper())
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def home_with(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    router: OpenWrt | MikrotikRouter,
    inside: int,
    **changes: Any,
) -> AsyncIterator[Home]:
    """Set up a forward to `inside` with this router, and open it."""
    mikrotik = isinstance(router, MikrotikRouter)
    login = (
        {"username": router.users[0].name, "password": router.users[0].password}
        if isinstance(router, MikrotikRouter)
        else {"username": USERNAME, "password": PASSWORD}
    )
    entry = MockConfigEntry(
        domain=DOMAIN,
        title="Router",
        data={"driver": "mikrotik" if mikrotik else "openwrt", "url": router.url, **login},
        # So that no renewal comes in between, with which the counters begin anew.
        options={"lease": 7 * 24 * 3600},
    )
    entry.add_to_hass(hass)
    port = free_port()
    typed = {"internal_host": "127.0.0.1", "internal_ports": str(inside), "close_when_idle": IDLE}
    add_forward(hass, entry, forward_data(port, **typed, **changes))
    await set_up(hass, entry)
    await switch(hass, "turn_on")
    yield Home(hass=hass, entry=entry, router=router, freezer=freezer, port=port)
    await stop_home_assistant(hass, entry)


@pytest.fixture
def rights() -> Rights:
    """Those of the account of `home`."""
    return DEDICATED


@pytest.fixture
async def home(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, inside: int, rights: Rights
) -> AsyncGenerator[Home]:
    async with OpenWrt(rights=rights) as router, home_with(hass, freezer, router, inside) as home:
        yield home


async def test_closed_when_nobody_connects(home: Home) -> None:
    assert await home.after(9 * MINUTE) == "on"
    assert await home.after(MINUTE) == "off"
    assert home.reason == "idle"
    assert isinstance(home.router, OpenWrt)
    assert not home.router.committed
    with pytest.raises(ConnectionError):
        await home.knock()


async def test_each_connection_is_a_use(home: Home) -> None:
    for _ in range(3):
        assert await home.after(9 * MINUTE) == "on"
        await home.knock()
        assert await home.after(MINUTE) == "on"
    assert await home.after(9 * MINUTE) == "on"
    assert await home.after(MINUTE) == "off"


async def test_asking_again_is_a_use(home: Home) -> None:
    assert await home.after(9 * MINUTE) == "on"
    await switch(home.hass, "turn_on")
    assert await home.after(9 * MINUTE) == "on"
    assert await home.after(MINUTE) == "off"


async def test_counters_that_begin_anew_are_no_use_by_themselves(home: Home) -> None:
    assert isinstance(home.router, OpenWrt)
    await home.knock()
    assert await home.after(MINUTE) == "on"
    await home.router.firewall.reload()
    assert await home.after(8 * MINUTE) == "on"
    assert await home.after(2 * MINUTE) == "off"


async def test_what_came_since_they_began_anew_is_a_use(home: Home) -> None:
    assert isinstance(home.router, OpenWrt)
    await home.knock()
    await home.knock()
    assert await home.after(MINUTE) == "on"
    await home.router.firewall.reload()
    await home.knock()
    assert await home.after(9 * MINUTE) == "on"
    assert await home.after(9 * MINUTE) == "on"
    assert await home.after(MINUTE) == "off"


async def test_a_connection_that_lasts_is_a_use(home: Home) -> None:
    reader, writer = await home.connect()
    for _ in range(4):
        assert await home.after(9 * MINUTE) == "on"
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    assert await home.after(9 * MINUTE) == "on"
    assert await home.after(10 * MINUTE) == "off"


async def test_what_leads_elsewhere_is_no_use(home: Home, inside: int) -> None:
    """A connection of the host itself, and one from within the home."""
    assert isinstance(home.router, OpenWrt)
    line = (
        "ipv4     2 tcp      6 99 ESTABLISHED src={0} dst={1} sport=1 dport={3} src={2} dst={0}"
        " sport={4} dport=1 [ASSURED] mark=0 zone=0 use=2\n"
    )
    home.router.device.noise = (
        line.format("127.0.0.1", "198.51.100.9", "198.51.100.9", home.port, inside),
        line.format("127.0.0.9", "127.0.0.1", "127.0.0.1", home.port, inside),
        line.format("198.51.100.9", "203.0.113.7", "127.0.0.9", home.port, inside),
        line.format("198.51.100.9", "203.0.113.7", "127.0.0.1", home.port + 1, inside),
        line.format("198.51.100.9", "203.0.113.7", "127.0.0.1", home.port, inside).replace(
            " src=127.0.0.1", " [UNREPLIED] src=127.0.0.1"
        ),
    )
    assert await home.after(10 * MINUTE) == "off"


@pytest.mark.parametrize("rights", [LUCI])
async def test_without_the_table_the_counters_decide(home: Home) -> None:
    _, writer = await home.connect()
    assert await home.after(MINUTE) == "on"
    assert await home.after(10 * MINUTE) == "off"
    writer.close()


@pytest.mark.parametrize("rights", [PLAIN])
async def test_what_is_not_counted_is_never_closed(home: Home) -> None:
    assert await home.after(MINUTE) == "on"
    assert await home.after(timedelta(days=1)) == "on"


async def test_a_router_that_is_silent_in_between(home: Home) -> None:
    """It answers the look, and not who is connected: that may be somebody."""
    assert isinstance(home.router, OpenWrt)
    home.router.fault(Fault.DROP_BEFORE, "file exec", times=4, skip=1)
    assert await home.after(10 * MINUTE) == "on"
    home.router.clear_faults()
    assert await home.after(9 * MINUTE) == "on"
    assert await home.after(MINUTE) == "off"


async def test_after_a_restart_the_time_begins_anew(home: Home) -> None:
    assert await home.after(9 * MINUTE) == "on"
    await home.hass.config_entries.async_reload(home.entry.entry_id)
    await home.hass.async_block_till_done()
    assert await home.after(9 * MINUTE) == "on"
    assert await home.after(MINUTE) == "off"


async def test_mikrotik(hass: HomeAssistant, freezer: FrozenDateTimeFactory, inside: int) -> None:
    async with MikrotikRouter() as router, home_with(hass, freezer, router, inside) as home:
        assert await home.after(9 * MINUTE) == "on"
        await home.knock()
        assert await home.after(9 * MINUTE) == "on"
        reader, writer = await home.connect()
        assert await home.after(9 * MINUTE) == "on"
        assert await home.after(10 * MINUTE) == "on"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert await home.after(10 * MINUTE) == "off"
        assert home.reason == "idle"


async def test_an_adopted_rule(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    async with users_router("openwrt") as router:
        home = await home_of(hass, router)
        step = await home.rules()
        step = await home.submit(step, rule=next(iter(labels(step))))
        typed = {"name": "Camera", "close_after": {"hours": 1}, "until_closed": True}
        await home.submit(step, **typed, close_when_idle=IDLE)
        await home.on()
        for minutes, state in ((9, "on"), (1, "off")):
            freezer.tick(minutes * MINUTE)
            await refresh(hass, home.entry)
            assert home.state == state
        assert not router.is_on
        assert home.told == ("closed", "idle")
        await stop_home_assistant(hass, home.entry)


@pytest.mark.parametrize(
    ("time", "error"),
    [
        ({"seconds": 59}, "idle_time_out_of_range"),
        ({"days": 31}, "idle_time_out_of_range"),
        ({"days": 10**12}, "idle_time_out_of_range"),
        ({"minutes": 1}, None),
        ({"minutes": 0}, None),
    ],
)
async def test_times(hass: HomeAssistant, time: dict[str, int], error: str | None) -> None:
    async with MikrotikRouter() as router:
        user = router.users[0]
        login = {"username": user.name, "password": user.password}
        entry = MockConfigEntry(
            domain=DOMAIN, title="Router", data={"driver": "mikrotik", "url": router.url, **login}
        )
        entry.add_to_hass(hass)
        await set_up(hass, entry)
        step = await asked_to_add(hass, entry, time)
        if error:
            assert_form(step, "user", {"more": error})
            assert message(step).startswith("Close when idle for")
        else:
            [subentry] = entry.subentries.values()
            assert subentry.data["close_when_idle"] == time
        await stop_home_assistant(hass, entry)


async def asked_to_add(
    hass: HomeAssistant, entry: MockConfigEntry, time: dict[str, int]
) -> SubentryFlowResult:
    return await submit(hass, await start(hass, entry), TYPED | {"close_when_idle": time})


async def test_a_router_that_does_not_count_is_refused(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    await set_up(hass, entry)
    step = await asked_to_add(hass, entry, IDLE)
    assert_form(step, "user", {"more": "no_hit_counters"})
    assert message(step) == rendered("config_subentries.forward.error.no_hit_counters")
    await submit(hass, step, TYPED | {"close_when_idle": {"minutes": 0}})
    assert entry.subentries


async def test_an_account_that_may_not_look_at_the_counters_is_refused(hass: HomeAssistant) -> None:
    async with OpenWrt(rights=PLAIN) as router:
        login = {"username": USERNAME, "password": PASSWORD}
        entry = MockConfigEntry(
            domain=DOMAIN, title="Router", data={"driver": "openwrt", "url": router.url, **login}
        )
        entry.add_to_hass(hass)
        await set_up(hass, entry)
        step = await asked_to_add(hass, entry, IDLE)
        assert_form(step, "user", {"more": "no_hit_counters"})
        assert message(step) == rendered("config_subentries.forward.error.no_hit_counters")
        await stop_home_assistant(hass, entry)
