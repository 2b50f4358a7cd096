"""What the real API answered (26.1.11 and 26.7.2), request by request, copied by hand."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lab.opnsense import Account, OPNsense

from .client import D_NAT, Client, client_of, rule

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with OPNsense() as firewall, client_of(firewall) as client:
        yield client


@pytest.mark.parametrize("account", [("hQ8fmKcU1vTzq0pR", "wrong"), ("wrong", "wrong"), None])
async def test_bad_key_or_secret(client: Client, account: tuple[str, str] | None) -> None:
    assert await client.ask("GET", f"{D_NAT}/searchRule", account=account) == (
        401,
        {"status": 401, "message": "Authentication Failed"},
    )


async def test_key_without_privilege(client: Client) -> None:
    client.firewall.accounts[0].privileges.clear()
    assert await client.ask("GET", f"{D_NAT}/searchRule") == (
        403,
        {"status": 403, "message": "Forbidden"},
    )


async def test_unknown_endpoint(client: Client) -> None:
    not_found = (404, {"errorMessage": "Endpoint not found"})
    assert await client.ask("GET", f"{D_NAT}/nosuch") == not_found
    assert await client.ask("POST", f"{D_NAT}/savepoint", {}) == not_found


async def test_savepoints_are_gone_since_26_7() -> None:
    async with OPNsense(version="26.1.11") as firewall, client_of(firewall) as client:
        reply = await client.post("savepoint")
        assert (reply["status"], reply["retention"]) == ("ok", "100")


async def test_before_26_1_there_is_none_of_it() -> None:
    async with OPNsense(version="25.7.8") as firewall, client_of(firewall) as client:
        assert await client.ask("GET", f"{D_NAT}/searchRule") == (
            404,
            {"errorMessage": "Endpoint not found"},
        )


async def test_template(client: Client) -> None:
    status, reply = await client.ask("GET", f"{D_NAT}/getRule")
    new = reply["rule"]
    assert status == 200
    assert new["sequence"] == "200"
    assert new["interface"] == {
        "lan": {"value": "LAN", "selected": 0},
        "wan": {"value": "WAN", "selected": 0},
    }
    assert new["ipprotocol"] == {
        "": {"value": "any", "selected": 1},
        "inet": {"value": "IPv4", "selected": 0},
        "inet6": {"value": "IPv6", "selected": 0},
        "inet46": {"value": "IPv4+IPv6", "selected": 0},
    }
    assert len(new["protocol"]) == 52
    assert new["protocol"]["tcp/udp"] == {"value": "TCP/UDP", "selected": 0}
    assert new["source"] == {"network": "", "address": "", "port": "", "not": "0"}
    assert new["category"] == []
    assert new["created"] == {"username": "", "time": "", "description": ""}


def meta(value: str, shown: str | None = None) -> list[dict[str, object]]:
    return [{"value": value, "%value": shown or value, "isAlias": False, "description": ""}]


def lockout(index: int, port: str) -> dict[str, object]:
    return {
        "uuid": f"lockout_{index}",
        "ipprotocol": "",
        "protocol": "tcp",
        "%protocol": "TCP",
        "disabled": "0",
        "nordr": "1",
        "interface": "lan",
        "%interface": "LAN",
        "destination.network": "lanip",
        "destination.port": port,
        "alias_meta_destination.port": meta(port),
        "alias_meta_destination.network": meta("lanip", "LAN address"),
        "descr": "Anti-Lockout Rule",
        "is_automatic": True,
        "sort_order": f"100000.000000{index}",
        "prio_group": "100000",
    }


PLEX: dict[str, Any] = {
    "sequence": "200",
    "disabled": "0",
    "nordr": "0",
    "interface": "wan",
    "%interface": "WAN",
    "ipprotocol": "inet",
    "%ipprotocol": "IPv4",
    "protocol": "tcp",
    "%protocol": "TCP",
    "source.network": "203.0.113.50",
    "source.address": "",
    "source.port": "",
    "source.not": "0",
    "destination.network": "wanip",
    "%destination.network": "WAN address",
    "destination.address": "",
    "destination.port": "32400",
    "destination.not": "0",
    "target": "192.168.1.10",
    "local-port": "32400",
    "poolopts": "",
    "log": "0",
    "category": "",
    "categories": "",
    "descr": "HA: Plex [ha-pf:01H]",
    "tag": "",
    "tagged": "",
    "nosync": "0",
    "natreflection": "disable",
    "%natreflection": "Disable",
    "pass": "pass",
    "%pass": "Pass",
    "associated-rule-id": "",
    "created.username": "ha",
    "created.description": "/api.php made changes",
    "updated.username": "ha",
    "updated.description": "/api.php made changes",
    "category_colors": [],
    "alias_meta_source.network": meta("203.0.113.50"),
    "alias_meta_destination.network": meta("wanip", "WAN address"),
    "alias_meta_destination.port": meta("32400"),
    "alias_meta_target": meta("192.168.1.10"),
    "alias_meta_local-port": meta("32400"),
    "sort_order": "400000.0000200",
    "prio_group": "400000",
}


@pytest.mark.parametrize("action", ["searchRule", "search_rule"])
async def test_search(client: Client, action: str) -> None:
    uuid = await client.add()
    body = {"current": 1, "rowCount": -1, "searchPhrase": "ha-pf"}
    reply = await client.post(action, body)
    times = [reply["rows"][2].pop(f"{key}.time") for key in ("created", "updated")]
    assert all(float(time) > 1e9 for time in times)
    assert reply == {
        "rows": [lockout(1, "443"), lockout(0, "80"), {"uuid": uuid, **PLEX}],
        "rowCount": 1,
        "total": 1,
        "current": 1,
    }


async def test_search_by_get_when_there_is_none(client: Client) -> None:
    assert await client.ask("GET", f"{D_NAT}/searchRule") == (
        200,
        {"rows": [lockout(1, "443"), lockout(0, "80")], "rowCount": 0, "total": 0, "current": 1},
    )


async def test_toggle_is_inverted(client: Client) -> None:
    uuid = await client.add()
    assert await client.post(f"toggleRule/{uuid}") == {"result": "Disabled"}
    assert await client.post(f"toggleRule/{uuid}/1") == {"result": "Disabled"}
    assert await client.post(f"toggleRule/{uuid}/0") == {"result": "Enabled"}
    by_get = await client.ask("GET", f"{D_NAT}/toggleRule/{uuid}/0")
    assert by_get == (200, {"result": "failed"})


async def test_partial_change(client: Client) -> None:
    uuid = await client.add()
    changed = await client.post(f"setRule/{uuid}", {"rule": {"descr": "HA: Plex 2"}})
    assert changed == {"result": "saved"}
    _, reply = await client.ask("GET", f"{D_NAT}/getRule/{uuid}")
    assert reply["rule"]["descr"] == "HA: Plex 2"
    assert reply["rule"]["interface"]["wan"] == {"value": "WAN", "selected": 1}
    assert reply["rule"]["source"]["network"] == "203.0.113.50"


async def test_unknown_rule(client: Client) -> None:
    assert await client.post(f"setRule/{NOBODY}", rule()) == {"result": "failed"}
    assert await client.ask("GET", f"{D_NAT}/getRule/{NOBODY}") == (200, [])
    assert await client.post(f"toggleRule/{NOBODY}") == {"result": "failed"}
    assert await client.post(f"delRule/{NOBODY}") == {"result": "not found"}


async def test_delete(client: Client) -> None:
    uuid = await client.add()
    assert await client.post(f"delRule/{uuid}") == {"result": "deleted"}
    assert await client.post(f"delRule/{uuid}") == {"result": "not found"}


INVALID: list[tuple[dict[str, object], dict[str, str]]] = [
    (
        {"interface": "nope", "destination": {"port": "99999"}, "target": "not an ip"},
        {
            "rule.interface": "Option [nope] not in list.",
            "rule.destination.port": "Please specify a valid port number, well-known name,"
            " alias or range.",
            "rule.target": "not an ip is not a valid source IP address or alias.",
        },
    ),
    (
        {"protocol": "icmp"},
        {
            "rule.destination.port": "Ports are only valid for TCP or UDP type rules.",
            "rule.local-port": "Ports are only valid for TCP or UDP type rules.",
        },
    ),
    (
        {"target": "fd00::10"},
        {"rule.target": "Address type should match selected TCP/IP protocol version."},
    ),
    (
        {"source": {"network": "203.0.113.50,203.0.113.51"}},
        {
            "rule.source.network": "203.0.113.50,203.0.113.51 is not a valid source IP address"
            " or alias."
        },
    ),
    (
        {"source": {"network": "203.0.113.0/24"}, "local_port": "100-110"},
        {"rule.local-port": "Please specify a valid port number or alias."},
    ),
]


@pytest.mark.parametrize(("fields", "messages"), INVALID)
async def test_invalid_values(
    client: Client, fields: dict[str, object], messages: dict[str, str]
) -> None:
    reply = await client.post("addRule", rule(**fields))
    assert reply == {"result": "failed", "validations": messages}


async def test_upper_case_a_range_and_a_duplicate_are_taken(client: Client) -> None:
    await client.add()
    both = {"protocol": "TCP/UDP", "destination": {"port": "8000-8010"}, "local_port": "8000"}
    uuid = await client.add(**both)
    await client.add(protocol="tcp/udp", descr="dup")
    assert client.firewall.table[uuid]["protocol"] == "tcp/udp"
    assert len(client.firewall.table.uuids) == 3


@pytest.mark.parametrize("raw", ["", "{oops"])
async def test_no_body(client: Client, raw: str) -> None:
    assert await client.ask("POST", f"{D_NAT}/addRule", raw=raw) == (
        500,
        {"errorMessage": "Unexpected error, check log for details"},
    )


async def test_read_only_user() -> None:
    account = Account(name="ro", read_only=True)
    async with OPNsense(accounts=[account]) as firewall, client_of(firewall) as client:
        assert await client.ask("POST", f"{D_NAT}/addRule", rule()) == (
            500,
            {
                "errorMessage": "User ro denied for write access (user-config-readonly set)",
                "errorTitle": "General access",
                "errorLevel": "error",
            },
        )


async def test_a_read_only_user_is_denied_only_what_would_be_saved() -> None:
    """As the source has it: the check is where the configuration is saved."""
    account = Account(name="ro", read_only=True)
    async with OPNsense(accounts=[account]) as firewall, client_of(firewall) as client:
        made = firewall.table.add(rule()["rule"], "root")
        assert await client.post(f"delRule/{NOBODY}") == {"result": "not found"}
        invalid = await client.post("addRule", rule(target="not an ip"))
        assert invalid["result"] == "failed"
        for path in ("delRule", "toggleRule"):
            status, _ = await client.ask("POST", f"{D_NAT}/{path}/{made['uuid']}", {})
            assert status == 500
        assert firewall.table[str(made["uuid"])]["disabled"] == "0"


async def test_apply(client: Client) -> None:
    assert await client.post("apply") == {"status": "OK\n\n"}
    assert await client.ask("GET", f"{D_NAT}/apply") == (200, {"status": "error"})
