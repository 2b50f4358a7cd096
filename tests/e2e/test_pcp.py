"""A VPN provider that forwards a port of its choice through NAT-PMP, for a short time each."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.virtual_router import Pcp, VirtualMapping, VirtualRouter
from lab.virtual_router.pcp import natpmp
from tests.e2e.clients import PAGE, Camera, fetch, is_closed
from tests.e2e.log import LogBook
from tests.e2e.ui import Ui

LEASE = 12
"""Seconds. A minute with ProtonVPN, of which a test has no time to wait for three quarters."""


@pytest_asyncio.fixture(loop_scope="session")
async def router(
    log: LogBook, changes: list[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[VirtualRouter]:
    """The gateway of a tunnel."""

    def note(what: str, mapping: VirtualMapping) -> None:
        changes.append(f"{what} {mapping.external_port}")

    monkeypatch.setattr(natpmp, "PROVIDER_LEASE", LEASE)
    async with VirtualRouter(upnp=False, pcp=Pcp(provider=True), on_change=note) as router:
        yield router


async def test_port_of_the_provider(
    ui: Ui, router: VirtualRouter, changes: list[str], inside: Camera, port: int
) -> None:
    added = await ui.add_router(f"pcp://127.0.0.1:{router.pcp_port}")
    door = await ui.add_forward(
        added.entry,
        added.first_forward,
        name=f"Torrent {port}",
        internal_host="This Home Assistant",
        protocol="tcp",
        internal_ports=str(inside.port),
    )
    sensor = f"sensor.torrent_{port}_external_port"
    await ui.turn_on(door)
    [granted] = [row.external_port for row in router.mappings]
    await ui.ha.wait_for_state(sensor, str(granted))
    assert granted != inside.port
    assert await fetch(granted) == PAGE

    async with await ui.activities() as activities:
        await router.change_external_ports()
        changed = await ui.happens(activities, "external_port_changed")
    [moved] = [row.external_port for row in router.mappings]
    assert moved != granted
    assert changed["external_ports"] == str(moved)
    # It was renewed in time: it would have closed in between otherwise.
    assert router.requests["NAT-PMP MAP TCP"] >= 2
    assert changes == [f"opened {granted}", f"closed {granted}", f"opened {moved}"]
    await ui.ha.wait_for_state(sensor, str(moved))
    assert await fetch(moved) == PAGE

    await ui.turn_off(door)
    assert await is_closed(moved)
    assert router.mappings == ()
