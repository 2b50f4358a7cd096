"""A client of the controller that knows nothing of our driver."""

from collections.abc import Mapping
from typing import Any

import aiohttp

from lab.unifi import UnifiController
from lab.unifi.api import FORWARDS

KEY = {"X-API-KEY": "kT9-xQ2bV7"}
LOGIN = {"username": "home-assistant", "password": "correct horse", "rememberMe": True}


class Client:
    """Asks as a browser would."""

    def __init__(self, session: aiohttp.ClientSession, controller: UnifiController) -> None:
        self._session = session
        self._controller = controller
        self.headers: dict[str, str] = dict(KEY)
        self.answered: Mapping[str, str] = {}

    @property
    def base(self) -> str:
        prefix = "/proxy/network" if self._controller.is_os else ""
        return f"{self._controller.url}{prefix}/api"

    async def ask(self, method: str, path: str, body: object = None, site: str = "default") -> Any:  # noqa: ANN401  JSON
        """Return status and answer."""
        async with self._session.request(
            method, f"{self.base}/s/{site}/{path}", json=body, headers=self.headers
        ) as response:
            self.answered = dict(response.headers)
            return response.status, await response.json()

    async def login(self, **more: str) -> tuple[int, Any]:
        """Log in with the password from now on."""
        path = "/api/auth/login" if self._controller.is_os else "/api/login"
        self.headers = {}
        async with self._session.post(
            f"{self._controller.url}{path}", json={**LOGIN, **more}
        ) as response:
            cookies = "; ".join(f"{name}={c.value}" for name, c in response.cookies.items())
            self.headers = {"Cookie": cookies} if cookies else {}
            if "x-csrf-token" in response.headers:
                self.headers["x-csrf-token"] = response.headers["x-csrf-token"]
            return response.status, await response.json()

    async def create(self, port: int, **more: object) -> dict[str, Any]:
        """Create a forward to this machine."""
        status, answer = await self.ask("POST", FORWARDS, forward(port, **more))
        assert status == 200, answer
        (created,) = answer["data"]
        assert isinstance(created, dict)
        return created


def forward(port: int, **more: object) -> dict[str, object]:
    return {
        "name": "Camera",
        "enabled": True,
        "pfwd_interface": "wan",
        "fwd": "127.0.0.1",
        "fwd_port": str(port),
        "dst_port": str(port),
        "proto": "tcp",
        "src": "any",
        "log": False,
        "destination_ip": "any",
        "src_limiting_enabled": False,
        **more,
    }
