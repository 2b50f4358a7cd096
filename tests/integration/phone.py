"""A phone with the Home Assistant app: what is pushed to it, and the buttons pressed on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator


class Phone:
    """A registered phone."""

    def __init__(self, name: str) -> None:
        self.name = name
        # What was pushed, oldest first.
        self.shown: list[dict[str, Any]] = []
        self._webhook = f"webhook-of-{name}"
        self._client: TestClient[web.Request, web.Application] | None = None

    async def register(
        self, hass: HomeAssistant, user: MockUser, client: ClientSessionGenerator, push_url: str
    ) -> str:
        """Do what the app does when somebody logs in; return the id of the device."""
        assert await async_setup_component(hass, "mobile_app", {})
        entry = MockConfigEntry(
            domain="mobile_app",
            title=self.name,
            data={
                "app_data": {"push_token": "token", "push_url": push_url},
                "app_id": "io.robbie.HomeAssistant",
                "app_name": "Home Assistant",
                "app_version": "2026.10",
                "device_id": f"id-of-{self.name}",
                "device_name": self.name,
                "manufacturer": "Fairphone",
                "model": "6",
                "os_name": "Android",
                "os_version": "16",
                "supports_encryption": False,
                "user_id": user.id,
                "webhook_id": self._webhook,
            },
        )
        entry.add_to_hass(hass)
        assert await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
        self._client = await client()
        (device,) = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
        return device.id

    async def push(self, request: web.Request) -> web.Response:
        """Take a notification from Home Assistant."""
        self.shown.append(await request.json())
        return web.json_response({"rateLimits": None}, status=HTTPStatus.CREATED)

    def button(self, title: str) -> str:
        """Return the name under which the app knows a button of the newest notification."""
        (found,) = (
            action["action"]
            for action in self.shown[-1]["data"]["actions"]
            if action["title"] == title
        )
        return str(found)

    async def press(self, hass: HomeAssistant, button: str) -> None:
        """Press a button, as the app tells Home Assistant."""
        assert self._client
        answer = await self._client.post(
            f"/api/webhook/{self._webhook}",
            json={
                "type": "fire_event",
                "data": {
                    "event_type": "mobile_app_notification_action",
                    "event_data": {"action": button},
                },
            },
        )
        assert answer.status == HTTPStatus.OK
        await hass.async_block_till_done(wait_background_tasks=True)


@asynccontextmanager
async def push_service(phone: Phone) -> AsyncIterator[str]:
    """Run what pushes notifications to the phone; give its URL."""
    app = web.Application()
    app.router.add_post("/push", phone.push)
    async with TestServer(app) as server:
        yield str(server.make_url("/push"))
