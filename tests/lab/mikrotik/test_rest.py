"""The REST API answers as measured: text everywhere, absent fields, codes, errors, policies."""

import aiohttp
import pytest

from lab.mikrotik import ALL, Fault, Habit, MikrotikRouter, User

from .client import LIST, NAT, Client, client_of

RULE = {
    "chain": "dstnat",
    "action": "dst-nat",
    "protocol": "tcp",
    "dst-port": "32400",
    "to-addresses": "192.168.88.10",
    "in-interface-list": "WAN",
}


async def test_a_rule_comes_changes_and_goes(rest: Client) -> None:
    status, item = await rest.ask("PUT", NAT, {**RULE, "disabled": "false"})
    assert status == 201
    assert item == {
        **RULE,
        ".id": item[".id"],
        "bytes": "0",
        "disabled": "false",
        "dynamic": "false",
        "invalid": "false",
        "packets": "0",
    }
    path = f"{NAT}/{item['.id']}"
    assert item[".id"].startswith("*")
    status, changed = await rest.ask("PATCH", path, {"disabled": "true", "dst-port": "80-90"})
    assert (status, changed) == (200, {**item, "disabled": "true", "dst-port": "80-90"})
    assert await rest.ask("DELETE", path) == (204, None)
    gone = {"error": 404, "message": "Not Found"}
    for method in ("DELETE", "GET"):
        assert await rest.ask(method, path) == (404, gone)


async def test_what_was_never_written_is_absent(rest: Client) -> None:
    item = await rest.add(NAT, **{k.replace("-", "_"): v for k, v in RULE.items()})
    assert not {"disabled", "log", "comment", "src-address", "to-ports"} & item.keys()
    _, item = await rest.ask("PATCH", f"{NAT}/{item['.id']}", {"comment": ""})
    assert item["comment"] == ""
    _, item = await rest.ask("PATCH", f"{NAT}/{item['.id']}", {"dst-port": ""})
    assert "dst-port" not in item


async def test_listing_selects_and_shortens(rest: Client) -> None:
    await rest.add(LIST, list="a", address="192.0.2.1", comment="one")
    await rest.add(LIST, list="b", address="192.0.2.1")
    assert await rest.list(f"{LIST}?list=none") == []
    (item,) = await rest.list(f"{LIST}?comment=one&.proplist=list,address")
    assert item.keys() == {".id", "list", "address"}
    for row in await rest.list(NAT):
        assert all(isinstance(value, str) for value in row.values())


async def test_order_is_that_of_evaluation(rest: Client) -> None:
    last = await rest.add(NAT, chain="dstnat", action="passthrough")
    first = await rest.add(NAT, chain="dstnat", action="passthrough", place_before=last[".id"])
    assert "place-before" not in first
    ids = [row[".id"] for row in await rest.list(NAT)]
    assert ids[-2:] == [first[".id"], last[".id"]]
    status, answer = await rest.ask("PUT", NAT, {**RULE, "place-before": "*FF"})
    assert (status, answer["detail"]) == (400, "no such item")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"address": "x"}, "unknown parameter address"),
        ({"dst-port": "70000"}, "value of range out of range (0..65535) (dst-port)"),
        ({"to-addresses": "nowhere"}, "value nowhere is not an address (to-addresses)"),
        ({"in-interface-list": "OUT"}, "input does not match any value of in-interface-list"),
        ({"protocol": ""}, "failure: ports can be specified if proto is tcp or udp"),
        ({"chain": ""}, "failure: chain must be set"),
    ],
)
async def test_invalid_values_are_refused(
    rest: Client, change: dict[str, str], detail: str
) -> None:
    before = await rest.list(NAT)
    assert await rest.ask("PUT", NAT, {**RULE, **change}) == (
        400,
        {"detail": detail, "error": 400, "message": "Bad Request"},
    )
    assert await rest.list(NAT) == before


async def test_unknown_paths(rest: Client, mikrotik: MikrotikRouter) -> None:
    status, answer = await rest.ask("GET", "ip/firewall/nothing")
    assert (status, answer["detail"]) == (400, "no such command or directory (nothing)")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{mikrotik.url}/other") as response,
    ):
        assert response.status == 404
        assert response.content_type == "text/html"


@pytest.mark.parametrize(
    ("user", "method", "status", "detail"),
    [
        (User(password="wrong"), "GET", 401, None),
        (User(name="nobody"), "GET", 401, None),
        (User(policies=ALL - {"rest-api"}), "GET", 401, None),
        (User(policies=ALL - {"api"}), "GET", 500, "std failure: not allowed (9)"),
        (User(policies=ALL - {"read"}), "GET", 500, "not enough permissions (9)"),
        (User(policies=ALL - {"write"}), "PUT", 500, "not enough permissions (9)"),
    ],
)
async def test_who_may_not(user: User, method: str, status: int, detail: str | None) -> None:
    known = User(policies=user.policies)
    async with MikrotikRouter(users=[known]) as router, client_of(router, user) as client:
        answer = await client.ask(method, NAT, RULE if method == "PUT" else None)
        assert answer[0] == status
        assert answer[1].get("detail") == detail
        assert answer[1]["error"] == status
        assert len(router.items()) == 1


async def test_old_versions_have_no_rest() -> None:
    async with (
        MikrotikRouter(version="6.49.17 (long-term)") as router,
        aiohttp.ClientSession() as session,
        session.get(f"{router.url}/rest/system/resource") as response,
    ):
        assert response.status == 404
        assert "<html>" in await response.text()


async def test_single_things_are_objects(rest: Client) -> None:
    _, resource = await rest.ask("GET", "system/resource")
    assert resource["version"] == "7.24 (stable)"
    _, board = await rest.ask("GET", "system/routerboard")
    assert board["serial-number"] == "HGQ09R6RW4E"


async def test_faults_strike_what_they_name(rest: Client, mikrotik: MikrotikRouter) -> None:
    mikrotik.fault(Fault.ERROR_INSIDE, f"GET {NAT}")
    assert (await rest.ask("GET", LIST))[0] == 200
    status, answer = await rest.ask("GET", NAT)
    assert (status, answer["error"]) == (200, 400)
    for fault in (Fault.DROP_AFTER, Fault.DROP_BEFORE):
        mikrotik.fault(fault, f"POST {NAT}/add")
        with pytest.raises(aiohttp.ClientError):
            await rest.ask("POST", f"{NAT}/add", RULE)
    assert len(mikrotik.items()) == 2
    status, answer = await rest.ask("POST", f"{NAT}/add", RULE)
    assert (status, answer) == (200, {"ret": mikrotik.items()[-1][".id"]})


async def test_without_ipv6_its_menus_are_gone(rest: Client, mikrotik: MikrotikRouter) -> None:
    mikrotik.habits.add(Habit.NO_IPV6)
    status, answer = await rest.ask("GET", "ipv6/firewall/filter")
    assert (status, answer["detail"]) == (400, "no such command or directory (filter)")
