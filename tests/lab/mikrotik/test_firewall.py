"""The rules really relay, for whom they should, and the address lists run out."""

import asyncio

import pytest

from lab.mikrotik import Habit, MikrotikRouter
from lab.virtual_router import free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from .client import LIST, NAT, Client


async def rule(rest: Client, port: int, inside: Inside, **more: str) -> dict[str, str]:
    return await rest.add(
        NAT,
        chain="dstnat",
        action="dst-nat",
        protocol="tcp",
        dst_port=str(port),
        to_addresses="127.0.0.1",
        to_ports=str(inside.port),
        **more,
    )


async def test_a_rule_relays_and_counts(rest: Client, inside: Inside) -> None:
    port = free_port()
    item = await rule(rest, port, inside, in_interface_list="WAN")
    assert await talk(port, b"hello") == b"HELLO"
    _, shown = await rest.ask("GET", f"{NAT}/{item['.id']}")
    assert shown["packets"] == "1"
    await rest.ask("PATCH", f"{NAT}/{item['.id']}", {"disabled": "true"})
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")


@pytest.mark.parametrize(
    "matcher",
    [
        {"in_interface_list": "LAN"},
        {"in_interface": "bridge"},
        {"dst_address": "192.168.88.1"},
        {"src_address": "192.0.2.0/24"},
        {"src_address_list": "unknown"},
        {"src_address": "!127.0.0.0/8"},
    ],
)
async def test_a_rule_for_others_lets_nobody_in(
    rest: Client, inside: Inside, matcher: dict[str, str]
) -> None:
    port = free_port()
    await rule(rest, port, inside, **matcher)
    with pytest.raises(ConnectionError):
        await talk(port, b"hello")
    assert inside.heard == []


async def test_the_first_rule_that_fits_decides(rest: Client, inside: Inside) -> None:
    port = free_port()
    second = await rule(rest, port, inside)
    await rest.add(
        NAT,
        chain="dstnat",
        action="accept",
        protocol="tcp",
        dst_port=str(port),
        place_before=second[".id"],
    )
    with pytest.raises(ConnectionError):
        await talk(port, b"hello")


async def test_a_list_lets_in_until_its_time_is_up(
    rest: Client, inside: Inside, mikrotik: MikrotikRouter
) -> None:
    port = free_port()
    await rule(rest, port, inside, src_address_list="ha")
    with pytest.raises(ConnectionError):
        await talk(port, b"hello")
    item = await rest.add(LIST, list="ha", address="127.0.0.0/8", timeout="1h")
    assert (item["dynamic"], item["timeout"]) == ("true", "1h")
    assert await talk(port, b"hello") == b"HELLO"
    await mikrotik.advance(3590)
    (item,) = await rest.list(LIST)
    assert item["timeout"] == "10s"
    assert await talk(port, b"hello") == b"HELLO"
    await rest.ask("PATCH", f"{LIST}/{item['.id']}", {"timeout": "20s"})
    await mikrotik.advance(15)
    assert await talk(port, b"hello") == b"HELLO"
    await mikrotik.advance(5)
    assert await rest.list(LIST) == []
    with pytest.raises(ConnectionError):
        await talk(port, b"hello")


async def test_a_list_runs_out_by_itself(rest: Client, mikrotik: MikrotikRouter) -> None:
    await rest.add(LIST, list="ha", address="192.0.2.1", timeout="1s")
    async with asyncio.timeout(60):
        while mikrotik.lists.items:  # noqa: ASYNC110  the router has no event for it
            await asyncio.sleep(0.05)


async def test_connections_outlive_the_rule(rest: Client, inside: Inside) -> None:
    port = free_port()
    item = await rule(rest, port, inside)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"HELLO"
    (flow,) = await rest.list("ip/firewall/connection")
    assert flow["dst-address"] == f"203.0.113.7:{port}"
    assert flow["reply-src-address"] == f"127.0.0.1:{inside.port}"
    await rest.ask("DELETE", f"{NAT}/{item['.id']}")
    writer.write(b"again")
    assert await reader.readexactly(5) == b"AGAIN"
    with pytest.raises(ConnectionError):
        await talk(port, b"hello")
    writer.close()


async def test_a_reboot_forgets_what_is_dynamic(rest: Client, mikrotik: MikrotikRouter) -> None:
    await mikrotik.advance(100)
    await rest.add(LIST, list="ha", address="192.0.2.1", timeout="1h")
    await rest.add(LIST, list="ha", address="192.0.2.2")
    _, resource = await rest.ask("GET", "system/resource")
    assert resource["uptime"] == "1m40s"
    await mikrotik.reboot()
    (kept,) = await rest.list(LIST)
    assert (kept["address"], kept["dynamic"]) == ("192.0.2.2", "false")
    _, resource = await rest.ask("GET", "system/resource")
    assert resource["uptime"] == "0s"


async def test_an_address_is_listed_once(rest: Client) -> None:
    item = await rest.add(LIST, list="ha", address="192.0.2.1/32")
    assert item["address"] == "192.0.2.1"
    status, answer = await rest.ask("PUT", LIST, {"list": "ha", "address": "192.0.2.1"})
    assert (status, answer["detail"]) == (400, "failure: already have such entry")


async def test_what_nobody_has_seen_can_be_either(rest: Client, mikrotik: MikrotikRouter) -> None:
    everybody = {"list": "ha", "address": "0.0.0.0/0", "timeout": "1h"}
    mikrotik.habits.add(Habit.NO_WHOLE)
    assert (await rest.ask("PUT", LIST, everybody))[0] == 400
    mikrotik.habits.clear()
    mikrotik.habits.add(Habit.WHOLE_MANGLED)
    assert (await rest.add(LIST, **everybody))["address"] == "0.0.0.0"  # noqa: S104  nothing is bound
    mikrotik.habits.clear()
    item = await rest.add(LIST, list="ha", address="0.0.0.0/1", timeout="1h")
    path = f"{LIST}/{item['.id']}"
    mikrotik.habits.add(Habit.NO_PATCH)
    assert (await rest.ask("PATCH", path, {"timeout": "2h"}))[0] == 400
    mikrotik.habits.clear()
    mikrotik.habits.add(Habit.PATCH_IGNORED)
    status, item = await rest.ask("PATCH", path, {"timeout": "2h"})
    assert (status, item["timeout"]) == (200, "1h")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_ipv6_is_let_through_before_the_last_drop(
    rest: Client, mikrotik: MikrotikRouter, protocol: str
) -> None:
    host = "2001:db8::10"

    def passes(source: str = "2001:db8:ffff::1") -> bool:
        return mikrotik.lets_through(protocol, source, host, 443)

    accept = {
        "chain": "forward",
        "action": "accept",
        "protocol": protocol,
        "dst_address": host,
        "dst_port": "443",
        "src_address_list": "ha",
    }
    rules = "ipv6/firewall/filter"
    await rest.add(rules, **accept)
    await rest.add("ipv6/firewall/address-list", list="ha", address="2001:db8:ffff::/48")
    assert not passes()
    last = next(row for row in await rest.list(rules) if "everything else" in row["comment"])
    await rest.add(rules, **accept, place_before=last[".id"])
    assert passes()
    assert not passes("2001:db8:aaaa::1")
    assert (await rest.list("ipv6/firewall/address-list"))[0]["address"] == "2001:db8:ffff::/48"
