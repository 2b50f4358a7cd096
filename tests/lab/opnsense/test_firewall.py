"""The simulated firewall really forwards what was applied, and goes wrong where told."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lab.opnsense import Fault, OPNsense
from lab.virtual_router import free_port, free_range
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

from .client import D_NAT, Client, client_of

ANY = {"network": ""}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with OPNsense() as firewall, client_of(firewall) as client:
        yield client


def leads_to(inside: Inside, port: int, **fields: Any) -> dict[str, Any]:
    return {
        "source": ANY,
        "destination": {"port": str(port)},
        "target": "127.0.0.1",
        "local_port": str(inside.port),
        **fields,
    }


async def test_nothing_happens_before_apply(client: Client, inside: Inside) -> None:
    port = free_port()
    uuid = await client.add(**leads_to(inside, port))
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")
    await client.post("apply")
    assert await talk(port, b"hello") == b"HELLO"
    await client.post(f"delRule/{uuid}")
    assert await talk(port, b"hello") == b"HELLO"
    await client.post("apply")
    with pytest.raises(ConnectionRefusedError):
        await talk(port, b"hello")


async def test_the_first_by_sequence_decides(client: Client, inside: Inside) -> None:
    port = free_port()
    await client.add(**leads_to(inside, port, local_port=str(free_port())))
    await client.add(**leads_to(inside, port, sequence="100"))
    await client.post("apply")
    assert await talk(port, b"hello") == b"HELLO"


@pytest.mark.parametrize(
    "fields",
    [
        {"disabled": "1"},
        {"pass": ""},
        {"nordr": "1"},
        {"interface": "lan"},
        {"source": {"network": "127.0.0.2"}},
        {"source": {"network": "127.0.0.0/8", "not": "1"}},
        {"destination": {"network": "203.0.113.99"}},
    ],
)
async def test_rules_that_let_nobody_in(
    client: Client, inside: Inside, fields: dict[str, Any]
) -> None:
    port = free_port()
    made = leads_to(inside, port)
    for key, value in fields.items():
        made[key] = {**made.get(key, {}), **value} if isinstance(value, dict) else value
    await client.add(**made)
    await client.post("apply")
    with pytest.raises(ConnectionError):
        await talk(port, b"hello")


async def test_a_range_keeps_its_order(client: Client, inside: Inside) -> None:
    first = free_range(5)
    fields = leads_to(inside, first, local_port=str(inside.port - 2))
    await client.add(**{**fields, "destination": {"port": f"{first}-{first + 4}"}})
    await client.post("apply")
    assert await talk(first + 2, b"hello") == b"HELLO"


@pytest.mark.parametrize("how", ["kill_states", "del_state"])
async def test_connections_outlive_their_rule_until_killed(
    client: Client, inside: Inside, how: str
) -> None:
    port = free_port()
    uuid = await client.add(**leads_to(inside, port))
    await client.post("apply")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"HELLO"
    await client.post(f"delRule/{uuid}")
    await client.post("apply")
    writer.write(b"still")
    assert await reader.readexactly(5) == b"STILL"

    states = "/api/diagnostics/firewall"
    _, found = await client.ask("POST", f"{states}/query_states", {"searchPhrase": "127.0.0.1"})
    coming, going = found["rows"]
    assert (coming["nat_port"], coming["dst_port"]) == (str(port), str(inside.port))
    assert (coming["direction"], going["direction"]) == ("in", "out")
    if how == "kill_states":
        _, reply = await client.ask("POST", f"{states}/kill_states", {"filter": "127.0.0.1"})
        assert reply == {"result": "ok", "dropped_states": 2}
    else:
        await client.ask("POST", f"{states}/del_state/{coming['id']}", {})
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    _, found = await client.ask("POST", f"{states}/query_states", {"searchPhrase": ""})
    assert found["rows"] == []


async def test_restart_puts_what_is_saved_into_force(client: Client, inside: Inside) -> None:
    port = free_port()
    await client.add(**leads_to(inside, port))
    await client.firewall.stop()
    await client.firewall.start()
    assert await talk(port, b"hello") == b"HELLO"


async def test_interfaces(client: Client) -> None:
    _, reply = await client.ask("GET", "/api/interfaces/overview/interfacesInfo")
    assert [(row["identifier"], row["addr4"]) for row in reply["rows"]] == [
        ("lan", "192.168.1.1/24"),
        ("wan", "203.0.113.7/24"),
    ]


async def test_a_certificate_of_its_own(client: Client) -> None:
    before = client.firewall.certificate
    assert before
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await client.session.get(client.firewall.url)
    await client.firewall.change_certificate()
    with pytest.raises(aiohttp.ServerFingerprintMismatch):
        await client.session.get(
            client.firewall.url, ssl=aiohttp.Fingerprint(bytes.fromhex(before.fingerprint))
        )


async def test_faults(client: Client) -> None:
    firewall = client.firewall
    firewall.fault(Fault.HTML, action="searchRule")
    assert "<title>Login" in (await client.ask("GET", f"{D_NAT}/searchRule"))[1]
    firewall.fault(Fault.DROP_AFTER, action="addRule")
    with pytest.raises(aiohttp.ClientError):
        await client.add()
    assert len(firewall.table.uuids) == 1
    firewall.fault(Fault.DROP_BEFORE, action="delRule")
    with pytest.raises(aiohttp.ClientError):
        await client.post(f"delRule/{firewall.table.uuids[0]}")
    firewall.fault(Fault.NOT_APPLIED)
    assert await client.post("apply") == {"status": "Execute error\n"}
    assert firewall.pf.rules == ()
    firewall.fault(Fault.IGNORED)
    assert (await client.post(f"delRule/{firewall.table.uuids[0]}"))["result"] == "deleted"
    assert len(firewall.table.uuids) == 1
    firewall.fault(Fault.NEVER)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.post("apply")
    assert firewall.pf.rules == ()
    firewall.fault(Fault.SLOW)
    slow = asyncio.create_task(client.post("apply"))
    async with asyncio.timeout(60):
        while not firewall.pf.rules:  # noqa: ASYNC110  the firewall has no event for it
            await asyncio.sleep(0)
    assert not slow.done(), "done, and not answered"
    slow.cancel()


def test_command() -> None:
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-m", "lab.opnsense", "--http"],
        stdout=subprocess.PIPE,
        cwd=root,
    ) as process:
        assert process.stdout
        settings = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(20) == 0
    assert settings["url"].startswith("http://127.0.0.1:")
