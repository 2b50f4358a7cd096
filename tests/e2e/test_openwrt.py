"""A router with OpenWrt: added by its login, its rules switched, and ended by its own clock."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from lab.certificate import Certificate, self_signed
from lab.home_assistant import CommandError, RealHomeAssistant
from lab.openwrt import DEDICATED, PASSWORD, READ_ONLY, USERNAME, OpenWrt
from tests.e2e.clients import PAGE, Camera, fetch, is_closed
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.logins import (
    add_by_login,
    asked_to_log_in_again,
    ids_of_sessions,
    log_in,
    repairs,
    start_login,
)
from tests.e2e.secrecy import Overheard
from tests.e2e.ui import FORWARD_FLOW, ROUTER_FLOW, ForwardOnScreen, Ui
from tests.e2e.waiting import until

NEW_PASSWORD = "a wrong horse indeed"
LOGIN = {"username": USERNAME, "password": PASSWORD}


@pytest.fixture
def certificate() -> Certificate:
    """What the router has signed itself."""
    return self_signed("OpenWrt")


@pytest_asyncio.fixture(loop_scope="session")
async def router(log: LogBook, certificate: Certificate) -> AsyncIterator[OpenWrt]:
    """A router with the account that our page describes."""
    async with OpenWrt(certificate=certificate) as router:
        yield router


@pytest.fixture
def sessions(router: OpenWrt, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The ids of all sessions that `router` ever began."""
    return ids_of_sessions(router, monkeypatch)


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _tells_no_secrets(
    overheard: Overheard, ui: Ui, sessions: set[str]
) -> AsyncIterator[None]:
    yield
    # Before `ui` deletes the router, with what there is to see.
    assert ui.ha.running
    assert sessions
    assert not await overheard.places_of({PASSWORD, NEW_PASSWORD, *sessions})


@pytest_asyncio.fixture(loop_scope="session")
async def door(ui: Ui, router: OpenWrt, inside: Camera, port: int) -> ForwardOnScreen:
    """A forward of `port` to the camera's page, added to `router`, not open yet."""
    added = await add_by_login(ui, "openwrt", {"url": router.url, **LOGIN})
    return await ui.add_forward(added.entry, added.first_forward, **to_camera(port, inside.port))


def end_of(router: OpenWrt) -> datetime:
    """Return when the only rule of the router ends by itself, in UTC."""
    [section] = router.committed
    [rule] = router.rules
    written = datetime.fromisoformat(section.text("stop_date")).replace(tzinfo=UTC)
    assert rule.until == written, "the clock of this router shows UTC"
    return written


async def test_added_by_its_login_and_switched(
    ui: Ui, router: OpenWrt, certificate: Certificate, inside: Camera, port: int
) -> None:
    step = await start_login(ui, "openwrt")
    step = await ui.submit(ROUTER_FLOW, step, url=router.url, **LOGIN)
    assert (step["type"], step["step_id"]) == ("form", "certificate")
    shown: str = step["description_placeholders"]["fingerprint"]
    assert shown.replace(":", "").lower() == certificate.fingerprint
    assert not router.calls, "nothing is sent before the user has seen whom it goes to"
    added = await ui.added(await ui.submit(ROUTER_FLOW, step))
    assert added.first_forward["description_placeholders"]["note"] == ""
    door = await ui.add_forward(added.entry, added.first_forward, **to_camera(port, inside.port))
    assert await is_closed(port)

    await ui.turn_on(door)
    assert await ui.is_on(door)
    assert await fetch(port) == PAGE
    # A lease of an hour, which the router keeps by itself.
    assert timedelta(0) < end_of(router) - datetime.now(UTC) <= timedelta(hours=1)
    assert await repairs(ui, added.entry) == set()

    await ui.turn_off(door)
    assert not await ui.is_on(door)
    assert await is_closed(port)
    assert router.committed == []

    # Unencrypted, it is asked before anything is sent; and it is the same router.
    async with OpenWrt() as same:
        step = await start_login(ui, "openwrt")
        step = await ui.submit(ROUTER_FLOW, step, url=same.url, **LOGIN)
        assert (step["type"], step["step_id"]) == ("form", "unencrypted")
        assert not same.calls
        step = await ui.submit(ROUTER_FLOW, step)
        assert (step["type"], step["reason"]) == ("abort", "already_configured")


async def test_closes_at_its_deadline(
    ui: Ui, ha: RealHomeAssistant, router: OpenWrt, door: ForwardOnScreen, port: int
) -> None:
    await ha.call("port_forward", "open", entity_id=door.switch, duration={"seconds": 3})
    assert await fetch(port) == PAGE
    await ha.wait_for_state(door.switch, "off")
    assert await is_closed(port)
    assert router.committed == []


async def test_closes_by_itself_when_home_assistant_is_dead(
    ui: Ui, ha: RealHomeAssistant, router: OpenWrt, door: ForwardOnScreen, port: int
) -> None:
    await ui.until_saved(door)
    await ha.call("port_forward", "open", entity_id=door.switch, duration={"seconds": 10})
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    await ha.kill()
    calls = router.calls.total()
    end = end_of(router)
    assert end <= deadline
    assert await fetch(port) == PAGE

    # It counts whole seconds.
    await until(lambda: datetime.now(UTC) >= end + timedelta(seconds=1))
    with pytest.raises(ConnectionResetError):
        await fetch(port)
    assert router.calls.total() == calls
    assert router.committed, "the section is still there, and lets nobody in"

    await ha.start()
    await ha.wait_for_state(door.switch, "off")
    await until(lambda: not router.committed)
    assert await is_closed(port)


async def test_another_password_later(
    ui: Ui, ha: RealHomeAssistant, router: OpenWrt, door: ForwardOnScreen, port: int, log: LogBook
) -> None:
    log.provoke("Authentication failed while fetching", because="the password was changed")
    await ui.turn_on(door)
    router.set_password(NEW_PASSWORD)
    router.sessions.expire_all()
    async with await ha.subscribe("config_entries/flow/subscribe") as cards:
        await ui.refresh(door)
        step = await asked_to_log_in_again(ui, cards)
    assert step["step_id"] == "openwrt"
    step = await log_in(ui, step, {"url": router.url, **LOGIN})
    assert step["errors"] == {"base": "authentication_failed"}
    step = await log_in(ui, step, {"url": router.url, **LOGIN, "password": NEW_PASSWORD})
    assert (step["type"], step["reason"]) == ("abort", "reauth_successful")
    await ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE
    await ui.turn_off(door)
    assert await is_closed(port)


async def test_rights_taken_away(
    ui: Ui, router: OpenWrt, door: ForwardOnScreen, port: int, log: LogBook
) -> None:
    log.provoke("Error during service call to switch.turn_on: ", because="it may not")
    log.provoke("for port_forward integration not ready yet", because="it may not")
    router.grant(READ_ONLY)
    with pytest.raises(CommandError, match="lacks a right") as raised:
        await ui.turn_on(door)
    assert raised.value.translation_key == "missing_rights"
    assert not await ui.is_on(door)
    assert await is_closed(port)

    await ui.reload(door.entry)
    [entry] = await ui.routers()
    assert (entry["state"], entry["error_reason_translation_key"]) == (
        "setup_retry",
        "missing_rights",
    )

    router.grant(DEDICATED)
    await ui.reload(door.entry)
    await ui.ha.wait_for_state(door.switch, "off")
    await ui.turn_on(door)
    assert await fetch(port) == PAGE


async def test_rule_of_the_user_is_taken_over(
    ui: Ui, ha: RealHomeAssistant, router: OpenWrt, inside: Camera, port: int
) -> None:
    rule = {
        "name": "NAS",
        "src": "wan",
        "dest": "lan",
        "target": "DNAT",
        "proto": ["tcp"],
        "src_dport": str(port),
        "dest_ip": "127.0.0.1",
        "dest_port": str(inside.port),
        "reflection": "1",
        "extra": "mine",
        "enabled": "0",
    }
    await router.luci_edit(nas=rule)
    added = await add_by_login(ui, "openwrt", {"url": router.url, **LOGIN})
    step = added.first_forward
    assert (step["type"], step["menu_options"]) == ("menu", ["new", "adopt"])
    step = await ui.submit(FORWARD_FLOW, step, next_step_id="adopt")
    [field] = step["data_schema"]
    [option] = field["selector"]["select"]["options"]
    assert option["label"].startswith("NAS · ")
    step = await ui.submit(FORWARD_FLOW, step, rule=option["value"])
    assert (step["type"], step["step_id"]) == ("form", "adopt_as")
    nas = await ui.add_forward(
        added.entry, step, name=f"NAS {port}", close_after={"minutes": 5}, until_closed=False
    )
    assert await is_closed(port)

    await ui.turn_on(nas)
    assert await fetch(port) == PAGE
    [section] = router.committed
    assert (section.name, section.options) == ("nas", rule | {"enabled": "1"})
    await ui.reload(added.entry)
    await ha.wait_for_state(nas.switch, "on")

    await ui.turn_off(nas)
    assert await is_closed(port)
    [section] = router.committed
    assert (section.name, section.options) == ("nas", rule)
