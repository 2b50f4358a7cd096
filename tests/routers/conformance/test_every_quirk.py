"""A forward's whole life on a router with each habit: it is as promised, or refused and clean."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import RouterError
from custom_components.port_forward.routers.model import Forward, PortMapping
from lab.virtual_router import Quirk

from . import virtual
from .subject import BOTH, HOUR, rows_of
from .virtual import Virtual

OF_PCP = {quirk for quirk in Quirk if quirk == Quirk.Q19_PCP or "Q46" <= quirk < "Q51"}
OF_UPNP = set(Quirk) - OF_PCP

FLAVOURS: dict[str, Callable[..., AbstractAsyncContextManager[Virtual]]] = {
    "igd1": partial(virtual.igd, version=1),
    "igd2": partial(virtual.igd, version=2),
    "pcp": virtual.pcp,
    "natpmp": virtual.natpmp,
}


@pytest.mark.parametrize(
    ("flavour", "quirk"),
    [
        (flavour, quirk)
        for flavour in FLAVOURS
        for quirk in sorted(OF_UPNP if flavour.startswith("igd") else OF_PCP)
    ],
)
async def test_life_of_a_forward(
    session: aiohttp.ClientSession, flavour: str, quirk: Quirk
) -> None:
    async with FLAVOURS[flavour](session, quirks={quirk}) as subject:
        inside = subject.free_port()
        await live(subject, subject.forward(internal=inside, protocols=BOTH))
        source = f"{subject.friend}/32"
        await live(subject, subject.forward(internal=inside, source=source, forward_id="camera2"))


async def live(subject: Virtual, wanted: Forward) -> None:
    before = await subject.rows()
    try:
        opened = await subject.driver.open(wanted, HOUR)
    except RouterError:
        assert await subject.rows() == before
        return
    assert await subject.rows() == before | rows_of(wanted)
    assert await reached_by(subject, wanted) == {
        subject.friend: True,
        subject.stranger: wanted.allowed_source is None,
    }
    assert missing(opened, (await subject.driver.snapshot(opened)).mappings) == []
    opened = await subject.driver.open(wanted, HOUR, ours=opened)
    assert await subject.rows() == before | rows_of(wanted)
    for mapping in opened:
        await subject.driver.close(mapping)
    assert await subject.rows() == before
    shown = (await subject.driver.snapshot(opened)).mappings
    assert missing(opened, shown) == list(opened)


async def reached_by(subject: Virtual, wanted: Forward) -> dict[str, bool]:
    async with subject.answering(wanted.internal_ports.first):
        return {
            source: await subject.is_reached(wanted.external_ports.first, source)
            for source in (subject.friend, subject.stranger)
        }


def missing(wanted: tuple[PortMapping, ...], shown: tuple[PortMapping, ...]) -> list[PortMapping]:
    return [mapping for mapping in wanted if not any(map(mapping.same_rule, shown))]
