"""The controller answers as known: envelope, whole documents, checks, log in, CSRF, lock-out."""

import asyncio

import aiohttp
import pytest

from lab.unifi import Account, ApiKey, Fault, Habit, UnifiController
from lab.unifi.api import FORWARDS

from .client import Client, forward


def error(message: str) -> dict[str, object]:
    return {"meta": {"rc": "error", "msg": message}, "data": []}


async def test_a_forward_comes_changes_and_goes(client: Client) -> None:
    created = await client.create(32400, unknown={"a": 1})
    assert created == {
        **forward(32400, unknown={"a": 1}),
        "_id": created["_id"],
        "site_id": created["site_id"],
    }
    path = f"{FORWARDS}/{created['_id']}"
    assert await client.ask("GET", FORWARDS) == (
        200,
        {"meta": {"rc": "ok"}, "data": [created]},
    )
    without = {key: value for key, value in created.items() if key != "unknown"}
    _, answer = await client.ask("PUT", path, {**without, "enabled": False})
    assert answer["data"] == [{**without, "enabled": False}], "what is not sent is gone"
    assert await client.ask("DELETE", path) == (200, {"meta": {"rc": "ok"}, "data": []})
    for method in ("DELETE", "PUT"):
        assert await client.ask(method, path, created) == (400, error("api.err.IdInvalid"))


async def test_a_change_may_be_answered_with_nothing(
    client: Client, unifi: UnifiController
) -> None:
    created = await client.create(32400)
    unifi.habits.add(Habit.PUT_EMPTY)
    status, answer = await client.ask("PUT", f"{FORWARDS}/{created['_id']}", created)
    assert (status, answer["data"]) == (200, [])


@pytest.mark.parametrize(
    "change",
    [
        {"dst_port": "0"},
        {"dst_port": "70000"},
        {"dst_port": "90-80"},
        {"dst_port": ",".join(map(str, range(1, 17)))},
        {"fwd": "camera"},
        {"fwd": "192.168.1.256"},
        {"proto": "sctp"},
        {"src": "192.168.1.0/33"},
        {"pfwd_interface": "wan10"},
        {"name": ""},
        {"name": "x" * 129},
        {"enabled": "true"},
    ],
)
async def test_invalid_documents(client: Client, change: dict[str, object]) -> None:
    assert await client.ask("POST", FORWARDS, forward(80, **change)) == (
        400,
        error("api.err.InvalidPayload"),
    )


@pytest.mark.parametrize(
    ("other", "overlaps"),
    [
        ({}, True),
        ({"dst_port": "70-90,443"}, True),
        ({"proto": "tcp_udp"}, True),
        ({"proto": "udp"}, False),
        ({"dst_port": "81"}, False),
        ({"pfwd_interface": "wan2"}, False),
        ({"pfwd_interface": "both"}, True),
        ({"src": "192.0.2.1", "src_limiting_enabled": True, "src_limiting_type": "ip"}, True),
    ],
)
async def test_overlaps(
    client: Client, unifi: UnifiController, other: dict[str, object], *, overlaps: bool
) -> None:
    await client.create(80)
    status, answer = await client.ask("POST", FORWARDS, forward(80, **other))
    if overlaps:
        assert (status, answer) == (400, error("api.err.PortForwardOverlaps"))
        unifi.habits.add(Habit.NO_OVERLAP_CHECK)
        status, answer = await client.ask("POST", FORWARDS, forward(80, **other))
    assert status == 200


async def test_strangers_and_readers(client: Client, unifi: UnifiController) -> None:
    client.headers = {}
    assert await client.ask("GET", FORWARDS) == (401, error("api.err.LoginRequired"))
    client.headers = {"X-API-KEY": "wrong"}
    assert await client.ask("GET", FORWARDS) == (401, error("api.err.LoginRequired"))
    unifi.door.keys.append(ApiKey(value="reader", role="readonly"))
    client.headers = {"X-API-KEY": "reader"}
    assert (await client.ask("GET", FORWARDS))[0] == 200
    assert await client.ask("POST", FORWARDS, forward(80)) == (403, error("api.err.NoPermission"))
    assert not unifi.forwards


async def test_log_in_and_its_token(client: Client, unifi: UnifiController) -> None:
    assert (await client.login())[0] == 200
    await client.create(80)
    token = client.headers.pop("x-csrf-token")
    assert (await client.ask("POST", FORWARDS, forward(81)))[0] == 403
    client.headers["x-csrf-token"] = token
    unifi.habits.add(Habit.CSRF_ROTATES)
    await client.create(82)
    renewed = client.answered["x-updated-csrf-token"]
    assert (await client.ask("POST", FORWARDS, forward(83)))[0] == 403
    client.headers["x-csrf-token"] = renewed
    await client.create(83)
    unifi.door.expire_sessions()
    assert await client.ask("GET", FORWARDS) == (401, error("api.err.LoginRequired"))


@pytest.mark.parametrize(("habits", "status"), [((), 403), ((Habit.LOGIN_401,), 401)])
async def test_wrong_passwords_lock_everybody_out(habits: tuple[Habit, ...], status: int) -> None:
    async with (
        UnifiController(habits=habits) as unifi,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        client = Client(session, unifi)
        for _ in range(5):
            answered, answer = await client.login(password="wrong")
            assert answered == status
            assert answer["code"] == "AUTHENTICATION_FAILED_INVALID_CREDENTIALS"
        answered, answer = await client.login()
        assert (answered, answer["code"]) == (429, "AUTHENTICATION_FAILED_LIMIT_REACHED")
        unifi.door.unlock()
        assert (await client.login())[0] == 200


async def test_a_second_factor(client: Client, unifi: UnifiController) -> None:
    unifi.door.accounts.append(Account(name="two", needs_code=True))
    status, answer = await client.login(username="two")
    assert (status, answer["code"]) == (499, "MFA_AUTH_REQUIRED")


async def test_an_old_controller() -> None:
    async with (
        UnifiController(is_os=False) as unifi,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        async with session.get(unifi.url, allow_redirects=False) as response:
            assert response.status == 302
        client = Client(session, unifi)
        assert (await client.login())[0] == 200
        assert "x-csrf-token" not in client.headers
        await client.create(80)
        async with session.get(f"{unifi.url}/proxy/network/api/self/sites") as response:
            assert response.status == 404


async def test_sites_and_lists() -> None:
    async with (
        UnifiController(sites=("default", "cabin"), wans=2) as unifi,
        aiohttp.ClientSession() as session,
    ):
        async with session.get(unifi.url) as response:
            assert response.status == 200
        client = Client(session, unifi)
        async with session.get(f"{client.base}/self/sites", headers=client.headers) as response:
            sites = (await response.json())["data"]
        assert [(site["name"], site["desc"]) for site in sites] == [
            ("default", "Default"),
            ("cabin", "Cabin"),
        ]
        await client.create(80)
        assert (await client.ask("GET", FORWARDS, site="cabin"))[1]["data"] == []
        assert await client.ask("GET", FORWARDS, site="none") == (
            400,
            error("api.err.NoSiteContext"),
        )
        _, answer = await client.ask("GET", "rest/networkconf")
        assert [row.get("wan_networkgroup") for row in answer["data"]] == ["WAN", "WAN2", None]
        _, answer = await client.ask("GET", "stat/health")
        assert answer["data"][0]["wan_ip"] == "203.0.113.7"


async def test_faults(client: Client, unifi: UnifiController) -> None:
    unifi.fault(Fault.ERROR_INSIDE, f"GET {FORWARDS}")
    assert await client.ask("GET", FORWARDS) == (200, error("api.err.ServerBusy"))
    unifi.fault(Fault.DROP_AFTER, f"POST {FORWARDS}")
    with pytest.raises(aiohttp.ClientError):
        await client.ask("POST", FORWARDS, forward(80))
    assert len(unifi.forwards) == 1
    unifi.fault(Fault.STUCK, "GET stat/health")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.ask("GET", "stat/health")
