"""A second user of a real Home Assistant, who is no administrator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import aiohttp

from lab.hass_websocket import HassWebSocket
from lab.home_assistant import RealHomeAssistant


@asynccontextmanager
async def guest(ha: RealHomeAssistant) -> AsyncIterator[HassWebSocket]:
    """Add a user with a password, log in as the app does, and remove the user at the end."""
    added = await ha.command("config/auth/create", name="Guest", group_ids=["system-users"])
    user_id = added["user"]["id"]
    login = {"username": f"guest_{uuid4().hex}", "password": uuid4().hex}
    try:
        await ha.command("config/auth_provider/homeassistant/create", user_id=user_id, **login)
        async with aiohttp.ClientSession(ha.url) as session:
            socket = await HassWebSocket.connect(
                session, ha.url, await _log_in(session, ha.url, login)
            )
            try:
                yield socket
            finally:
                await socket.close()
    finally:
        await ha.command("config/auth/delete", user_id=user_id)


async def _log_in(session: aiohttp.ClientSession, url: str, login: dict[str, str]) -> str:
    """Return an access token for the user."""
    client = {"client_id": url}
    form = {**client, "handler": ["homeassistant", None], "redirect_uri": client["client_id"]}
    async with session.post("/auth/login_flow", json=form) as response:
        step = await response.json()
    async with session.post(f"/auth/login_flow/{step['flow_id']}", json=client | login) as response:
        step = await response.json()
    code = {**client, "grant_type": "authorization_code", "code": step["result"]}
    async with session.post("/auth/token", data=code) as response:
        token: str = (await response.json())["access_token"]
        return token
