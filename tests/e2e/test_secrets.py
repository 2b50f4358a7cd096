"""The password, the key and the session of a router are told to nobody, whatever goes wrong."""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from lab.home_assistant import CommandError, RealHomeAssistant
from lab.openwrt import PASSWORD, USERNAME, OpenWrt
from lab.openwrt import Fault as OpenWrtFault
from lab.opnsense import Fault as OPNsenseFault
from lab.opnsense import OPNsense
from tests.e2e.clients import PAGE, Camera, fetch
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.logins import (
    add_by_login,
    asked_to_log_in_again,
    ids_of_sessions,
    log_in,
    start_login,
)
from tests.e2e.secrecy import Overheard
from tests.e2e.ui import ROUTER_FLOW, Added, ForwardOnScreen, Ui

WRONG = "Tr0ub4dor&3"
"""What a user types by mistake is a secret as well: it may open another door."""

LOGGED = {
    "Authentication failed while fetching": "the password was changed",
    "Error during service call to ": "the router answers nonsense",
    "Saving file failed": "something is in the way of the ledger",
}


@pytest_asyncio.fixture(loop_scope="session")
async def router(log: LogBook) -> AsyncIterator[OpenWrt]:
    """One with a password and sessions."""
    for pattern, because in LOGGED.items():
        log.provoke(pattern, because=because)
    async with OpenWrt() as router:
        yield router


@pytest_asyncio.fixture(loop_scope="session")
async def firewall(router: OpenWrt) -> AsyncIterator[OPNsense]:
    """One with a key, a secret and an Authorization header, beside `router`."""
    assert router.url
    async with OPNsense() as firewall:
        yield firewall


async def door_of(ui: Ui, added: Added, inside: Camera, port: int) -> ForwardOnScreen:
    return await ui.add_forward(added.entry, **to_camera(port, inside.port))


async def live_with(ui: Ui, door: ForwardOnScreen, port: int) -> None:
    """Use it as one does."""
    await ui.turn_on(door)
    assert await fetch(port) == PAGE
    await ui.reload(door.entry)
    await ui.ha.wait_for_state(door.switch, "on")
    await ui.turn_off(door)


async def try_in_vain(ui: Ui, driver: str, login: Mapping[str, str]) -> None:
    """Let the form say what is wrong with a login, and close it."""
    step = await log_in(ui, await start_login(ui, driver), login)
    assert step["errors"]
    await ui.ha.delete(f"{ROUTER_FLOW}/{step['flow_id']}")


async def type_nonsense(ui: Ui, driver: str, field: str, secret: str) -> None:
    """Send a form as no frontend would: Home Assistant names the field, and not what is in it."""
    step = await start_login(ui, driver)
    with pytest.raises(aiohttp.ClientResponseError, match=field):
        await ui.submit(ROUTER_FLOW, step, url="https://127.0.0.1", **{field: [secret]})
    await ui.ha.delete(f"{ROUTER_FLOW}/{step['flow_id']}")


async def open_in_vain(ui: Ui, door: ForwardOnScreen) -> None:
    """Let an action fail; what the user reads then is overheard."""
    with pytest.raises(CommandError):
        await ui.turn_on(door)


async def open_without_a_disk(ui: Ui, door: ForwardOnScreen) -> None:
    """Let the ledger fail to be written, with an exception whose traceback is logged."""
    ledger = ui.ha.log.parent / ".storage" / f"port_forward.{door.entry}"
    ledger.unlink(missing_ok=True)
    ledger.mkdir()
    in_the_way = ledger / "something"
    in_the_way.touch()
    await open_in_vain(ui, door)
    in_the_way.unlink()
    ledger.rmdir()


async def be_locked_out(ui: Ui, door: ForwardOnScreen, overheard: Overheard) -> None:
    """Be asked for the login again, because it is not the right one any more."""
    async with await ui.ha.subscribe("config_entries/flow/subscribe") as cards:
        await ui.refresh(door)
        overheard.hear("the form", await asked_to_log_in_again(ui, cards))


def drained(events: asyncio.Queue[Any]) -> list[object]:
    return [events.get_nowait() for _ in range(events.qsize())]


async def test_openwrt(
    ui: Ui,
    ha: RealHomeAssistant,
    router: OpenWrt,
    inside: Camera,
    port: int,
    overheard: Overheard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = ids_of_sessions(router, monkeypatch)
    login = {"url": router.url, "username": USERNAME, "password": PASSWORD}
    async with await ha.subscribe("subscribe_events") as events:
        await type_nonsense(ui, "openwrt", "password", PASSWORD)
        await try_in_vain(ui, "openwrt", login | {"password": WRONG})
        # What comes back of a login has a session in it.
        for fault in (OpenWrtFault.TRUNCATED, OpenWrtFault.HTML):
            router.fault(fault, "session login")
            await try_in_vain(ui, "openwrt", login)

        door = await door_of(ui, await add_by_login(ui, "openwrt", login), inside, port)
        await live_with(ui, door, port)
        for fault in (OpenWrtFault.HTML, OpenWrtFault.GARBAGE, OpenWrtFault.HTTP_500):
            router.fault(fault, times=None)
            await open_in_vain(ui, door)
            router.clear_faults()
        await open_without_a_disk(ui, door)

        router.set_password(WRONG)
        router.sessions.expire_all()
        await be_locked_out(ui, door, overheard)
        overheard.hear("events", drained(events))

    assert len(ids) > 1
    header = b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    assert await overheard.places_of({PASSWORD, WRONG, header, *ids}) == set()


async def test_opnsense(
    ui: Ui,
    ha: RealHomeAssistant,
    firewall: OPNsense,
    inside: Camera,
    port: int,
    overheard: Overheard,
) -> None:
    account = firewall.accounts[0]
    key, secret = account.key, account.secret
    login = {"url": firewall.url, "api_key": key, "api_secret": secret}
    async with await ha.subscribe("subscribe_events") as events:
        await type_nonsense(ui, "opnsense", "api_secret", secret)
        await try_in_vain(ui, "opnsense", login | {"api_secret": WRONG})
        firewall.fault(OPNsenseFault.HTML)
        await try_in_vain(ui, "opnsense", login)

        door = await door_of(ui, await add_by_login(ui, "opnsense", login), inside, port)
        await live_with(ui, door, port)
        for fault in (OPNsenseFault.HTML, OPNsenseFault.ERROR_500, OPNsenseFault.WRONG_SHAPE):
            firewall.fault(fault, times=None)
            await open_in_vain(ui, door)
            firewall.clear_faults()
        await open_without_a_disk(ui, door)

        account.secret = WRONG
        await be_locked_out(ui, door, overheard)
        overheard.hear("events", drained(events))

    header = b64encode(f"{key}:{secret}".encode()).decode()
    # The last one is the cookie that comes with each answer.
    assert await overheard.places_of({key, secret, WRONG, header, "PHPSESSID"}) == set()


@pytest.mark.usefixtures("ui")
async def test_a_secret_that_is_told_is_found(
    ha: RealHomeAssistant, overheard: Overheard, log: LogBook
) -> None:
    """In each of the places, and in each of the spellings: the tests above can fail."""
    log.provoke("planted", because="this test does it")

    def new() -> str:
        # A quotation mark and a slash: both are spelled otherwise here and there.
        return f'{secrets.token_hex(8)}"/{secrets.token_hex(8)}'

    async def logged(text: str) -> None:
        await ha.call("system_log", "write", message=f"planted {text}", level="error")

    async def shown(text: str) -> None:
        state = {"state": "on", "attributes": {"planted": text}}
        await ha.post("/api/states/sensor.planted", state)

    async def written(text: str) -> None:
        (ha.log.parent / ".storage" / "port_forward.planted").write_text(text)

    async def refused(text: str) -> None:
        with pytest.raises(CommandError):
            await ha.call("planted", text)

    for plant, place in (
        (logged, "hass.log"),
        (shown, "get_states"),
        (written, ".storage/port_forward.planted"),
        (refused, "call_service"),
    ):
        plain, encoded = new(), new()
        assert await overheard.places_of({plain, encoded}) == set()
        header = b64encode(f"somebody:{encoded}".encode()).decode()
        await plant(f"{plain} {header}")
        assert place in await overheard.places_of({plain})
        assert place in await overheard.places_of({encoded})
    await ha.delete("/api/states/sensor.planted")
    (ha.log.parent / ".storage" / "port_forward.planted").unlink()
