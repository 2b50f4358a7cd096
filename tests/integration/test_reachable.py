"""Whether the internet reaches the router: the sensor, the check URL and the repair."""

from ipaddress import IPv4Address
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.port_forward.const import DOMAIN
from lab.virtual_router import Fault, Quirk, VirtualRouter
from tests.check_server import CheckServer, check_server, plain

from .automating import pass_time
from .conftest import add_forward, forward_data, refresh, set_up

SENSOR = "binary_sensor.virtual_router_reachable_from_the_internet"
PUBLIC, OTHER = "203.0.113.7", "198.51.100.7"


def shown(hass: HomeAssistant) -> State:
    state = hass.states.get(SENSOR)
    assert state
    return state


def reason(hass: HomeAssistant) -> tuple[str, str]:
    """Return the state and why."""
    return shown(hass).state, shown(hass).attributes["reason"]


def repair(hass: HomeAssistant, entry: MockConfigEntry) -> tuple[str, dict[str, str]] | None:
    """Return what the repair says, and of what."""
    issue = ir.async_get(hass).async_get_issue(DOMAIN, f"not_reachable_{entry.entry_id}")
    if issue is None:
        return None
    assert issue.translation_key
    assert not issue.is_fixable
    return issue.translation_key, dict(issue.translation_placeholders or {})


def repaired(hass: HomeAssistant, entry: MockConfigEntry) -> str | None:
    found = repair(hass, entry)
    return found[0] if found else None


@pytest.fixture
async def closed(hass: HomeAssistant, entry: MockConfigEntry) -> MockConfigEntry:
    """An entry with a forward."""
    add_forward(hass, entry, forward_data(8443))
    await set_up(hass, entry)
    return entry


async def becomes(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, address: str
) -> None:
    """Let the router have another external address, and look until that is known."""
    router.wans[0].external_address = address
    for _ in range(2):  # asked for in turns with the state of the connection
        await refresh(hass, entry)


async def test_sensor(hass: HomeAssistant, closed: MockConfigEntry) -> None:
    assert shown(hass).name == "Virtual Router Reachable from the internet"
    assert shown(hass).attributes["device_class"] == "connectivity"
    assert reason(hass) == ("on", "reachable")
    assert shown(hass).attributes["seen_address"] is None
    assert repair(hass, closed) is None


@pytest.mark.parametrize(
    ("address", "kind"),
    [("192.168.1.7", "private"), ("100.64.0.7", "cgnat"), ("192.0.0.2", "reserved")],
)
async def test_address_that_the_internet_does_not_reach(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, address: str, kind: str
) -> None:
    await becomes(hass, router, closed, address)
    assert reason(hass) == ("off", kind)
    told = {"router": "Virtual Router", "address": address, "seen": "None"}
    assert repair(hass, closed) == (f"not_reachable_{kind}", told)

    await becomes(hass, router, closed, PUBLIC)
    assert reason(hass) == ("on", "reachable")
    assert repair(hass, closed) is None


async def test_another_reason_takes_the_place_of_the_first(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    for address, kind in (("10.0.0.7", "private"), ("100.64.0.7", "cgnat")):
        await becomes(hass, router, closed, address)
        assert repaired(hass, closed) == f"not_reachable_{kind}"
    assert len(ir.async_get(hass).issues) == 1


async def test_without_a_forward_nothing_is_said(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry
) -> None:
    router.wans[0].external_address = "100.64.0.7"
    await set_up(hass, entry)
    assert reason(hass) == ("off", "cgnat")
    assert repair(hass, entry) is None
    subentry = add_forward(hass, entry, forward_data(8443))
    await hass.async_block_till_done()
    assert repaired(hass, entry) == "not_reachable_cgnat"
    hass.config_entries.async_remove_subentry(entry, subentry.subentry_id)
    await hass.async_block_till_done()
    assert repair(hass, entry) is None


async def test_wan_that_is_down(
    hass: HomeAssistant,
    router: VirtualRouter,
    closed: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    """Each reconnect is, for a moment; a repair is for what lasts."""
    router.wans[0].status = "Disconnected"
    await refresh(hass, closed)
    await refresh(hass, closed)
    assert reason(hass) == ("off", "not_connected")
    for _ in range(9):
        await pass_time(hass, freezer, seconds=65)
    assert repair(hass, closed) is None
    await pass_time(hass, freezer, seconds=65)
    assert repaired(hass, closed) == "not_reachable_not_connected"

    router.wans[0].status = "Connected"
    await pass_time(hass, freezer, seconds=65)
    await pass_time(hass, freezer, seconds=65)
    assert reason(hass) == ("on", "reachable")
    assert repair(hass, closed) is None

    # The time counts anew.
    router.wans[0].status = "Disconnected"
    for _ in range(5):
        await pass_time(hass, freezer, seconds=65)
    assert repair(hass, closed) is None


async def test_router_without_an_address(
    hass: HomeAssistant,
    router: VirtualRouter,
    closed: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    """Also while it goes up and down: the connection is built up again and again."""
    router.wans[0].external_address = ""
    await refresh(hass, closed)
    await refresh(hass, closed)
    assert reason(hass) == ("off", "no_address")
    for number in range(11):
        router.wans[0].status = ("Disconnected", "Connected")[number % 2]
        await pass_time(hass, freezer, seconds=65)
    assert repaired(hass, closed) in ("not_reachable_no_address", "not_reachable_not_connected")


async def test_router_that_is_away_is_not_judged(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    await becomes(hass, router, closed, "10.0.0.7")
    router.fault(Fault.DROP_BEFORE, times=None)
    await refresh(hass, closed)
    assert shown(hass).state == "unavailable"
    assert repaired(hass, closed) == "not_reachable_private"


async def test_router_that_tells_nothing(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry
) -> None:
    await becomes(hass, router, closed, "10.0.0.7")
    router.wans[0].status = ""
    await becomes(hass, router, closed, "")
    assert reason(hass) == ("unknown", "unknown")
    assert repair(hass, closed) is None


@pytest.mark.parametrize("how", ["deleted", "disabled"])
async def test_repair_goes_with_the_router(
    hass: HomeAssistant, router: VirtualRouter, closed: MockConfigEntry, how: str
) -> None:
    await becomes(hass, router, closed, "100.64.0.7")
    # Not with a reload: a repair that the user ignores would come back.
    ir.async_ignore_issue(hass, DOMAIN, f"not_reachable_{closed.entry_id}", ignore=True)
    await hass.config_entries.async_reload(closed.entry_id)
    issue = ir.async_get(hass).async_get_issue(DOMAIN, f"not_reachable_{closed.entry_id}")
    assert issue
    assert issue.dismissed_version
    if how == "deleted":
        await hass.config_entries.async_remove(closed.entry_id)
    else:
        await hass.config_entries.async_set_disabled_by(closed.entry_id, ConfigEntryDisabler.USER)
    assert repair(hass, closed) is None


async def use(hass: HomeAssistant, entry: MockConfigEntry, server: CheckServer) -> None:
    """Set the check URL, and wait for its first answer."""
    hass.config_entries.async_update_entry(entry, options={"check_url": server.url})
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_check_url_sees_the_same(hass: HomeAssistant, closed: MockConfigEntry) -> None:
    async with check_server(plain(PUBLIC)) as server:
        await use(hass, closed, server)
        await refresh(hass, closed)
    assert reason(hass) == ("on", "reachable")
    assert shown(hass).attributes["seen_address"] == PUBLIC
    assert server.asked == ["/"]


async def test_check_url_sees_another_address(hass: HomeAssistant, closed: MockConfigEntry) -> None:
    async with check_server(plain(OTHER)) as server:
        await use(hass, closed, server)
        # The router may not know its own new address yet.
        await refresh(hass, closed)
        assert reason(hass) == ("on", "reachable")
        await refresh(hass, closed)
    assert reason(hass) == ("off", "double_nat")
    told = {"router": "Virtual Router", "address": PUBLIC, "seen": OTHER}
    assert repair(hass, closed) == ("not_reachable_double_nat", told)
    hass.config_entries.async_update_entry(closed, options={})
    await hass.async_block_till_done(wait_background_tasks=True)
    assert reason(hass) == ("on", "reachable")
    assert repair(hass, closed) is None


async def test_reconnect_is_no_double_nat(
    hass: HomeAssistant,
    router: VirtualRouter,
    closed: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    """The internet sees the new address before the router tells it."""
    async with check_server(plain(PUBLIC)) as server:
        await use(hass, closed, server)
        server.answer = plain(OTHER)
        states = []
        await pass_time(hass, freezer, seconds=3700)  # asks while the router tells the old one
        router.wans[0].external_address = OTHER
        for _ in range(4):
            await pass_time(hass, freezer, seconds=65)
            states.append(reason(hass))
    assert states == [("on", "reachable")] * 4
    assert shown(hass).attributes["seen_address"] == OTHER
    assert len(server.asked) == 3


async def test_how_often_it_is_asked(
    hass: HomeAssistant,
    router: VirtualRouter,
    closed: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    async with check_server(plain(OTHER)) as server:
        await use(hass, closed, server)
        assert len(server.asked) == 1
        for _ in range(54):
            await pass_time(hass, freezer, seconds=65)
        assert len(server.asked) == 1
        assert reason(hass) == ("off", "double_nat")
        for _ in range(4):
            await pass_time(hass, freezer, seconds=65)
            assert reason(hass) == ("off", "double_nat")
        assert len(server.asked) == 2
        # Nobody needs to be asked about an address that is not of the internet.
        await becomes(hass, router, closed, "100.64.0.7")
        await pass_time(hass, freezer, seconds=3700)
        assert len(server.asked) == 2


async def test_address_that_changes_all_the_time(
    hass: HomeAssistant,
    router: VirtualRouter,
    closed: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    async with check_server(plain(PUBLIC)) as server:
        await use(hass, closed, server)
        for number in range(20):
            await becomes(hass, router, closed, str(IPv4Address("198.51.100.1") + number))
            freezer.tick(5)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    "answer", [plain("<html>"), plain("10.0.0.7"), plain("", "500 Oh No"), b"", plain("x" * 9999)]
)
async def test_failing_check_is_no_reason(
    hass: HomeAssistant,
    closed: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
    caplog: pytest.LogCaptureFixture,
    answer: bytes,
) -> None:
    async with check_server(plain(OTHER)) as server:
        await use(hass, closed, server)
        await refresh(hass, closed)
        await refresh(hass, closed)
        assert reason(hass) == ("off", "double_nat")
        server.answer = answer
        for _ in range(3):
            await pass_time(hass, freezer, seconds=3700)
            await refresh(hass, closed)
            assert reason(hass) == ("on", "reachable")
            assert shown(hass).attributes["seen_address"] is None
        # One that is hung up on may ask once more.
        assert len(server.asked) == (7 if answer == b"" else 4)
        warned = [record for record in caplog.records if "check URL" in record.getMessage()]
        assert [record.levelname for record in warned] == ["WARNING"]
        server.answer = plain(PUBLIC)
        await pass_time(hass, freezer, seconds=3700)
    assert "the check URL answers" in caplog.text


@pytest.mark.parametrize("quirk", [Quirk.Q14, Quirk.Q14_PRIVATE, Quirk.Q14_CGNAT])
async def test_routers_of_the_lab(
    hass: HomeAssistant, router: VirtualRouter, entry: MockConfigEntry, quirk: Quirk
) -> None:
    """As miniupnpd shows itself behind another NAT."""
    router.quirks.add(quirk)
    await set_up(hass, entry)
    expected = {Quirk.Q14: "no_address", Quirk.Q14_PRIVATE: "private", Quirk.Q14_CGNAT: "cgnat"}
    assert reason(hass) == ("off", expected[quirk])


async def options(hass: HomeAssistant, entry: MockConfigEntry, **values: Any) -> Any:  # noqa: ANN401  a step of a flow
    step = await hass.config_entries.options.async_init(entry.entry_id)
    result = await hass.config_entries.options.async_configure(step["flow_id"], values)
    await hass.async_block_till_done(wait_background_tasks=True)
    return result


async def test_option(hass: HomeAssistant, closed: MockConfigEntry) -> None:
    async with check_server(plain(PUBLIC)) as server:
        result = await options(hass, closed, check_url=f" {server.url} ")
        assert result["type"] == "create_entry"
        assert closed.options["check_url"] == server.url
        server.answer = plain("it is not itself today")
        result = await options(hass, closed, check_url=server.url, refresh_interval=30)
        assert result["type"] == "create_entry"
    for blank in ({}, {"check_url": ""}, {"check_url": " "}):
        await options(hass, closed, **blank)
        assert "check_url" not in closed.options


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (plain("<html>"), "check_url_no_address"),
        (plain("192.168.1.7"), "check_url_no_address"),
        (plain("2a11:2233::5"), "check_url_no_address"),
        (b"", "check_url_silent"),
    ],
)
async def test_option_that_does_not_work(
    hass: HomeAssistant, closed: MockConfigEntry, answer: bytes, error: str
) -> None:
    async with check_server(answer) as server:
        result = await options(hass, closed, check_url=server.url, lease=600)
    assert (result["type"], result["errors"]) == ("form", {"check_url": error})
    # What was typed in stands there still.
    suggested = {
        str(key): key.description["suggested_value"]
        for key in result["data_schema"].schema
        if key.description
    }
    assert (suggested["check_url"], suggested["lease"]) == (server.url, 600)
    assert dict(closed.options) == {}


async def test_option_that_is_no_url(hass: HomeAssistant, closed: MockConfigEntry) -> None:
    result = await options(hass, closed, check_url="ip.example")
    assert result["errors"] == {"check_url": "invalid_check_url"}
