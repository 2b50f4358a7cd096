"""The protocol side knows nothing of Home Assistant, and each error names itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from custom_components.port_forward import routers
from custom_components.port_forward.routers import errors
from custom_components.port_forward.routers.errors import NotPermittedError, Refusal, RouterError
from custom_components.port_forward.routers.registry import DRIVERS
from custom_components.port_forward.routers.router import Router
from tests.capability_table import SETTINGS

ROOM = Path(routers.__file__).parent
ALLOWED = {"aiohttp", "defusedxml"}


def _imports() -> Iterator[tuple[str, int, str]]:
    """File, dots and module of every import of the room."""
    for path in ROOM.rglob("*.py"):
        depth = len(path.relative_to(ROOM).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((str(path), 0, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= depth, f"{path} reaches out of the room"
                yield str(path), node.level, node.module or ""


def test_nothing_but_the_standard_library_and_two_more_is_imported() -> None:
    import sys  # noqa: PLC0415

    outside = {
        module.partition(".")[0] for _, dots, module in _imports() if not dots
    } - sys.stdlib_module_names
    assert outside == ALLOWED


async def test_drivers_keep_the_contract(session: aiohttp.ClientSession) -> None:
    for name, driver in DRIVERS.items():
        settings = {**SETTINGS, "url": "pcp://192.0.2.1"} if name == "pcp" else SETTINGS
        assert isinstance(driver(session, settings, learned={}), Router)


def _leaves(error: type[RouterError]) -> Iterator[type[RouterError]]:
    yield error
    for kind in error.__subclasses__():
        yield from _leaves(kind)


def test_every_error_of_the_tree_has_its_own_key() -> None:
    public = [kind for kind in _leaves(RouterError) if kind.__module__ == errors.__name__]
    keys = [kind.translation_key for kind in public if kind is not NotPermittedError]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("reason", Refusal)
def test_every_refusal_has_its_own_message(reason: Refusal) -> None:
    error = NotPermittedError(reason, port="80", host="192.0.2.5")
    assert error.translation_key == f"not_permitted_{reason.value}"
    assert str(error) == f"not_permitted_{reason.value}: port=80, host=192.0.2.5"
    assert error.left == ()


def test_an_error_without_placeholders() -> None:
    assert str(RouterError()) == "router_error"
