"""Q51: a router whose UDN is another one after a restart, and one that took its place."""

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from custom_components.port_forward.routers import ipv4
from custom_components.port_forward.routers.errors import (
    UnconfirmedRouterError,
    UnsupportedError,
)
from custom_components.port_forward.routers.upnp import UpnpRouter
from lab.virtual_router import Quirk, VirtualRouter, Wan

from ..forwards import forward
from .home import CALLER, HOUR, home_with, row_of

OURS, THEIRS, REPEATER = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:09"
TWO_ALIKE = (Wan(), Wan(external_address="198.51.100.7"))


@pytest.fixture
def arp_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's table of neighbours, without one."""
    path = tmp_path / "arp"
    monkeypatch.setattr(ipv4, "ARP_TABLE", path)
    write(path, {})
    return path


def write(path: Path, neighbours: dict[str, str]) -> None:
    rows = [f"{host} 0x1 0x2 {mac} * eth0\n" for host, mac in neighbours.items()]
    incomplete = "127.0.0.250 0x1 0x0 00:00:00:00:00:00 * eth0\n"
    path.write_text("".join(["the header\n", *rows, incomplete]))


async def driver_of(
    session: aiohttp.ClientSession,
    router: VirtualRouter,
    *,
    wan: int = 0,
    old: UpnpRouter | None = None,
) -> UpnpRouter:
    """The driver of an entry for a WAN of the router, or that entry's after a restart."""
    if old:
        return UpnpRouter(
            session, router.description_url, wan=old._wan_id, learned=dict(old.learned)
        )
    found = UpnpRouter(session, router.description_url)
    await found.connect()
    wanted = found.learned["wans"].split("\n")[wan]
    driver = UpnpRouter(session, router.description_url, wan=wanted)
    await driver.connect()
    return driver


@pytest.mark.parametrize("wan", [0, 1])
@pytest.mark.parametrize("change_port", [False, True])
@pytest.mark.usefixtures("arp_table")
async def test_another_udn_at_each_restart(
    session: aiohttp.ClientSession,
    wan: int,
    change_port: bool,  # noqa: FBT001
) -> None:
    async with home_with(session, Quirk.Q51, wans=TWO_ALIKE) as home:
        driver = await driver_of(session, home.router, wan=wan)
        wanted = forward()
        (granted,) = await driver.open(wanted, HOUR)
        assert home.rows(wan) == {row_of(wanted)}
        for _ in range(2):
            await home.router.restart(forget=False, change_port=change_port)
            driver = await driver_of(session, home.router, old=driver)
            assert (await driver.connect()).unique_id == home.router.udn
        assert granted.key in {row.key for row in (await driver.snapshot()).mappings}
        await driver.open(wanted, HOUR, ours=[granted])
        await driver.close(granted)
        assert home.rows(wan) == set()


@pytest.mark.usefixtures("arp_table")
async def test_another_udn_while_it_is_connected(session: aiohttp.ClientSession) -> None:
    """The control port of Q35 moves, so that the description is read once more."""
    async with home_with(session, Quirk.Q51, Quirk.Q35, wans=TWO_ALIKE) as home:
        driver = await driver_of(session, home.router, wan=1)
        wanted = forward()
        (granted,) = await driver.open(wanted, HOUR)
        await home.router.restart(forget=False, change_port=False)
        assert granted.key in {row.key for row in (await driver.snapshot()).mappings}
        await driver.close(granted)
        assert home.rows(1) == set()
        # What it has learned is good for the entry that still has the first id.
        await home.router.restart(change_port=False)
        again = await driver_of(session, home.router, old=driver)
        await again.open(wanted, HOUR)
        assert home.rows(1) == {row_of(wanted)}


@pytest.mark.parametrize(
    ("before", "after", "serial", "is_same"),
    [
        (None, None, "00000001", True),
        (None, None, "00000002", False),
        (OURS, None, "00000001", True),
        (OURS, OURS, "00000002", True),
        (OURS, THEIRS, "00000001", False),
    ],
)
async def test_which_router_is_the_same(
    session: aiohttp.ClientSession,
    arp_table: Path,
    before: str | None,
    after: str | None,
    serial: str,
    is_same: bool,  # noqa: FBT001
) -> None:
    write(arp_table, {CALLER: before} if before else {})
    async with home_with(session) as home:
        old = await driver_of(session, home.router)
    write(arp_table, {CALLER: after} if after else {})
    async with VirtualRouter(serial_number=serial, port=home.router.port) as router:
        driver = await driver_of(session, router, old=old)
        if is_same:
            await driver.connect()
        else:
            with pytest.raises(UnconfirmedRouterError):
                await driver.connect()


async def test_mac_of_a_repeater_proves_nothing(
    session: aiohttp.ClientSession, arp_table: Path
) -> None:
    write(arp_table, {CALLER: REPEATER, "127.0.0.9": REPEATER})
    async with home_with(session) as home:
        old = await driver_of(session, home.router)
    async with VirtualRouter(serial_number="2", port=home.router.port) as router:
        with pytest.raises(UnconfirmedRouterError):
            await (await driver_of(session, router, old=old)).connect()


@pytest.mark.usefixtures("arp_table")
async def test_nothing_is_known_of_it(session: aiohttp.ClientSession) -> None:
    """An earlier version has learned nothing that a router is known by."""
    async with home_with(session, Quirk.Q51) as home:
        old = await driver_of(session, home.router)
        await home.router.restart(change_port=False)
        driver = UpnpRouter(session, home.router.description_url, wan=old._wan_id)
        with pytest.raises(UnconfirmedRouterError):
            await driver.connect()


@pytest.mark.usefixtures("arp_table")
class TestUnconfirmed:
    """What is done on a router that may be another one."""

    async def test_nothing_is_opened(self, session: aiohttp.ClientSession) -> None:
        async with home_with(session) as home:
            old = await driver_of(session, home.router)
        async with VirtualRouter(serial_number="2", port=home.router.port) as router:
            driver = await driver_of(session, router, old=old)
            with pytest.raises(UnconfirmedRouterError):
                await driver.open(forward(), HOUR)
            with pytest.raises(UnconfirmedRouterError):
                await driver.snapshot()
            assert not router.mappings

    @pytest.mark.parametrize(
        ("description", "target", "closes"),
        [
            ("Camera [ha-pf:camera1]", CALLER, True),
            ("cut by an update [ha-pf:camera1]", CALLER, True),
            ("", CALLER, True),
            ("somebody", CALLER, False),
            ("Games [ha-pf:games1]", CALLER, False),
            ("Camera [ha-pf:camera1]", "127.0.0.9", False),
        ],
    )
    @pytest.mark.parametrize("kept", [False, True])
    async def test_what_is_ours_is_closed(
        self,
        session: aiohttp.ClientSession,
        description: str,
        target: str,
        closes: bool,  # noqa: FBT001
        kept: bool,  # noqa: FBT001
    ) -> None:
        async with home_with(session, wans=TWO_ALIKE) as home:
            old = await driver_of(session, home.router, wan=1)
            wanted = forward()
            (granted,) = await old.open(wanted, HOUR)
        async with VirtualRouter(
            serial_number="2", port=home.router.port, wans=TWO_ALIKE
        ) as router:
            await router.add_foreign(
                protocol="TCP",
                external_port=wanted.external_ports.first,
                internal_host=target,
                internal_port=wanted.internal_ports.first,
                description=description,
                wan=1,
            )
            driver = await driver_of(session, router, old=old)
            if kept:  # As the ledger does, which keeps no description.
                granted = replace(granted, description="")
            if closes or (kept and "Games" in description):
                await driver.close(granted)
                closes = True
            else:
                with pytest.raises(UnconfirmedRouterError):
                    await driver.close(granted)
            assert len(router.wans[1].mappings) == (not closes)

    async def test_nothing_there_proves_nothing(self, session: aiohttp.ClientSession) -> None:
        async with home_with(session) as home:
            old = await driver_of(session, home.router)
            (granted,) = await old.open(forward(), HOUR)
        async with VirtualRouter(serial_number="2", port=home.router.port) as router:
            with pytest.raises(UnconfirmedRouterError):
                await (await driver_of(session, router, old=old)).close(granted)


@pytest.mark.usefixtures("arp_table")
async def test_connection_that_is_made_in_another_way(session: aiohttp.ClientSession) -> None:
    """The provider's only connection was PPP, and is IP now: the router's table is the same."""
    async with home_with(session, wans=(Wan(kind="ppp"),)) as home:
        old = await driver_of(session, home.router)
    async with VirtualRouter(port=home.router.port) as router:
        driver = await driver_of(session, router, old=old)
        await driver.connect()
        await driver.open(forward(), HOUR)
        assert len(router.mappings) == 1


@pytest.mark.usefixtures("arp_table")
async def test_one_of_two_connections_that_cannot_be_told_apart(
    session: aiohttp.ClientSession,
) -> None:
    async with home_with(session, wans=TWO_ALIKE) as home:
        old = await driver_of(session, home.router, wan=1)
    async with VirtualRouter(port=home.router.port) as router:
        with pytest.raises(UnsupportedError, match="WAN connection is gone"):
            await (await driver_of(session, router, old=old)).connect()
