"""What keeps a port from being opened, and what the user reads then."""

import pytest

from lab.home_assistant import CommandError
from lab.virtual_router import Fault, Quirk, VirtualRouter, free_range
from tests.e2e.clients import Camera, is_closed
from tests.e2e.log import LogBook
from tests.e2e.ui import ForwardOnScreen, Ui

FAILED = r"Error during service call to switch.turn_on: "


async def test_held_by_somebody_else(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, port: int, log: LogBook
) -> None:
    log.provoke(FAILED, because="the port is taken")
    await router.add_foreign(
        protocol="TCP",
        external_port=port,
        internal_host="127.0.0.9",
        internal_port=3074,
        description="Xbox",
    )
    before = router.mappings
    with pytest.raises(CommandError) as error:
        await ui.turn_on(door)
    assert error.value.translation_key == "port_conflict"
    assert "127.0.0.9:3074 (Xbox)" in error.value.message
    assert str(port) in error.value.message
    assert not await ui.is_on(door)
    assert router.mappings == before

    await router.remove("TCP", port)
    await ui.turn_on(door)
    assert await ui.is_on(door)


async def test_all_of_a_range_or_nothing(
    ui: Ui, router: VirtualRouter, inside: Camera, log: LogBook
) -> None:
    log.provoke(FAILED, because="the last port of the range is taken")
    first = free_range(3)
    added = await ui.add_router(router.description_url)
    games = await ui.add_forward(
        added.entry,
        name="Games",
        internal_host="127.0.0.1",
        protocol="both",
        internal_ports=f"{inside.port - 2}-{inside.port}",
        external_ports=f"{first}-{first + 2}",
    )
    await router.add_foreign(
        protocol="UDP", external_port=first + 2, internal_host="127.0.0.9", internal_port=1
    )
    before = router.mappings
    with pytest.raises(CommandError, match=r"127\.0\.0\.9:1"):
        await ui.turn_on(games)
    assert router.mappings == before
    assert not await ui.is_on(games)


async def test_router_does_not_answer(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, port: int, log: LogBook
) -> None:
    log.provoke(FAILED, because="the router hangs up")
    router.fault(Fault.DROP_BEFORE, times=None)
    with pytest.raises(CommandError) as error:
        await ui.turn_on(door)
    assert error.value.translation_key == "unreachable"
    assert "127.0.0.1" in error.value.message
    assert not await ui.is_on(door)

    router.clear_faults()
    assert await is_closed(port)
    await ui.turn_on(door)
    assert await ui.is_on(door)


@pytest.mark.parametrize(
    ("quirks", "key"),
    [
        pytest.param([Quirk.Q14], "not_permitted_double_nat", id="behind another router"),
        pytest.param([Quirk.Q13_UNTICKED], "not_permitted_refused", id="not permitted"),
        pytest.param([Quirk.Q07], "not_mapped", id="says yes and does nothing"),
    ],
)
async def test_router_will_not(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, port: int, log: LogBook, key: str
) -> None:
    log.provoke(FAILED, because="the router refuses")
    with pytest.raises(CommandError) as error:
        await ui.turn_on(door)
    assert error.value.translation_key == key
    # The text that the user reads, not the key in its place.
    assert key not in error.value.message
    assert "{" not in error.value.message
    assert not await ui.is_on(door)
    assert await is_closed(port)
    assert router.mappings == ()
