"""miniupnpc, a client that we did not write, sees the same router."""

import asyncio
from collections.abc import Callable

import aiohttp
import miniupnpc
import pytest

from custom_components.port_forward.routers.upnp import UpnpRouter, survey
from lab.home_assistant import CommandError
from lab.virtual_router import VirtualRouter, free_port, free_range
from tests.e2e.clients import FRIEND, PAGE, Camera, fetch, is_closed
from tests.e2e.log import LogBook
from tests.e2e.ui import ForwardOnScreen, Ui

type Row = tuple[str, int, str, int, str]
"""Protocol, external port, internal host, internal port, allowed source."""


async def ask[T](router: VirtualRouter, question: Callable[[miniupnpc.UPnP], T]) -> T:
    """Let miniupnpc speak to the router, in a thread: it blocks."""

    def blocking() -> T:
        client = miniupnpc.UPnP()
        # Nothing but this router: without a URL it would search the network.
        client.selectigd(router.description_url)
        return question(client)

    return await asyncio.to_thread(blocking)


def list_rows(client: miniupnpc.UPnP) -> set[Row]:
    rows: set[Row] = set()
    while row := client.getgenericportmapping(len(rows)):
        external_port, protocol, (host, internal_port), _, _, source, _ = row
        rows.add((protocol, external_port, host, internal_port, source))
    return rows


async def our_rows(router: VirtualRouter) -> set[Row]:
    """What our own driver reads from the router."""
    async with aiohttp.ClientSession() as session:
        [found] = await survey(session, router.description_url)
        driver = UpnpRouter(session, router.description_url, wan=found.wan.id)
        await driver.connect()
        snapshot = await driver.snapshot()
    rows: set[Row] = set()
    for mapping in snapshot.mappings:
        [protocol] = mapping.protocols
        assert mapping.internal_ports
        rows.add(
            (
                protocol.upper(),
                mapping.external_ports.first,
                mapping.internal_host,
                mapping.internal_ports.first,
                mapping.allowed_source,
            )
        )
    return rows


async def test_lists_what_is_open(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, inside: Camera, port: int
) -> None:
    first, source_port, foreign = free_range(3), free_port(), free_port()
    games = await ui.add_forward(
        door.entry,
        name="Games & more",
        internal_host="127.0.0.1",
        protocol="both",
        internal_ports="8000-8002",
        external_ports=f"{first}-{first + 2}",
    )
    friend = await ui.add_forward(
        door.entry,
        name="Café",
        internal_host="127.0.0.5",
        protocol="udp",
        internal_ports="53",
        external_ports=str(source_port),
        allowed_source=FRIEND,
    )
    assert await ask(
        router,
        lambda client: client.addportmapping(foreign, "TCP", "127.0.0.9", 80, "Xbox", "", 0),
    )
    for forward in (door, games, friend):
        await ui.turn_on(forward)

    expected = {
        ("TCP", port, "127.0.0.1", inside.port, ""),
        *(
            (protocol, first + i, "127.0.0.1", 8000 + i, "")
            for protocol in ("TCP", "UDP")
            for i in range(3)
        ),
        ("UDP", source_port, "127.0.0.5", 53, FRIEND),
        ("TCP", foreign, "127.0.0.9", 80, ""),
    }
    assert await ask(router, list_rows) == expected
    assert await our_rows(router) == expected
    assert await ui.sensor(door.entry, "open_forwards") == "3"

    for forward in (door, games, friend):
        await ui.turn_off(forward)
    left = {("TCP", foreign, "127.0.0.9", 80, "")}
    assert await ask(router, list_rows) == await our_rows(router) == left


async def test_its_mapping_in_the_way_is_seen(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, port: int, log: LogBook
) -> None:
    log.provoke("Error during service call to switch.turn_on", because="the port is taken")
    await ask(
        router, lambda client: client.addportmapping(port, "TCP", "127.0.0.9", 80, "Xbox", "", 0)
    )
    with pytest.raises(CommandError, match=r"127\.0\.0\.9:80 \(Xbox\)"):
        await ui.turn_on(door)
    assert not await ui.is_on(door)

    assert await ask(router, lambda client: client.deleteportmapping(port, "TCP"))
    await ui.turn_on(door)
    assert await fetch(port) == PAGE


async def test_what_it_opens_and_closes_shows(
    ui: Ui, router: VirtualRouter, door: ForwardOnScreen, inside: Camera, port: int
) -> None:
    await ask(
        router,
        lambda client: client.addportmapping(port, "TCP", "127.0.0.1", inside.port, "?", "", 0),
    )
    await ui.refresh(door)
    assert await ui.is_on(door)
    await ui.turn_off(door)
    assert await is_closed(port)

    await ui.turn_on(door)
    assert await ask(router, lambda client: client.deleteportmapping(port, "TCP"))
    await ui.reload(door.entry)
    await ui.ha.wait_for_state(door.switch, "off")
