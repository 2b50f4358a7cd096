"""A firewall with OPNsense: it never closes by itself, so that Home Assistant has to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from lab.home_assistant import RealHomeAssistant
from lab.opnsense import OPNsense
from lab.virtual_router import free_port
from tests.e2e.clients import FRIEND, PAGE, Camera, fetch, is_closed
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.logins import add_by_login, repairs
from tests.e2e.secrecy import Overheard
from tests.e2e.ui import Added, ForwardOnScreen, Ui
from tests.e2e.waiting import until


@pytest_asyncio.fixture(loop_scope="session")
async def router(log: LogBook) -> AsyncIterator[OPNsense]:
    """A firewall whose certificate nobody vouches for."""
    async with OPNsense() as firewall:
        yield firewall


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def _tells_no_secrets(overheard: Overheard, ui: Ui, router: OPNsense) -> AsyncIterator[None]:
    yield
    # Before `ui` deletes the firewall, with what there is to see.
    assert ui.ha.running
    account = router.accounts[0]
    # The last one is the cookie that comes with each answer.
    assert not await overheard.places_of({account.key, account.secret, "PHPSESSID"})


@pytest_asyncio.fixture(loop_scope="session")
async def added(ui: Ui, router: OPNsense) -> Added:
    """The firewall, added with a key and a secret."""
    login = {key: value for key, value in router.settings.items() if key != "fingerprint"}
    return await add_by_login(ui, "opnsense", login)


@pytest_asyncio.fixture(loop_scope="session")
async def door(ui: Ui, added: Added, inside: Camera, port: int) -> ForwardOnScreen:
    """A forward of `port` to the camera's page, not open yet."""
    return await add_forward(ui, added, inside.port, port, until_closed=True)


async def add_forward(
    ui: Ui, added: Added, inside: int, outside: int, *, until_closed: bool
) -> ForwardOnScreen:
    return await ui.add_forward(
        added.entry,
        **to_camera(outside, inside, close_after={"hours": 1}, until_closed=until_closed),
    )


async def test_says_that_it_does_not_close_by_itself(ui: Ui, added: Added) -> None:
    texts = await ui.texts("issues")
    text = texts["component.port_forward.issues.router_does_not_close.description"]
    assert added.first_forward["description_placeholders"]["note"].strip() == text
    assert await repairs(ui, added.entry) == {"router_does_not_close"}
    await ui.delete_router(added.entry)
    assert await repairs(ui, added.entry) == set()


async def test_switched(ui: Ui, router: OPNsense, door: ForwardOnScreen, port: int) -> None:
    assert await is_closed(port)
    await ui.turn_on(door)
    assert await ui.is_on(door)
    assert await fetch(port) == PAGE

    await ui.turn_off(door)
    assert not await ui.is_on(door)
    assert await is_closed(port)
    assert router.table.uuids == []
    assert router.pf.rules == ()


@asynccontextmanager
async def parrot() -> AsyncIterator[int]:
    """A host in the home that says everything back for as long as somebody speaks; its port."""

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async with await asyncio.start_server(repeat, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1]


async def test_established_connection_ends_when_it_is_closed(
    ui: Ui, router: OPNsense, added: Added, port: int
) -> None:
    async with parrot() as home, asyncio.timeout(60):
        door = await add_forward(ui, added, home, port, until_closed=True)
        await ui.turn_on(door)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(FRIEND, 0))
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        # The firewall itself lets it go on without a rule.
        rules = router.pf.rules
        await router.pf.load(())
        writer.write(b"still there?\n")
        assert await reader.readline() == b"still there?\n"
        await router.pf.load(rules)

        await ui.turn_off(door)
        with suppress(ConnectionResetError):  # Either way it is over.
            assert await reader.read() == b""
        writer.close()
        # The simulated firewall listens on for what stood, and resets whoever is new.
        with pytest.raises(ConnectionError):
            await fetch(port)


async def test_restarted_while_open_and_overdue(
    ui: Ui,
    ha: RealHomeAssistant,
    router: OPNsense,
    added: Added,
    door: ForwardOnScreen,
    inside: Camera,
    port: int,
) -> None:
    late = free_port()
    overdue = await add_forward(ui, added, inside.port, late, until_closed=False)
    await ui.until_saved(overdue)
    await ui.turn_on(door)
    await ha.call("port_forward", "open", entity_id=overdue.switch, duration={"seconds": 10})
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    kept, _ = router.pf.rules

    await ha.stop()
    await until(lambda: datetime.now(UTC) > deadline)
    for external in (port, late):
        assert await fetch(external) == PAGE, "nobody has closed it"

    await ha.start()
    await ha.wait_for_state(overdue.switch, "off")
    assert await is_closed(late)
    await ha.wait_for_state(door.switch, "on")
    assert await fetch(port) == PAGE
    [rule] = router.pf.rules
    assert rule == kept, "the very same"

    await ui.turn_off(door)
    assert await is_closed(port)
