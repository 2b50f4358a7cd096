"""A real Home Assistant of each supported version, a router, and the two ends of its ports."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
import pytest_socket

from lab.home_assistant import REPOSITORY, RealHomeAssistant
from lab.netns import Namespace
from lab.virtual_router import Quirk, VirtualMapping, VirtualRouter, free_port
from tests.e2e.clients import Camera, camera
from tests.e2e.forms import to_camera
from tests.e2e.log import LogBook
from tests.e2e.secrecy import Overheard
from tests.e2e.ui import ForwardOnScreen, Ui

HERE = Path(__file__).parent
VERSIONS = ("2026.10", "2026.11")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all on the loop of the session, on which Home Assistant's connection lives."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def _let_loopback_through() -> None:
    """Undo what Home Assistant's test harness does to sockets before each test."""
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.0/8"], allow_unix_socket=True)


# Of that harness, which is for a Home Assistant in this process, nothing else is needed either.
@pytest.fixture(autouse=True)
def verify_cleanup() -> None:
    """Not on the loop of the session, where tasks outlive a test on purpose."""


@pytest.fixture(autouse=True)
def configure_event_loop() -> None:
    """Not for loops that no test runs on."""


@pytest.fixture(autouse=True)
def enable_event_loop_debug() -> None:
    """Not for loops that no test runs on."""


@pytest.fixture(
    scope="session",
    # One worker runs all tests of one version, so that each is started once.
    params=[pytest.param(v, marks=pytest.mark.xdist_group(f"ha-{v}")) for v in VERSIONS],
)
def environment(request: pytest.FixtureRequest) -> Path:
    """The virtual environment of one Home Assistant."""
    path = REPOSITORY / ".dev" / f"ha-{request.param}"
    if not (path / "bin" / "hass").exists():
        pytest.skip(f"no {path.relative_to(REPOSITORY)}: run scripts/setup e2e")
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_ha(
    environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RealHomeAssistant]:
    """The Home Assistant that all tests of a version use, and may restart."""
    async with shared(environment, tmp_path_factory.mktemp("config")) as ha:
        yield ha


@asynccontextmanager
async def shared(
    environment: Path, config: Path, namespace: Namespace | None = None
) -> AsyncIterator[RealHomeAssistant]:
    """Run Home Assistant for several tests, and answer for what it logs before and after."""
    _let_loopback_through()
    ha = RealHomeAssistant(environment, config, namespace=namespace)
    log = LogBook(ha)
    async with ha:
        await log.check()
        yield ha
        _let_loopback_through()
        log = LogBook(ha)
    log.check_written()


@pytest_asyncio.fixture(loop_scope="session")
async def ha(shared_ha: RealHomeAssistant) -> RealHomeAssistant:
    """A Home Assistant that is running, whatever the last test did to it."""
    _let_loopback_through()
    if not shared_ha.running:
        await shared_ha.start()
    return shared_ha


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def log(ha: RealHomeAssistant) -> AsyncIterator[LogBook]:
    """The log of this test; trouble in it fails the test unless it says that it provokes it."""
    book = LogBook(ha)
    yield book
    await book.check()


@pytest.fixture
def overheard(ha: RealHomeAssistant, log: LogBook, monkeypatch: pytest.MonkeyPatch) -> Overheard:
    """What Home Assistant answers during this test, and all that it has written."""
    return Overheard(ha, log, monkeypatch)


@pytest.fixture
def quirks() -> Collection[Quirk]:
    """The habits of `router`; a test that wants some parametrizes this."""
    return ()


@pytest.fixture
def changes() -> list[str]:
    """What came and went on `router`, such as "opened TCP 8080"."""
    return []


@pytest_asyncio.fixture(loop_scope="session")
async def router(
    log: LogBook, quirks: Collection[Quirk], changes: list[str]
) -> AsyncIterator[VirtualRouter]:
    """A router that has been on for a day."""

    def note(what: str, mapping: VirtualMapping) -> None:
        changes.append(f"{what} {mapping.protocol} {mapping.external_port}")

    async with VirtualRouter(quirks=quirks, on_change=note) as router:
        up_for_a_day(router)
        yield router


def up_for_a_day(router: VirtualRouter) -> None:
    """Let a later restart show: its uptime falls, and not just from 0 to 0 seconds."""
    for wan in router.wans:
        wan._up_since -= 86400


@pytest_asyncio.fixture(loop_scope="session")
async def ui(ha: RealHomeAssistant, router: VirtualRouter) -> AsyncIterator[Ui]:
    """The browser of a user who has no router yet, and will have none after the test."""
    ui = Ui(ha)
    yield ui
    if ha.running:
        for entry in await ui.routers():
            await ui.delete_router(entry["entry_id"])


@pytest_asyncio.fixture(loop_scope="session")
async def inside() -> AsyncIterator[Camera]:
    """A camera in the home."""
    async with camera() as host:
        yield host


@pytest.fixture
def port() -> int:
    """An external port that nothing listens on."""
    return free_port()


@pytest_asyncio.fixture(loop_scope="session")
async def door(ui: Ui, router: VirtualRouter, inside: Camera, port: int) -> ForwardOnScreen:
    """A forward of `port` to the camera's page, added to `router`, not open yet."""
    added = await ui.add_router(router.description_url)
    return await ui.add_forward(added.entry, added.first_forward, **to_camera(port, inside.port))
