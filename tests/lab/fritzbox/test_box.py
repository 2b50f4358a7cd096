"""The simulated box, looked at from the wire, without any code of ours."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from lab.fritzbox import PASSWORD, USER, Fault, FritzBox, Lease, Sharing
from lab.virtual_router import free_port
from tests.lab.conftest import Inside
from tests.lab.control_point import talk

# The request of AVM's documents, with the port and the host left out.
ENVELOPE: Final = (
    '<?xml version="1.0"?><s:Envelope'
    ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"'
    ' xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    '<u:{action} xmlns:u="urn:dslforum-org:service:{service}:1">{arguments}</u:{action}>'
    "</s:Body></s:Envelope>"
)
ANYBODY = "0.0.0.0"  # noqa: S104  no source; nothing is bound
PATHS = {
    "WANPPPConnection": "/upnp/control/wanpppconn1",
    "WANIPConnection": "/upnp/control/wanipconnection1",
    "Layer3Forwarding": "/upnp/control/layer3forwarding",
}


class Client:
    """Speaks TR-064 to one box."""

    def __init__(self, box: FritzBox, session: aiohttp.ClientSession) -> None:
        self.box = box
        self._session = session

    async def call(
        self,
        action: str,
        service: str = "WANPPPConnection",
        arguments: Mapping[str, object] | None = None,
        *,
        password: str = PASSWORD,
    ) -> tuple[int, str]:
        """Return the HTTP status and the body, or just the code of a fault."""
        named = (arguments or {}).items()
        written = "".join(f"<New{key}>{value}</New{key}>" for key, value in named)
        certificate = self.box.certificate
        assert certificate
        async with self._session.post(
            self.box.url + PATHS[service],
            data=ENVELOPE.format(action=action, service=service, arguments=written),
            headers={"SOAPAction": f"urn:dslforum-org:service:{service}:1#{action}"},
            ssl=aiohttp.Fingerprint(bytes.fromhex(certificate.fingerprint)),
            middlewares=(aiohttp.DigestAuthMiddleware(USER, password),),
        ) as response:
            body = await response.text()
        found = re.search(r"<errorCode>(\d+)</errorCode>", body)
        return response.status, found[1] if found else body

    async def add(self, port: int, **changed: object) -> tuple[int, str]:
        arguments: dict[str, object] = {
            "RemoteHost": ANYBODY,
            "ExternalPort": port,
            "Protocol": "TCP",
            "InternalPort": port,
            "InternalClient": "127.0.0.1",
            "Enabled": 1,
            "PortMappingDescription": "HA",
            "LeaseDuration": 0,
        }
        return await self.call("AddPortMapping", arguments={**arguments, **changed})

    async def specific(self, port: int) -> tuple[int, str]:
        place = {"RemoteHost": ANYBODY, "ExternalPort": port, "Protocol": "TCP"}
        return await self.call("GetSpecificPortMappingEntry", arguments=place)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with FritzBox() as box, aiohttp.ClientSession() as session:
        yield Client(box, session)


async def test_the_description_needs_no_login(client: Client) -> None:
    certificate = client.box.certificate
    assert certificate
    async with aiohttp.ClientSession() as session:
        fingerprint = aiohttp.Fingerprint(bytes.fromhex(certificate.fingerprint))
        answer = await session.get(f"{client.box.url}/tr64desc.xml", ssl=fingerprint)
        body = await answer.text()
    assert "urn:dslforum-org:service:WANPPPConnection:1" in body
    assert "/upnp/control/wanipconnection1" in body
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        async with aiohttp.ClientSession() as session:
            await session.get(client.box.url)


async def test_digest(client: Client) -> None:
    status, body = await client.call("GetExternalIPAddress")
    assert status == 200
    assert "<NewExternalIPAddress>203.0.113.7</NewExternalIPAddress>" in body
    status, body = await client.call("GetExternalIPAddress", password="wrong")
    assert status == 401
    assert "401 Unauthorized" in body


async def test_locked_after_three_wrong_logins(client: Client) -> None:
    for _ in range(3):
        await client.call("GetExternalIPAddress", password="wrong")
    assert (await client.call("GetExternalIPAddress"))[0] == 401
    client.box.digest.locked = False
    assert (await client.call("GetExternalIPAddress"))[0] == 200


@pytest.mark.parametrize("kind", ["WANPPPConnection", "WANIPConnection"])
async def test_the_connection_in_use(kind: str) -> None:
    async with (
        FritzBox(connection=kind) as box,  # type: ignore[arg-type]  # one of the two
        aiohttp.ClientSession() as session,
    ):
        client = Client(box, session)
        _, body = await client.call("GetDefaultConnectionService", "Layer3Forwarding")
        assert f">1.{kind}.1<" in body
        for service in ("WANPPPConnection", "WANIPConnection"):
            _, body = await client.call("GetStatusInfo", service)
            assert (">Connected<" in body) is (service == kind)


async def test_forwards_to_the_caller(client: Client, inside: Inside) -> None:
    port = free_port()
    assert (await client.add(port, InternalPort=inside.port))[0] == 200
    assert await talk(port, b"hello") == b"HELLO"
    _, body = await client.call("GetGenericPortMappingEntry", arguments={"PortMappingIndex": 0})
    assert f"<NewExternalPort>{port}</NewExternalPort>" in body
    assert await client.call("GetGenericPortMappingEntry", arguments={"PortMappingIndex": 1}) == (
        500,
        "713",
    )
    # Once more with another value is how it is switched off.
    assert (await client.add(port, InternalPort=inside.port, Enabled=0))[0] == 200
    with pytest.raises(ConnectionError):
        await talk(port, b"hello")
    place = {"RemoteHost": ANYBODY, "ExternalPort": port, "Protocol": "TCP"}
    assert (await client.call("DeletePortMapping", arguments=place))[0] == 200
    assert (await client.call("DeletePortMapping", arguments=place))[1] == "714"
    assert await client.specific(port) == (500, "714")


async def test_what_it_does_not_permit(client: Client) -> None:
    assert await client.add(8080, InternalClient="127.0.0.2") == (500, "606")
    client.box.sharing.permitted.clear()
    assert await client.add(8080) == (500, "606")
    client.box.sharing.permitted.add("127.0.0.1")
    client.box.connection.second_factor = True
    assert await client.add(8080) == (500, "866")
    client.box.connection.second_factor = False
    client.box.settings_right = False
    assert await client.call("GetExternalIPAddress") == (500, "606")
    client.box.settings_right = True
    await client.box.sharing.put(
        Sharing(protocol="TCP", external_port=8080, host="127.0.0.9", internal_port=80)
    )
    assert await client.add(8080) == (500, "718")
    place = {"RemoteHost": ANYBODY, "ExternalPort": 8080, "Protocol": "TCP"}
    assert (await client.call("DeletePortMapping", arguments=place))[1] == "606"


@pytest.mark.parametrize(
    "wrong",
    [
        {"RemoteHost": "203.0.113.5"},
        {"Protocol": "BOTH"},
        {"ExternalPort": 0},
        {"ExternalPort": 70000},
        {"Enabled": 2},
    ],
)
async def test_values_that_make_no_sense(client: Client, wrong: dict[str, object]) -> None:
    assert await client.add(8080, **wrong) == (500, "402")


@pytest.mark.parametrize(
    ("lease", "shown", "stays"),
    [(Lease.IGNORED, "0", True), (Lease.ECHOED, "1", True), (Lease.KEPT, "1", False)],
)
async def test_leases(client: Client, lease: Lease, shown: str, *, stays: bool) -> None:
    client.box.sharing.lease = lease
    await client.add(8080, LeaseDuration=1, Enabled=0)
    _, body = await client.specific(8080)
    assert f"<NewLeaseDuration>{shown}</NewLeaseDuration>" in body
    if not stays:
        async with asyncio.timeout(60):
            await client.box.sharing.expired.wait()
    assert bool(client.box.sharing.rows) is stays


async def test_restart_keeps_the_table(client: Client, inside: Inside) -> None:
    port = free_port()
    await client.add(port, InternalPort=inside.port)
    await client.box.stop()
    await client.box.start()
    assert await talk(port, b"hello") == b"HELLO"


async def test_faults(client: Client) -> None:
    client.box.fault(Fault.HTML)
    assert "Anmeldung" in (await client.specific(80))[1]
    client.box.fault(Fault.ERROR_INSIDE)
    assert await client.specific(80) == (200, "501")
    client.box.fault(Fault.IGNORED)
    assert (await client.add(8080))[0] == 200
    assert not client.box.sharing.rows
    client.box.fault(Fault.DROP_AFTER)
    with pytest.raises(aiohttp.ClientError):
        await client.add(8080, Enabled=0)
    assert len(client.box.sharing.rows) == 1
    for fault in (Fault.NEVER, Fault.SLOW):
        client.box.fault(fault)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.specific(8080)


def test_command() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "lab.fritzbox", "--http"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdout
        settings = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(20) == 0
    assert settings["url"].startswith("http://127.0.0.1:")
