"""The rules do with packets what fw4's do, seen with real traffic."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lab.openwrt import ROOT, Clock, OpenWrt
from lab.openwrt.accounts import CONNTRACK, NFT
from lab.virtual_router import free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from .browser import Client


def redirect(port: int | str, inside: int | str | None, **more: object) -> dict[str, object]:
    values: dict[str, object] = {
        "name": "HA: x",
        "src": "wan",
        "dest": "lan",
        "proto": ["tcp"],
        "src_dport": str(port),
        "dest_ip": "127.0.0.1",
    }
    if inside is not None:
        values["dest_port"] = str(inside)
    return {key: value for key, value in (values | more).items() if value is not None}


async def nft(client: Client) -> list[dict[str, object]]:
    """The rules as nft lists them."""
    command, *params = NFT.split()
    reply = await client.call("file", "exec", command=command, params=params)
    assert isinstance(reply, list)
    assert reply[0] == 0
    items = json.loads(reply[1]["stdout"])["nftables"]
    return [item["rule"] for item in items if "rule" in item]


async def test_a_redirect_relays_and_counts(client: Client, inside: Inside) -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")
    await client.add("a", **redirect(port, inside.port))
    assert await talk(port, b"hello") == b"HELLO"
    assert await talk(port, b"again") == b"AGAIN"
    rule = (await nft(client))[-1]
    assert rule["chain"] == "dstnat_wan"
    assert rule["comment"] == "!fw4: HA: x"
    assert rule["expr"] == [
        {"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "ipv4"}},
        {
            "match": {
                "op": "==",
                "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                "right": port,
            }
        },
        {"counter": {"packets": 2, "bytes": 120}},
        {"dnat": {"family": "ip", "addr": "127.0.0.1", "port": inside.port}},
    ]
    await client.uci("set", section="a", values={"enabled": "0"})
    await client.uci("commit")
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")


async def test_only_the_allowed_network_gets_through(client: Client, inside: Inside) -> None:
    port = free_port()
    await client.add("a", **redirect(port, inside.port, src_ip="127.0.0.2/31"))
    assert await talk(port, b"hello", source="127.0.0.3") == b"HELLO"
    with pytest.raises(ConnectionResetError):
        await talk(port, b"hello", source="127.0.0.1")


async def test_connections_outlive_their_rule(client: Client, inside: Inside) -> None:
    port = free_port()
    await client.add("a", **redirect(port, inside.port))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"HELLO"
    command, *params = CONNTRACK.split()
    table = await client.call("file", "exec", command=command, params=params)
    assert isinstance(table, list)
    assert f"sport={writer.get_extra_info('sockname')[1]} dport={port}" in table[1]["stdout"]
    await client.uci("delete", section="a")
    await client.uci("commit")
    writer.write(b"still")
    assert await reader.readexactly(5) == b"STILL"
    with pytest.raises((ConnectionResetError, ConnectionRefusedError)):
        await talk(port, b"hello")
    writer.close()


async def test_of_a_table_rpcd_reads_no_more_than_a_page(client: Client) -> None:
    client.router.grant(ROOT)
    await client.login()
    client.router.device.noise = ("ipv4 " + "x" * 94 + "\n",) * 50
    table = await client.call("file", "read", path="/proc/net/nf_conntrack")
    assert isinstance(table, list)
    assert len(table[1]["data"]) == 4096


async def test_a_range_is_kept_port_by_port_only_to_itself(client: Client, inside: Inside) -> None:
    await client.add("a", **redirect("32400-32410", None))
    assert client.router.rules[0].internal_port(32405) == 32405
    await client.uci("set", section="a", values={"dest_port": "32400-32410"})
    await client.uci("commit")
    assert client.router.rules[0].internal_port(32405) == 32405
    await client.uci("set", section="a", values={"dest_port": "41000-41010"})
    await client.uci("commit")
    assert client.router.rules[0].internal_port(32405) == 41000


@pytest.mark.parametrize(
    "wrong",
    [
        {"dest_ip": "not-an-ip"},
        {"src_dport": "70000"},
        {"src_dport": "80,443"},
        {"src_dport": "80 443"},
        {"src_ip": ["203.0.113.50", "203.0.113.51"]},
        {"src_ip": "203.0.113.50 203.0.113.51"},
        {"stop_date": "2026-11-22 12:00:00"},
        {"stop_date": "2026-11-22T12:00:00Z"},
        {"src": "nozone"},
    ],
)
async def test_a_section_with_a_wrong_value_is_skipped_in_silence(
    wrt: OpenWrt, client: Client, wrong: dict[str, object]
) -> None:
    await client.add("a", **redirect(32400, 32400))
    assert [rule.section for rule in wrt.rules] == ["a"]
    assert await client.uci("set", section="a", values=wrong) == [0]
    assert await client.uci("commit") == [0]
    assert not wrt.rules


@pytest.mark.parametrize(
    ("right", "rules"),
    [
        ({"src_dport": "80-90"}, [("tcp", (80, 90))]),
        ({"src_dport": "80:90"}, [("tcp", (80, 90))]),
        ({"proto": "tcpudp"}, [("tcp", (32400, 32400)), ("udp", (32400, 32400))]),
        ({"proto": "tcp udp"}, [("tcp", (32400, 32400)), ("udp", (32400, 32400))]),
        ({"proto": ["tcp", "udp"]}, [("tcp", (32400, 32400)), ("udp", (32400, 32400))]),
        ({"src_dport": None}, [("tcp", None)]),
        ({"proto": "all"}, [("tcp", None), ("udp", None), ("icmp", None)]),
    ],
)
async def test_what_a_section_becomes(
    wrt: OpenWrt, client: Client, right: dict[str, object], rules: list[object]
) -> None:
    await client.add("a", **redirect(32400, 32400, **right))
    assert [(rule.protocol, rule.ports) for rule in wrt.rules] == rules


async def test_the_kernel_ends_a_rule_at_its_stop_date_in_local_time(
    inside: Inside,
) -> None:
    zone = ZoneInfo("Asia/Kathmandu")
    async with OpenWrt(clock=Clock(zone)) as wrt:
        port = free_port()
        until = (datetime.now(UTC) + timedelta(seconds=90)).astimezone(zone)
        stop_date = until.strftime("%Y-%m-%dT%H:%M:%S")
        await wrt.luci_edit(a=redirect(port, inside.port, stop_date=stop_date))
        assert await talk(port, b"hello") == b"HELLO"
        await wrt.pass_time(timedelta(seconds=92))
        assert [rule.section for rule in wrt.rules] == ["a"]
        with pytest.raises(ConnectionResetError):
            await talk(port, b"hello")


async def test_what_nft_takes_a_local_time_for() -> None:
    """As nft 1.0.6 did, with the clocks of Central Europe going back at 01:00 UTC."""
    clock = Clock(ZoneInfo("Europe/Berlin"))
    for local, utc in (
        ("2026-10-25T00:30:00", "2026-10-24T22:30:00"),
        ("2026-10-25T01:30:00", "2026-10-25T00:30:00"),
        ("2026-10-25T02:30:00", "2026-10-25T01:30:00"),
        ("2027-03-28T01:30:00", "2027-03-27T23:30:00"),
        ("2027-03-28T02:30:00", "2027-03-28T00:30:00"),
        ("2027-07-01T12:00:00", "2027-07-01T10:00:00"),
    ):
        meant = clock.meant_by(datetime.fromisoformat(local))
        assert meant == datetime.fromisoformat(utc).replace(tzinfo=UTC)


async def test_ipv6_rules_open_a_host(wrt: OpenWrt, client: Client) -> None:
    values = {
        "name": "HA: v6",
        "src": "wan",
        "dest": "lan",
        "family": "ipv6",
        "proto": ["tcp"],
        "dest_ip": "2001:db8::10",
        "dest_port": "443",
        "src_ip": "2001:db8:ffff::/48",
        "target": "ACCEPT",
    }
    await client.uci("add", type="rule", name="v6", values=values)
    await client.uci("commit")
    opens = wrt.firewall.opens
    assert opens("2001:db8::10", "tcp", 443, "2001:db8:ffff::1")
    assert not opens("2001:db8::10", "tcp", 443, "2001:db8:fffe::1")
    assert not opens("2001:db8::10", "udp", 443, "2001:db8:ffff::1")
    assert not opens("2001:db8::11", "tcp", 443, "2001:db8:ffff::1")
    rule = (await nft(client))[-1]
    assert rule["chain"] == "forward_wan"
    expr = rule["expr"]
    assert isinstance(expr, list)
    assert expr[-2:] == [
        {"counter": {"packets": 1, "bytes": 60}},
        {"jump": {"target": "accept_to_lan"}},
    ]


async def test_a_reload_may_take_a_while(inside: Inside) -> None:
    async with OpenWrt(reload_delay=0.05) as wrt:
        port = free_port()
        await wrt.luci_edit(a=redirect(port, inside.port))
        assert wrt.rules == ()
        async with asyncio.timeout(60):
            while not wrt.rules:  # noqa: ASYNC110  the firewall has no event for it
                await asyncio.sleep(0.01)
        assert await talk(port, b"hello") == b"HELLO"
