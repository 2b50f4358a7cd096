"""The connections of the moment, as RouterOS lists them."""

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import ProtocolError
from custom_components.port_forward.routers.model import Protocol
from lab.outbound import Passing

from .home import Home, home_with

TABLE = "GET ip/firewall/connection"
CONSOLE = ("192.168.88.50", 3074)
SERVER = ("198.51.100.20", 3074)


def passing(protocol: str = "tcp", state: str = "ESTABLISHED", *, answered: bool = True) -> Passing:
    return Passing(
        protocol=protocol, source=CONSOLE, destination=SERVER, state=state, answered=answered
    )


async def test_what_is_shown(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        home.router.outbound.added.append(passing("udp", answered=False))
        [connection] = await home.driver.connections()
        assert (str(connection.source), connection.source_port) == CONSOLE
        assert (str(connection.destination), connection.destination_port) == SERVER
        assert (str(connection.target), connection.target_port) == SERVER
        assert connection.protocol is Protocol.UDP
        assert not connection.answered
        assert home.router.requests == {TABLE: 1}


@pytest.mark.parametrize("state", ["TIME_WAIT", "CLOSE", "LAST_ACK"])
async def test_what_is_over_is_not_shown(session: aiohttp.ClientSession, state: str) -> None:
    async with home_with(session) as home:
        home.router.outbound.added += [passing(state=state), passing()]
        assert len(await home.driver.connections()) == 1


async def test_rows_that_say_nothing_hide_no_others(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        home.router.outbound.added += [
            passing("icmp"),
            Passing(protocol="tcp", source=("2001:db8::5", 1), destination=("2001:db8::6", 2)),
            Passing(protocol="tcp", source=("192.168.88.50", 70000), destination=SERVER),
            passing(),
        ]
        assert len(await home.driver.connections()) == 1


async def test_thousands_are_read_and_too_many_are_refused(session: aiohttp.ClientSession) -> None:
    async with home_with(session) as home:
        await _table_of(home, 4000)
        assert len(await home.driver.connections()) == 4000
        await _table_of(home, 20_000)
        with pytest.raises(ProtocolError, match="too long"):
            await home.driver.connections()


async def _table_of(home: Home, length: int) -> None:
    home.router.outbound.added[:] = [passing()] * length
