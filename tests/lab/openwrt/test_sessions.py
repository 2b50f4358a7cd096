"""Sessions end, see their own changes only, and one at a time may try them out."""

from datetime import timedelta

from lab.openwrt import LUCI, READ_ONLY, ROOT, OpenWrt

from .browser import Client

DENIED = -32002
RULE = {
    "name": "HA: x",
    "src": "wan",
    "proto": "tcp",
    "src_dport": "1001",
    "dest_ip": "192.168.1.5",
}


async def test_each_access_begins_the_time_of_a_session_anew(wrt: OpenWrt, client: Client) -> None:
    for _ in range(3):
        await wrt.pass_time(timedelta(seconds=299))
        assert await client.uci("changes") == [0, {"changes": []}]
    await wrt.pass_time(timedelta(seconds=301))
    assert await client.uci("changes") == DENIED


async def test_a_new_password_ends_no_session_and_an_empty_one_lets_in_anybody(
    wrt: OpenWrt, client: Client
) -> None:
    wrt.set_password("another")
    assert await client.uci("changes") == [0, {"changes": []}]
    wrt.set_password("")
    assert await client.login(password="whatever")


async def test_rights(wrt: OpenWrt, client: Client) -> None:
    wrt.grant(READ_ONLY)
    await client.login()
    assert await client.uci("get", section="nope") == [0]
    assert await client.uci("set", section="nope", values={"enabled": "1"}) == DENIED
    asked = {"scope": "uci", "object": "firewall", "function": "write"}
    assert await client.call("session", "access", **asked) == [0, {"access": False}]
    wrt.grant(LUCI)
    await client.login()
    await client.uci("add", type="redirect", name="x", values=RULE)
    for method in ("commit", "revert"):
        assert await client.uci(method) == DENIED
    assert await client.call("uci", "rollback") == DENIED
    assert await client.call("session", "destroy") == DENIED
    assert await client.call("uci", "apply", rollback=True, timeout=5) == [0]
    assert await client.call("uci", "confirm") == [0]
    assert wrt.section("x") is not None


async def test_changes_of_two_sessions_are_merged(
    wrt: OpenWrt, client: Client, other: Client
) -> None:
    await client.uci("add", type="redirect", name="a", values=RULE)
    await other.uci("add", type="redirect", name="b", values=RULE)
    assert await other.uci("get", section="a") == [0]
    assert await client.uci("commit") == [0]
    assert await other.call("uci", "apply", rollback=True, timeout=5) == [0]
    assert await other.call("uci", "confirm") == [0]
    assert [section.name for section in wrt.committed] == ["a", "b"]


async def test_what_nobody_confirms_is_rolled_back(wrt: OpenWrt, client: Client) -> None:
    await client.uci("add", type="redirect", name="a", values=RULE)
    assert await client.call("uci", "apply", rollback=True, timeout=6) == [0]
    assert wrt.section("a") is not None
    assert [rule.section for rule in wrt.rules] == ["a"]
    await wrt.pass_time(timedelta(seconds=7))
    assert wrt.section("a") is None
    assert wrt.rules == ()
    # It is in the hands of the session again.
    reply = await client.uci("changes")
    assert isinstance(reply, list)
    assert ["set", "a", "redirect"] in reply[1]["changes"]


async def test_only_its_own_session_confirms(client: Client, other: Client) -> None:
    await client.uci("add", type="redirect", name="a", values=RULE)
    await client.call("uci", "apply", rollback=True, timeout=6)
    assert await other.call("uci", "confirm") == [6]
    await other.uci("add", type="redirect", name="b", values=RULE)
    assert await other.call("uci", "apply", rollback=True, timeout=6) == [6]
    assert await client.call("uci", "confirm") == [0]
    assert await client.call("uci", "confirm") == [5]


async def test_a_login_during_an_apply_gets_its_session(wrt: OpenWrt, client: Client) -> None:
    session = client.session
    await client.uci("add", type="redirect", name="a", values=RULE)
    await client.call("uci", "apply", rollback=True, timeout=6)
    again = await client.login(timeout=1234)
    assert again["ubus_rpc_session"] == session
    assert again["timeout"] == 300
    assert await client.call("uci", "confirm") == [0]
    assert (await client.login())["ubus_rpc_session"] != session


async def test_a_user_of_luci(wrt: OpenWrt) -> None:
    await wrt.luci_edit(nas=RULE)
    assert [section.name for section in wrt.committed] == ["nas"]
    user = wrt.luci()
    await user.call("delete", section="nas")
    assert wrt.section("nas") is not None
    await user.apply(confirm=False)
    assert await wrt.luci().is_refused()
    await wrt.pass_time(timedelta(seconds=91))
    assert wrt.section("nas") is not None


async def test_anonymous_sections_are_named_anew(wrt: OpenWrt, client: Client) -> None:
    await client.add("first", **RULE)
    await client.uci("add", type="redirect", values={**RULE, "name": "anonymous"})
    await client.uci("commit")
    assert [section.name for section in wrt.committed] == ["first", "cfg0f3837"]
    await client.uci("delete", section="first")
    await client.uci("commit")
    assert [section.name for section in wrt.committed] == ["cfg0e3837"]


async def test_sections_are_renamed_and_put_first(wrt: OpenWrt, client: Client) -> None:
    await client.add("a", **RULE)
    await client.add("b", **RULE)
    wrt.grant(ROOT)
    await client.login()
    assert await client.uci("rename", section="b", name="c") == [0]
    assert await client.uci("order", sections=["c"]) == [0]
    assert await client.uci("commit") == [0]
    assert [section.name for section in wrt.committed] == ["c", "a"]


async def test_a_reboot_keeps_the_rules_and_ends_the_sessions(wrt: OpenWrt, client: Client) -> None:
    await client.add("a", **RULE)
    port = wrt.port
    await wrt.reboot()
    assert wrt.port == port
    assert await client.uci("changes") == DENIED
    assert [rule.section for rule in wrt.rules] == ["a"]
