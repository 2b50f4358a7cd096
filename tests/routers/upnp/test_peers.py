"""miniupnpc, an independent client, sees what we see."""

import asyncio
from collections.abc import Callable

import aiohttp
import miniupnpc
import pytest

from custom_components.port_forward.routers.model import Protocol

from ..forwards import forward
from .home import CALLER, CAMERA, HOUR, SOURCE, home_with

type Row = tuple[int, str, tuple[str, int], str, str]


def _listed_by_miniupnpc(url: str) -> list[Row]:
    client = _client(url)
    rows: list[Row] = []
    while row := client.getgenericportmapping(len(rows)):
        port, protocol, target, description, _enabled, remote_host, _lease = row
        rows.append((port, protocol, target, description, remote_host))
    return rows


def _client(url: str) -> miniupnpc.UPnP:
    client = miniupnpc.UPnP()
    client.discoverdelay = 1
    client.selectigd(url)
    return client


async def _in_thread[T](function: Callable[..., T], *arguments: object) -> T:
    return await asyncio.to_thread(function, *arguments)


@pytest.mark.parametrize("igd", [1, 2])
async def test_miniupnpc_lists_the_same(session: aiohttp.ClientSession, igd: int) -> None:
    async with home_with(session, igd=igd) as home:
        url = home.router.description_url
        await home.driver.open(forward(protocols=(Protocol.TCP, Protocol.UDP)), HOUR)
        await home.driver.open(forward(forward_id="b", host=CAMERA), HOUR)
        await home.driver.open(forward(forward_id="c", source=SOURCE), HOUR)
        snapshot = await home.driver.snapshot()
        ours = {
            (
                row.external_ports.first,
                row.protocols[0].upper(),
                (row.internal_host, row.internal_ports.first if row.internal_ports else 0),
                row.description,
                row.allowed_source,
            )
            for row in snapshot.mappings
        }
        assert len(ours) == 4
        assert set(await _in_thread(_listed_by_miniupnpc, url)) == ours


@pytest.mark.parametrize("igd", [1, 2])
async def test_what_miniupnpc_adds_is_seen_and_what_we_close_is_gone_for_it(
    session: aiohttp.ClientSession, igd: int
) -> None:
    async with home_with(session, igd=igd) as home:
        url = home.router.description_url
        wanted = forward()
        port = wanted.external_ports.first

        def add() -> bool:
            added: bool = _client(url).addportmapping(port, "TCP", CALLER, port, "Theirs", "", 600)
            return added

        assert await _in_thread(add)
        (planned,) = home.driver.plan(wanted)
        seen = (await home.driver.snapshot()).find(planned)
        assert seen
        assert (seen.target, seen.description) == (planned.target, "Theirs")
        await home.driver.close(seen)
        assert await _in_thread(_listed_by_miniupnpc, url) == []
