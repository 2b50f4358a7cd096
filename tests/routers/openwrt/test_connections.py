"""The connections of the moment, as the kernel lists them."""

import aiohttp
import pytest

from custom_components.port_forward.routers.errors import (
    MissingRightsError,
    ProtocolError,
    RouterTimeoutError,
)
from custom_components.port_forward.routers.model import Connection, Protocol
from custom_components.port_forward.routers.openwrt.connections import read_connections
from lab.openwrt import LUCI
from lab.outbound import Passing

from .home import Home, home_with

CONSOLE = ("192.168.1.50", 3074)
SERVER = ("198.51.100.20", 3074)
# Of OpenWrt 24.10 with flow offloading, with accounting, and of an address of IPv6.
OFFLOADED = (
    "ipv4     2 udp      17 src=192.168.1.50 dst=198.51.100.20 sport=3074 dport=3074 packets=9"
    " bytes=900 src=198.51.100.20 dst=203.0.113.7 sport=3074 dport=3074 packets=9 bytes=900"
    " [OFFLOAD] mark=0 zone=0 use=3\n"
)
OTHERS = (
    (
        "ipv4     2 icmp     1 29 src=192.168.1.50 dst=198.51.100.20 type=8 code=0 id=1 packets=1"
        " bytes=84 src=198.51.100.20 dst=203.0.113.7 type=0 code=0 id=1 packets=1 bytes=84 mark=0"
        " zone=0 use=2\n"
    ),
    (
        "ipv6     10 tcp      6 99 ESTABLISHED src=2001:db8::5 dst=2001:db8::7 sport=1 dport=3074"
        " src=2001:db8::7 dst=2001:db8::5 sport=3074 dport=1 [ASSURED] mark=0 zone=0 use=2\n"
    ),
    (
        "ipv4     2 tcp      6 431999 ESTABLISHED src=192.168.1.50 dst=198.51.100.20 sport=70000"
        " dport=3074 src=198.51.100.20 dst=203.0.113.7 sport=3074 dport=1 mark=0 zone=0 use=2\n"
    ),
)


def passing(protocol: str = "tcp", state: str = "ESTABLISHED", *, answered: bool = True) -> Passing:
    return Passing(
        protocol=protocol, source=CONSOLE, destination=SERVER, state=state, answered=answered
    )


async def shown(home: Home) -> tuple[Connection, ...]:
    return await home.driver.connections()


async def test_what_is_shown(home: Home) -> None:
    home.router.outbound.added.append(passing("udp", answered=False))
    [connection] = await shown(home)
    assert (str(connection.source), connection.source_port) == CONSOLE
    assert (str(connection.destination), connection.destination_port) == SERVER
    assert (str(connection.target), connection.target_port) == SERVER
    assert connection.protocol is Protocol.UDP
    assert not connection.answered
    assert home.router.calls == {"file exec": 1}


@pytest.mark.parametrize("state", ["TIME_WAIT", "CLOSE", "LAST_ACK"])
async def test_what_is_over_is_not_shown(home: Home, state: str) -> None:
    home.router.outbound.added += [passing(state=state), passing(state="FIN_WAIT")]
    assert len(await shown(home)) == 1


async def test_lines_that_say_nothing_hide_no_others(home: Home) -> None:
    home.router.device.noise = (*OTHERS, OFFLOADED, "ipv4 " * 5000 + "\n", "\n")
    home.router.outbound.added.append(passing())
    assert [c.protocol for c in await shown(home)] == [Protocol.UDP, Protocol.TCP]


async def test_more_than_a_page_is_read(home: Home) -> None:
    """`file read` would give the first 4 KiB of it, and say nothing."""
    home.router.outbound.added += [passing()] * 500
    assert len(await shown(home)) == 500


async def test_a_thousand_are_enough(home: Home) -> None:
    home.router.outbound.added += [passing()] * 30_000
    assert len(await shown(home)) == 1000


def test_of_more_than_was_asked_for_no_more_is_read() -> None:
    assert len(list(read_connections(OFFLOADED * 3000))) == 1000


async def test_a_router_without_a_table(home: Home) -> None:
    home.router.device.has_conntrack = False
    with pytest.raises(ProtocolError):
        await shown(home)


async def test_more_than_rpcd_can_give(home: Home) -> None:
    home.router.device.noise = ("ipv4 " + "x" * 400 + "\n",) * 1000
    with pytest.raises(RouterTimeoutError):
        await shown(home)


async def test_without_the_right_nothing_is_asked(session: aiohttp.ClientSession) -> None:
    async with home_with(session, rights=LUCI) as home:
        assert home.driver.capabilities.connection_table is False
        with pytest.raises(MissingRightsError, match="nf_conntrack"):
            await shown(home)
        assert not home.router.calls
        assert home.another_driver().capabilities.connection_table is None
        learned = home.driver.learned
        assert home.another_driver(learned=learned).capabilities.connection_table is False
