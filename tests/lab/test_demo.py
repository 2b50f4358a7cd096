"""The demo, started as a newcomer would."""

import asyncio
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectorError, ClientSession
from yarl import URL

from lab.demo.dashboard import CAMERA_SWITCH, URL_PATH
from lab.demo.state import State
from lab.hass_config import REPOSITORY
from lab.hass_websocket import HassWebSocket
from lab.virtual_router import free_port

# A loaded machine may take its time; whoever waits longer waits for nothing.
READY_WITHIN = 180
STOPS_WITHIN = 60


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A running demo, and what it has printed."""

    process: asyncio.subprocess.Process
    printed: str

    def address(self, after: str) -> str:
        """Return the first address behind these words."""
        found = re.search(rf"{after}.*?(http://127\.0\.0\.1:\d+/)", self.printed, re.DOTALL)
        assert found, self.printed
        return found[1]

    @property
    def addresses(self) -> list[str]:
        return [self.address(words) for words in ("Home Assistant ", "Then open", "own page")]

    async def stop(self, signal_: signal.Signals) -> str:
        """Stop it and return what it says to that."""
        assert self.process.stdout
        self.process.send_signal(signal_)
        async with asyncio.timeout(STOPS_WITHIN):
            said = (await self.process.stdout.read()).decode()
        assert await self.process.wait() == 0, said
        return said


@asynccontextmanager
async def demo(state: Path, port: int, *, until: str = "starts anew.") -> AsyncIterator[Demo]:
    """Start the demo and wait until it has printed `until`."""
    process = await asyncio.create_subprocess_exec(
        REPOSITORY / "scripts" / "demo",
        *("--state", state, "--port", str(port)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout
    try:
        async with asyncio.timeout(READY_WITHIN):
            printed = await process.stdout.readuntil(until.encode())
        yield Demo(process=process, printed=printed.decode())
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


class Visitor:
    """Somebody with a browser and what the demo has printed."""

    def __init__(self, session: ClientSession, demo: Demo) -> None:
        self._session = session
        self.home, self.camera, self.router = demo.addresses
        login = re.search(r"user: (\S+) +password: (\S+)", demo.printed)
        assert login
        self._user, self._password = login.groups()

    async def log_in(self) -> HassWebSocket:
        """Log in on the login page and return the connection that the browser gets."""
        client = {"client_id": self.home}
        handler = {**client, "handler": ["homeassistant", None], "redirect_uri": self.home}
        form = await self._post("auth/login_flow", json=handler)
        answer = {**client, "username": self._user, "password": self._password}
        step = await self._post(f"auth/login_flow/{form['flow_id']}", json=answer)
        code = {**client, "grant_type": "authorization_code", "code": step["result"]}
        token = await self._post("auth/token", data=code)
        return await HassWebSocket.connect(
            self._session, self.home.rstrip("/"), token["access_token"]
        )

    async def get(self, address: str) -> str:
        async with self._session.get(address, raise_for_status=True) as response:
            return await response.text()

    async def sees_the_camera(self) -> bool:
        """Tell whether the camera answers on its external port."""
        try:
            return "Front door camera" in await self.get(self.camera)
        except ClientConnectorError:
            return False

    async def _post(self, path: str, **body: Any) -> Any:  # noqa: ANN401  any JSON
        async with self._session.post(self.home + path, raise_for_status=True, **body) as response:
            return await response.json()


@asynccontextmanager
async def visitor(demo: Demo) -> AsyncIterator[tuple[Visitor, HassWebSocket]]:
    async with ClientSession() as session:
        guest = Visitor(session, demo)
        browser = await guest.log_in()
        yield guest, browser
        await browser.close()


async def switch(browser: HassWebSocket, service: str) -> None:
    await browser.command(
        "call_service",
        domain="switch",
        service=service,
        target={"entity_id": CAMERA_SWITCH},
    )


@asynccontextmanager
async def occupied(*addresses: str) -> AsyncIterator[None]:
    """Let somebody else listen at these addresses, who hangs up on everybody."""
    async with AsyncExitStack() as stack:
        for address in addresses:
            server = await asyncio.start_server(hang_up, "127.0.0.1", _port(address))
            await stack.enter_async_context(server)
        yield


def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def nobody_listens_at(*addresses: str) -> bool:
    with socket.socket() as probe:
        return all(probe.connect_ex(("127.0.0.1", _port(address))) for address in addresses)


def _port(address: str) -> int:
    port = URL(address).port
    assert port
    return port


@pytest.mark.e2e
async def test_a_newcomer_opens_a_port_and_finds_all_of_it_again(tmp_path: Path) -> None:
    async with demo(tmp_path, free_port()) as first:
        async with visitor(first) as (guest, browser):
            panel = await browser.command("frontend/get_system_data", key="core")
            assert panel["value"]["default_panel"] == URL_PATH
            board = await browser.command("lovelace/config", url_path=URL_PATH)
            states = {s["entity_id"]: s["state"] for s in await browser.command("get_states")}
            assert entities(board) <= states.keys()
            assert states[CAMERA_SWITCH] == "off"

            assert not await guest.sees_the_camera()
            await switch(browser, "turn_on")
            assert await guest.sees_the_camera()
            assert "Front door camera" in await guest.get(guest.router)
            await switch(browser, "turn_off")
            assert not await guest.sees_the_camera()
            await switch(browser, "turn_on")
        assert "everything is stopped" in await first.stop(signal.SIGINT)
    assert nobody_listens_at(*first.addresses)

    async with demo(tmp_path, _port(first.addresses[0])) as second:
        assert second.addresses == first.addresses
        async with visitor(second) as (guest, browser):
            # It was open when the demo was stopped.
            assert await guest.sees_the_camera()
        assert "everything is stopped" in await second.stop(signal.SIGTERM)
    assert nobody_listens_at(*first.addresses)

    async with occupied(*first.addresses), demo(tmp_path, _port(first.addresses[0])) as third:
        assert "is taken" in third.printed
        assert not {*third.addresses} & {*first.addresses}
        async with visitor(third) as (guest, browser):
            assert await guest.sees_the_camera()
            await switch(browser, "turn_off")
            assert not await guest.sees_the_camera()
        await third.stop(signal.SIGHUP)
    assert nobody_listens_at(*third.addresses)


@pytest.mark.e2e
async def test_a_start_can_be_interrupted(tmp_path: Path) -> None:
    async with demo(tmp_path, free_port(), until="starting Home Assistant") as interrupted:
        assert "everything is stopped" in await interrupted.stop(signal.SIGINT)
    with State(tmp_path).claim():
        pass  # Home Assistant is not running either


def entities(config: object) -> set[str]:
    """Return every entity that a dashboard shows."""
    if isinstance(config, list):
        return set[str]().union(*map(entities, config))
    if not isinstance(config, dict):
        return set()
    found = set[str]().union(*map(entities, config.values()))
    return found | {config["entity"]} if "entity" in config else found
